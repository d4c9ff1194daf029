package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
	"github.com/google/go-cmp/cmp"
)

const allFields = `name: everything
description: each field once
rules:
  - name: findings
    decision: deny
    description: why
    finding:
      kinds: [vulnerability, malware]
      ids: [CVE-2026-*]
      severity: ">= high"
      score: ">= 7.5"
      epss: "> 0.1"
      exploited: true
      ransomware: false
      fixed: true
      origin: [own, unknown]
      reach: [linked]
      deleted: false
      types: [npm]
      packages: ["@babel/*"]
      paths: ["app/*"]
    image: {refs: ["ghcr.io/acme/*"]}
    grace: {critical: 7d, high: 30d}
    when: finding.package.name != "x" && image.labels.size() > 0
    message: a message
    fix: do this
  - {name: gaps, decision: warn, gap: {scopes: [file], what: ["npm*"], paths: ["*"]}}
  - {name: feeds, decision: warn, feed: {names: [kev], olderThan: 36h}}
  - name: images
    decision: warn
    image: {distros: ["debian:*"], root: true, endOfLife: true, olderThan: 2w, missingLabels: [team]}
exceptions:
  - id: CVE-2026-1
    ids: [CVE-2026-2]
    package: openssl
    version: 1.10
    path: usr/*
    rule: findings
    image: ghcr.io/acme/*
    owner: ops@example.com
    reason: because
    created: 2026-01-01
    expires: 2026-03-01T10:00:00Z
  - {gap: rpm*, owner: o, reason: r, created: 2026-01-01, expires: 2026-01-01}
  - {feed: osv/*, owner: o, reason: r, created: 2026-01-01, expires: 2026-01-01}
`

func TestParseAllFields(t *testing.T) {
	p, err := Parse("all.yaml", []byte(allFields))
	if err != nil {
		t.Fatal(err)
	}
	r := p.Rules[0]
	got := []any{
		p.Name, r.Pos, r.Finding.Kinds, r.Finding.Severity.Has(esclusa.SeverityHigh), r.Finding.Severity.Has(esclusa.SeverityMedium),
		*r.Finding.Score, *r.Finding.Exploited, *r.Finding.Ransomware, r.Grace[esclusa.SeverityCritical].String(),
		r.Grace[esclusa.SeverityLow].String(), time.Duration(*p.Rules[2].Feed.OlderThan).Hours(),
		p.Exceptions[0].Version, p.Exceptions[0].Expires.Day, p.Exceptions[0].Expires.Hour(),
	}
	want := []any{
		"everything",
		Pos{Line: 4, Column: 5},
		[]Kind{"vulnerability", "malware"},
		true, false,
		Compare{">=", 7.5},
		true, false, "7d", "0d", 36.0, Pattern("1.10"), false, 10,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// rule puts one rule's fields into a policy; its keys begin in column 5, and
// extra stands in line 5.
func rule(extra string) string {
	return "name: x\nrules:\n  - name: a\n    decision: deny\n    " + extra + "\n"
}

func TestParseErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{rule("finding: {severty: high}"), "5:15: unknown key \"severty\" in finding\nhint: did you mean severity?"},
		{rule("findings: {}"), "5:5: unknown key \"findings\" in rules\nhint: did you mean finding?"},
		{rule("finding: {severity: hihg}"), "5:25: severity: unknown severity \"hihg\"\nhint: did you mean high?"},
		{rule("finding: {kinds: vulnerability}"), "5:22: kinds must be a list\nhint: write it as [one, two]"},
		{rule("finding: {kinds: [malwar]}"), "5:23: kinds: unknown word \"malwar\"\nhint: did you mean malware?"},
		{rule("finding: {exploited: yes}"), "5:26: exploited must be true or false"},
		{rule("finding: {score: 9}"), "5:22: score: \"9\" is not a comparison\nhint: write it as \">= 9\""},
		{rule("finding: {score: '> NaN'}"), "5:22: score: \"> NaN\" is not a comparison"},
		{rule("finding: {ids: ['']}"), "5:21: ids: a pattern is empty"},
		{rule("finding: {severity: >= high}"), "quotes"},
		{rule("finding: {}\n    grace: 7 days"), "6:12: grace: \"7 days\" is not a length of time\nhint: write it as 14d"},
		{rule("finding: {}\n    grace: {hgih: 7d}"), "6:13: grace: unknown severity \"hgih\"\nhint: did you mean high?"},
		{rule("finding: {}\n    grace: 99999d"), "not a length of time"},
		{rule("gap: {}\n    grace: 7d"), "3:5: rule a has a grace period and no finding"},
		{rule("message: hello"), "3:5: rule a does not say what it looks at"},
		{rule("finding: {}\n    gap: {}"), "3:5: rule a looks at more than one"},
		{rule("feed: {names: [kev]}"), "5:11: rule a does not say which state of a feed is wrong"},
		{rule("image: {}"), "rule a would match every image"},
		{rule("finding:"), "5:14: finding must be keys with values"},
		{rule("finding: {}\n    decision: deny"), "already defined"},
		{rule("finding: {}\n    when: finding.sevrity >= high"), "6:18: when: undefined field 'sevrity'\nhint: did you mean severity?"},
		{rule("finding: {}\n    when: 'finding.severity >= \"high\"'"), "6:29: when: found no matching overload"},
		{rule("finding: {}\n    when: \"finding.kev &&\\n bad\""), "when: undeclared reference to 'bad'"},
		{rule("finding: {}\n    when: |\n      finding.kev &&\n        nothing.there"), "8:9: when: undeclared reference to 'nothing'"},
		{rule("finding: {}\n    when: finding.severity"), "6:11: when: the condition gives int; it must give true or false"},
		{rule("gap: {}\n    when: finding.kev"), "6:11: when: this rule looks at one gap after another; finding is not known here"},
		{"rules: [{name: a, decision: deny, finding: {}}]\n", "1:1: the file has no name"},
		{"name: x\n", "1:1: the file has no rules"},
		{"name: x\nrules: []\n", "a policy without rules lets everything pass"},
		{"name: x y\nrules: [{name: a, decision: deny, finding: {}}]\n", "the name of the policy is \"x y\""},
		{"name: x\nrules: [{name: a, decision: allow, finding: {}}]\n", "2:29: decision: a rule cannot allow\nhint: what no rule refuses passes"},
		{"name: x\nrules: [{name: a, decision: deny, finding: {}}, {name: a, decision: warn, gap: {}}]\n", "2:49: a second rule \"a\"\nhint: the first stands in line 2"},
		{"", "the file is empty"},
		{"name: x\n---\nname: y\n", "a second document begins here"},
		{"name: &a x\nrules: *a\n", "is YAML that is not read here"},
		{"name: !!str x\n", "is YAML that is not read here"},
		{"- a\n- b\n", "1:1: the file must be keys with values"},
		{strings.Repeat("[", 100000), "nested too deep"},
		{strings.Repeat("- ", 100000), "nested too deep"},
		{strings.Repeat("? ", 100000), "nested too deep"},
		{strings.Repeat("a", yamlread.MaxFile+1), "bytes; at most"},
		{"name: " + strings.Repeat("x", yamlread.MaxText+1) + "\nrules: []\n", "bytes; at most"},
	} {
		_, err := Parse("p.yaml", []byte(c.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.60q: got %v, want an error with a place", c.text, err)
			continue
		}
		if e.File != "p.yaml" || e.Line < 1 || e.Column < 1 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// All that is wrong is told at once, up to a bound.
func TestParseTellsAllErrors(t *testing.T) {
	_, err := Parse("p.yaml", []byte(rule("finding: {a1: 1, severity: x, deleted: 3}")))
	if n := strings.Count(err.Error(), "p.yaml:"); n != 3 {
		t.Errorf("got %d errors, want 3: %v", n, err)
	}
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "key%d: 1\n", i)
	}
	_, err = Parse("p.yaml", []byte(b.String()))
	if n := strings.Count(err.Error(), "p.yaml:"); n != yamlread.MaxErrors+1 {
		t.Errorf("got %d errors, want %d", n, yamlread.MaxErrors+1)
	}
}

func exceptionFile(fields string) string { return "exceptions:\n  - {" + fields + "}\n" }

func TestExceptionErrors(t *testing.T) {
	const rest = ", owner: o, reason: r, created: 2026-01-01, expires: 2026-02-01"
	for _, c := range []struct{ fields, want string }{
		{"id: CVE-1, reason: r, created: 2026-01-01, expires: 2026-02-01", "2:5: exceptions has no owner"},
		{"id: CVE-1, owner: o, created: 2026-01-01, expires: 2026-02-01", "2:5: exceptions has no reason"},
		{"id: CVE-1, owner: o, reason: r, expires: 2026-02-01", "2:5: exceptions has no created"},
		{"id: CVE-1, owner: o, reason: r, created: 2026-01-01", "2:5: exceptions has no expires"},
		{"id: CVE-1, owner: , reason: r, created: 2026-01-01, expires: 2026-02-01", "owner is empty"},
		{"id: CVE-1, owner: '', reason: r, created: 2026-01-01, expires: 2026-02-01", "the owner has 0 bytes"},
		{"id: CVE-1, owner: o, reason: r, created: 2026-01-01, expires: 2026-04-02", "2:5: the exception lives 91 days\nhint: at most 90: expires on 2026-04-01"},
		{"id: CVE-1, owner: o, reason: r, created: 2026-01-01, expires: 2025-12-31", "expires before it was created"},
		{"id: CVE-1, owner: o, reason: r, created: 1.1.2026, expires: 2026-02-01", "\"1.1.2026\" is not a date"},
		{"id: CVE-1, owner: o, reason: r, created: 0001-01-01, expires: 2026-02-01", "is not a date"},
		{"id: '*'" + rest, "does not say what it is for"},
		{"id: '*-*'" + rest, "does not say what it is for"},
		{"ids: [CVE-1, '*']" + rest, "the id \"*\" fits everything"},
		{"package: '**/*'" + rest, "does not say what it is for"},
		{"image: ghcr.io/acme/shop" + rest, "does not say what it is for"},
		{"rule: a" + rest, "does not say what it is for"},
		{"rule: a, image: '*'" + rest, "does not say what it is for"},
	} {
		_, err := ParseExceptions("x.yaml", []byte(exceptionFile(c.fields)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.fields, err, c.want)
		}
	}
	for _, fields := range []string{
		"id: CVE-1", "package: openssl", "path: app/*", "gap: rpm database", "feed: kev", "rule: a, image: acme/*",
		"id: CVE-1, expires: 2026-04-01",
	} {
		text := fields + rest
		if strings.Contains(fields, "expires") {
			text = fields + strings.TrimSuffix(rest, ", expires: 2026-02-01")
		}
		if _, err := ParseExceptions("x.yaml", []byte(exceptionFile(text))); err != nil {
			t.Errorf("%s: %v", fields, err)
		}
	}
}

func TestExceptionOfUnknownRule(t *testing.T) {
	_, err := Parse("p.yaml", []byte(rule("finding: {}")+
		"exceptions: [{id: CVE-1, rule: b, owner: o, reason: r, created: 2026-01-01, expires: 2026-02-01}]\n"))
	if err == nil || !strings.Contains(err.Error(), "6:14: policy x has no rule \"b\"") {
		t.Errorf("got %v", err)
	}
}

func TestExceptionAt(t *testing.T) {
	x, err := ParseExceptions("x.yaml", []byte(exceptionFile("id: CVE-1, owner: o, reason: r, created: 2026-01-10, expires: 2026-02-01")))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]State{
		"2026-01-08T23:59:59Z":      Early,
		"2026-01-09T00:00:00Z":      Active, // it is the tenth somewhere
		"2026-02-01T23:59:59Z":      Active, // the last day counts whole
		"2026-02-02T00:00:00Z":      Expired,
		"2026-02-01T23:00:00-02:00": Expired, // one moment, whatever the zone
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Exceptions[0].At(now); got != want {
			t.Errorf("%s: got %d, want %d", at, got, want)
		}
	}
}

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		p, s string
		want bool
	}{
		{"openssl", "openssl", true},
		{"openssl", "openssl1", false},
		{"open*", "openssl", true},
		{"*ssl", "openssl", true},
		{"*e*s*", "openssl", true},
		{"o?enssl", "openssl", true},
		{"", "x", false},
		{"*", "", true},
		{"a*b*c", "aXbXbXc", true},
		{"a*b*c", "aXbXbX", false},
		{"app/*", "app/a/b", true},
		{"JSONStream", "jsonstream", false},
	} {
		if got := Pattern(c.p).Match(c.s); got != c.want {
			t.Errorf("%q on %q: got %v", c.p, c.s, got)
		}
	}
	// A pattern that would take exponential time in a naive matcher.
	evil := Pattern(strings.Repeat("*a", 100) + "b")
	if evil.Match(strings.Repeat("a", 4000)) {
		t.Error("matched")
	}
}

func TestMatchImage(t *testing.T) {
	for _, c := range []struct {
		p, ref string
		want   bool
	}{
		{"ghcr.io/acme/*", "ghcr.io/acme/shop:1.2", true},
		{"ghcr.io/acme/shop", "ghcr.io/acme/shop:1.2", true},
		{"ghcr.io/acme/shop", "ghcr.io/acme/shop@sha256:aa", true},
		{"ghcr.io/acme/shop:1.2", "ghcr.io/acme/shop:1.2@sha256:aa", true},
		{"ghcr.io/acme/shop", "ghcr.io/acme/shop2:1.2", false},
		{"localhost:5000/shop", "localhost:5000/shop", true},
		{"localhost", "localhost:5000/shop", false},
		{"ghcr.io/acme/*", "evil.io/ghcr.io/acme/shop", false},
		{"sha256:aa", "anything", true},
	} {
		img := &esclusa.Image{Ref: c.ref, Digest: "sha256:aa"}
		if got := (Patterns{Pattern(c.p)}).MatchImage(img); got != c.want {
			t.Errorf("%q on %q: got %v", c.p, c.ref, got)
		}
	}
}

func TestWithChangesTheDigest(t *testing.T) {
	p, err := Parse("p.yaml", []byte(rule("finding: {}")))
	if err != nil {
		t.Fatal(err)
	}
	x, err := ParseExceptions("x.yaml", []byte(exceptionFile("id: CVE-1, owner: o, reason: r, created: 2026-01-01, expires: 2026-02-01")))
	if err != nil {
		t.Fatal(err)
	}
	q, err := p.With(x)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.With(x)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Exceptions) != 0 || len(q.Exceptions) != 1 || q.Digest == p.Digest || again.Digest != q.Digest {
		t.Errorf("got %d and %d exceptions, digests %s and %s", len(p.Exceptions), len(q.Exceptions), p.Digest, q.Digest)
	}
}

// A file of exceptions is checked against the rules of the policy that it is
// given with, as the policy's own exceptions are.
func TestWithUnknownRule(t *testing.T) {
	p, err := Parse("p.yaml", []byte("name: p\nrules: [{name: known-rule, decision: deny, finding: {}}, {name: other, decision: warn, finding: {}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rule, want string }{
		{"known-rule", ""},
		{"known-rul", "x.yaml:2:5: policy p has no rule \"known-rul\"\nhint: did you mean known-rule?"},
		{"xyz", "x.yaml:2:5: policy p has no rule \"xyz\"\nhint: known are known-rule, other"},
	} {
		x, err := ParseExceptions("x.yaml", []byte("exceptions:\n  - {id: CVE-1, rule: "+c.rule+", owner: o, reason: r, created: 2026-01-01, expires: 2026-02-01}\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, err := p.With(x); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("rule %s: got %q, want %q", c.rule, got, c.want)
		}
	}
}

func TestParseTestsErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tests: []", "there must be 1 to"},
		{"tests: [{name: a}]", "tests has no expect"},
		{"tests: [{name: a, expect: {decision: maybe}}]", "unknown decision \"maybe\""},
		{"tests: [{name: a, findings: [{id: X, package: openssl}], expect: {decision: deny}}]", "write it as type/name@version"},
		{"tests: [{name: a, findings: [{id: X, fixedFor: 3d}], expect: {decision: deny}}]", "fixedFor without a fix"},
		{"tests: [{name: a, findings: [{id: X, vex: fine}], expect: {decision: deny}}]", "unknown VEX status"},
		{"tests: [{name: a, gaps: [{scope: sytem, what: x}], expect: {decision: deny}}]", "did you mean system?"},
		{"tests: [{name: a, findings: [{id: X, score: high}], expect: {decision: deny}}]", "is not a number"},
		{"tests: [{name: a, expects: {decision: deny}}]", "did you mean expect?"},
	} {
		_, err := ParseTests("t.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}
