package realimage

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	feedlist "github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/truth"
)

// scratch outlives single tests: the compiled mirror and a built binary.
var scratch struct {
	sync.Mutex
	dir      string
	database bool
	binary   bool
}

func scratchDir(t testing.TB) string {
	t.Helper()
	if scratch.dir == "" {
		dir, err := os.MkdirTemp("", "realimage-")
		if err != nil {
			t.Fatal(err)
		}
		scratch.dir = dir
	}
	return scratch.dir
}

// state is the whole mirror, compiled; it lies where the binary looks for it
// when XDG_CACHE_HOME is scratch's folder "xdg".
func state(t testing.TB) advisory.State {
	t.Helper()
	mirror := truth.Mirror(t)
	scratch.Lock()
	defer scratch.Unlock()
	st := advisory.State{Dir: filepath.Join(scratchDir(t), "xdg", "esclusa", "advisories")}
	if !scratch.database {
		if _, err := feeds.Update(context.Background(), feeds.Options{From: mirror, Feeds: feedlist.Feeds(), Into: st}); err != nil {
			t.Fatal(err)
		}
		scratch.database = true
	}
	return st
}

// scanTime makes scans comparable.
var scanTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// scanner has the mirror's advisories; dir, if not empty, is its cache.
func scanner(t testing.TB, dir string) *scan.Scanner {
	t.Helper()
	db, err := state(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := scan.Config{Tool: "test", Advisories: db, Feeds: db.Feeds(), Now: scanTime}
	if dir != "" {
		c.Cache = cache.Open(dir, cache.DefaultMax)
	}
	return scan.New(c)
}

func scanRef(t testing.TB, s *scan.Scanner, ref string, opt oci.Options) *esclusa.Report {
	t.Helper()
	r, err := s.Scan(t.Context(), ref, esclusa.TargetImage, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var first struct {
	sync.Mutex
	cache  string
	report *esclusa.Report
}

// firstReport is that of the image as it was built, from a layout, with nothing
// cached; and the cache that the scan left.
func firstReport(t testing.TB) (*esclusa.Report, string) {
	t.Helper()
	im := realImage(t)
	s := scanner(t, "")
	first.Lock()
	defer first.Unlock()
	if first.report == nil {
		dir := filepath.Join(scratchDir(t), "first")
		s.Cache = cache.Open(dir, cache.DefaultMax)
		first.report = scanRef(t, s, im.spec(nil).Build(t).Layout(t), oci.Options{})
		first.cache = dir
	}
	return first.report, first.cache
}

// ecosystems are those that are computed twice, by purl type.
var ecosystems = map[string]string{"deb": "Debian:11", "npm": "npm", "golang": "Go", "pypi": "PyPI"}

// differences counts and compares with testdata/differences.txt.
type differences struct {
	lines []string
}

func (d *differences) compare(what string, ours, theirs map[string]bool) (same int) {
	for line := range ours {
		if theirs[line] {
			same++
		} else {
			d.lines = append(d.lines, what+"\tesclusa only: "+line)
		}
	}
	for line := range theirs {
		if !ours[line] {
			d.lines = append(d.lines, what+"\tothers only: "+line)
		}
	}
	return same
}

func (d *differences) check(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		i := strings.LastIndexByte(line, '\t')
		if strings.Count(line, "\t") != 2 || line[i+1:] == "" {
			t.Fatalf("testdata/differences.txt: want set, difference, reason: %q", line)
		}
		known[line[:i]] = true
	}
	slices.Sort(d.lines)
	for _, l := range d.lines {
		if !known[l] {
			t.Errorf("not explained: %s", l)
		}
		delete(known, l)
	}
	for l := range known {
		t.Errorf("no difference any more: remove from testdata/differences.txt: %s", l)
	}
}

// TestAgreesVectors computes packages and findings of four ecosystems a
// second time and compares them one by one.
func TestAgreesVectors(t *testing.T) {
	im := realImage(t)
	r, _ := firstReport(t)
	have := inventory(t, im.root)
	compare := orders(t)
	var d differences
	for _, typ := range slices.Sorted(maps.Keys(ecosystems)) {
		eco := ecosystems[typ]
		base, _, _ := strings.Cut(eco, ":")
		packages, theirs := map[string]bool{}, map[string]bool{}
		wanted := map[string]bool{}
		for _, p := range have {
			if p.eco == eco {
				theirs[p.name+" "+p.version] = true
				wanted[eco+"\t"+p.advName] = true
			}
		}
		for i := range r.Packages {
			if p := &r.Packages[i]; p.Type == typ && !p.Main {
				packages[p.Name+" "+strings.TrimPrefix(p.Version, "v")] = true
			}
		}
		samePackages := d.compare("packages "+eco, packages, theirs)

		list := records(t, truth.Mirror(t, "osv", base, "all.zip"), wanted)
		theirRows := second(t, have, eco, list, compare[base])
		ourRows := findingRows(r, typ)
		same := d.compare("findings "+eco, ourRows, theirRows)
		t.Logf("vectors: %-10s %4d packages (%d agree), %4d advisory records on them, %4d findings, %4d by the second computation, %4d agree",
			eco, len(packages), samePackages, len(list), len(ourRows), len(theirRows), same)
		if len(theirRows) == 0 {
			t.Errorf("%s: no finding at all: the image proves nothing", eco)
		}
	}
	d.check(t)
}

// second is the second opinion on one ecosystem, as rows of text.
func second(t *testing.T, have []owned, eco string, list []record, compare order) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for i := range have {
		p := &have[i]
		if p.eco != eco {
			continue
		}
		var found []*record
		for j := range list {
			if list[j].Withdrawn != "" {
				continue
			}
			in, err := holds(&list[j], p, compare)
			if err != nil {
				t.Errorf("%s on %s %s: %v", list[j].ID, p.name, p.version, err)
			}
			if in {
				found = append(found, &list[j])
			}
		}
		for _, names := range rows(found) {
			out[p.name+" "+p.version+": "+strings.Join(names, " ")] = true
		}
	}
	return out
}

func findingRows(r *esclusa.Report, typ string) map[string]bool {
	out := map[string]bool{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Package == nil || f.Package.Type != typ {
			continue
		}
		names := append([]string{f.ID}, f.Aliases...)
		slices.Sort(names)
		out[fmt.Sprintf("%s %s: %s", f.Package.Name, strings.TrimPrefix(f.Package.Version, "v"), strings.Join(slices.Compact(names), " "))] = true
	}
	return out
}
