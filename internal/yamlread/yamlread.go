// Package yamlread reads the YAML files that people edit (policies, rules,
// sequences) into Go structs. A key that no struct has, a value of another
// shape, a word that is none of the known ones: each is an error with file,
// line and column, and with advice where there is some. All mistakes of a file
// are told at once, up to a limit.
//
// The text is outside text: size, nesting and lists are bounded, and what
// makes YAML surprising (anchors, tags, merges) is refused.
//
// It is ours because go-yaml's own decoder stops at the first error and keeps
// no positions for the checks that follow. Start with New.
package yamlread

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of one file. They are far above what people write; the parser's time
// grows with the square of the nesting, so nesting is counted before it runs.
const (
	MaxFile   = 1 << 20 // bytes
	maxDepth  = 24      // flow brackets open at once
	maxIndent = 120     // column where a block may begin
	MaxList   = 5000    // entries of one list
	MaxText   = 4096    // bytes of one text
	MaxErrors = 20      // errors told at once
)

// Pos is a place in a file, both counted from 1.
type Pos struct{ Line, Column int }

// Error is one thing wrong in a file that people edit.
type Error struct {
	File string
	Pos
	Message string
	Hint    string // what to do about it; may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	if e.Hint != "" {
		s += "\nhint: " + e.Hint
	}
	return s
}

// Reader walks a parsed file into Go structs by their yaml tags, and collects
// what is wrong. A struct with a field Pos is told its place.
type Reader struct {
	file  string
	lines []string // of the source, for places inside block texts
	errs  []error
}

// New is a reader of one file; the name stands in its errors.
func New(file string) *Reader { return &Reader{file: file} }

// OK says that nothing is wrong so far.
func (r *Reader) OK() bool { return len(r.errs) == 0 }

// Err joins an *Error for each thing wrong, in the order found; nil if there
// is none.
func (r *Reader) Err() error { return errors.Join(r.errs...) }

// Scalar is a value written as one word or phrase. Its errors may be Hinted.
type Scalar interface{ DecodeText(s string) error }

// Node is a value that reads its own shape; what names it in messages.
type Node interface {
	DecodeNode(r *Reader, n ast.Node, what string)
}

// Hinted is an error with advice, as scalars give it.
type Hinted struct{ Msg, Hint string }

func (h Hinted) Error() string { return h.Msg }

// Read fills the struct that into points to. What is wrong is in Err.
func (r *Reader) Read(data []byte, into any) {
	if len(data) > MaxFile {
		r.Fail(Pos{1, 1}, fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), MaxFile), "")
		return
	}
	r.lines = strings.Split(string(data), "\n")
	body := r.parse(data)
	if body == nil {
		return
	}
	r.value(body, reflect.ValueOf(into).Elem(), "the file")
}

func (r *Reader) parse(data []byte) (body ast.Node) {
	// The YAML library panics on some malformed texts; a file from outside
	// must not end the process.
	defer func() {
		if p := recover(); p != nil {
			r.Fail(Pos{1, 1}, "this is not readable as YAML", "")
			body = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !r.tame(tokens) {
		return nil
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.Fail(PosOf(d.Body), "a second document begins here; one file holds one", "remove the line ---")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.Fail(Pos{1, 1}, "the file is empty", "")
	}
	return body
}

// tame refuses what makes YAML surprising (anchors, aliases, tags, merges)
// and nesting that no person writes.
func (r *Reader) tame(tokens token.Tokens) bool {
	depth := 0
	for _, t := range tokens {
		at := Pos{1, 1}
		if t.Position != nil {
			at = Pos{t.Position.Line, t.Position.Column}
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.DirectiveType:
			r.Fail(at, fmt.Sprintf("%q is YAML that is not read here", Clip(t.Value, 20)), "put the text in quotes, or write the value out")
			return false
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if depth == 0 && at.Column > maxIndent && t.Type != token.MappingValueType {
				depth = maxDepth + 1
			}
		}
		if depth > maxDepth {
			r.Fail(at, "this is nested too deep", "")
			return false
		}
	}
	return true
}

func (r *Reader) syntax(err error) {
	at, msg := Pos{1, 1}, "this is not readable as YAML"
	var y yaml.Error
	if errors.As(err, &y) {
		msg = y.GetMessage()
		if t := y.GetToken(); t != nil && t.Position != nil {
			at = Pos{max(1, t.Position.Line), max(1, t.Position.Column)}
		}
	}
	hint := ""
	if line := r.line(at.Line); strings.Contains(line, ": >") || strings.Contains(line, ": *") || strings.Contains(line, ": !") {
		hint = `put the value in quotes, as in severity: ">= high"`
	}
	r.Fail(at, msg, hint)
}

func (r *Reader) line(n int) string {
	if n < 1 || n > len(r.lines) {
		return ""
	}
	return r.lines[n-1]
}

// Fail notes one thing wrong; after MaxErrors it only says that there is more.
func (r *Reader) Fail(at Pos, msg, hint string) {
	switch {
	case len(r.errs) < MaxErrors:
		r.errs = append(r.errs, &Error{File: r.file, Pos: at, Message: msg, Hint: hint})
	case len(r.errs) == MaxErrors:
		r.errs = append(r.errs, &Error{File: r.file, Pos: at, Message: "and more"})
	}
}

// FailErr is Fail with the words, and the advice, of an error.
func (r *Reader) FailErr(at Pos, err error) {
	var h Hinted
	errors.As(err, &h)
	r.Fail(at, err.Error(), h.Hint)
}

// PosOf is the place of a node: of a mapping, that of its first key.
func PosOf(n ast.Node) Pos {
	// A mapping's own token is its first colon: its first key is the place
	// that people look for.
	switch v := n.(type) {
	case *ast.MappingNode:
		if !v.IsFlowStyle && len(v.Values) > 0 {
			return PosOf(v.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return PosOf(v.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return Pos{max(1, t.Position.Line), max(1, t.Position.Column)}
	}
	return Pos{1, 1}
}

// Into reads a node into the value that into points to, for a Node whose shape
// depends on a word in it.
func (r *Reader) Into(n ast.Node, into any, what string) {
	r.value(n, reflect.ValueOf(into).Elem(), what)
}

// value reads n into v; what names the thing in messages.
func (r *Reader) value(n ast.Node, v reflect.Value, what string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		r.value(n, v.Elem(), what)
		return
	}
	switch x := v.Addr().Interface().(type) {
	case Node:
		x.DecodeNode(r, n, what)
		return
	case Scalar:
		if s, ok := r.Text(n, what); ok {
			if err := x.DecodeText(s); err != nil {
				r.FailErr(PosOf(n), fmt.Errorf("%s: %w", what, err))
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.fields(n, v, what)
	case reflect.Slice:
		r.list(n, v, what)
	case reflect.String:
		if s, ok := r.Text(n, what); ok {
			v.SetString(s)
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			r.Fail(PosOf(n), what+" must be true or false", "")
			return
		}
		v.SetBool(b.Value)
	case reflect.Map:
		r.texts(n, v, what)
	default:
		panic("yamlread: no reading of " + v.Type().String())
	}
}

// Text is a scalar as it was written: 1.10 stays "1.10".
func (r *Reader) Text(n ast.Node, what string) (string, bool) {
	var s string
	switch x := n.(type) {
	case *ast.StringNode:
		s = x.Value
	case *ast.LiteralNode:
		s = x.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s = n.GetToken().Value
	case *ast.NullNode:
		r.Fail(PosOf(n), what+" is empty", "")
		return "", false
	default:
		r.Fail(PosOf(n), what+" must be a single value", "")
		return "", false
	}
	if len(s) > MaxText {
		r.Fail(PosOf(n), fmt.Sprintf("%s has %d bytes; at most %d are read", what, len(s), MaxText), "")
		return "", false
	}
	return s, true
}

func (r *Reader) list(n ast.Node, v reflect.Value, what string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.Fail(PosOf(n), what+" must be a list", "write it as [one, two], or one entry a line after a dash")
		return
	}
	if len(s.Values) > MaxList {
		r.Fail(PosOf(n), fmt.Sprintf("%s has %d entries; at most %d are read", what, len(s.Values), MaxList), "")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, e := range s.Values {
		r.value(e, out.Index(i), what)
	}
	v.Set(out)
}

func (r *Reader) texts(n ast.Node, v reflect.Value, what string) {
	entries, ok := r.Entries(n, what)
	if !ok {
		return
	}
	out := reflect.MakeMap(v.Type())
	for _, e := range entries {
		val := reflect.New(v.Type().Elem()).Elem()
		r.value(e.Value, val, what+" "+Key(e))
		out.SetMapIndex(reflect.ValueOf(Key(e)), val)
	}
	v.Set(out)
}

// Entries are the keys and values of a mapping.
func (r *Reader) Entries(n ast.Node, what string) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	hint := ""
	if _, empty := n.(*ast.NullNode); empty {
		hint = "write " + what + ": {} to name none"
	}
	r.Fail(PosOf(n), what+" must be keys with values", hint)
	return nil, false
}

// Key is the key of an entry.
func Key(e *ast.MappingValueNode) string {
	if t := e.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func (r *Reader) fields(n ast.Node, v reflect.Value, what string) {
	if f := v.FieldByName("Pos"); f.IsValid() {
		f.Set(reflect.ValueOf(PosOf(n)))
	}
	entries, ok := r.Entries(n, what)
	if !ok {
		return
	}
	known := FieldsOf(v.Type())
	seen := map[string]bool{}
	for _, e := range entries {
		k := Key(e)
		f, ok := known[k]
		if !ok {
			r.Fail(PosOf(e.Key), fmt.Sprintf("unknown key %q in %s", Clip(k, 40), what), DidYouMean(k, Names(v.Type())))
			continue
		}
		seen[k] = true
		if e.Value == nil {
			r.Fail(PosOf(e.Key), k+" is empty", "")
			continue
		}
		r.value(e.Value, v.Field(f.Index), k)
	}
	for _, k := range Names(v.Type()) {
		if known[k].Required && !seen[k] {
			r.Fail(PosOf(n), fmt.Sprintf("%s has no %s", what, k), "")
		}
	}
}

// Field is a struct field as its tags describe it: `yaml:"name,required"` and
// `doc:"…"` for schemas.
type Field struct {
	Index    int
	Required bool
	Doc      string
}

// FieldsOf are the fields of a struct by their keys.
func FieldsOf(t reflect.Type) map[string]Field {
	out := map[string]Field{}
	for i := range t.NumField() {
		name, opt, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" {
			out[name] = Field{i, opt == "required", t.Field(i).Tag.Get("doc")}
		}
	}
	return out
}

// Names are the keys of a struct in its own order.
func Names(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// DidYouMean names the nearest word, or all of them when none is near.
func DidYouMean(word string, words []string) string {
	best, least := "", 1+min(len(word), 20)/2
	for _, w := range words {
		if d := distance(strings.ToLower(Clip(word, 40)), w); d < least {
			best, least = w, d
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %s?", best)
	}
	return "known are " + strings.Join(words, ", ")
}

// distance counts the letters to insert, remove, replace or swap.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// Clip shortens a text from outside for a message.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
