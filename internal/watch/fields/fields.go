// Package fields is the table of what rules and sequences may ask of an event:
// each field with its path, its type and what it means. Conditions, the index
// of rules, messages and docs/reference/events.md are all made from it.
//
// Facts of the process and its container are there for every event. What is
// an event's own belongs to its kind: what a family of events emits is held
// to the same table by Check. Start with Of.
package fields

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Type is what a field holds.
type Type uint8

// The types. Labels are texts by text, Ancestors the chain above a process.
const (
	Text Type = iota
	Number
	Bool
	List
	Duration
	Labels
	Ancestors
)

func (t Type) String() string {
	return [...]string{"text", "number", "true or false", "list of texts", "duration", "texts by text", "list of processes"}[t]
}

// Field is one fact of an event, by the path under which conditions name it.
type Field struct {
	Path string
	Type Type
	Doc  string
	// Values are all that a text may be; nil where any text may stand.
	Values []string
	// Coarse says that one value fits a large share of all events: a poor key
	// for an index.
	Coarse bool
	// Derived says that it is computed from other facts and not emitted.
	Derived bool

	text   func(*esclusa.Event) string
	number func(*esclusa.Event) int64
	flag   func(*esclusa.Event) bool
	list   func(*esclusa.Event) []string
	labels func(*esclusa.Event) map[string]string
	span   func(*esclusa.Event) time.Duration
}

// Indexed says whether the value can be had without allocating.
func (f *Field) Indexed() bool {
	switch f.Path {
	case "process.command", "process.capabilities":
		return false
	}
	return f.Type <= List
}

// Text is the value of a text; Number of a number (of a Bool, 0 or 1); List of
// a list. Of another type they are zero.
func (f *Field) Text(e *esclusa.Event) string {
	if f.text == nil {
		return ""
	}
	return f.text(e)
}

// Number is the value of a number, or 0 or 1 of a Bool.
func (f *Field) Number(e *esclusa.Event) int64 {
	switch {
	case f.number != nil:
		return f.number(e)
	case f.flag != nil && f.flag(e):
		return 1
	}
	return 0
}

// List is the value of a list.
func (f *Field) List(e *esclusa.Event) []string {
	if f.list == nil {
		return nil
	}
	return f.list(e)
}

// Show is the value for people.
func (f *Field) Show(e *esclusa.Event) string {
	switch f.Type {
	case Text:
		return f.text(e)
	case Number:
		return strconv.FormatInt(f.number(e), 10)
	case Bool:
		return strconv.FormatBool(f.flag(e))
	case List:
		return strings.Join(f.list(e), " ")
	case Duration:
		return f.span(e).Round(time.Second).String()
	}
	return ""
}

// Table is the fields by path. Make it once and keep it.
type Table map[string]*Field

// New is the table of everything.
func New() Table {
	t := Table{}
	for _, f := range slices.Concat(eventFields(), processFields(), containerFields()) {
		t[f.Path] = f
	}
	for _, kind := range Kinds() {
		for _, f := range Of(kind) {
			t[f.Path] = f
		}
	}
	return t
}

// Paths are the paths in order.
func (t Table) Paths() []string { return slices.Sorted(maps.Keys(t)) }

// Kinds are the kinds of events in the order of the words.
func Kinds() []esclusa.EventKind {
	return []esclusa.EventKind{
		esclusa.EventExec, esclusa.EventFork, esclusa.EventExit, esclusa.EventNamespace, esclusa.EventCredential,
		esclusa.EventCapability, esclusa.EventConnect, esclusa.EventAccept, esclusa.EventBind, esclusa.EventDNS,
		esclusa.EventFile, esclusa.EventMount, esclusa.EventPtrace, esclusa.EventBPF, esclusa.EventIOUring,
		esclusa.EventModule, esclusa.EventKeyctl, esclusa.EventUserfault, esclusa.EventSysctl, esclusa.EventSignal,
		esclusa.EventGuard, esclusa.EventLoss,
	}
}

// Var is the variable that holds a kind's own fields: the kind's name, but for
// "namespace", which CEL keeps for itself.
func Var(kind esclusa.EventKind) string {
	if kind == esclusa.EventNamespace {
		return "namespaces"
	}
	return string(kind)
}

// Of are the fields of one kind, in the order of the reference.
func Of(kind esclusa.EventKind) []*Field { return own(kind, kindFields(kind)) }

// Check says whether an event's own fields are those of the table, each of its
// type: for the tests of the families, and for events from outside.
func Check(e *esclusa.Event) error {
	if !slices.Contains(Kinds(), e.Kind) {
		return fmt.Errorf("unknown kind of event %q", e.Kind)
	}
	known := Of(e.Kind)
	for i := range e.Fields {
		name := e.Fields[i].Name
		j := slices.IndexFunc(known, func(f *Field) bool { return f.Path == Var(e.Kind)+"."+name && !f.Derived })
		if j < 0 {
			return fmt.Errorf("an event of kind %s has no field %q", e.Kind, name)
		}
		if got := emitted(e.Fields[i].Type); got != known[j].Type {
			return fmt.Errorf("field %s of an event is %s where %s is expected", known[j].Path, got, known[j].Type)
		}
	}
	return nil
}

func emitted(t esclusa.FieldType) Type {
	switch t {
	case esclusa.FieldNumber:
		return Number
	case esclusa.FieldList:
		return List
	case esclusa.FieldBool:
		return Bool
	}
	return Text
}

// own gives getters to the fields of a kind: an event of another kind, or one
// without the field, has the zero value.
func own(kind esclusa.EventKind, all []*Field) []*Field {
	none := &esclusa.Field{}
	for _, f := range all {
		name := f.Path
		f.Path = Var(kind) + "." + name
		find := func(e *esclusa.Event) *esclusa.Field {
			if e.Kind == kind {
				if v, ok := e.Fields.Get(name); ok {
					return v
				}
			}
			return none
		}
		switch {
		case f.Derived:
		case f.Type == Text:
			f.text = func(e *esclusa.Event) string { return find(e).Text }
		case f.Type == Number:
			f.number = func(e *esclusa.Event) int64 { return find(e).Number }
		case f.Type == Bool:
			f.flag = func(e *esclusa.Event) bool { return find(e).Number != 0 }
		case f.Type == List:
			f.list = func(e *esclusa.Event) []string { return find(e).List }
		}
	}
	return all
}

// Span is the value of a duration; Labels of texts by text.
func (f *Field) Span(e *esclusa.Event) time.Duration {
	if f.span == nil {
		return 0
	}
	return f.span(e)
}

// Labels is the value of texts by text.
func (f *Field) Labels(e *esclusa.Event) map[string]string {
	if f.labels == nil {
		return nil
	}
	return f.labels(e)
}
