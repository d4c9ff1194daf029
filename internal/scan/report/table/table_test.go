package table_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/reporttest"
	"github.com/esclusa/esclusa/internal/scan/report/table"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden file anew")

func write(t testing.TB, r *esclusa.Report, o report.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := (table.Format{}).Write(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// gaps only: nothing found is no good news.
func unread() *esclusa.Report {
	r := reporttest.Clean()
	r.Gaps = reporttest.Mixed().Gaps[:2]
	return r
}

func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "table.txtar")
	golden := &txtar.Archive{}
	if !*update {
		var err error
		if golden, err = txtar.ParseFile(name); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{}
	for _, f := range golden.Files {
		want[f.Name] = string(f.Data)
	}
	got := &txtar.Archive{Comment: []byte("What a person reads, 80 columns wide. Write it anew with -update.\n\n")}
	for _, c := range []struct {
		name   string
		report *esclusa.Report
		opts   report.Options
	}{
		{"clean", reporttest.Clean(), report.Options{}},
		{"gaps-only", unread(), report.Options{}},
		{"mixed", reporttest.Mixed(), report.Options{}},
		{"mixed-all", reporttest.Mixed(), report.Options{All: true}},
		{"mixed-50", reporttest.Mixed(), report.Options{Width: 50}},
		{"many", reporttest.Many(300), report.Options{}},
	} {
		out := write(t, c.report, c.opts)
		got.Files = append(got.Files, txtar.File{Name: c.name, Data: []byte(out)})
		if !*update {
			if diff := cmp.Diff(want[c.name], out); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestWidth: no line is wider than the page, but for addresses and for words
// of commands, which cannot be broken.
func TestWidth(t *testing.T) {
	reports := []*esclusa.Report{reporttest.Clean(), reporttest.Mixed(), reporttest.Many(300)}
	for _, s := range reporttest.Texts() {
		reports = append(reports, reporttest.Hostile(s))
	}
	for i, r := range reports {
		for _, width := range []int{40, 50, 80, 132} {
			for _, color := range []bool{false, true} {
				out := colour.ReplaceAllString(write(t, r, report.Options{Width: width, Color: color, All: true}), "")
				command := false
				for line := range strings.Lines(out) {
					line = strings.TrimSuffix(line, "\n")
					command = strings.Contains(line, "  $ ") || command && strings.HasPrefix(line, strings.Repeat(" ", 15))
					if n := table.Columns(line); n > width && !command && !strings.Contains(line, "://") {
						t.Errorf("report %d, width %d: a line of %d: %.200q", i, width, n, line)
					}
				}
			}
		}
	}
}

// TestNothingObeyed: what a terminal would obey is not written.
func TestNothingObeyed(t *testing.T) {
	for _, s := range reporttest.Texts() {
		out := write(t, reporttest.Hostile(s), report.Options{All: true})
		for _, r := range out {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%.40q: %q is written", s, r)
			}
		}
		if !utf8.ValidString(out) {
			t.Errorf("%.40q: no UTF-8", s)
		}
	}
}

// TestCommandsCopy: what a shell makes of the lines is the command.
func TestCommandsCopy(t *testing.T) {
	for _, command := range []string{
		"npm install x@1",
		reporttest.Mixed().Findings[3].Fix.Command,
		"sed -i 's/a very long text in quotes/another very long text in quotes that goes on and on/' Dockerfile && docker build --pull -t x .",
		"go get " + strings.Repeat("example.com/x ", 30) + "end",
	} {
		r := reporttest.Mixed()
		r.Findings = r.Findings[3:4]
		r.Findings[0].Fix.Command = command
		for _, width := range []int{40, 80} {
			_, rest, ok := strings.Cut(write(t, r, report.Options{Width: width}), "  $ ")
			if !ok {
				t.Fatal("no command")
			}
			var words []string
			for line := range strings.Lines(rest) {
				line, more := strings.CutSuffix(strings.TrimSpace(line), "\\")
				words = append(words, strings.TrimSpace(line))
				if !more {
					break
				}
			}
			if got := strings.Join(words, " "); got != command {
				t.Errorf("width %d:\n%s\nwant\n%s", width, got, command)
			}
		}
	}
}

// TestAlike: a threat that is in many places is one row, which names the first
// few of them; what differs in more than its place is a row of its own.
func TestAlike(t *testing.T) {
	r := reporttest.Clean()
	for i := range 6 {
		r.Findings = append(r.Findings, esclusa.Finding{
			Kind: esclusa.KindSecret, ID: "secret/jwt", Title: "JSON Web Token", Severity: esclusa.SeverityMedium,
			Place: esclusa.Place{Path: fmt.Sprintf("app/%d.json", i), Line: 7}, Evidence: fmt.Sprintf("eyJ%d…", i), Advice: "End the session.",
		})
	}
	other := r.Findings[0]
	other.Severity = esclusa.SeverityHigh
	r.Findings = append(r.Findings, other)
	want := `Remove (2): malicious, planted or leaked
  medium   JSON Web Token (secret/jwt), in 6 places
           at app/0.json:7
             eyJ0…
           at app/1.json:7
             eyJ1…
           at app/2.json:7
             eyJ2…
           and 3 more (--all lists them)
           End the session.
  high     JSON Web Token (secret/jwt)
           at app/0.json:7
             eyJ0…
           End the session.
`
	out := write(t, r, report.Options{})
	if !strings.Contains(out, want) {
		t.Errorf("got\n%s\nwant in it\n%s", out, want)
	}
	if out := write(t, r, report.Options{All: true}); strings.Count(out, "at app/") != 7 {
		t.Errorf("--all leaves places out:\n%s", out)
	}
}

func BenchmarkTable300Findings(b *testing.B) {
	r := reporttest.Many(300)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := (table.Format{}).Write(&out, r, report.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSameHint: what several gaps need is said once, behind the last of them,
// and also where the list is cut.
func TestSameHint(t *testing.T) {
	r := reporttest.Clean()
	for i := range 40 {
		r.Gaps = append(r.Gaps, esclusa.Gap{Scope: esclusa.GapFeed, What: fmt.Sprint("feed ", i), Err: "old", Hint: "update"})
	}
	r.Gaps = append(r.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: "another", Err: "odd", Hint: "look"})
	for _, all := range []bool{true, false} {
		if n := strings.Count(write(t, r, report.Options{All: all}), "hint: update"); n != 1 {
			t.Errorf("all %t: the hint stands %d times", all, n)
		}
	}
	if !strings.Contains(write(t, r, report.Options{All: true}), "hint: look") {
		t.Error("another hint is lost")
	}
}
