package npm

import (
	"bytes"
	"iter"
	"strings"
)

// Lock files of Yarn and pnpm are block mappings that a program wrote: a line
// is "key: value" or "key value" at an indentation. Reading them as lines
// needs neither a tree in memory nor a YAML decoder with anchors and tags; a
// decoder took 19 times as long and 15 times the memory for the same file.

// line is one line with something on it.
type line struct {
	number int
	indent int
	text   string // without indentation and line end
}

// lines yields the lines of data that are neither empty nor comments.
func lines(data []byte) iter.Seq[line] {
	return func(yield func(line) bool) {
		for n := 1; len(data) > 0; n++ {
			var raw []byte
			raw, data, _ = bytes.Cut(data, []byte("\n"))
			raw = bytes.TrimSuffix(raw, []byte("\r"))
			text := bytes.TrimLeft(raw, " ")
			if len(text) == 0 || text[0] == '#' {
				continue
			}
			if !yield(line{n, len(raw) - len(text), string(text)}) {
				return
			}
		}
	}
}

// conflict says whether the line is a mark of an unfinished git merge.
func (l line) conflict() bool {
	return l.indent == 0 && (strings.HasPrefix(l.text, "<<<<<<< ") || strings.HasPrefix(l.text, ">>>>>>> "))
}

// cutKey splits a "key: value" line of YAML, or a "key value" line of Yarn 1.
// Quotes are removed from both.
func (l line) cutKey() (key, value string, ok bool) {
	if l.text == "" { // what is left of a line may be nothing
		return "", "", false
	}
	if l.text[0] == '"' || l.text[0] == '\'' {
		var rest string
		if key, rest, ok = cutQuoted(l.text); !ok {
			return "", "", false
		}
		if after, colon := strings.CutPrefix(rest, ":"); colon {
			return key, scalar(after), true
		}
		return key, scalar(rest), strings.HasPrefix(rest, " ")
	}
	if i := strings.Index(l.text, ": "); i > 0 {
		return l.text[:i], scalar(l.text[i+2:]), true
	}
	if key, ok = strings.CutSuffix(l.text, ":"); ok {
		return key, "", key != ""
	}
	key, value, ok = strings.Cut(l.text, " ")
	return key, scalar(value), ok && key != ""
}

// scalar reads the value of a line: quoted, or plain up to a comment. Flow
// collections are returned as written.
func scalar(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if v, _, ok := cutQuoted(s); ok {
			return v
		}
		return s
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimRight(s[:i], " ")
	}
	return s
}

// cutQuoted reads a string quoted as in YAML at the start of s.
func cutQuoted(s string) (text, rest string, ok bool) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] != quote:
		case quote == '\'' && i+1 < len(s) && s[i+1] == quote:
			i++
		default:
			return unquote(s[1:i], quote), s[i+1:], true
		}
	}
	return "", "", false
}

// unquote resolves the two escapes that names and versions can need.
func unquote(s string, quote byte) string {
	if quote == '\'' {
		return strings.ReplaceAll(s, "''", "'")
	}
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\/`, `/`).Replace(s)
}
