package sequences

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/rules"
)

// Limits bound the state of a set. A state is what is remembered for one key
// of one sequence.
type Limits struct {
	Sequence int // states of one sequence
	Overall  int // states of all
}

// DefaultLimits hold the state of some thousand busy containers in a few MB.
func DefaultLimits() Limits { return Limits{Sequence: 8192, Overall: 65536} }

// Set is sequences with what is remembered of the events so far. Its methods
// are for one goroutine.
type Set struct {
	language *rules.Language
	all      []*tracker
	steps    []step // by the ids of the index
	index    rules.Index
	byRule   map[string][]step
}

// step is one step of one sequence.
type step struct {
	of *tracker
	n  int
}

// key joins events: the container, and a process or a text in it.
type key struct {
	container string
	process   esclusa.ProcessKey
	text      string
}

// tracker remembers for one sequence, the key touched last in front.
type tracker struct {
	seq    *Sequence
	limit  int
	states map[key]*state
	recent list.List // of *state

	evicted, failed int
	why             string
}

// state is what is remembered for one key.
type state struct {
	key     key
	chains  []*chain // by step: the one that began last
	counts  [][]tick // by step with times
	touched time.Time
	place   *list.Element
}

// chain is a part of a sequence that has happened: the last event of it, and
// what came before. Of all chains that end with a step, the one that began
// last is the one that lasts longest, so no other need be kept.
type chain struct {
	began time.Time
	event *esclusa.Event
	prev  *chain
}

// tick is one event of a step that needs several.
type tick struct {
	began time.Time
	prev  *chain
	value string
}

func (s *Set) arm(set *rules.Set, limits Limits) {
	for _, t := range s.all {
		t.limit = max(1, min(limits.Sequence, limits.Overall/len(s.all)))
		if t.seq.Disabled {
			continue
		}
		for i := range t.seq.Steps {
			st := &t.seq.Steps[i]
			if st.Rule != "" {
				s.byRule[st.Rule] = append(s.byRule[st.Rule], step{t, i})
				continue
			}
			s.index.Add(int32(len(s.steps)), st.kinds(set), &st.When)
			s.steps = append(s.steps, step{t, i})
		}
	}
}

// Needs are the kinds of events that steps with a condition of their own are
// about, in order; rules say the others.
func (s *Set) Needs() []esclusa.EventKind { return s.index.Kinds() }

// Files are the files that such steps are about.
func (s *Set) Files() []rules.Watch {
	var out []rules.Watch
	for _, st := range s.steps {
		out = append(out, st.of.seq.Steps[st.n].When.Files()...)
	}
	return out
}

// Sequences are all sequences, those that are disabled as well.
func (s *Set) Sequences() []*Sequence {
	out := make([]*Sequence, len(s.all))
	for i, t := range s.all {
		out[i] = t.seq
	}
	return out
}

// Adopt takes over what another set remembers of the sequences that are the
// same in both, so that a reload forgets nothing. The other set is not to be
// used any more.
func (s *Set) Adopt(old *Set) {
	for _, t := range s.all {
		for _, o := range old.all {
			if o.seq.data == t.seq.data {
				t.states, t.recent, t.evicted, t.failed, t.why = o.states, o.recent, o.evicted, o.failed, o.why
				t.recent.Init()
				for _, st := range sorted(o.states) {
					st.place = t.recent.PushFront(st)
				}
			}
		}
	}
}

func sorted(states map[key]*state) []*state {
	out := make([]*state, 0, len(states))
	for _, st := range states {
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b *state) int { return a.touched.Compare(b.touched) })
	return out
}

// Match looks at one event and the rules that it matched, and calls hit for
// each sequence that it completes, with the event of each step.
func (s *Set) Match(e *esclusa.Event, fired []*rules.Rule, hit func(*Sequence, []esclusa.Event)) {
	var room [64]step
	steps := room[:0]
	for _, r := range fired {
		steps = append(steps, s.byRule[r.Name]...)
	}
	var ids [64]int32
	for _, id := range s.index.Find(e, ids[:0]) {
		st := s.steps[id]
		ok, err := st.of.seq.Steps[st.n].When.Holds(e)
		if err != nil {
			st.of.failed++
			st.of.why = err.Error()
		}
		if ok {
			steps = append(steps, st)
		}
	}
	if len(steps) == 0 {
		return
	}
	// Last steps first: one event is not two steps.
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(cmp.Compare(a.of.seq.Name, b.of.seq.Name), cmp.Compare(b.n, a.n))
	})
	kept := *e
	for len(steps) > 0 {
		t := steps[0].of
		n := 1
		for n < len(steps) && steps[n].of == t {
			n++
		}
		for _, k := range keysOf(t.seq.Key, e) {
			if events := t.advance(k, &kept, steps[:n], s.language); events != nil {
				hit(t.seq, events)
				break
			}
		}
		steps = steps[n:]
	}
}

// advance enters an event into the state of a key, and gives the events of
// the sequence when that completes it.
func (t *tracker) advance(k key, e *esclusa.Event, steps []step, l *rules.Language) []esclusa.Event {
	st := t.states[k]
	if st == nil {
		if !t.seq.AnyOrder && steps[len(steps)-1].n > 0 {
			return nil // nothing has begun
		}
		st = t.remember(k, e.At)
	}
	st.touched = e.At
	t.recent.MoveToFront(st.place)
	var events []esclusa.Event
	if t.seq.AnyOrder {
		events = t.fill(st, e, steps)
	} else {
		events = t.follow(st, e, steps, l)
	}
	if events != nil {
		t.forget(st)
	}
	return events
}

// follow is a step in order.
func (t *tracker) follow(st *state, e *esclusa.Event, steps []step, l *rules.Language) []esclusa.Event {
	for _, s := range steps {
		var prev *chain
		began := e.At
		if s.n > 0 {
			prev = st.chains[s.n-1]
			if prev == nil || t.over(prev.began, e.At) || prev.event.At.After(e.At) {
				continue
			}
			began = prev.began
		}
		if def := &t.seq.Steps[s.n]; def.Times > 1 {
			first := t.count(st, s.n, tick{began, prev, l.Show(def.Distinct, e)}, e.At)
			if first == nil {
				continue
			}
			began, prev = first.began, first.prev
		}
		c := &chain{began, e, prev}
		if s.n == len(t.seq.Steps)-1 {
			return c.events()
		}
		st.chains[s.n] = c
	}
	return nil
}

// count enters an event of a step that needs several, and gives the first of
// them when there are enough.
func (t *tracker) count(st *state, n int, k tick, now time.Time) *tick {
	def := &t.seq.Steps[n]
	ticks := slices.DeleteFunc(st.counts[n], func(o tick) bool {
		return t.over(o.began, now) || def.Distinct != "" && o.value == k.value
	})
	ticks = append(ticks, k)
	if more := len(ticks) - int(def.Times); more > 0 {
		ticks = slices.Delete(ticks, 0, more)
	}
	st.counts[n] = ticks
	if len(ticks) < int(def.Times) {
		return nil
	}
	return &ticks[0]
}

// fill is a step in any order: an event that fits several steps fills the one
// that has waited longest.
func (t *tracker) fill(st *state, e *esclusa.Event, steps []step) []esclusa.Event {
	best := -1
	for _, s := range steps {
		if best < 0 || older(st.chains[s.n], st.chains[best]) {
			best = s.n
		}
	}
	st.chains[best] = &chain{began: e.At, event: e}
	out := make([]esclusa.Event, 0, len(st.chains))
	for _, c := range st.chains {
		if c == nil || t.over(c.began, e.At) {
			return nil
		}
		out = append(out, *c.event)
	}
	slices.SortStableFunc(out, func(a, b esclusa.Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) })
	return out
}

func older(a, b *chain) bool {
	return b != nil && (a == nil || a.began.Before(b.began))
}

func (t *tracker) over(began, now time.Time) bool {
	return now.Sub(began) > time.Duration(t.seq.Within)
}

func (c *chain) events() []esclusa.Event {
	var out []esclusa.Event
	for ; c != nil; c = c.prev {
		out = append(out, *c.event)
	}
	slices.Reverse(out)
	return out
}

// remember makes room for a key and begins its state. What is pushed out
// before its window is over is counted.
func (t *tracker) remember(k key, now time.Time) *state {
	for last := t.recent.Back(); last != nil; last = t.recent.Back() {
		old := last.Value.(*state)
		over := t.over(old.touched, now)
		if !over && len(t.states) < t.limit {
			break
		}
		if !over {
			t.evicted++
		}
		t.forget(old)
	}
	n := len(t.seq.Steps)
	st := &state{key: k, chains: make([]*chain, n), counts: make([][]tick, n)}
	st.place = t.recent.PushFront(st)
	t.states[k] = st
	return st
}

func (t *tracker) forget(st *state) {
	delete(t.states, st.key)
	t.recent.Remove(st.place)
}

// TakeGaps are what could not be remembered or answered since the last call.
func (s *Set) TakeGaps() []esclusa.Gap {
	var out []esclusa.Gap
	for _, t := range s.all {
		what := "sequence " + t.seq.Name
		if t.evicted > 0 {
			out = append(out, esclusa.Gap{
				Scope: esclusa.GapItem, What: what, Err: fmt.Sprintf("%d begun sequences were forgotten: more than %d at once", t.evicted, t.limit),
			})
		}
		if t.failed > 0 {
			out = append(out, esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: fmt.Sprintf("%s (events: %d)", t.why, t.failed)})
		}
		t.evicted, t.failed = 0, 0
	}
	return out
}
