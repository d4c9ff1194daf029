package gate

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the golden files should hold")

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func builtin(t testing.TB) *policy.Policy {
	t.Helper()
	p, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each case must decide as its file expects, and the verdict as a terminal
// shows it must be the one that was looked at.
func TestVerdicts(t *testing.T) {
	for _, file := range glob(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, cases := builtin(t), read(t, "policies/default_test.yaml")
			want := -1
			for i, f := range ar.Files {
				switch f.Name {
				case "policy.yaml":
					p = parse(t, string(f.Data))
				case "cases.yaml":
					cases = f.Data
				case "want.txt":
					want = i
				}
			}
			ts, err := policy.ParseTests(file, cases)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			for _, r := range Test(p, ts) {
				for _, w := range r.Wrong {
					t.Errorf("%s: %s", r.Name, w)
				}
				fmt.Fprintf(&got, "=== %s\n", r.Name)
				if err := Render(&got, &r.Verdict, false, 80); err != nil {
					t.Fatal(err)
				}
			}
			if *update {
				ar.Files[want].Data = got.Bytes()
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(string(ar.Files[want].Data), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func glob(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	return files
}

func someImage() esclusa.Image {
	return esclusa.Image{Kind: esclusa.TargetImage, Ref: "ghcr.io/acme/shop:1", Digest: "sha256:" + esclusa.Digest(strings.Repeat("a", 64))}
}

func vuln(id string, sev esclusa.Severity, pkg, version string) esclusa.Finding {
	return esclusa.Finding{
		Kind: esclusa.KindVulnerability, ID: id, Severity: sev, EPSS: -1,
		Package: &esclusa.Package{Type: "deb", Name: pkg, Version: version},
	}
}

// fixed gives a finding a fix that came out some days ago.
func fixed(f esclusa.Finding, version string, days int) esclusa.Finding {
	f.Fix = &esclusa.Fix{
		Version: version, Since: now.AddDate(0, 0, -days),
		Command: "apt-get install " + f.Package.Name + "=" + version,
	}
	return f
}

// Without an image or a policy there is nothing to allow.
func TestDecideNothing(t *testing.T) {
	for name, v := range map[string]esclusa.Verdict{
		"no image":  Decide(Facts{}, builtin(t), now),
		"no policy": Decide(Facts{Image: someImage()}, nil, now),
		"explained": Explain(Facts{Image: someImage()}, nil, now).Verdict,
	} {
		if v.Decision != esclusa.Undecided || ExitCode(v.Decision) != ExitUndecided || len(v.Reasons) != 1 {
			t.Errorf("%s: got %+v", name, v)
		}
	}
}

func TestDecideNamesWhatWasJudged(t *testing.T) {
	p := builtin(t)
	v := Decide(Facts{Image: someImage()}, p, now)
	want := esclusa.Verdict{
		Decision: esclusa.Allow, Image: someImage().Digest, Policy: "default", PolicyDigest: p.Digest, At: now,
	}
	if d := cmp.Diff(want, v); d != "" {
		t.Error(d)
	}
}

// 300 flaws that one command ends are one reason.
func TestSameFixIsOneReason(t *testing.T) {
	f := Facts{Image: someImage()}
	for i := range 300 {
		f.Findings = append(f.Findings, fixed(vuln(fmt.Sprintf("CVE-2025-%04d", i), esclusa.SeverityCritical, "linux", "6.1"), "6.2", 30))
	}
	v := Decide(f, builtin(t), now)
	if len(v.Reasons) != 1 {
		t.Fatalf("got %d reasons", len(v.Reasons))
	}
	r := v.Reasons[0]
	if r.Count != 300 || r.Fix.Command != "apt-get install linux=6.2" ||
		!strings.Contains(r.Message, "CVE-2025-0000, CVE-2025-0001, CVE-2025-0002 and 297 more in linux 6.1") {
		t.Errorf("got %+v", r)
	}
}

// 10,000 different packages do not make a verdict of megabytes, and none is
// forgotten.
// The flaws of a package that are fixed in different versions are ended by the
// latest of these: one reason, one command. What no rule is about counts as
// well, or the next scan would ask for the next version.
func TestOneUpgradeIsOneReason(t *testing.T) {
	f := Facts{Image: someImage()}
	for i, version := range []string{"1.2.0", "1.10.0", "1.9.0"} {
		x := fixed(vuln(fmt.Sprint("CVE-2026-1", i), esclusa.SeverityCritical, "axios", "1.0.0"), version, 30)
		x.Fix.Command = "npm install axios@" + version
		f.Findings = append(f.Findings, x)
	}
	f.Findings[1].Severity = esclusa.SeverityLow
	apart := Decide(f, builtin(t), now)
	if len(apart.Reasons) != 2 {
		t.Errorf("without an order of versions: %d reasons", len(apart.Reasons))
	}
	f.Later = func(_ *esclusa.Package, a, b string) bool {
		return len(a) > len(b) || len(a) == len(b) && a > b
	}
	v := Decide(f, builtin(t), now)
	if len(v.Reasons) != 1 {
		t.Fatalf("%d reasons", len(v.Reasons))
	}
	r := v.Reasons[0]
	if r.Count != 2 || r.Fix == nil || r.Fix.Version != "1.10.0" || r.Fix.Command != "npm install axios@1.10.0" {
		t.Errorf("got %d findings, fix %+v", r.Count, r.Fix)
	}
	// What VEX rules out asks for nothing.
	f.Findings[1].VEX = &esclusa.VEXStatement{Status: esclusa.VEXNotAffected}
	if r := Decide(f, builtin(t), now).Reasons[0]; r.Fix.Version != "1.9.0" {
		t.Errorf("got fix %+v", r.Fix)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	f := Facts{Image: someImage()}
	for i := range 10_000 {
		f.Findings = append(f.Findings, fixed(vuln("CVE-2025-1", esclusa.SeverityCritical, fmt.Sprint("p", i), "1"), "2", 30))
		f.Gaps = append(f.Gaps, esclusa.Gap{Scope: esclusa.GapFile, What: fmt.Sprint("file ", i), Err: "torn"})
	}
	f.Gaps = append(f.Gaps, esclusa.Gap{Scope: esclusa.GapLayer, What: "layer 3", Err: "encrypted"})
	v := Decide(f, builtin(t), now)
	total := map[esclusa.Decision]int{}
	for _, r := range v.Reasons {
		total[r.Decision] += r.Count
	}
	if len(v.Reasons) > maxReasons+3 || total[esclusa.Deny] != 10_001 || total[esclusa.Warn] != 10_000 {
		t.Errorf("got %d reasons for %v", len(v.Reasons), total)
	}
	if len(v.Gaps) != maxGaps+1 || v.Gaps[0].Scope != esclusa.GapLayer {
		t.Errorf("got %d gaps, first %v", len(v.Gaps), v.Gaps[0])
	}
}

// Texts of an image are hostile: every reason stays below its size, is one
// harmless line, and keeps the rule and the decision. A command is whole or
// absent.
func TestReasonsOfHostileTexts(t *testing.T) {
	evil := []string{
		strings.Repeat("A", 100_000), strings.Repeat("<&>", 5000), strings.Repeat("\x00\x1b[31m", 3000),
		strings.Repeat("\u202e\u200b", 3000), strings.Repeat("\xff\xfe", 3000), strings.Repeat("漢字", 3000),
		strings.Repeat(`"\`, 3000), "\x1b]0;owned\x07", "a\nb\r\nc: [1]\n- {x}", strings.Repeat("' ", 300),
	}
	p := parse(t, "name: p\nrules:\n"+
		"  - {name: f, decision: deny, finding: {}, message: m, fix: x}\n"+
		"  - {name: g, decision: deny, gap: {}}\n"+
		"  - {name: d, decision: deny, feed: {olderThan: 1d}}\n"+
		"  - {name: i, decision: deny, image: {root: true, endOfLife: true, missingLabels: [a]}}\n")
	for _, s := range evil {
		f := Facts{Image: someImage()}
		f.Image.Ref = s
		f.Image.Distro = esclusa.Distro{ID: s, Version: s, EndOfLife: now.AddDate(-1, 0, 0)}
		place := esclusa.Place{Layer: esclusa.Digest(s), Path: s, Line: 1 << 40}
		for _, kind := range []esclusa.FindingKind{"vulnerability", "malicious-package", "malware", "secret", "misconfiguration", "notice", esclusa.FindingKind(s)} {
			x := esclusa.Finding{
				Kind: kind, ID: s, Aliases: []string{s}, Title: s, Place: place, Origin: esclusa.Origin(s),
				Fix: &esclusa.Fix{Version: s, Command: s}, Evidence: s, Advice: s, KEV: &esclusa.KEV{}, Deleted: true,
			}
			f.Findings = append(f.Findings, x)
			x.Package = &esclusa.Package{Type: s, Name: s, Version: s, Place: place}
			f.Findings = append(f.Findings, x)
		}
		f.Gaps = []esclusa.Gap{{Scope: esclusa.GapScope(s), What: s, Err: s, Hint: s, Place: place}}
		f.Feeds = []esclusa.Feed{{Name: s}}
		f = f.Since(Facts{Image: f.Image})
		v := Decide(f, p, now)
		rules := map[string]bool{}
		for _, r := range v.Reasons {
			rules[r.Rule] = true
			b, err := json.Marshal(r)
			if err != nil || len(b) > maxReason {
				t.Errorf("%.12q: a reason of %d bytes, %v", s, len(b), err)
			}
			if r.Decision != esclusa.Deny || r.Message == "" {
				t.Errorf("%.12q: got %+v", s, r)
			}
			if r.Fix != nil && r.Fix.Command != "" && r.Fix.Command != s {
				t.Errorf("%.12q: the command is cut: %.40q", s, r.Fix.Command)
			}
			for _, text := range []string{r.Message, r.Package, r.Evidence, r.Place.Path, r.Exception, r.Finding} {
				harmlessLine(t, text)
			}
		}
		if len(rules) != 4 {
			t.Errorf("%.12q: got rules %v", s, rules)
		}
		var out bytes.Buffer
		e := Explain(f, p, now)
		if err := Render(&out, &v, false, 80); err != nil {
			t.Fatal(err)
		}
		if err := e.Write(&out, 80); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			harmlessLine(t, strings.TrimSuffix(line, "\n"))
			if n := utf8.RuneCountInString(line); n > 81 && !strings.Contains(line, "run     ") {
				t.Errorf("%.12q: a line of %d characters: %.90s", s, n, line)
			}
		}
	}
}

func harmlessLine(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %.40q", s)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf) {
			t.Errorf("holds %U: %.40q", r, s)
			return
		}
	}
}

// The snippet in a reason, with owner and reason filled in, is an exception
// that takes exactly this reason away.
func TestSnippetIsAnException(t *testing.T) {
	secret := esclusa.Finding{Kind: esclusa.KindSecret, ID: "secret/key", Severity: esclusa.SeverityHigh, Place: esclusa.Place{Path: "app/it's here/.env"}}
	many := make([]esclusa.Finding, 0, 40)
	for i := range 40 {
		many = append(many, fixed(vuln(fmt.Sprint("CVE-9-", i), esclusa.SeverityCritical, "libc++:6", "1:2~3 x"), "2", 30))
	}
	for name, f := range map[string]Facts{
		"one flaw":     {Findings: []esclusa.Finding{fixed(vuln("CVE-1", esclusa.SeverityCritical, "openssl", "1"), "2", 30)}},
		"three flaws":  {Findings: []esclusa.Finding{fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), "2", 30), fixed(vuln("CVE-2", esclusa.SeverityCritical, "a", "1"), "2", 30), fixed(vuln("CVE-3", esclusa.SeverityCritical, "a", "1"), "2", 30)}},
		"forty flaws":  {Findings: many},
		"a secret":     {Findings: []esclusa.Finding{secret}},
		"a gap":        {Gaps: []esclusa.Gap{{Scope: esclusa.GapSystem, What: "rpm: database #1", Err: "torn"}}},
		"two malwares": {Findings: []esclusa.Finding{{Kind: esclusa.KindMalware, ID: "malware/x", Place: esclusa.Place{Path: "a"}}, {Kind: esclusa.KindMalware, ID: "malware/x", Place: esclusa.Place{Path: "b"}}}},
	} {
		f.Image = someImage()
		p := builtin(t)
		v := Decide(f, p, now)
		if v.Decision != esclusa.Deny || len(v.Reasons) != 1 {
			t.Errorf("%s: got %s with %d reasons", name, v.Decision, len(v.Reasons))
			continue
		}
		snippet := v.Reasons[0].Exception
		if _, err := policy.ParseExceptions("x.yaml", []byte("exceptions:\n"+snippet+"\n")); err == nil {
			t.Errorf("%s: the snippet is accepted without an owner: %s", name, snippet)
		}
		text := strings.Replace(snippet, "owner: , reason: ,", "owner: me, reason: it is fine,", 1)
		for _, text := range []string{text, strings.ReplaceAll(text, ", ", ",\n    ")} {
			x, err := policy.ParseExceptions("x.yaml", []byte("exceptions:\n"+text+"\n"))
			if err != nil {
				t.Errorf("%s: %s: %v", name, snippet, err)
				continue
			}
			with, err := p.With(x)
			if err != nil {
				t.Errorf("%s: %s: %v", name, snippet, err)
				continue
			}
			w := Decide(f, with, now)
			total := 0
			for _, e := range w.Exempted {
				total += e.Count
			}
			if w.Decision == esclusa.Deny || total != v.Reasons[0].Count {
				t.Errorf("%s: %s: got %s, %d exempted", name, snippet, w.Decision, total)
			}
		}
	}
}

// The order of rules and findings never changes the decision, and more rules
// never weaken it.
func TestDecideIgnoresOrder(t *testing.T) {
	p := builtin(t)
	rng := rand.New(rand.NewPCG(1, 2))
	kinds := []esclusa.FindingKind{"vulnerability", "secret", "malware", "notice"}
	for range 200 {
		f := Facts{Image: someImage()}
		for i := range rng.IntN(6) {
			x := vuln(fmt.Sprint("X-", i), esclusa.Severity(rng.IntN(6)), "a", "1")
			x.Kind = kinds[min(rng.IntN(12), 3)%4]
			if rng.IntN(2) == 0 {
				x = fixed(x, "2", rng.IntN(12))
			}
			if rng.IntN(3) == 0 {
				x.KEV = &esclusa.KEV{}
			}
			f.Findings = append(f.Findings, x)
		}
		v := Decide(f, p, now)
		q, g := *p, f
		q.Rules, g.Findings = slices.Clone(p.Rules), slices.Clone(f.Findings)
		rng.Shuffle(len(q.Rules), func(i, j int) { q.Rules[i], q.Rules[j] = q.Rules[j], q.Rules[i] })
		rng.Shuffle(len(g.Findings), func(i, j int) { g.Findings[i], g.Findings[j] = g.Findings[j], g.Findings[i] })
		if w := Decide(g, &q, now); w.Decision != v.Decision {
			t.Fatalf("got %s, then %s in another order: %+v", v.Decision, w.Decision, f.Findings)
		}
		q.Rules = q.Rules[:rng.IntN(len(q.Rules))]
		if w := Decide(g, &q, now); strictness(w.Decision) > strictness(v.Decision) {
			t.Fatalf("fewer rules are stricter: %s, then %s", v.Decision, w.Decision)
		}
	}
}

// Explain decides as Decide does.
func TestExplainAgrees(t *testing.T) {
	f := Facts{Image: someImage(), Findings: []esclusa.Finding{
		fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), "2", 30),
		fixed(vuln("CVE-2", esclusa.SeverityCritical, "b", "1"), "2", 1),
		vuln("CVE-3", esclusa.SeverityCritical, "c", "1"),
	}}
	p := builtin(t)
	e := Explain(f, p, now)
	if d := cmp.Diff(Decide(f, p, now), e.Verdict); d != "" {
		t.Error(d)
	}
	i := slices.IndexFunc(e.Rules, func(t Trace) bool { return t.Rule == "critical-with-fix" })
	want := Trace{
		Rule: "critical-with-fix", Decision: esclusa.Deny, Subject: "finding", Considered: 3, Matched: 2, InGrace: 1,
		First: []string{"CVE-1 in a 1", "CVE-2 in b 1"}, Near: []string{"CVE-3 in c 1: fixed is false"},
	}
	if d := cmp.Diff(want, e.Rules[i]); d != "" {
		t.Error(d)
	}
}

func TestSuppressedNeverCounts(t *testing.T) {
	for status, want := range map[esclusa.VEXStatus]esclusa.Decision{
		esclusa.VEXNotAffected: esclusa.Allow, esclusa.VEXFixed: esclusa.Allow,
		esclusa.VEXAffected: esclusa.Deny, esclusa.VEXInvestigating: esclusa.Deny,
	} {
		x := fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), "2", 30)
		x.VEX = &esclusa.VEXStatement{Status: status}
		if v := Decide(Facts{Image: someImage(), Findings: []esclusa.Finding{x}}, builtin(t), now); v.Decision != want {
			t.Errorf("%s: got %s, want %s", status, v.Decision, want)
		}
	}
}

func TestSince(t *testing.T) {
	old := Facts{Image: esclusa.Image{Kind: esclusa.TargetImage, Ref: "ghcr.io/acme/shop:0"}}
	secret := func(path string) esclusa.Finding {
		return esclusa.Finding{Kind: esclusa.KindSecret, ID: "secret/key", Severity: esclusa.SeverityHigh, Place: esclusa.Place{Path: path}}
	}
	suppressed := vuln("CVE-5", esclusa.SeverityCritical, "e", "1")
	suppressed.VEX = &esclusa.VEXStatement{Status: esclusa.VEXNotAffected}
	old.Findings = []esclusa.Finding{vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), secret("app/.env"), suppressed}
	for name, c := range map[string]struct {
		finding esclusa.Finding
		want    esclusa.Decision
	}{
		"the same flaw in a newer version":   {fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1.1"), "2", 30), esclusa.Warn},
		"another flaw":                       {fixed(vuln("CVE-2", esclusa.SeverityCritical, "a", "1"), "2", 30), esclusa.Deny},
		"another package":                    {fixed(vuln("CVE-1", esclusa.SeverityCritical, "b", "1"), "2", 30), esclusa.Deny},
		"the same secret":                    {secret("app/.env"), esclusa.Warn},
		"a secret elsewhere":                 {secret("srv/.env"), esclusa.Deny},
		"what VEX ended in the old image":    {fixed(vuln("CVE-5", esclusa.SeverityCritical, "e", "1"), "2", 30), esclusa.Deny},
		"the same flaw, and no grace is due": {fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), "2", 1), esclusa.Warn},
	} {
		f := Facts{Image: someImage(), Findings: []esclusa.Finding{c.finding}}
		if v := Decide(f, builtin(t), now); v.Decision == esclusa.Allow {
			t.Errorf("%s: allowed without a base", name)
		}
		v := Decide(f.Since(old), builtin(t), now)
		if v.Decision != c.want {
			t.Errorf("%s: got %s, want %s", name, v.Decision, c.want)
		}
		if strings.HasPrefix(name, "the same secret") && !strings.Contains(v.Reasons[0].Message, "already in BASE ghcr.io/acme/shop:0") {
			t.Errorf("%s: got %q", name, v.Reasons[0].Message)
		}
	}
}

// A condition that cannot be answered denies nothing and allows nothing.
func TestConditionWithoutAnswer(t *testing.T) {
	const text = "name: p\nrules:\n" +
		"  - {name: a, decision: %s, finding: {}, when: 'image.labels[\"team\"] == \"x\"'}\n"
	f := Facts{Image: someImage(), Findings: []esclusa.Finding{vuln("CVE-1", esclusa.SeverityLow, "a", "1"), vuln("CVE-2", esclusa.SeverityLow, "b", "1")}}
	for _, c := range []struct {
		decision string
		more     string
		want     esclusa.Decision
	}{
		{"deny", "", esclusa.Undecided},
		{"warn", "", esclusa.Warn},
		{"deny", "  - {name: b, decision: deny, finding: {ids: [CVE-2]}}\n", esclusa.Deny},
		{"deny", "  - {name: b, decision: warn, finding: {}}\n", esclusa.Undecided},
	} {
		p := parse(t, fmt.Sprintf(text, c.decision)+c.more)
		v := Decide(f, p, now)
		if v.Decision != c.want || len(v.Gaps) != 1 || v.Gaps[0].What != "condition of rule a" {
			t.Errorf("%s%s: got %s, gaps %v", c.decision, c.more, v.Decision, v.Gaps)
		}
	}
	f.Image.Config.Labels = map[string]string{"team": "y"}
	if v := Decide(f, parse(t, fmt.Sprintf(text, "deny")), now); v.Decision != esclusa.Allow || len(v.Gaps) != 0 {
		t.Errorf("with the label: got %s, gaps %v", v.Decision, v.Gaps)
	}
}

// Grace cannot be made endless by a date in the future.
func TestGraceOfFutureFix(t *testing.T) {
	for days, want := range map[int]esclusa.Decision{-1: esclusa.Warn, -1000: esclusa.Deny, 6: esclusa.Warn, 7: esclusa.Deny} {
		f := Facts{Image: someImage(), Findings: []esclusa.Finding{fixed(vuln("CVE-1", esclusa.SeverityCritical, "a", "1"), "2", days)}}
		if v := Decide(f, builtin(t), now); v.Decision != want {
			t.Errorf("fix out for %d days: got %s, want %s", days, v.Decision, want)
		}
	}
}

// One moment decides alike everywhere, whatever the zone of the clock.
func TestDecideIgnoresZones(t *testing.T) {
	p := parse(t, "name: p\nrules: [{name: a, decision: deny, finding: {}}]\n"+
		"exceptions: [{id: CVE-1, owner: o, reason: r, created: 2025-12-01, expires: 2025-12-31}]\n")
	f := Facts{Image: someImage(), Findings: []esclusa.Finding{vuln("CVE-1", esclusa.SeverityLow, "a", "1")}}
	for at, want := range map[time.Time]esclusa.Decision{now.Add(-time.Second): esclusa.Allow, now: esclusa.Deny} {
		for _, hours := range []int{-12, 0, 14} {
			v := Decide(f, p, at.In(time.FixedZone("", hours*3600)))
			if v.Decision != want || (want == esclusa.Deny) != (len(v.Expired) == 1) {
				t.Errorf("%s in zone %d: got %s, expired %v", at, hours, v.Decision, v.Expired)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	got := map[string]int{}
	for d := esclusa.Undecided; d <= esclusa.Deny; d++ {
		got[d.String()] = ExitCode(d)
	}
	want := map[string]int{"allow": 0, "warn": 0, "deny": 1, "undecided": 2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for i, e := range ExitTable {
		if e.Code != i || e.Name == "" || e.Meaning == "" {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	if ExitCode(esclusa.Decision(99)) != ExitUndecided {
		t.Error("an unknown decision passes")
	}
}

func TestWriteResults(t *testing.T) {
	p := parse(t, "name: p\nrules: [{name: a, decision: deny, finding: {}}, {name: b, decision: warn, gap: {}}]\n")
	ts, err := policy.ParseTests("p_test.yaml", []byte("tests:\n"+
		"  - {name: good, findings: [{id: CVE-1, package: deb/x@1}], expect: {decision: deny, rules: [a]}}\n"+
		"  - {name: bad, findings: [{id: CVE-1, package: deb/x@1}], expect: {decision: allow, rules: []}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ok, err := WriteResults(&out, p, Test(p, ts), true)
	if ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	want := `--- PASS: good
--- FAIL: bad
    p_test.yaml:3: decision is deny, want allow
    p_test.yaml:3: rules are [a], want []
        deny a: Unrated CVE-1 in x 1; no fix is out yet.
note: no test makes these rules fire: b
FAIL	p	1 of 2 tests failed
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

// TestRenderKeepsDenials: warnings are cut, what stops the build never is.
func TestRenderKeepsDenials(t *testing.T) {
	v := esclusa.Verdict{Decision: esclusa.Deny, Policy: "p"}
	for i := range 20 {
		v.Reasons = append(v.Reasons, esclusa.Reason{Rule: fmt.Sprintf("deny-%02d", i), Decision: esclusa.Deny, Message: "No."})
	}
	for i := range 20 {
		v.Reasons = append(v.Reasons, esclusa.Reason{Rule: fmt.Sprintf("warn-%02d", i), Decision: esclusa.Warn, Message: "Perhaps."})
	}
	var out strings.Builder
	if err := Render(&out, &v, false, 80); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if !strings.Contains(out.String(), fmt.Sprintf("deny-%02d", i)) {
			t.Errorf("denial %d is not shown", i)
		}
		if got := strings.Contains(out.String(), fmt.Sprintf("warn-%02d", i)); got != (i < fewWarnings) {
			t.Errorf("warning %d shown: %v", i, got)
		}
	}
	if !strings.Contains(out.String(), "20 warnings") || !strings.Contains(out.String(), "and 12 more warnings") {
		t.Errorf("the number of warnings is lost:\n%s", out.String())
	}
	// What is longer than a screen says the decision where the reader is.
	if n := strings.Count(out.String(), "DENY  20 reasons to deny"); n != 2 {
		t.Errorf("the decision stands %d times", n)
	}
	v.Reasons = v.Reasons[:1]
	out.Reset()
	if err := Render(&out, &v, false, 80); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "DENY"); n != 1 {
		t.Errorf("the decision of a short verdict stands %d times", n)
	}
}

// TestRenderPaths: a path that is longer than a line is broken between names.
func TestRenderPaths(t *testing.T) {
	path := "srv/" + strings.Repeat("long-name-of-a-folder/", 6) + "package.json"
	v := esclusa.Verdict{Decision: esclusa.Deny, Reasons: []esclusa.Reason{{Rule: "r", Decision: esclusa.Deny, Message: "No.", Place: esclusa.Place{Path: path}}}}
	var out strings.Builder
	if err := Render(&out, &v, false, 80); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(out.String()) {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "where "))
		if strings.Contains(text, "/") {
			lines++
			if !strings.HasSuffix(text, "/") && !strings.HasSuffix(path, "/"+text) {
				t.Errorf("broken within a name: %q", text)
			}
		}
	}
	if lines < 2 {
		t.Errorf("the path is not broken:\n%s", out.String())
	}
}
