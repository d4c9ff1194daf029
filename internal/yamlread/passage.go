package yamlread

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Passage is a text in a language of its own (a condition) that knows where
// its lines stand in the file.
type Passage struct {
	Pos
	Text string
	// first is where the text itself begins: its own lines and columns count
	// from here.
	first Pos
}

// DecodeNode implements Node.
func (p *Passage) DecodeNode(r *Reader, n ast.Node, what string) {
	s, ok := r.Text(n, what)
	if !ok {
		return
	}
	p.Text, p.Pos, p.first = s, PosOf(n), PosOf(n)
	switch n.(type) {
	case *ast.StringNode:
		if l := r.line(p.Line); p.Column <= len(l) && strings.ContainsRune(`"'`, rune(l[p.Column-1])) {
			p.first.Column++
		}
	case *ast.LiteralNode:
		// A block begins on the line after its | or >; its indent is that of
		// its first line with text.
		p.first = Pos{p.Line + 1, 1}
		for i := p.first.Line; i <= len(r.lines); i++ {
			if l := r.line(i); strings.TrimSpace(l) != "" {
				p.first.Column = 1 + len(l) - len(strings.TrimLeft(l, " "))
				break
			}
		}
	}
}

// At is the place in the file of a line and column of the text.
func (p *Passage) At(line, column int) Pos {
	at := Pos{p.first.Line + line - 1, column}
	if line == 1 || p.first.Line > p.Line {
		at.Column += p.first.Column - 1
	}
	return at
}

// Word checks a text against the words that a field may hold.
func Word[T ~string](into *T, s string, words []T) error {
	if slices.Contains(words, T(s)) {
		*into = T(s)
		return nil
	}
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return Hinted{fmt.Sprintf("unknown word %q", Clip(s, 40)), DidYouMean(s, all)}
}

// maxName is the longest name in bytes.
const maxName = 64

// Name checks a name: it is shown, grepped for and written into exceptions,
// so it is one short word.
func (r *Reader) Name(at Pos, what, name string) {
	ok := name != "" && len(name) <= maxName
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			ok = false
		}
	}
	if !ok {
		r.Fail(at, fmt.Sprintf("the name of %s is %q", what, Clip(name, 40)),
			fmt.Sprintf("a name is letters, digits, - _ and . (at most %d)", maxName))
	}
}
