package rules

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/watch/fields"
)

// atom is an expr.Atom whose field is known.
type atom struct {
	field  *fields.Field
	op     expr.Op
	text   string
	number int64 // of a Bool 0 or 1
}

// clause holds when one of its atoms does.
type clause []atom

// clause resolves what a condition needs. It is not known when one of its
// atoms is about something that only the condition itself can tell.
func (l *Language) clause(need expr.Clause) (c clause, known bool) {
	known = true
	for _, n := range need {
		f := l.table[n.Path]
		if f == nil || f.Type > fields.List || (n.Op == expr.Has || n.Op == expr.Equal) && (n.Op == expr.Has) != (f.Type == fields.List) {
			known = false
			continue
		}
		a := atom{field: f, op: n.Op}
		switch v := n.Value.(type) {
		case string:
			a.text = v
		case int64:
			a.number = v
		case bool:
			if v {
				a.number = 1
			}
		}
		c = append(c, a)
	}
	return c, known
}

func (c clause) holds(e *esclusa.Event) bool {
	for i := range c {
		if c[i].holds(e) {
			return true
		}
	}
	return false
}

func (a *atom) holds(e *esclusa.Event) bool {
	switch a.op {
	case expr.Has:
		return slices.Contains(a.field.List(e), a.text)
	case expr.Prefix:
		return a.any(e, strings.HasPrefix)
	case expr.Suffix:
		return a.any(e, strings.HasSuffix)
	case expr.Contains:
		return a.any(e, strings.Contains)
	}
	if a.field.Type == fields.Text {
		return a.field.Text(e) == a.text
	}
	return a.field.Number(e) == a.number
}

// any says whether the text, or an element of the list, is so.
func (a *atom) any(e *esclusa.Event, is func(s, with string) bool) bool {
	if a.field.Type != fields.List {
		return is(a.field.Text(e), a.text)
	}
	for _, s := range a.field.List(e) {
		if is(s, a.text) {
			return true
		}
	}
	return false
}

// worth says how well an atom divides events: what few events have is worth
// more, and what cannot be looked up is worth nothing.
func (a *atom) worth() int {
	switch {
	case a.op == expr.Contains || !a.field.Indexed():
		return 0
	case a.field.Coarse, a.field.Type == fields.Bool && a.number == 0: // most flags are false
		return 1
	case a.field.Values != nil:
		return 2
	case a.field.Type == fields.Bool:
		return 3
	case a.field.Type == fields.Number:
		return 5
	case a.op != expr.Equal:
		return 4 + min(len(a.text), 4)
	}
	return 9
}

func (c clause) worth() int {
	least := 10 // of none: it never holds, and nothing finds it
	for i := range c {
		least = min(least, c[i].worth())
	}
	return least
}

// Index finds the conditions that are worth an evaluation for an event.
type Index struct {
	kinds map[esclusa.EventKind]*index
}

// Add enters a condition under the kinds of events that it is about.
func (x *Index) Add(id int32, kinds []esclusa.EventKind, c *Condition) {
	if x.kinds == nil {
		x.kinds = map[esclusa.EventKind]*index{}
	}
	for _, kind := range kinds {
		if x.kinds[kind] == nil {
			x.kinds[kind] = &index{}
		}
		x.kinds[kind].add(id, c.clauses)
	}
}

// Find appends the ids of the conditions worth an evaluation, in order and
// each once.
func (x *Index) Find(e *esclusa.Event, into []int32) []int32 {
	if k := x.kinds[e.Kind]; k != nil {
		return k.find(e, into)
	}
	return into
}

// Kinds are the kinds of events that some condition is about, in order.
func (x *Index) Kinds() []esclusa.EventKind { return slices.Sorted(maps.Keys(x.kinds)) }

// index finds the conditions worth an evaluation for an event, by what each
// needs. Its time depends on how many fields it looks at, and not on how many
// conditions it holds.
type index struct {
	fields []*fieldIndex
	always []int32 // conditions that need nothing that can be looked up
}

// fieldIndex is what conditions need of one field.
type fieldIndex struct {
	field   *fields.Field
	texts   map[string][]int32
	numbers map[int64][]int32
	prefix  *trie
	suffix  *trie
}

// add enters a condition under the best of its clauses.
func (x *index) add(id int32, clauses []clause) {
	var best clause
	for _, c := range clauses {
		if w := c.worth(); w > 0 && (best == nil || w > best.worth()) {
			best = c
		}
	}
	if best == nil {
		x.always = append(x.always, id)
		return
	}
	for i := range best {
		x.of(best[i].field).add(id, &best[i])
	}
}

func (x *index) of(f *fields.Field) *fieldIndex {
	for _, fi := range x.fields {
		if fi.field == f {
			return fi
		}
	}
	fi := &fieldIndex{field: f, texts: map[string][]int32{}, numbers: map[int64][]int32{}}
	x.fields = append(x.fields, fi)
	return fi
}

func (fi *fieldIndex) add(id int32, a *atom) {
	switch {
	case a.op == expr.Prefix:
		if fi.prefix == nil {
			fi.prefix = &trie{}
		}
		fi.prefix.add(a.text, id)
	case a.op == expr.Suffix:
		if fi.suffix == nil {
			fi.suffix = &trie{}
		}
		fi.suffix.add(reverse(a.text), id)
	case a.field.Type == fields.Text, a.field.Type == fields.List:
		fi.texts[a.text] = append(fi.texts[a.text], id)
	default:
		fi.numbers[a.number] = append(fi.numbers[a.number], id)
	}
}

func (x *index) find(e *esclusa.Event, into []int32) []int32 {
	into = append(into, x.always...)
	for _, fi := range x.fields {
		into = fi.find(e, into)
	}
	if len(into) > 1 {
		slices.Sort(into)
		into = slices.Compact(into)
	}
	return into
}

func (fi *fieldIndex) find(e *esclusa.Event, into []int32) []int32 {
	switch fi.field.Type {
	case fields.List:
		for _, s := range fi.field.List(e) {
			into = fi.findText(s, into)
		}
	case fields.Text:
		into = fi.findText(fi.field.Text(e), into)
	default:
		into = append(into, fi.numbers[fi.field.Number(e)]...)
	}
	return into
}

func (fi *fieldIndex) findText(s string, into []int32) []int32 {
	if len(fi.texts) > 0 {
		into = append(into, fi.texts[s]...)
	}
	if fi.prefix != nil {
		into = fi.prefix.walk(s, false, into)
	}
	if fi.suffix != nil {
		into = fi.suffix.walk(s, true, into)
	}
	return into
}

// trie finds all texts that another begins with, in the time of the longest.
type trie struct {
	ids  []int32
	keys []byte // beside next
	next []*trie
}

func (t *trie) add(s string, id int32) {
	for i := range len(s) {
		j := bytes.IndexByte(t.keys, s[i])
		if j < 0 {
			j = len(t.keys)
			t.keys, t.next = append(t.keys, s[i]), append(t.next, &trie{})
		}
		t = t.next[j]
	}
	t.ids = append(t.ids, id)
}

func (t *trie) walk(s string, backward bool, into []int32) []int32 {
	for i := 0; ; i++ {
		into = append(into, t.ids...)
		if i == len(s) {
			return into
		}
		b := s[i]
		if backward {
			b = s[len(s)-1-i]
		}
		j := bytes.IndexByte(t.keys, b)
		if j < 0 {
			return into
		}
		t = t.next[j]
	}
}

func reverse(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
