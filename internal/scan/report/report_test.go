package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/reporttest"
	"github.com/esclusa/esclusa/internal/truth"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func stream(t testing.TB, r *esclusa.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := report.NewEncoder(&b)
	for m := range report.Messages(r) {
		if err := enc.Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestReadBack(t *testing.T) {
	for _, r := range []*esclusa.Report{reporttest.Clean(), reporttest.Mixed(), reporttest.Many(50)} {
		got, err := report.Read(bytes.NewReader(stream(t, r)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got, cmpopts.IgnoreFields(esclusa.End{}, "Packages", "Findings", "Gaps")); diff != "" {
			t.Error(diff)
		}
		if got.End.Findings != len(r.Findings) || got.End.Packages != len(r.Packages) || got.End.Gaps != len(r.Gaps) {
			t.Errorf("the end counts %+v", got.End)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const start, end = `{"start":{"stream":1}}` + "\n", `{"end":{}}` + "\n"
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "cut"},
		{"no end", start, "cut"},
		{"less than counted", start + `{"end":{"findings":1}}`, "counts 1 findings"},
		{"more than counted", start + `{"gap":{}}` + "\n" + end, "counts 0 gaps"},
		{"no start", end, "line 1: not the start"},
		{"no start behind an empty line", "\n" + end, "line 2: not the start"},
		{"another version", `{"start":{"stream":2}}` + "\n" + end, "version 1"},
		{"two starts", start + start + end, "line 2: a second start"},
		{"two images", start + `{"image":{}}` + "\n" + `{"image":{}}` + "\n" + end, "line 3: a second"},
		{"two in one line", start + `{"gap":{},"finding":{}}` + "\n" + end, "line 2: more than one"},
		{"behind the end", start + end + `{"gap":{}}`, "line 3: message after the end"},
		{"no JSON", start + "PK\x03\x04\n" + end, "line 2: invalid character"},
		{"another type", start + `{"finding":{"severity":7}}` + "\n" + end, "line 2: json"},
		{"a word that is no severity", start + `{"finding":{"severity":"dreadful"}}` + "\n" + end, "unknown severity"},
		{"a long line", start + strings.Repeat(" ", 17<<20) + end, "line 2: bufio.Scanner: token too long"},
	} {
		_, err := report.Read(strings.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if cut := err != nil && strings.Contains(err.Error(), "cut"); cut != errors.Is(err, report.ErrCut) {
			t.Errorf("%s: ErrCut is %t", c.name, !cut)
		}
	}
}

// TestReadLater: what a later version adds is left out.
func TestReadLater(t *testing.T) {
	in := `{"start":{"stream":1,"colour":"red"}}` + "\n\n" + `{"weather":{"rain":true}}` + "\n" + `{"end":{}}`
	if _, err := report.Read(strings.NewReader(in)); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	small := reporttest.Mixed() // the fuzzer minimises what it is given: small is fast
	small.Packages, small.Findings, small.Gaps = small.Packages[:1], small.Findings[3:4], small.Gaps[:1]
	f.Add(stream(f, small))
	f.Add([]byte(`{"start":{"stream":1}}` + "\n" + `{"finding":{"id":"` + "\xff" + `\u001b","severity":"high","epss":1e-9,"published":"2026-01-02T03:04:05.6+23:59"}}` + "\n" + `{"end":{"findings":1}}`))
	f.Add([]byte(`{"start":{"stream":1}}` + "\n" + `{"end":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := report.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		// What is written is read again, and is a fixed point.
		once := stream(t, r)
		again, err := report.Read(bytes.NewReader(once))
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		if twice := stream(t, again); !bytes.Equal(once, twice) {
			t.Fatalf("%s\n%s", once, twice)
		}
		report.Plan(r.Findings)
	})
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"plain", -1, "plain"},
		{"plain", 5, "plain"},
		{"plain", 4, "pla…"},
		{"a\r\nb\tc", -1, "a  b c"},
		{"\x1b[31mred", -1, "?[31mred"},
		{"\u202eabc", -1, "?abc"},
		{"é\xffz", -1, "é\ufffdz"},
		{"ééé", 2, "é…"},
		{"ééé", 3, "ééé"},
		{"x", 0, ""},
	} {
		if got := report.Text(c.in, c.n); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range reporttest.Texts() {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		got := report.Text(s, n)
		if !utf8.ValidString(got) || n >= 0 && utf8.RuneCountInString(got) > n {
			t.Fatalf("Text(%q, %d) = %q", s, n, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("Text(%q, %d) = %q", s, n, got)
			}
		}
		if link := report.Link(s); link != "" && (report.Link(link) != link || report.Text(link, -1) != link) {
			t.Fatalf("Link(%q) = %q", s, link)
		}
	})
}

func TestLink(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.com/a?b=c#d":                "https://example.com/a?b=c#d",
		"https://example.com/ä b":                    "https://example.com/%C3%A4%20b",
		"https://example.com/[x]<y>":                 "https://example.com/%5Bx%5D%3Cy%3E",
		"javascript:alert(1)":                        "",
		"//example.com":                              "",
		"https:///x":                                 "",
		"https://example.com/?q=%zz":                 "",
		"http://[::1]/":                              "",
		"https://e.com/" + strings.Repeat("a", 3000): "",
	} {
		if got := report.Link(in); got != want {
			t.Errorf("Link(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLicense(t *testing.T) {
	for _, c := range []struct {
		in, want string
		id, ok   bool
	}{
		{"MIT", "MIT", true, true},
		{"mit", "MIT", true, true},
		{"GPL-2.0+", "GPL-2.0+", false, true},
		{"Apache-2.0+", "Apache-2.0+", false, true},
		{"MIT OR Apache-2.0", "MIT OR Apache-2.0", false, true},
		{"(MIT AND (BSD-3-Clause OR ISC))", "(MIT AND (BSD-3-Clause OR ISC))", false, true},
		{"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", false, true},
		{"mit or apache-2.0", "", false, false}, // operators are upper case in 2.3
		{"LicenseRef-ours", "", false, false},
		{"", "", false, false},
		{"MIT MIT", "", false, false},
		{"MIT AND", "", false, false},
		{"(MIT", "", false, false},
		{"MIT)", "", false, false},
		{"MIT WITH MIT", "", false, false},
		{"+", "", false, false},
		{strings.Repeat("(", 1000) + "MIT" + strings.Repeat(")", 1000), "", false, false},
		{strings.Repeat("MIT AND ", 1000) + "MIT", "", false, false},
	} {
		got, id, ok := report.License(c.in)
		if got != c.want || id != c.id || ok != c.ok {
			t.Errorf("License(%.60q) = %q, %t, %t", c.in, got, id, ok)
		}
	}
}

// TestLicenseList holds the list to the one of SPDX.
func TestLicenseList(t *testing.T) {
	n := 0
	for _, name := range []string{"license-ids.json", "deprecated-ids.json"} {
		data, err := os.ReadFile(truth.Vectors(t, "spdx-licenses", name))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		if err := json.Unmarshal(data, &ids); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			n++
			if got, _, ok := report.License(strings.ToLower(id)); !ok || got != id {
				t.Errorf("License(%q) = %q, %t", id, got, ok)
			}
		}
	}
	t.Logf("%d ids", n)
}

func FuzzLicense(f *testing.F) {
	f.Add("(MIT AND (BSD-3-Clause OR ISC))")
	f.Add("GPL-2.0-only WITH Classpath-exception-2.0")
	f.Fuzz(func(t *testing.T, s string) {
		if e, _, ok := report.License(s); ok {
			if again, _, ok := report.License(e); !ok || again != e {
				t.Fatalf("%q is %q is %q, %t", s, e, again, ok)
			}
		}
	})
}

// TestPlan: the packages of one source are one step with the highest fix, and
// each flaw counts once.
func TestPlan(t *testing.T) {
	s := report.Plan(reporttest.Mixed().Findings)
	u := s.Upgrades[0]
	if u.Fix != "3.0.14-1~deb12u2" || len(u.Findings) != 2 || len(u.Names) != 2 || u.Worst() != esclusa.SeverityCritical || u.Exploited() != 1 {
		t.Errorf("%+v", u)
	}
	if n := []int{len(s.Threats), len(s.Upgrades), len(s.Unfixed), len(s.Settings), len(s.Notices), len(s.Suppressed)}; !cmp.Equal(n, []int{3, 2, 3, 2, 1, 1}) {
		t.Errorf("%v", n)
	}
	two := reporttest.Mixed().Findings[3:5]
	two[0].Fix.Version = "3.0.9-1"
	if got := report.Plan(two).Upgrades[0].Fix; got != "3.0.14-1~deb12u2" {
		t.Errorf("9 before 14: %s", got)
	}
}

func BenchmarkPlan3000Findings(b *testing.B) {
	fs := reporttest.Many(3000).Findings
	for b.Loop() {
		report.Plan(fs)
	}
}

func BenchmarkRead300Findings(b *testing.B) {
	data := stream(b, reporttest.Many(300))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := report.Read(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
