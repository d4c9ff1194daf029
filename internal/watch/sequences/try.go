package sequences

import (
	"fmt"
	"slices"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/rules"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Try runs the examples of all sequences: what an attack does not set off, and
// what its benign twin does, is told. A benign twin must leave every rule and
// sequence silent, but for those that it names in fires. What the set remembers
// is lost: try it before it is in force.
func (s *Set) Try(set *rules.Set) []error {
	var errs []error
	for _, t := range s.all {
		if t.seq.Disabled {
			continue
		}
		wrong := func(x *rules.Example, msg string) {
			errs = append(errs, &yamlread.Error{File: t.seq.File, Pos: x.Pos, Message: fmt.Sprintf("%q %s", x.Name, msg)})
		}
		for i := range t.seq.Attacks {
			x := &t.seq.Attacks[i]
			if !slices.Contains(s.fired(x, set), t.seq.Name) {
				wrong(x, "is an attack, and the sequence does not see it")
			}
		}
		for i := range t.seq.Benign {
			x := &t.seq.Benign[i]
			for _, name := range s.fired(x, set) {
				if name == t.seq.Name || !slices.Contains(x.Fires, name) {
					wrong(x, "is benign, and sets off "+name)
				}
			}
		}
	}
	return errs
}

// fired are the rules and sequences that an example sets off.
func (s *Set) fired(x *rules.Example, set *rules.Set) []string {
	all, _, err := x.All(nil)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for i := range all {
		var hits []*rules.Rule
		set.Match(&all[i], func(r *rules.Rule) {
			hits = append(hits, r)
			out = append(out, r.Name)
		})
		s.Match(&all[i], hits, func(q *Sequence, _ []esclusa.Event) { out = append(out, q.Name) })
	}
	for _, t := range s.all {
		t.states = map[key]*state{}
		t.recent.Init()
	}
	slices.Sort(out)
	return slices.Compact(out)
}
