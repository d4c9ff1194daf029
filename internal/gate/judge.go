package gate

import (
	"fmt"
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
	gaps     []esclusa.Gap // conditions that could not be evaluated
	states   []policy.State
	expired  []bool // exceptions that would have counted
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

// rule runs one rule over its subjects.
func (j *judge) rule(i int, t *Trace) {
	r := &j.policy.Rules[i]
	s := policy.Subject{Image: &j.facts.Image, Now: j.now}
	if r.Image != nil {
		if c := failing(imageChecks, r.Image, &s); c != nil {
			t.skip(c.name, c.got(&s))
			return
		}
	}
	var cond condition
	switch r.Subject() {
	case "finding":
		for k := range j.facts.Findings {
			s.Finding = &j.facts.Findings[k]
			if s.Finding.Suppressed() {
				t.suppressed()
				continue
			}
			if !matches(t, findingChecks, r.Finding, &s) || !cond.holds(r, &s, t) {
				continue
			}
			j.match(i, &s, &cond, t)
		}
	case "gap":
		for k := range j.facts.Gaps {
			s.Gap = &j.facts.Gaps[k]
			if matches(t, gapChecks, r.Gap, &s) && cond.holds(r, &s, t) {
				j.match(i, &s, &cond, t)
			}
		}
	case "feed":
		for k := range j.facts.Feeds {
			s.Feed = &j.facts.Feeds[k]
			if matches(t, feedChecks, r.Feed, &s) && cond.holds(r, &s, t) {
				j.match(i, &s, &cond, t)
			}
		}
	default:
		t.consider()
		if cond.holds(r, &s, t) {
			j.match(i, &s, &cond, t)
		}
	}
	if cond.failures > 0 {
		j.gaps = append(j.gaps, esclusa.Gap{
			Scope: esclusa.GapItem, What: "condition of rule " + r.Name,
			Err:  clean(fmt.Sprintf("%v (%s)", cond.first, plural(cond.failures, "time")), 200),
			Hint: "simplify the condition, or test it with esclusa gate test",
		})
	}
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

// match weighs one match: exceptions, grace and old debt.
func (j *judge) match(i int, s *policy.Subject, c *condition, t *Trace) {
	r := &j.policy.Rules[i]
	decision, n, until := esclusa.Decision(r.Decision), noNote, time.Time{}
	if s.Finding != nil {
		n, until = j.grace(r, s.Finding)
		if (n == inGrace || n == unfixed) && decision == esclusa.Warn {
			t.near(s, "is in its grace period")
			return
		}
		if n == noNote || n == undated {
			if j.facts.base.has(s.Finding) {
				n = inBase
			}
		}
	}
	if n == inGrace || n == unfixed || n == inBase {
		decision = esclusa.Warn
	}
	if c.err != nil {
		n = failed
		if decision == esclusa.Deny {
			decision = esclusa.Undecided
		}
	}
	exception := j.exception(r, s)
	t.matched(s, exception >= 0, n)
	if exception < 0 && strictness(decision) > strictness(j.decision) {
		j.decision = decision
	}
	key := keyFor(s)
	key.rule, key.exception, key.decision, key.note = i, exception, decision, n
	g := j.groups[key]
	if g == nil {
		g = &group{key: key, first: *s}
		j.groups[key] = g
	}
	g.add(s, until)
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
