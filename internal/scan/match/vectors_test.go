package match_test

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/scan/purl"
	"github.com/esclusa/esclusa/internal/truth"
)

var built struct {
	sync.Once
	dir   string
	err   error
	names map[string]map[string]bool // see recorded
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// database is the whole mirror, compiled once for all tests.
func database(t testing.TB) *advisory.DB {
	t.Helper()
	mirror := truth.Mirror(t)
	built.Do(func() {
		built.names = map[string]map[string]bool{}
		built.dir, built.err = os.MkdirTemp("", "match-test-")
		if built.err == nil {
			_, built.err = feeds.Update(context.Background(), feeds.Options{From: mirror, Feeds: all.Feeds(), Into: advisory.State{Dir: built.dir}})
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	db, err := advisory.State{Dir: built.dir}.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// score counts answers of one truth set.
type score struct {
	name           string
	cases          int
	tp, fp, fn     int
	wrong          []string // "fp case" and "fn case"
	recall, precis float64
}

func (s *score) count(name string, want, got bool) {
	s.cases++
	switch {
	case want && got:
		s.tp++
	case want:
		s.fn++
		s.wrong = append(s.wrong, "fn "+name)
	case got:
		s.fp++
		s.wrong = append(s.wrong, "fp "+name)
	}
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 1
	}
	return float64(a) / float64(b)
}

// line prints the line of the table.
func (s *score) line(t *testing.T) {
	t.Helper()
	s.recall, s.precis = ratio(s.tp, s.tp+s.fn), ratio(s.tp, s.tp+s.fp)
	t.Logf("vectors: %-24s %6d cases %6d tp %4d fp %4d fn  recall %.4f  precision %.4f", s.name, s.cases, s.tp, s.fp, s.fn, s.recall, s.precis)
}

// left prints how many cases are not decided, and why.
func (s *score) left(t *testing.T, undecided map[string]int) {
	t.Helper()
	for _, why := range slices.SortedFunc(maps.Keys(undecided), func(a, b string) int { return cmp.Or(cmp.Compare(undecided[b], undecided[a]), cmp.Compare(a, b)) }) {
		t.Logf("vectors:   %-22s %6d not decided: %s", s.name, undecided[why], why)
	}
}

// report prints the line of the table and compares the differences with
// testdata/differences.txt, where each stands by name with its reason.
func (s *score) report(t *testing.T) {
	t.Helper()
	s.line(t)
	b, err := os.ReadFile("testdata/differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	known, reasons := map[string]string{}, map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if line[0] == '#' || f[0] != s.name {
			continue
		}
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("testdata/differences.txt: want set, case, reason: %q", line)
		}
		known[f[1]] = f[2]
	}
	for _, w := range s.wrong {
		why := known[w]
		if why == "" {
			t.Errorf("%s\t%s", s.name, w)
		}
		t.Logf("%s: %s: %s", s.name, w, why)
		why, _, _ = strings.Cut(why, " (") // what differs from case to case
		reasons[w[:2]+": "+why]++
	}
	for _, why := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int { return cmp.Or(cmp.Compare(reasons[b], reasons[a]), cmp.Compare(a, b)) }) {
		t.Logf("vectors:   %-22s %6d %s", s.name, reasons[why], why)
	}
	for w := range known {
		if slices.Contains(s.wrong, w) {
			continue
		}
		t.Errorf("%s: %q is right now: remove it from testdata/differences.txt", s.name, w)
	}
}

func rowsOf(t *testing.T, name ...string) [][]string {
	t.Helper()
	f, err := os.Open(truth.Vectors(t, name...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatal(name, len(rows), err)
	}
	return rows[1:]
}

// packageOf makes the package that an OSV ecosystem and name stand for.
func packageOf(ecosystem, name, version string) (esclusa.Package, bool) {
	base, release, _ := strings.Cut(ecosystem, ":")
	p := esclusa.Package{Name: name, Version: version}
	switch base {
	case "Debian":
		p.Type, p.Distro = "deb", "debian:"+release
	case "AlmaLinux":
		p.Type, p.Distro = "rpm", "almalinux:"+release
	default:
		types := map[string]string{
			"npm": "npm", "PyPI": "pypi", "Go": "golang", "crates.io": "cargo", "RubyGems": "gem", "Maven": "maven", "NuGet": "nuget",
			"Packagist": "composer", "Bitnami": "bitnami",
		}
		p.Type = types[base]
	}
	return p, p.Type != ""
}

// recorded are the names of the flaws that the database has on a package,
// withdrawn ones apart, and whether each is about the given release.
func recorded(t *testing.T, db *advisory.DB, ecosystem, name string) map[string]bool {
	t.Helper()
	if out, ok := built.names[ecosystem+"/"+name]; ok {
		return out
	}
	list, err := db.Lookup(ecosystem, name)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	built.names[ecosystem+"/"+name] = out
	for _, a := range list {
		if !a.Withdrawn.IsZero() {
			continue
		}
		if strings.Contains(ecosystem, ":") && !slices.ContainsFunc(a.Affected, func(f esclusa.Affected) bool { return f.Ecosystem == ecosystem }) {
			continue
		}
		for _, id := range slices.Concat([]string{a.ID}, a.Aliases, a.Upstream) {
			out[id] = true
		}
	}
	return out
}

func namesOf(f *esclusa.Finding) []string {
	return append([]string{f.ID, f.Advisory}, f.Aliases...)
}

func found(out match.Output, id string) bool {
	return slices.ContainsFunc(out.Findings, func(f esclusa.Finding) bool { return slices.Contains(namesOf(&f), id) })
}

// TestOSVAnswersVectors: what api.osv.dev answered, as far as the database
// has the record on that package.
func TestOSVAnswersVectors(t *testing.T) {
	db := database(t)
	s := score{name: "osv-answers"}
	undecided := map[string]int{}
	for _, r := range rowsOf(t, "osv-answers", "answers.csv") {
		ecosystem, name, version, ids := r[0], r[1], r[2], strings.Fields(r[3])
		p, ok := packageOf(ecosystem, name, version)
		if base, _, _ := strings.Cut(ecosystem, ":"); !ok || !db.Has(base) {
			undecided["the mirror has no feed osv/"+base]++
			continue
		}
		out := match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: db})
		known := recorded(t, db, ecosystem, name)
		for _, id := range ids {
			if !known[id] {
				undecided["the mirror has no such record on that package"]++
			} else {
				s.count(fmt.Sprintf("%s %s %s %s", ecosystem, name, version, id), true, found(out, id))
			}
		}
		for i := range out.Findings {
			names := namesOf(&out.Findings[i])
			if !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(ids, n) }) {
				s.count(fmt.Sprintf("%s %s %s %s", ecosystem, name, version, out.Findings[i].ID), false, true)
			}
		}
		if len(ids) == 0 && len(out.Findings) == 0 {
			s.count(fmt.Sprintf("%s %s %s", ecosystem, name, version), false, false)
		}
	}
	s.report(t)
	s.left(t, undecided)
	if s.tp < 100 || s.recall < 0.9 {
		t.Errorf("recall %.3f of %d", s.recall, s.cases)
	}
}

// TestJavaKBVectors: SAP's analysis of the code of each artefact.
func TestJavaKBVectors(t *testing.T) {
	db := database(t)
	s := score{name: "java-kb"}
	for _, r := range rowsOf(t, "java-kb", "artifacts.csv") {
		id, p := r[0], esclusa.Package{}
		p, err := purl.Package(r[1])
		if err != nil {
			t.Errorf("%s: %v", r[1], err)
			continue
		}
		if !recorded(t, db, "Maven", p.Name)[id] {
			continue
		}
		out := match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: db})
		s.count(id+" "+r[1], r[2] == "affected", found(out, id))
	}
	s.report(t)
	if s.tp < 5000 || s.recall < 0.99 {
		t.Errorf("recall %.3f of %d", s.recall, s.cases)
	}
}

// TestDebianChangelogVectors: a CVE whose fix is in the changelog of the
// installed version must not be reported.
func TestDebianChangelogVectors(t *testing.T) {
	db := database(t)
	s := score{name: "debian-changelog-fixes"}
	outputs := map[string]match.Output{}
	decidable := 0
	for _, r := range rowsOf(t, "debian-changelog-fixes", "fixed.csv") {
		source, version, id := r[0], r[1], r[2]
		out, ok := outputs[source+version]
		if !ok {
			p := esclusa.Package{Type: "deb", Name: source, Version: version, Distro: "debian:12"}
			out = match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: db})
			outputs[source+version] = out
		}
		if recorded(t, db, "Debian:12", source)[id] {
			decidable++
		}
		s.count(source+" "+version+" "+id, false, found(out, id))
	}
	s.report(t)
	t.Logf("vectors: %-24s %6d of them are in the database for that release", s.name, decidable)
	if s.fp > 0 || decidable < 100 {
		t.Errorf("%d false reports, %d decidable", s.fp, decidable)
	}
}
