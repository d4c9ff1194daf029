package policy

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
)

// placed fails unless every error has a place in the file.
func placed(t *testing.T, err error) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not joined errors: %v", err)
	}
	for _, e := range joined.Unwrap() {
		var at *Error
		if !errors.As(e, &at) || at.Line < 1 || at.Column < 1 {
			t.Fatalf("an error without a place: %v", e)
		}
	}
}

func content(f *testing.F, name string) []byte {
	f.Helper()
	data, err := os.ReadFile("../../../content/policies/" + name)
	if err != nil {
		f.Fatal(err)
	}
	return data
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(allFields))
	f.Add(content(f, "default.yaml"))
	f.Add([]byte(rule("finding: {}\n    when: |\n      finding.kev &&\n        x")))
	f.Add([]byte("name: x\nrules: [{name: a, decision: deny, finding: {}, when: 'finding.path.matches(\"a+\")'}]\n"))
	subject := Subject{
		Image: &esclusa.Image{Kind: esclusa.TargetImage, Ref: "a/b:1"}, Now: time.Unix(1_800_000_000, 0),
		Finding: &esclusa.Finding{Kind: esclusa.KindVulnerability, ID: "CVE-1"}, Gap: &esclusa.Gap{}, Feed: &esclusa.Feed{},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("p.yaml", data)
		if err != nil {
			placed(t, err)
			return
		}
		for i := range p.Rules {
			r := &p.Rules[i]
			if r.Decision != Decision(esclusa.Deny) && r.Decision != Decision(esclusa.Warn) {
				t.Fatalf("rule %q decides %d", r.Name, r.Decision)
			}
			if r.When != nil {
				_, _ = r.When.Eval(&subject) // must end and not panic
			}
		}
		bounded(t, p.Exceptions)
	})
}

// bounded fails when an accepted exception is not what the law says.
func bounded(t *testing.T, list []Exception) {
	t.Helper()
	for i := range list {
		e := &list[i]
		if life := e.Expires.Sub(e.Created.Time); life < 0 || life > MaxException {
			t.Fatalf("an exception lives %v", life)
		}
		if e.Owner == "" || e.Reason == "" {
			t.Fatal("an exception without owner or reason")
		}
		if e.At(e.Expires.End()) != Expired {
			t.Fatal("an exception outlives its end")
		}
	}
}

func FuzzParseExceptions(f *testing.F) {
	f.Add([]byte(exceptionFile("id: CVE-1, owner: o, reason: r, created: 2026-01-01, expires: 2026-02-01")))
	f.Add([]byte("exceptions:\n  - path: app/*\n    owner: o\n    reason: >-\n      long\n      text\n    created: 2026-01-01\n    expires: 2026-01-02T03:04:05+02:00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := ParseExceptions("x.yaml", data)
		if err != nil {
			placed(t, err)
			return
		}
		bounded(t, x.Exceptions)
	})
}

func FuzzParseTests(f *testing.F) {
	f.Add(content(f, "default_test.yaml"))
	f.Add([]byte("tests: [{name: a, now: 2026-01-01, image: {ref: x, labels: {a: b}, endOfLife: 2026-01-01}, expect: {decision: warn, rules: [a]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ts, err := ParseTests("t.yaml", data)
		if err != nil {
			placed(t, err)
			return
		}
		for i := range ts.Tests {
			ts.Tests[i].Facts()
		}
	})
}
