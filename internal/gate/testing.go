package gate

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// TestResult is the outcome of one test of a policy.
type TestResult struct {
	Name    string
	File    string
	Line    int
	Wrong   []string // what was not as expected; empty when it passed
	Verdict esclusa.Verdict
}

// Passed says whether everything was as expected.
func (r *TestResult) Passed() bool { return len(r.Wrong) == 0 }

// Test runs the tests of a policy.
func Test(p *policy.Policy, ts *policy.Tests) []TestResult {
	out := make([]TestResult, 0, len(ts.Tests))
	for i := range ts.Tests {
		out = append(out, runTest(p, ts.File, &ts.Tests[i]))
	}
	return out
}

func runTest(p *policy.Policy, file string, t *policy.Test) TestResult {
	var f, old Facts
	f.Image, f.Findings, old.Findings, f.Gaps, f.Feeds = t.Facts()
	if len(old.Findings) > 0 {
		old.Image.Ref = "an earlier image"
		f = f.Since(old)
	}
	if len(t.Exceptions) > 0 {
		with, err := p.With(&policy.Exceptions{File: file, Exceptions: t.Exceptions})
		if err != nil {
			return TestResult{Name: t.Name, File: file, Line: t.Line, Wrong: []string{err.Error()}}
		}
		p = with
	}
	v := Decide(f, p, t.At())
	r := TestResult{Name: t.Name, File: file, Line: t.Line, Verdict: v}
	if want := esclusa.Decision(t.Expect.Decision); v.Decision != want {
		r.Wrong = append(r.Wrong, fmt.Sprintf("decision is %s, want %s", v.Decision, want))
	}
	r.compare("rules", t.Expect.Rules, ruleNames(v.Reasons, func(r esclusa.Reason) string { return r.Rule }))
	r.compare("exempted", t.Expect.Exempted, ruleNames(v.Exempted, func(e esclusa.Exempted) string { return e.Rule }))
	return r
}

// compare demands the same names in any order; a nil want demands nothing.
func (r *TestResult) compare(what string, want, got []string) {
	if want == nil {
		return
	}
	want = slices.Clone(want)
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(want, got) {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s are [%s], want [%s]", what, strings.Join(got, " "), strings.Join(want, " ")))
	}
}

func ruleNames[T any](list []T, name func(T) string) []string {
	var out []string
	for _, e := range list {
		out = append(out, name(e))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Untested names the rules that give no reason in any test: nobody knows
// whether they would.
func Untested(p *policy.Policy, results []TestResult) []string {
	fired := map[string]bool{}
	for i := range results {
		for _, r := range results[i].Verdict.Reasons {
			fired[r.Rule] = true
		}
		for _, e := range results[i].Verdict.Exempted {
			fired[e.Rule] = true
		}
	}
	var out []string
	for i := range p.Rules {
		if n := p.Rules[i].Name; !fired[n] {
			out = append(out, n)
		}
	}
	return out
}

// WriteResults reports results as go test does: failures with their place,
// all cases when verbose, and a last line. It says whether all passed.
func WriteResults(w io.Writer, p *policy.Policy, results []TestResult, verbose bool) (bool, error) {
	var b strings.Builder
	bad := 0
	for i := range results {
		r := &results[i]
		switch {
		case !r.Passed():
			bad++
			fmt.Fprintf(&b, "--- FAIL: %s\n", clean(r.Name, 200))
			for _, m := range r.Wrong {
				fmt.Fprintf(&b, "    %s:%d: %s\n", r.File, r.Line, clean(m, 400))
			}
			for _, why := range r.Verdict.Reasons[:min(5, len(r.Verdict.Reasons))] {
				fmt.Fprintf(&b, "        %s %s: %s\n", why.Decision, why.Rule, why.Message)
			}
		case verbose:
			fmt.Fprintf(&b, "--- PASS: %s\n", clean(r.Name, 200))
		}
	}
	if names := Untested(p, results); len(names) > 0 {
		fmt.Fprintf(&b, "note: no test makes these rules fire: %s\n", strings.Join(names, ", "))
	}
	if bad > 0 {
		fmt.Fprintf(&b, "FAIL\t%s\t%d of %s failed\n", p.Name, bad, plural(len(results), "test"))
	} else {
		fmt.Fprintf(&b, "ok\t%s\t%s\n", p.Name, plural(len(results), "test"))
	}
	_, err := io.WriteString(w, b.String())
	return bad == 0, err
}
