package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Set is the rules that are in force. It does not change, but for the counts
// of what went wrong; it may be used by many goroutines at once.
type Set struct {
	entries []*entry // by name
	index   Index
}

// entry is a rule in a set.
type entry struct {
	rule   *Rule
	grants []Grant
	errs   atomic.Uint64
	first  atomic.Pointer[string] // what the first error said
}

// Load makes a set of built-in rules, of a user's own, and of files of a
// user's exceptions. Its error joins one *yamlread.Error for each mistake in
// any of them: a set is whole, or there is none.
func Load(l *Language, builtin, own, grants []File) (*Set, error) {
	byName := map[string]*entry{}
	var errs []error
	for i, f := range slices.Concat(builtin, own) {
		rule, err := l.parse(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		before := byName[rule.Name]
		switch mine := i >= len(builtin); {
		case before != nil && !(mine && rule.Replaces && before.rule.File != rule.File):
			errs = append(errs, &yamlread.Error{
				File: f.Name, Pos: rule.Pos, Message: fmt.Sprintf("a second rule %s", rule.Name),
				Hint: "give it another name, or say replaces: true to take the place of a built-in rule",
			})
			continue
		case before == nil && rule.Replaces:
			errs = append(errs, &yamlread.Error{
				File: f.Name, Pos: rule.Pos, Message: fmt.Sprintf("there is no built-in rule %s to replace", rule.Name),
			})
			continue
		}
		byName[rule.Name] = &entry{rule: rule}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Set{}
	for _, n := range byName {
		s.entries = append(s.entries, n)
	}
	slices.SortFunc(s.entries, func(a, b *entry) int { return cmp.Compare(a.rule.Name, b.rule.Name) })
	for _, f := range grants {
		if err := s.grant(l, f); err != nil {
			errs = append(errs, err)
		}
	}
	for id, n := range s.entries {
		if !n.rule.Disabled {
			s.index.Add(int32(id), n.rule.kinds(), &n.rule.When)
		}
	}
	return s, errors.Join(errs...)
}

func (s *Set) entry(name string) *entry {
	i, ok := slices.BinarySearchFunc(s.entries, name, func(n *entry, name string) int { return cmp.Compare(n.rule.Name, name) })
	if !ok {
		return nil
	}
	return s.entries[i]
}

// Rule finds a rule by its name; nil when there is none.
func (s *Set) Rule(name string) *Rule {
	if n := s.entry(name); n != nil {
		return n.rule
	}
	return nil
}

// Rules are all rules by name, those that are disabled as well.
func (s *Set) Rules() []*Rule {
	out := make([]*Rule, len(s.entries))
	for i, n := range s.entries {
		out[i] = n.rule
	}
	return out
}

// Match calls hit for each rule that the event matches, in the order of their
// names.
func (s *Set) Match(e *esclusa.Event, hit func(*Rule)) {
	var room [64]int32
	for _, id := range s.index.Find(e, room[:0]) {
		n := s.entries[id]
		ok, err := n.rule.When.Holds(e)
		if ok {
			var spared bool
			spared, err = n.excepted(e)
			ok = !spared
		}
		if err != nil {
			n.failed(err)
		}
		if ok {
			hit(n.rule)
		}
	}
}

func (n *entry) failed(err error) {
	if n.errs.Add(1) == 1 {
		msg := err.Error()
		n.first.Store(&msg)
	}
}

// TakeGaps are the rules whose conditions could not be answered since the last
// call, with how often.
func (s *Set) TakeGaps() []esclusa.Gap {
	var out []esclusa.Gap
	for _, n := range s.entries {
		count := n.errs.Swap(0)
		if count == 0 {
			continue
		}
		why := "the condition could not be answered"
		if first := n.first.Load(); first != nil {
			why = *first
		}
		out = append(out, esclusa.Gap{
			Scope: esclusa.GapItem, What: "rule " + n.rule.Name, Err: fmt.Sprintf("%s (events: %d)", why, count),
			Hint: "make the condition cheaper, or test for the key before it is read",
		})
	}
	return out
}

// Needs are the kinds of events that some rule in force is about, in order: no
// other need be watched for.
func (s *Set) Needs() []esclusa.EventKind { return s.index.Kinds() }

// Watch is files that some rule is about.
type Watch struct {
	// Op says how Text names them: Equal the path, Prefix its beginning, Suffix
	// its end.
	Op   expr.Op
	Text string
	// Ops are the values of file.op that matter; nil for all.
	Ops []string
}

// Files are the files that rules in force are about.
func (s *Set) Files() []Watch {
	var out []Watch
	for _, n := range s.entries {
		if !n.rule.Disabled && slices.Contains(n.rule.kinds(), esclusa.EventFile) {
			out = append(out, n.rule.When.Files()...)
		}
	}
	return out
}

// Files are the files that a condition needs to be named; none when it would
// look at every file.
func (c *Condition) Files() []Watch {
	var out []Watch
	var ops []string
	for _, cl := range c.clauses {
		var files []Watch
		var words []string
		for _, a := range cl {
			switch {
			case a.field.Path == "file.path" || a.field.Path == "file.oldPath":
				files = append(files, Watch{Op: a.op, Text: a.text})
			case a.field.Path == "file.op":
				words = append(words, a.text)
			}
		}
		if len(files) == len(cl) && out == nil {
			out = files
		}
		if len(words) == len(cl) && ops == nil {
			ops = words
		}
	}
	for i := range out {
		out[i].Ops = ops
	}
	return out
}
