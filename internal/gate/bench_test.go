package gate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// facts500 is an image as many are: 500 findings in 120 packages, of all
// severities, a third with a fix.
func facts500() Facts {
	f := Facts{Image: someImage(), Later: func(_ *esclusa.Package, a, b string) bool { return a > b }}
	for i := range 500 {
		x := vuln(fmt.Sprintf("CVE-2025-%04d", i), esclusa.Severity(1+i%5), fmt.Sprint("package-", i%120), "1.2.3")
		x.Place = esclusa.Place{Layer: "sha256:abc", Path: "var/lib/dpkg/status"}
		if i%3 == 0 {
			x = fixed(x, "1.2.4", i%60)
		}
		if i%100 == 0 {
			x.KEV = &esclusa.KEV{}
		}
		f.Findings = append(f.Findings, x)
	}
	return f
}

func benchmark(b *testing.B, f Facts, p *policy.Policy) {
	b.ReportAllocs()
	for b.Loop() {
		if v := Decide(f, p, now); v.Decision == esclusa.Undecided {
			b.Fatal("undecided")
		}
	}
}

// One operation is a verdict on 500 findings by the built-in policy.
func BenchmarkDecide500(b *testing.B) { benchmark(b, facts500(), builtin(b)) }

// One operation is a verdict on 500 findings that no rule is about.
func BenchmarkDecide500Clean(b *testing.B) {
	f := facts500()
	for i := range f.Findings {
		f.Findings[i].Severity, f.Findings[i].KEV = esclusa.SeverityLow, nil
	}
	benchmark(b, f, builtin(b))
}

// One operation is a verdict on 500 findings by 20 rules, each with a
// condition that runs on the fifth of the findings that its severity leaves.
func BenchmarkDecide500Conditions(b *testing.B) {
	var text strings.Builder
	text.WriteString("name: p\nrules:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  - {name: r%d, decision: deny, finding: {severity: critical}, when: 'finding.package.name == \"package-%d\" && finding.fix.age > duration(\"240h\")'}\n", i, i*5)
	}
	benchmark(b, facts500(), parse(b, text.String()))
}

// One operation is the same with conditions alone: all run on all findings.
func BenchmarkDecide500ConditionsOnly(b *testing.B) {
	var text strings.Builder
	text.WriteString("name: p\nrules:\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  - {name: r%d, decision: deny, finding: {}, when: 'finding.package.name == \"package-%d\" && finding.fix.age > duration(\"240h\")'}\n", i, i*5)
	}
	benchmark(b, facts500(), parse(b, text.String()))
}

// One operation is reading the built-in policy, which has no condition.
func BenchmarkParseDefault(b *testing.B) {
	data := []byte(strings.Repeat("# a comment\n", 10) + defaultText(b))
	for b.Loop() {
		if _, err := policy.Parse("p.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}

func defaultText(b *testing.B) string {
	data, err := contentFile("policies/default.yaml")
	if err != nil {
		b.Fatal(err)
	}
	return string(data)
}
