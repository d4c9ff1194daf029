package watch

import (
	"slices"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/watch/events"
	"github.com/esclusa/esclusa/internal/watch/rules"
	"github.com/esclusa/esclusa/internal/watch/sequences"
)

// Content judges events by what security people wrote: rules and sequences.
// It is a Judge; what could not be judged is told by Gaps.
type Content struct {
	Rules     *rules.Set
	Sequences *sequences.Set
	Boot      string // part of the ids of detections

	fired []*rules.Rule
}

// Judge implements the interface of that name.
func (c *Content) Judge(e *esclusa.Event, found func(esclusa.Detection)) {
	c.fired = c.fired[:0]
	c.Rules.Match(e, func(r *rules.Rule) {
		c.fired = append(c.fired, r)
		found(r.Detection(e, c.Boot))
	})
	c.Sequences.Match(e, c.fired, func(s *sequences.Sequence, events []esclusa.Event) {
		found(s.Detection(events, c.Boot))
	})
}

// Files are those that rules and sequences name.
func (c *Content) Files() (out events.Files) {
	match := map[expr.Op]events.Match{expr.Equal: events.Whole, expr.Prefix: events.Prefix, expr.Suffix: events.Suffix}
	for _, w := range append(c.Rules.Files(), c.Sequences.Files()...) {
		m, ok := match[w.Op]
		f := events.File{Match: m, Text: w.Text, Ops: w.Ops}
		if !ok { // a part of a path names nothing that could be marked
			continue
		}
		if !slices.ContainsFunc(out, func(x events.File) bool { return x.Match == f.Match && x.Text == f.Text && slices.Equal(x.Ops, f.Ops) }) {
			out = append(out, f)
		}
	}
	return out
}

// TakeGaps are what could not be judged since the last call: conditions that
// failed, sequences that were given up for want of room.
func (c *Content) TakeGaps() []esclusa.Gap {
	return append(c.Rules.TakeGaps(), c.Sequences.TakeGaps()...)
}
