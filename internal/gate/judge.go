package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// judge collects, rule after rule, what matched.
type judge struct {
	facts    *Facts
	policy   *policy.Policy
	now      time.Time
	decision esclusa.Decision
	groups   map[groupKey]*group
	hits     []hit         // of the subject at hand
	gaps     []esclusa.Gap // conditions that could not be evaluated
	states   []policy.State
	expired  []bool // exceptions that would have counted
	upgrades map[upgradeKey]*esclusa.Fix
}

func newJudge(f *Facts, p *policy.Policy, now time.Time) *judge {
	j := &judge{
		facts: f, policy: p, now: now, decision: esclusa.Allow,
		groups: map[groupKey]*group{},
		states: make([]policy.State, len(p.Exceptions)), expired: make([]bool, len(p.Exceptions)),
	}
	for i := range p.Exceptions {
		j.states[i] = p.Exceptions[i].At(now)
	}
	if f.Later != nil {
		j.plan()
	}
	return j
}

// note says why a match decides less than its rule.
type note uint8

const (
	noNote  note = iota
	inGrace      // the grace period is not over
	inBase       // old debt
	failed       // the condition could not be evaluated
	unfixed      // grace counts from a fix that does not exist yet
	undated      // grace is over because nobody says when it began
)

// run is one rule on its way over its subjects.
type run struct {
	index int
	rule  *policy.Rule
	trace *Trace
	cond  condition
}

// about says whether the rule may be about a kind of finding.
func (r *run) about(k esclusa.FindingKind) bool {
	kinds := r.rule.Finding.Kinds
	return len(kinds) == 0 || slices.Contains(kinds, policy.Kind(k))
}

// runs prepares the rules that are about this image.
func (j *judge) runs(traces []Trace) []run {
	s := policy.Subject{Image: &j.facts.Image, Now: j.now}
	out := make([]run, 0, len(j.policy.Rules))
	for i := range j.policy.Rules {
		r := run{index: i, rule: &j.policy.Rules[i]}
		if traces != nil {
			r.trace = &traces[i]
		}
		if q := r.rule.Image; q != nil {
			if c := failing(imageChecks, q, &s); c != nil {
				r.trace.skip(c.name, c.got(&s))
				continue
			}
		}
		out = append(out, r)
	}
	return out
}

// judge runs all rules over all subjects.
func (j *judge) judge(traces []Trace) {
	runs := j.runs(traces)
	s := policy.Subject{Image: &j.facts.Image, Now: j.now}
	for i := range runs {
		if r := &runs[i]; r.rule.Subject() == "image" {
			r.trace.consider()
			j.try(r, &s)
			j.settle(&s)
		}
	}
	for k := range j.facts.Findings {
		s.Finding = &j.facts.Findings[k]
		suppressed := s.Finding.Suppressed()
		for i := range runs {
			r := &runs[i]
			switch {
			case r.rule.Finding == nil:
			case suppressed:
				r.trace.suppressed()
			case r.trace == nil && !r.about(s.Finding.Kind):
				// Most rules are about one kind: the cheapest check first.
			case matches(r.trace, findingChecks, r.rule.Finding, &s):
				j.try(r, &s)
			}
		}
		j.settle(&s)
	}
	s.Finding = nil
	for k := range j.facts.Gaps {
		s.Gap = &j.facts.Gaps[k]
		for i := range runs {
			if r := &runs[i]; r.rule.Gap != nil && matches(r.trace, gapChecks, r.rule.Gap, &s) {
				j.try(r, &s)
			}
		}
		j.settle(&s)
	}
	s.Gap = nil
	for k := range j.facts.Feeds {
		s.Feed = &j.facts.Feeds[k]
		for i := range runs {
			if r := &runs[i]; r.rule.Feed != nil && matches(r.trace, feedChecks, r.rule.Feed, &s) {
				j.try(r, &s)
			}
		}
		j.settle(&s)
	}
	for i := range runs {
		j.failures(&runs[i])
	}
}

// failures makes a gap of what a rule's condition could not answer.
func (j *judge) failures(r *run) {
	if r.cond.failures == 0 {
		return
	}
	j.gaps = append(j.gaps, esclusa.Gap{
		Scope: esclusa.GapItem, What: "condition of rule " + r.rule.Name,
		Err:  clean(fmt.Sprintf("%v (%s)", r.cond.first, plural(r.cond.failures, "time")), 200),
		Hint: "simplify the condition, or test it with esclusa gate test",
	})
}

// condition is the answer of a rule's condition for one subject after another.
type condition struct {
	err      error // of the subject at hand
	first    error
	failures int
}

// holds evaluates the rule's condition. A failure counts as a match: match
// then decides what the rule cannot.
func (c *condition) holds(r *policy.Rule, s *policy.Subject, t *Trace) bool {
	if r.When == nil {
		return true
	}
	var ok bool
	if ok, c.err = r.When.Eval(s); c.err != nil {
		c.failures++
		if c.first == nil {
			c.first = c.err
		}
		return true
	}
	if !ok {
		t.near(s, "when is false")
	}
	return ok
}

// hit is one match of one subject before it is settled which are told.
type hit struct {
	run       *run
	exception int // -1 without one
	decision  esclusa.Decision
	note      note
	until     time.Time
}

// try evaluates the rule's condition and weighs the match: exceptions, grace
// and old debt.
func (j *judge) try(r *run, s *policy.Subject) {
	if !r.cond.holds(r.rule, s, r.trace) {
		return
	}
	h := hit{run: r, decision: esclusa.Decision(r.rule.Decision)}
	if s.Finding != nil {
		h.note, h.until = j.grace(r.rule, s.Finding)
		if (h.note == inGrace || h.note == unfixed) && h.decision == esclusa.Warn {
			r.trace.near(s, "is in its grace period")
			return
		}
		if (h.note == noNote || h.note == undated) && j.facts.base.has(s.Finding) {
			h.note = inBase
		}
	}
	if h.note == inGrace || h.note == unfixed || h.note == inBase {
		h.decision = esclusa.Warn
	}
	if r.cond.err != nil {
		h.note = failed
		if h.decision == esclusa.Deny {
			h.decision = esclusa.Undecided
		}
	}
	h.exception = j.exception(r.rule, s)
	r.trace.matched(s, h.exception >= 0, h.note)
	j.hits = append(j.hits, h)
}

// settle takes the hits of one subject into groups. All that deny it are
// told; what is denied is not warned of as well, and a warning is told once,
// by the first rule: one trouble, one paragraph.
func (j *judge) settle(s *policy.Subject) {
	worst := esclusa.Allow
	for i := range j.hits {
		if h := &j.hits[i]; h.exception < 0 && strictness(h.decision) > strictness(worst) {
			worst = h.decision
		}
	}
	if strictness(worst) > strictness(j.decision) {
		j.decision = worst
	}
	warned := false
	for i := range j.hits {
		h := &j.hits[i]
		if h.exception < 0 {
			if h.decision != worst || warned {
				h.run.trace.outdone()
				continue
			}
			warned = worst == esclusa.Warn
		}
		key := j.keyFor(s)
		key.rule, key.exception, key.decision, key.note = h.run.index, h.exception, h.decision, h.note
		g := j.groups[key]
		if g == nil {
			g = &group{key: key, first: *s}
			j.groups[key] = g
		}
		g.add(s, h.until)
	}
	j.hits = j.hits[:0]
}

// exception is the index of the one that takes the match away, or -1. On the
// way it marks the expired ones that would have.
func (j *judge) exception(r *policy.Rule, s *policy.Subject) int {
	for i := range j.policy.Exceptions {
		if j.states[i] == policy.Early || j.states[i] == policy.Expired && j.expired[i] {
			continue
		}
		e := &j.policy.Exceptions[i]
		if !e.Fits(r.Name, s) {
			continue
		}
		if j.states[i] == policy.Active {
			return i
		}
		j.expired[i] = true
	}
	return -1
}

// ahead is how far a fix's date may lie in the future before it is taken for
// a mistake: without a bound, a wrong date would be endless grace.
const ahead = 48 * time.Hour

// grace says whether a finding still has time, and until when. Where the
// source does not say when the fix appeared, the time is over: nobody could
// say when it would be.
func (j *judge) grace(r *policy.Rule, f *esclusa.Finding) (note, time.Time) {
	if r.Grace == nil {
		return noNote, time.Time{}
	}
	span := time.Duration(0)
	if sev := int(f.Severity); sev >= 0 && sev < len(r.Grace) {
		span = time.Duration(r.Grace[sev])
	}
	if !policy.Fixed(f) {
		return unfixed, time.Time{}
	}
	since := f.Fix.Since
	if since.IsZero() || since.After(j.now.Add(ahead)) {
		return undated, time.Time{}
	}
	if until := since.Add(span); j.now.Before(until) {
		return inGrace, until
	}
	return noNote, time.Time{}
}
