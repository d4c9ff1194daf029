package advisory_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
)

func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func semver(events ...esclusa.RangeEvent) []esclusa.Range {
	return []esclusa.Range{{Type: "SEMVER", Events: events}}
}

var zero, fixed2 = esclusa.RangeEvent{Introduced: "0"}, esclusa.RangeEvent{Fixed: "2.0.0"}

// sample is one advisory with every field and some that share its names.
func sample() []esclusa.Advisory {
	return []esclusa.Advisory{
		{
			ID: "GHSA-full", Aliases: []string{"CVE-2024-1"}, Upstream: []string{"CVE-2024-2"}, Summary: "it — breaks",
			Published: date("2024-01-02"), Modified: date("2024-02-03"), Withdrawn: date("2024-03-04"),
			Severity: esclusa.SeverityHigh, CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
			Malicious: true, Informational: "unsound", URL: "https://example.org/full", Feed: "osv/npm",
			Affected: []esclusa.Affected{
				{
					Ecosystem: "npm", Name: "one",
					Ranges: []esclusa.Range{
						{Type: "SEMVER", Events: []esclusa.RangeEvent{zero, fixed2, {Introduced: "3.0.0-a"}, {LastAffected: "3.1.0"}, {Limit: "4.0.0"}}},
						{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{{Introduced: "9"}}},
					},
					Versions: []string{"1.0.0", "1.0.1", "1.0.10", "5.0.0"},
					Symbols:  []string{"a/b.C"}, Imports: []string{"a/b"},
					Severity: esclusa.SeverityLow, CVSS: []string{"CVSS:2"},
				},
				{Ecosystem: "npm", Name: "one", Ranges: semver(zero)},
				{Ecosystem: "npm", Name: "two", Versions: []string{"1.0.0"}},
			},
		},
		{ID: "A-1", Modified: date("2024-01-01"), Feed: "osv/npm", Affected: []esclusa.Affected{{Ecosystem: "npm", Name: "one", Versions: []string{"1.0.1", "1.0.2"}}}},
		{ID: "D-1", Modified: date("2024-01-01"), Feed: "osv/npm", Affected: []esclusa.Affected{
			{Ecosystem: "Debian:12", Name: "openssl", Ranges: semver(zero, fixed2)},
			{Ecosystem: "Debian:11", Name: "openssl", Ranges: semver(zero)},
		}},
		{ID: "P-1", Modified: date("2024-01-01"), Feed: "osv/npm", Affected: []esclusa.Affected{{Ecosystem: "PyPI", Name: "Zope.Interface", Ranges: semver(zero)}}},
		{ID: "N-1", Feed: "osv/npm"}, // about nothing: kept out
	}
}

func batchOf(t testing.TB, list ...esclusa.Advisory) *advisory.Batch {
	t.Helper()
	b := new(advisory.Batch)
	for i := range list {
		if err := b.Add(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func source(name string, ecosystems []string, b *advisory.Batch) advisory.Source {
	return advisory.Source{
		Feed: esclusa.Feed{Name: name, Records: b.Len(), Date: date("2024-02-03")}, Tag: "etag of " + name,
		Ecosystems: ecosystems, Batch: b,
	}
}

func build(t testing.TB, sources ...advisory.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := advisory.Build(&b, sources); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, file []byte) *advisory.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func sampleFile(t testing.TB) []byte {
	kev := new(advisory.Batch)
	if err := kev.AddKEV("CVE-2024-0001", esclusa.KEV{Added: date("2024-05-06"), Ransomware: true}); err != nil {
		t.Fatal(err)
	}
	epss := new(advisory.Batch)
	for cve, p := range map[string]float64{"CVE-2024-0001": 0.04919, "CVE-1999-0001": 0, "CVE-2024-1234567": 1} {
		if err := epss.AddEPSS(cve, p); err != nil {
			t.Fatal(err)
		}
	}
	return build(t, source("osv/npm", []string{"npm"}, batchOf(t, sample()...)), source("kev", nil, kev), source("epss", nil, epss))
}

func TestLookup(t *testing.T) {
	db := open(t, sampleFile(t))
	full, a1, d1, p1 := sample()[0], sample()[1], sample()[2], sample()[3]
	one, two := full, full
	one.Affected, two.Affected = full.Affected[:2], full.Affected[2:]
	tests := []struct {
		ecosystem, name string
		want            []esclusa.Advisory
	}{
		{"npm", "one", []esclusa.Advisory{a1, one}},
		{"npm", "two", []esclusa.Advisory{two}},
		{"npm", "One", nil},
		{"npm", "three", nil},
		{"Maven", "one", nil},
		{"", "", nil},
		{"Debian", "openssl", []esclusa.Advisory{d1}},
		{"Debian:12", "openssl", []esclusa.Advisory{d1}},
		{"PyPI", "zope-interface", []esclusa.Advisory{p1}},
		{"PyPI", "zope__.INTERFACE", []esclusa.Advisory{p1}},
	}
	for _, c := range tests {
		got, err := db.Lookup(c.ecosystem, c.name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.ecosystem, c.name, d)
		}
	}
	if !db.Has("npm") || db.Has("PyPI") || db.Has("Debian:12") {
		t.Error("Has: only npm has its own feed here")
	}
}

func TestScores(t *testing.T) {
	db := open(t, sampleFile(t))
	for cve, want := range map[string]float64{"CVE-2024-0001": 0.04919, "CVE-1999-0001": 0, "CVE-2024-1234567": 1} {
		if got, ok := db.EPSS(cve); !ok || got != want {
			t.Errorf("EPSS(%s) = %v, %v", cve, got, ok)
		}
	}
	for _, cve := range []string{"CVE-2024-0002", "CVE-2024-9999999", "CVE-2023-0001", "", "CVE-", "CVE-2024-1", "CVE-2024-00001", "GHSA-x"} {
		if got, ok := db.EPSS(cve); ok {
			t.Errorf("EPSS(%q) = %v", cve, got)
		}
		if got, ok := db.KEV(cve); ok {
			t.Errorf("KEV(%q) = %v", cve, got)
		}
	}
	if got, ok := db.KEV("CVE-2024-0001"); !ok || got != (esclusa.KEV{Added: date("2024-05-06"), Ransomware: true}) {
		t.Errorf("KEV = %+v, %v", got, ok)
	}
	b := new(advisory.Batch)
	for _, p := range []float64{-0.1, 1.1} {
		if err := b.AddEPSS("CVE-2024-0001", p); err == nil {
			t.Errorf("score %v taken", p)
		}
	}
}

func TestBuildIsStable(t *testing.T) {
	list := sample()
	want := sampleFile(t)
	slices.Reverse(list)
	kev, epss := new(advisory.Batch), new(advisory.Batch)
	kev.AddKEV("CVE-2024-0001", esclusa.KEV{Added: date("2024-05-06"), Ransomware: true})
	for _, cve := range []string{"CVE-2024-1234567", "CVE-1999-0001", "CVE-2024-0001"} {
		epss.AddEPSS(cve, map[string]float64{"CVE-2024-0001": 0.04919, "CVE-2024-1234567": 1}[cve])
	}
	got := build(t, source("epss", nil, epss), source("kev", nil, kev), source("osv/npm", []string{"npm"}, batchOf(t, list...)))
	if !bytes.Equal(want, got) {
		t.Error("another order of the same input gave other bytes")
	}
}

func TestEpoch(t *testing.T) {
	b := batchOf(t, sample()...)
	s := source("osv/npm", nil, b)
	first := open(t, build(t, s)).Epoch()
	s.Fetched, s.From, s.Tag = date("2025-01-01"), "elsewhere", "another"
	if got := open(t, build(t, s)).Epoch(); got != first {
		t.Error("the epoch depends on where and when the data was fetched")
	}
	list := sample()
	list[1].Summary = "changed"
	if got := open(t, build(t, source("osv/npm", nil, batchOf(t, list...)))).Epoch(); got == first {
		t.Error("the epoch does not depend on the data")
	}
}

func TestSourcesCarryOver(t *testing.T) {
	file := sampleFile(t)
	db := open(t, file)
	all, err := db.Sources(func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, build(t, all...)) {
		t.Error("a database built of its own sources differs")
	}
	some, err := db.Sources(func(feed string) bool { return feed == "kev" })
	if err != nil || len(some) != 1 || some[0].Name != "kev" || some[0].Tag != "etag of kev" {
		t.Errorf("%+v %v", some, err)
	}
}

// TestMerge: a record of several feeds is one; the newest text wins, and a
// fresh one against a carried over one of the same day.
func TestMerge(t *testing.T) {
	rec := func(modified, summary string) esclusa.Advisory {
		return esclusa.Advisory{
			ID: "X-1", Modified: date(modified), Summary: summary,
			Affected: []esclusa.Affected{{Ecosystem: "npm", Name: "x"}},
		}
	}
	db := open(t, build(t,
		source("osv/a", nil, batchOf(t, rec("2024-01-01", "old"))),
		source("osv/b", nil, batchOf(t, rec("2024-01-02", "new"))),
	))
	list, err := db.Lookup("npm", "x")
	if err != nil || len(list) != 1 || list[0].Summary != "new" || list[0].Feed != "osv/a" {
		t.Errorf("%+v %v", list, err)
	}
	// Feed b alone, carried over, still has the record; feed a has changed
	// the text within the day.
	carried, err := db.Sources(func(feed string) bool { return feed == "osv/b" })
	if err != nil {
		t.Fatal(err)
	}
	for _, summary := range []string{"aaa", "zzz"} {
		db = open(t, build(t, append(carried, source("osv/a", nil, batchOf(t, rec("2024-01-02", summary))))...))
		if list, err = db.Lookup("npm", "x"); err != nil || len(list) != 1 || list[0].Summary != summary {
			t.Errorf("%+v %v", list, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	ok := func() esclusa.Advisory {
		return esclusa.Advisory{ID: "X-1", Affected: []esclusa.Affected{{Ecosystem: "npm", Name: "x", Ranges: semver(zero)}}}
	}
	tests := map[string]func(a *esclusa.Advisory){
		"no id":               func(a *esclusa.Advisory) { a.ID = "" },
		"id of two words":     func(a *esclusa.Advisory) { a.ID = "X 1" },
		"long id":             func(a *esclusa.Advisory) { a.ID = strings.Repeat("x", 1000) },
		"new line in summary": func(a *esclusa.Advisory) { a.Summary = "a\nb" },
		"escape in alias":     func(a *esclusa.Advisory) { a.Aliases = []string{"\x1b[31m"} },
		"no name":             func(a *esclusa.Advisory) { a.Affected[0].Name = "" },
		"no ecosystem":        func(a *esclusa.Advisory) { a.Affected[0].Ecosystem = "" },
		"new line in version": func(a *esclusa.Advisory) { a.Affected[0].Versions = []string{"1\n2"} },
		"unknown range type":  func(a *esclusa.Advisory) { a.Affected[0].Ranges[0].Type = "GIT" },
		"two fields in an event": func(a *esclusa.Advisory) {
			a.Affected[0].Ranges[0].Events = []esclusa.RangeEvent{{Introduced: "1", Fixed: "2"}}
		},
		"not UTF-8": func(a *esclusa.Advisory) { a.Summary = "\xff" },
	}
	b := new(advisory.Batch)
	for name, spoil := range tests {
		a := ok()
		spoil(&a)
		if err := b.Add(&a); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if b.Len() != 0 {
		t.Errorf("%d records were kept", b.Len())
	}
	a := ok()
	if err := b.Add(&a); err != nil || b.Len() != 1 {
		t.Errorf("the good twin: %v", err)
	}
}

// TestDamage flips every bit of a small file: what is opened must answer
// right or say that it cannot.
func TestDamage(t *testing.T) {
	file := sampleFile(t)
	good := open(t, file)
	path := filepath.Join(t.TempDir(), "db")
	caught := 0
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := advisory.Open(path)
		if err != nil {
			caught++
			continue
		}
		for _, q := range [][2]string{{"npm", "one"}, {"npm", "two"}, {"npm", "none"}, {"Debian", "openssl"}, {"PyPI", "zope.interface"}} {
			want, _ := good.Lookup(q[0], q[1])
			got, err := db.Lookup(q[0], q[1])
			if err != nil {
				caught++
			} else if !cmp.Equal(want, got) {
				t.Errorf("byte %d: %v answers %v", i, q, got)
			}
		}
		if _, err := db.Sources(func(string) bool { return true }); err == nil {
			t.Errorf("byte %d: reading it all finds no damage", i)
		}
		db.Close()
	}
	if caught < len(file) {
		t.Errorf("%d of %d flipped bytes were seen", caught, len(file))
	}
	for n := 0; n < len(file); n += 7 {
		if err := os.WriteFile(path, file[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := advisory.Open(path); err == nil {
			t.Errorf("opened %d of %d bytes", n, len(file))
		}
	}
	if err := os.WriteFile(path, append(bytes.Clone(file), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := advisory.Open(path); err == nil {
		t.Error("opened with a byte too many")
	}
}

func TestOtherFormat(t *testing.T) {
	file := sampleFile(t)
	file[8]++ // the format's number
	path := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := advisory.Open(path); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("error %v", err)
	}
}

func TestClosed(t *testing.T) {
	db := open(t, sampleFile(t))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if list, err := db.Lookup("npm", "one"); len(list) > 0 || err != nil {
		t.Errorf("%v %v", list, err)
	}
	if _, ok := db.EPSS("CVE-2024-0001"); ok {
		t.Error("a score after Close")
	}
	if _, ok := db.KEV("CVE-2024-0001"); ok {
		t.Error("an entry after Close")
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestNormalName(t *testing.T) {
	for _, c := range [][3]string{
		{"PyPI", "Foo._-Bar", "foo-bar"},
		{"PyPI", "_x_", "-x-"},
		{"PyPI", "a-b", "a-b"},
		{"PyPI", "a--b", "a-b"},
		{"NuGet", "Newtonsoft.Json", "newtonsoft.json"},
		{"Packagist", "Symfony/HTTP", "symfony/http"},
		{"crates.io", "Serde_Json", "serde-json"},
		{"npm", "JSONStream", "JSONStream"},
		{"Go", "github.com/A/b", "github.com/A/b"},
		{"Maven", "A:B", "A:B"},
		{"RubyGems", "RedCloth", "RedCloth"},
		{"Debian:12", "libX", "libX"},
	} {
		if got := advisory.NormalName(c[0], c[1]); got != c[2] {
			t.Errorf("NormalName(%s, %s) = %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

func TestStateReplace(t *testing.T) {
	state := advisory.State{Dir: filepath.Join(t.TempDir(), "not", "there", "yet")}
	if _, err := state.Open(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	file := sampleFile(t)
	put := func(b []byte) error {
		return state.Replace(func(w io.Writer) error { _, err := w.Write(b); return err })
	}
	if err := put(file); err != nil {
		t.Fatal(err)
	}
	reader, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for name, bad := range map[string][]byte{"cut": file[:100], "empty": nil, "foreign": []byte("SQLite format 3")} {
		if err := put(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := state.Replace(func(io.Writer) error { return errors.New("no disk") }); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("error %v", err)
	}
	now, err := os.ReadFile(state.Path())
	if err != nil || !bytes.Equal(now, file) {
		t.Errorf("the old database is not in use any more: %v", err)
	}
	list := sample()[:1]
	if err := put(build(t, source("osv/npm", nil, batchOf(t, list...)))); err != nil {
		t.Fatal(err)
	}
	// Who had it open goes on reading the old one.
	if got, err := reader.Lookup("Debian", "openssl"); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
	if left := leftovers(t, state.Dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestStateKilled ends a child by SIGKILL in the middle of writing.
func TestStateKilled(t *testing.T) {
	const env = "ADVISORY_TEST_DIR"
	if dir := os.Getenv(env); dir != "" {
		advisory.State{Dir: dir}.Replace(func(w io.Writer) error {
			io.WriteString(w, "half of a data")
			fmt.Println("halfway")
			time.Sleep(time.Hour)
			return nil
		})
		t.Fatal("the child was not killed")
	}
	state := advisory.State{Dir: t.TempDir()}
	file := sampleFile(t)
	put := func() error {
		return state.Replace(func(w io.Writer) error { _, err := w.Write(file); return err })
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStateKilled$")
	child.Env = append(os.Environ(), env+"="+state.Dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("halfway"))); err != nil {
		t.Fatal(err)
	}
	// Another writer is not held up by the one that stands still, and does
	// not take its file away.
	if err := put(); err != nil {
		t.Fatal(err)
	}
	left := leftovers(t, state.Dir)
	if len(left) != 1 {
		t.Fatalf("temporary files %v", left)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(state.Dir, left[0]), old, old); err != nil {
		t.Fatal(err)
	}
	if err := put(); err != nil || len(leftovers(t, state.Dir)) != 1 {
		t.Errorf("the file of a living writer was removed (%v)", err)
	}
	child.Process.Kill()
	child.Wait()
	if st := child.ProcessState.Sys().(syscall.WaitStatus); st.Signal() != syscall.SIGKILL {
		t.Fatalf("child ended with %v", st)
	}
	db, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, state.Dir); len(left) > 0 {
		t.Errorf("a killed writer's file is still there: %v", left)
	}
}

// FuzzOpen mutates a file and mends its checksums, so that what is behind
// them is reached: nothing may panic, and counts must not be believed.
func FuzzOpen(f *testing.F) {
	file := sampleFile(f)
	f.Add(file, false)
	f.Add(file, true)
	f.Fuzz(func(t *testing.T, file []byte, mend bool) {
		if mend {
			file = mended(bytes.Clone(file))
		}
		path := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(path, file, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := advisory.Open(path)
		if err != nil {
			return
		}
		defer db.Close()
		for _, q := range [][2]string{{"npm", "one"}, {"npm", "two"}, {"Debian", "openssl"}, {"PyPI", "zope.interface"}, {"x", "y"}} {
			list, err := db.Lookup(q[0], q[1])
			for _, a := range list {
				if err == nil && len(a.Affected) == 0 {
					t.Errorf("advisory without packages: %+v", a)
				}
			}
		}
		db.KEV("CVE-2024-0001")
		db.EPSS("CVE-2024-0001")
		db.Feeds()
		if sources, err := db.Sources(func(string) bool { return true }); err == nil {
			if err := advisory.Build(io.Discard, sources); err != nil && !strings.Contains(err.Error(), "twice") {
				t.Error(err)
			}
		}
	})
}

// mended makes header and index consistent again.
func mended(b []byte) []byte {
	const headerSize = 96
	if len(b) < headerSize {
		return b
	}
	le := binary.LittleEndian
	le.PutUint64(b[16:], uint64(len(b)))
	at := le.Uint64(b[24:])
	if at < headerSize || at > uint64(len(b)) {
		at = headerSize
		le.PutUint64(b[24:], at)
	}
	le.PutUint64(b[32:], uint64(len(b))-at)
	le.PutUint64(b[40:], xxhash.Sum64(b[at:]))
	le.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
