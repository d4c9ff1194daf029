package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Language is what conditions and messages may name: the table of fields as
// CEL sees it. Make it once; it may be used by many goroutines at once.
type Language struct {
	table fields.Table
	env   *expr.Env
}

// NewLanguage declares the table's fields. It costs little until the first
// condition is compiled.
func NewLanguage() *Language {
	l := &Language{table: fields.New()}
	decls := []expr.Decl{}
	for _, name := range l.variables() {
		decls = append(decls, expr.Var(name, l.object(name)))
	}
	for s := esclusa.SeverityUnknown; s <= esclusa.SeverityCritical; s++ {
		decls = append(decls, expr.Const(s.String(), int64(s)))
	}
	l.env = expr.New(decls...)
	return l
}

// variables are the first words of all paths, in order.
func (l *Language) variables() []string {
	var out []string
	for _, p := range l.table.Paths() {
		if first, _, _ := strings.Cut(p, "."); !slices.Contains(out, first) {
			out = append(out, first)
		}
	}
	return out
}

// object makes the CEL object whose fields begin with the path. Every getter
// takes the whole event, so that an inner object costs nothing.
func (l *Language) object(path string) *expr.Object {
	all := expr.Fields{}
	for _, p := range l.table.Paths() {
		rest, ok := strings.CutPrefix(p, path+".")
		if !ok {
			continue
		}
		if inner, _, deeper := strings.Cut(rest, "."); deeper {
			if _, done := all[inner]; !done {
				all[inner] = expr.Inner(l.object(path+"."+inner), func(e *esclusa.Event) *esclusa.Event { return e })
			}
			continue
		}
		all[rest] = exprField(l.table[p])
	}
	// A name with a dot would be taken for a type where a field is meant.
	return expr.NewObject(strings.ReplaceAll(path, ".", " "), all)
}

func exprField(f *fields.Field) expr.Field {
	switch f.Type {
	case fields.Number:
		return expr.Int(f.Number)
	case fields.Bool:
		return expr.Bool(func(e *esclusa.Event) bool { return f.Number(e) != 0 })
	case fields.List:
		return expr.Strings(f.List)
	case fields.Duration:
		return expr.Age(func(e *esclusa.Event) time.Duration { return f.Span(e) })
	case fields.Labels:
		return expr.Map(f.Labels)
	case fields.Ancestors:
		return expr.Objects(ancestor(), func(e *esclusa.Event) []esclusa.Ancestor { return e.Ancestors })
	}
	return expr.String(f.Text)
}

func ancestor() *expr.Object {
	return expr.NewObject("ancestor", expr.Fields{
		"pid":       expr.Int(func(a *esclusa.Ancestor) int64 { return int64(a.PID) }),
		"name":      expr.String(func(a *esclusa.Ancestor) string { return a.Name }),
		"exe":       expr.String(func(a *esclusa.Ancestor) string { return a.Exe }),
		"container": expr.String(func(a *esclusa.Ancestor) string { return a.Container }),
	})
}

// Condition is a condition in CEL about one event.
type Condition struct {
	yamlread.Passage
	prog    *expr.Program
	clauses []clause
}

// Compile checks the condition for events of the kinds, and notes in r what
// is wrong. Key names it in messages.
func (c *Condition) Compile(r *yamlread.Reader, l *Language, key string, kinds []esclusa.EventKind) {
	prog, err := l.env.Compile(c.Text)
	if err != nil {
		line, column, msg := 1, 1, err.Error()
		var e *expr.Error
		if errors.As(err, &e) {
			line, column, msg = e.Line, e.Column, e.Message
		}
		r.Fail(c.At(line, column), key+": "+msg, l.hint(msg))
		return
	}
	for _, kind := range fields.Kinds() {
		if prog.Uses(fields.Var(kind)) && !slices.Contains(kinds, kind) {
			r.Fail(c.At(1, 1), fmt.Sprintf("%s: it names %s, and is not about events of kind %s", key, fields.Var(kind), kind),
				"add "+string(kind)+" to kinds")
		}
	}
	c.prog = prog
	for _, need := range prog.Needs() {
		cl, known := l.clause(need)
		if msg, hint := wrongWord(cl); msg != "" {
			r.Fail(c.At(1, 1), key+": "+msg, hint)
		}
		if known {
			c.clauses = append(c.clauses, cl)
		}
	}
}

// CheckFiles refuses a condition that would have every file of the host
// watched.
func (c *Condition) CheckFiles(r *yamlread.Reader, kinds []esclusa.EventKind) {
	if slices.Contains(kinds, esclusa.EventFile) && (len(kinds) > 1 || c.Files() == nil) {
		r.Fail(c.Pos, "when: it would watch every file",
			`a condition on files has no other kind, and names them: file.path == "…", in […], startsWith or endsWith`)
	}
}

// wrongWord says which literal can never be the value of its field.
func wrongWord(c clause) (msg, hint string) {
	for _, a := range c {
		if a.op == expr.Equal && a.field.Type == fields.Text && a.field.Values != nil && !slices.Contains(a.field.Values, a.text) {
			return fmt.Sprintf("%s is never %q", a.field.Path, yamlread.Clip(a.text, 40)), yamlread.DidYouMean(a.text, a.field.Values)
		}
	}
	return "", ""
}

// Holds runs the condition. An error means that it could not be answered; it
// never means false.
func (c *Condition) Holds(e *esclusa.Event) (bool, error) {
	for _, cl := range c.clauses {
		if !cl.holds(e) {
			return false, nil
		}
	}
	return c.prog.Eval(vars{e})
}

// vars gives the event for every variable.
type vars struct{ e *esclusa.Event }

// Value implements expr.Vars.
func (v vars) Value(string) (any, bool) { return v.e, true }

// hint helps with the mistakes that people make first.
func (l *Language) hint(msg string) string {
	if _, rest, ok := strings.Cut(msg, "undefined field '"); ok {
		name, _, _ := strings.Cut(rest, "'")
		var last []string
		for _, p := range l.table.Paths() {
			last = append(last, p[strings.LastIndexByte(p, '.')+1:])
		}
		if h := yamlread.DidYouMean(name, last); strings.HasPrefix(h, "did") {
			return h
		}
		return "the fields are listed in docs/reference/events.md"
	}
	if strings.Contains(msg, "undeclared reference to") {
		return "the variables are container, event, process and one for each kind of event (docs/reference/events.md)"
	}
	if strings.Contains(msg, "(int, string)") {
		return "severities are ordered words without quotes: container.worst >= high"
	}
	return ""
}

// Template is a sentence with fields in braces.
type Template struct {
	yamlread.Passage
	parts []part
}

// part is a text, or a field.
type part struct {
	text  string
	field *fields.Field
}

// maxShown is how much of one value a message shows.
const maxShown = 200

// Compile finds the fields, and notes in r what is wrong.
func (t *Template) Compile(r *yamlread.Reader, l *Language, key string, kinds []esclusa.EventKind) {
	rest := t.Text
	for rest != "" {
		before, after, open := strings.Cut(rest, "{")
		if before != "" {
			t.parts = append(t.parts, part{text: before})
		}
		if !open {
			return
		}
		path, tail, closed := strings.Cut(after, "}")
		f := l.table[path]
		if !closed || f == nil || f.Type > fields.Duration {
			r.Fail(t.Pos, fmt.Sprintf("%s: there is no field {%s}", key, yamlread.Clip(path, 40)), yamlread.DidYouMean(path, l.table.Paths()))
			return
		}
		for _, kind := range fields.Kinds() {
			if first, _, _ := strings.Cut(path, "."); first == fields.Var(kind) && !slices.Contains(kinds, kind) {
				r.Fail(t.Pos, fmt.Sprintf("%s: {%s} is not known of these kinds of events", key, path), "")
			}
		}
		t.parts = append(t.parts, part{field: f})
		rest = tail
	}
}

// Show fills the fields in. What comes from the event is outside text: it is
// cut, and what does not print is made visible.
func (t *Template) Show(e *esclusa.Event) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.field == nil {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(visible(p.field.Show(e)))
	}
	return b.String()
}

func visible(s string) string {
	s = yamlread.Clip(s, maxShown)
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0xFFFD }) {
		q := fmt.Sprintf("%+q", s)
		return q[1 : len(q)-1]
	}
	return s
}

// Shown says whether there is a field that has one value to show.
func (l *Language) Shown(path string) bool {
	f := l.table[path]
	return f != nil && f.Type <= fields.Bool
}

// Show is the value of a field for people; of no field, nothing.
func (l *Language) Show(path string, e *esclusa.Event) string {
	if f := l.table[path]; f != nil {
		return f.Show(e)
	}
	return ""
}
