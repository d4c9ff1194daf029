package all_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/all"
	"github.com/esclusa/esclusa/internal/scan/report/reporttest"
	"github.com/google/go-cmp/cmp"
)

// TestListed: each folder beside this one is a format and is listed.
func TestListed(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, f := range all.Formats() {
		if listed[f.Name()] {
			t.Errorf("two formats %q", f.Name())
		}
		listed[f.Name()] = true
	}
	folders := 0
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || name == "all" || name == "testdata" || strings.HasSuffix(name, "test") {
			continue
		}
		folders++
		if !listed[name] {
			t.Errorf("report/%s is not listed in all.go", name)
		}
	}
	if folders != len(listed) {
		t.Errorf("%d folders, %d formats", folders, len(listed))
	}
}

// reports are what every format has to stand.
func reports() map[string]*esclusa.Report {
	rs := map[string]*esclusa.Report{
		"empty": {Start: esclusa.Start{Stream: esclusa.StreamVersion}},
		"clean": reporttest.Clean(), "mixed": reporttest.Mixed(), "many": reporttest.Many(300),
		"huge": reporttest.Huge(),
	}
	source := reporttest.Mixed()
	source.Image = esclusa.Image{Kind: esclusa.TargetSource, Ref: "."}
	rs["source"] = source
	for i, s := range reporttest.Texts() {
		rs[fmt.Sprintf("hostile-%d-%.12q", i, s)] = reporttest.Hostile(s)
	}
	return rs
}

func write(t testing.TB, f report.Format, r *esclusa.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b, r, report.Options{All: true}); err != nil {
		t.Fatalf("%s: %v", f.Name(), err)
	}
	return b.Bytes()
}

func TestFormats(t *testing.T) {
	for name, r := range reports() {
		t.Run(name, func(t *testing.T) { law(t, r) })
	}
}

// law is what holds for every format: valid documents, the same bytes each
// time, and the same bytes from a saved stream; the report is not changed.
func law(t *testing.T, r *esclusa.Report) {
	t.Helper()
	stream := write(t, format(t, "json"), r)
	saved, err := report.Read(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all.Formats() {
		out := write(t, f, r)
		if !utf8.Valid(out) {
			t.Errorf("%s: no UTF-8", f.Name())
		}
		if len(out) == 0 || out[len(out)-1] != '\n' {
			t.Errorf("%s: does not end in a newline", f.Name())
		}
		if err := valid(t, f.Name(), out); err != nil {
			t.Errorf("%s: %.2000s", f.Name(), err)
		}
		same(t, f.Name()+" twice", out, write(t, f, r))
		same(t, f.Name()+" replayed", out, write(t, f, saved))
	}
	same(t, "the report after all formats", stream, write(t, format(t, "json"), r))
}

// same compares bytes, and shows where they part.
func same(t *testing.T, what string, a, b []byte) {
	t.Helper()
	if bytes.Equal(a, b) {
		return
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-100)
	t.Errorf("%s differs at byte %d:\n%q\n%q", what, i, a[from:min(len(a), i+100)], b[from:min(len(b), i+100)])
}

func format(t testing.TB, name string) report.Format {
	t.Helper()
	for _, f := range all.Formats() {
		if f.Name() == name {
			return f
		}
	}
	t.Fatalf("no format %q", name)
	return nil
}

// TestNothingLost: each finding, each package that has one and each gap can
// be found in every format.
func TestNothingLost(t *testing.T) {
	for _, kind := range []esclusa.TargetKind{esclusa.TargetImage, esclusa.TargetRoot, esclusa.TargetSource, esclusa.TargetSBOM} {
		r := reporttest.Mixed()
		r.Image.Kind = kind
		for _, f := range all.Formats() {
			out := strings.Join(strings.Fields(string(write(t, f, r))), " ")
			for i := range r.Findings {
				if id := r.Findings[i].ID; !strings.Contains(out, id) {
					t.Errorf("%s has lost %s", f.Name(), id)
				}
				if p := r.Findings[i].Package; p != nil && !strings.Contains(out, p.Name) && !strings.Contains(out, `"@shop"`) {
					t.Errorf("%s has lost %s", f.Name(), p.Name)
				}
			}
			for i := range r.Gaps {
				if what := r.Gaps[i].What; !strings.Contains(out, what) {
					t.Errorf("%s has lost the gap %s", f.Name(), what)
				}
			}
		}
	}
}

// TestNamesStay: the next build gives the same trouble the same name, and no
// two findings of one report share one.
func TestNamesStay(t *testing.T) {
	a := reporttest.Mixed()
	before := report.Fingerprints(a.Findings)
	seen := map[string]bool{}
	for i, p := range before {
		if seen[p] {
			t.Errorf("%s has the name of another", a.Findings[i].ID)
		}
		seen[p] = true
	}
	for i := range a.Findings {
		f := &a.Findings[i]
		f.Layer, f.Line, f.Score, f.Severity, f.Title = "sha256:other", f.Line+7, 1, esclusa.SeverityLow, "reworded"
		if f.Package != nil {
			p := *f.Package
			p.Version, p.Layer = "99", "sha256:other"
			f.Package = &p
		}
	}
	if diff := cmp.Diff(before, report.Fingerprints(a.Findings)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkFormats300Findings(b *testing.B) {
	r := reporttest.Many(300)
	for _, f := range all.Formats() {
		b.Run(f.Name(), func(b *testing.B) {
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				if err := f.Write(&out, r, report.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(out.Len()))
		})
	}
}
