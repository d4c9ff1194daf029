package gate

import (
	"fmt"
	"io"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// Trace is what one rule looked at and found.
type Trace struct {
	Rule     string           `json:"rule"`
	Decision esclusa.Decision `json:"decision"`
	Subject  string           `json:"subject"` // finding, gap, feed or image
	// Skipped says why the rule is not about this image; empty when it is.
	Skipped    string `json:"skipped,omitempty"`
	Considered int    `json:"considered"`
	Matched    int    `json:"matched"`
	// Of those matched: taken away by an exception, only warned of because of
	// grace or old debt, and not evaluated.
	Exempted int `json:"exempted,omitempty"`
	InGrace  int `json:"inGrace,omitempty"`
	InBase   int `json:"inBase,omitempty"`
	Failed   int `json:"failed,omitempty"`
	// Outdone were told by a stricter or an earlier rule.
	Outdone int `json:"outdone,omitempty"`
	// Suppressed by VEX: never considered.
	Suppressed int `json:"suppressed,omitempty"`
	// First names the first few that matched, Near the first few that one
	// field kept from it.
	First []string `json:"first,omitempty"`
	Near  []string `json:"near,omitempty"`
}

const fewNames = 3

// Explanation is a verdict with the way to it, a trace for each rule in the
// order of the policy.
type Explanation struct {
	Verdict esclusa.Verdict `json:"verdict"`
	Rules   []Trace         `json:"rules"`
}

// Explain decides and tells what each rule looked at.
func Explain(f Facts, p *policy.Policy, now time.Time) Explanation {
	if p == nil {
		return Explanation{Verdict: decide(&f, p, now, nil)}
	}
	e := Explanation{Rules: make([]Trace, len(p.Rules))}
	for i := range p.Rules {
		r := &p.Rules[i]
		e.Rules[i] = Trace{Rule: r.Name, Decision: esclusa.Decision(r.Decision), Subject: r.Subject()}
	}
	e.Verdict = decide(&f, p, now, e.Rules)
	return e
}

// The recorders do nothing on a nil trace: Decide passes none.

func (t *Trace) consider() {
	if t != nil {
		t.Considered++
	}
}

func (t *Trace) suppressed() {
	if t != nil {
		t.Suppressed++
	}
}

func (t *Trace) outdone() {
	if t != nil {
		t.Outdone++
	}
}

func (t *Trace) skip(what, got string) {
	if t != nil {
		t.Skipped = clean(what+" is "+got, 120)
	}
}

func (t *Trace) near(s *policy.Subject, why string) {
	if t != nil && len(t.Near) < fewNames {
		t.Near = append(t.Near, clean(subjectName(s)+": "+why, 160))
	}
}

func (t *Trace) matched(s *policy.Subject, exempted bool, n note) {
	if t == nil {
		return
	}
	t.Matched++
	switch {
	case exempted:
		t.Exempted++
	case n == inGrace || n == unfixed:
		t.InGrace++
	case n == inBase:
		t.InBase++
	case n == failed:
		t.Failed++
	}
	if len(t.First) < fewNames {
		t.First = append(t.First, clean(subjectName(s), 120))
	}
}

// subjectName is a short name of what a rule looked at.
func subjectName(s *policy.Subject) string {
	switch {
	case s.Finding != nil && s.Finding.Package != nil:
		return fmt.Sprintf("%s in %s %s", s.Finding.ID, s.Finding.Package.Name, s.Finding.Package.Version)
	case s.Finding != nil:
		return s.Finding.ID + " at " + or(s.Finding.Path, "no path")
	case s.Gap != nil:
		return s.Gap.String()
	case s.Feed != nil:
		return s.Feed.Name
	}
	return or(s.Image.Ref, string(s.Image.Digest))
}

// Write prints the explanation for a terminal.
func (e *Explanation) Write(w io.Writer, width int) error {
	p := &printer{width: width}
	for i := range e.Rules {
		t := &e.Rules[i]
		p.line(fmt.Sprintf("rule %s (%s)", t.Rule, t.Decision))
		if t.Skipped != "" {
			p.para("  ", "not about this image: "+t.Skipped)
			continue
		}
		p.para("  ", t.counts())
		for _, n := range t.First {
			p.para("    matched  ", n)
		}
		for _, n := range t.Near {
			p.para("    near     ", n)
		}
	}
	p.line("verdict: " + e.Verdict.Decision.String())
	return p.flush(w)
}

func (t *Trace) counts() string {
	s := fmt.Sprintf("looked at %s, matched %d", plural(t.Considered, t.Subject), t.Matched)
	for _, c := range []struct {
		n    int
		text string
	}{
		{t.Exempted, "exempted"},
		{t.InGrace, "in grace"},
		{t.InBase, "already in BASE"},
		{t.Failed, "not evaluated"},
		{t.Outdone, "told by another rule"},
		{t.Suppressed, "suppressed by VEX"},
	} {
		if c.n > 0 {
			s += fmt.Sprintf(", %d %s", c.n, c.text)
		}
	}
	return s
}
