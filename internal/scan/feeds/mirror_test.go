package feeds_test

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/scan/feeds/osv"
	"github.com/esclusa/esclusa/internal/truth"
)

// plainRecord is a record as encoding/json reads it: the independent reading
// that the database is held to.
type plainRecord struct {
	ID        string    `json:"id"`
	Aliases   []string  `json:"aliases"`
	Upstream  []string  `json:"upstream"`
	Modified  time.Time `json:"modified"`
	Published time.Time `json:"published"`
	Withdrawn time.Time `json:"withdrawn"`
	Severity  []struct{ Type, Score string }
	Affected  []struct {
		Package struct{ Ecosystem, Name string }
		Ranges  []struct {
			Type   string
			Events []map[string]string
		}
		Versions          []string
		Severity          []struct{ Type, Score string }
		EcosystemSpecific struct {
			Imports []struct {
				Path    string
				Symbols []string
			}
		} `json:"ecosystem_specific"`
		DatabaseSpecific struct {
			Patched string `json:"first_patched_version"`
		} `json:"database_specific"`
	}
}

// plainMirror reads every zip of the mirror: records by id, ids by ecosystem.
func plainMirror(t *testing.T, dir string) (records map[string]plainRecord, ids map[string][]string) {
	t.Helper()
	records, ids = make(map[string]plainRecord), make(map[string][]string)
	zips, err := filepath.Glob(filepath.Join(dir, "osv", "*", "all.zip"))
	if err != nil || len(zips) == 0 {
		t.Fatalf("no zips in %s: %v", dir, err)
	}
	for _, path := range zips {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		eco := filepath.Base(filepath.Dir(path))
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			var rec plainRecord
			if err := json.Unmarshal(text, &rec); err != nil {
				t.Fatalf("%s in %s: %v", f.Name, path, err)
			}
			records[rec.ID] = rec
			ids[eco] = append(ids[eco], rec.ID)
		}
		z.Close()
	}
	return records, ids
}

func compileMirror(t testing.TB) (feeds.Result, *advisory.DB) {
	t.Helper()
	state := advisory.State{Dir: t.TempDir()}
	res, err := feeds.Update(t.Context(), feeds.Options{From: truth.Mirror(t), Feeds: all.Feeds(), Into: state})
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return res, db
}

func TestMirrorCounts(t *testing.T) {
	res, db := compileMirror(t)
	_, ids := plainMirror(t, truth.Mirror(t))
	if len(res.Gaps) > 0 || len(res.Failed) > 0 {
		t.Errorf("gaps %v, failed %v", res.Gaps, res.Failed)
	}
	got, want := make(map[string]int), make(map[string]int)
	for _, f := range db.Feeds() {
		if eco, ok := strings.CutPrefix(f.Name, "osv/"); ok {
			got[eco] = f.Records
		}
		if f.Date.IsZero() || f.Date.After(time.Now()) || f.Digest == "" {
			t.Errorf("feed %+v", f)
		}
	}
	for eco, list := range ids {
		want[eco] = len(list)
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("records by ecosystem (-want +got):\n%s", d)
	}
	for _, eco := range osv.Ecosystems {
		if db.Has(eco) != (want[eco] > 0) {
			t.Errorf("Has(%q) = %v", eco, db.Has(eco))
		}
	}
}

// TestMirrorLookups asks for every package name of the mirror and compares
// the whole answer with the plain reading.
func TestMirrorLookups(t *testing.T) {
	_, db := compileMirror(t)
	records, _ := plainMirror(t, truth.Mirror(t))
	want := plainAnswers(records)
	bad := 0
	for _, key := range slices.SortedFunc(maps.Keys(want), func(a, b nameKey) int {
		return cmp.Or(strings.Compare(a.base, b.base), strings.Compare(a.name, b.name))
	}) {
		list, err := db.Lookup(key.base, key.name)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]esclusa.Advisory, 0, len(list))
		for _, a := range list {
			a.Severity, a.Summary, a.URL, a.Feed, a.Informational, a.Malicious = 0, "", "", "", "", false
			if isErratum(a.ID) {
				a.Upstream = nil // from "related", see TestErrata
			}
			for i := range a.Affected {
				a.Affected[i].Severity = 0
				a.Affected[i].Versions = sorted(a.Affected[i].Versions)
			}
			got = append(got, a)
		}
		if !reflect.DeepEqual(want[key], got) { // a hundred times as fast as Diff
			d := gocmp.Diff(want[key], got)
			t.Errorf("%v (-want +got):\n%s", key, d)
			if bad++; bad > 5 {
				t.Fatal("and more")
			}
		}
	}
	t.Logf("%d names compared", len(want))
}

type nameKey struct{ base, name string }

var pep503 = regexp.MustCompile(`[-_.]+`)

func plainName(base, name string) string {
	switch base {
	case "PyPI":
		return strings.ToLower(pep503.ReplaceAllString(name, "-"))
	case "NuGet", "Packagist", "Bitnami":
		return strings.ToLower(name)
	case "crates.io":
		return strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	return name
}

// notAFix are the patched versions that the records name and that are not
// above the last affected version of their own range.
var notAFix = map[string]string{
	"0.0.13":     "grunt-radical", // of 0.0.14
	"0.23.6-1":   "nw",            // a number is below a word: 0.23.6-sdk is affected
	"2026.03.28": "openclaw",      // no version: leading zero
}

func plainAnswers(records map[string]plainRecord) map[nameKey][]esclusa.Advisory {
	answers := make(map[nameKey][]esclusa.Advisory)
	for _, id := range slices.Sorted(maps.Keys(records)) {
		r := records[id]
		for _, f := range r.Affected {
			base, _, _ := strings.Cut(f.Package.Ecosystem, ":")
			key := nameKey{base, plainName(base, f.Package.Name)}
			list := answers[key]
			if len(list) == 0 || list[len(list)-1].ID != id {
				list = append(list, esclusa.Advisory{
					ID: id, Aliases: nonEmpty(r.Aliases), Upstream: nonEmpty(r.Upstream),
					Published: plainDay(r.Published), Modified: plainDay(r.Modified), Withdrawn: plainDay(r.Withdrawn),
					CVSS: plainVectors(r.Severity),
				})
			}
			a := esclusa.Affected{
				Ecosystem: f.Package.Ecosystem, Name: f.Package.Name,
				Versions: sorted(f.Versions), CVSS: plainVectors(f.Severity),
			}
			for _, r := range f.Ranges {
				if r.Type == "GIT" {
					continue
				}
				g := esclusa.Range{Type: r.Type}
				for _, e := range r.Events {
					g.Events = append(g.Events, esclusa.RangeEvent{
						Introduced: e["introduced"], Fixed: e["fixed"], LastAffected: e["last_affected"], Limit: e["limit"],
					})
				}
				// The fix of a record that ends "<= x" follows as an event.
				if n := len(g.Events); n > 0 && g.Events[n-1].LastAffected != "" &&
					f.DatabaseSpecific.Patched != "" && notAFix[f.DatabaseSpecific.Patched] != f.Package.Name {
					g.Events = append(g.Events, esclusa.RangeEvent{Fixed: f.DatabaseSpecific.Patched})
				}
				a.Ranges = append(a.Ranges, g)
			}
			for _, im := range f.EcosystemSpecific.Imports {
				a.Imports = append(a.Imports, im.Path)
				for _, s := range im.Symbols {
					a.Symbols = append(a.Symbols, im.Path+"."+s)
				}
			}
			last := &list[len(list)-1]
			last.Affected = append(last.Affected, a)
			answers[key] = list
		}
	}
	return answers
}

// sorted is a sorted copy without doubles: order means nothing in versions.
func sorted(list []string) []string {
	return nonEmpty(slices.Compact(slices.Sorted(slices.Values(list))))
}

func nonEmpty(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

func plainDay(t time.Time) time.Time {
	if t.Year() < 1970 {
		return time.Time{}
	}
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// plainVectors are the vectors, newest standard first.
func plainVectors(list []struct{ Type, Score string }) []string {
	var out []string
	for _, kind := range []string{"CVSS_V4", "CVSS_V3", "CVSS_V2"} {
		best := ""
		for _, s := range list {
			if s.Type == kind {
				best = max(best, s.Score)
			}
		}
		if best != "" {
			out = append(out, best)
		}
	}
	return out
}

func isErratum(id string) bool {
	return strings.HasPrefix(id, "AL") && len(id) > 4 && id[4] == '-'
}
