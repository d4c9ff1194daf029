package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

const place = "var/lib/rpm/rpmdb.sqlite"

func pkg(name, version string) esclusa.Package {
	return esclusa.Package{Type: "rpm", Name: name, Version: version, Reader: "rpm", Place: esclusa.Place{Path: place}}
}

// whats are the gaps in short.
func whats(gaps []esclusa.Gap) []string {
	var all []string
	for _, g := range gaps {
		all = append(all, fmt.Sprintf("%s: %s", g.What, g.Err))
	}
	return all
}

// made is every form of database, with the given packages in it.
func made(blobs [][]byte) map[string][]byte {
	return map[string][]byte{
		"sqlite":         makeSQLite(blobs),
		"ndb":            makeNDB(blobs),
		"bdb":            makeBDB(binary.LittleEndian, blobs),
		"bdb big-endian": makeBDB(binary.BigEndian, blobs),
	}
}

func TestForms(t *testing.T) {
	big := makeHeader(text(tagName, "big"), text(tagVersion, strings.Repeat("1", 200)), text(tagRelease, "2"), text(1005, strings.Repeat("x", 5000)))
	broken := makeHeader(text(tagName, "broken"))
	bash, node := pkg("bash", "5.1.8-6.el9"), pkg("node", "1:18-1")
	bash.Arch, bash.Licenses, bash.Source = "x86_64", []string{"GPLv3+"}, esclusa.SourcePackage{Name: "bash", Version: "5.1.8-6.el9"}
	node.Modular = "nodejs:18"
	want := layer.Result{
		Packages: []esclusa.Package{bash, node, pkg("big", strings.Repeat("1", 200)+"-2")},
		Gaps:     []esclusa.Gap{{Scope: esclusa.GapItem, Place: esclusa.Place{Path: place}, What: "rpm package broken", Err: "its header has no usable version"}},
		Owned:    []string{"usr/bin/node", "usr/share/README"},
	}
	blobs := append(samples(), broken, big)
	for form, data := range made(blobs) {
		t.Run(form, func(t *testing.T) {
			got, err := layertest.Read(t, Reader{}, place, 0o644, data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCut takes bytes off the end: whatever is left is read, and what is not
// there is said.
func TestCut(t *testing.T) {
	for form, data := range made(samples()) {
		t.Run(form, func(t *testing.T) {
			whole, err := layertest.Read(t, Reader{}, place, 0o644, data)
			if err != nil {
				t.Fatal(err)
			}
			for n := range data {
				got, err := layertest.Read(t, Reader{}, place, 0o644, data[:n])
				if err == nil && len(got.Gaps) == 0 && len(got.Packages) < len(whole.Packages) {
					t.Fatalf("the first %d of %d bytes: %d packages and no word of the others", n, len(data), len(got.Packages))
				}
			}
		})
	}
}

func TestHeader(t *testing.T) {
	base := func(more ...field) []byte {
		return makeHeader(append([]field{text(tagName, "a"), text(tagVersion, "1"), text(tagRelease, "2")}, more...)...)
	}
	with := func(p esclusa.Package, change func(*esclusa.Package)) []esclusa.Package {
		change(&p)
		return []esclusa.Package{p}
	}
	a := pkg("a", "1-2")
	tests := []struct {
		name  string
		blob  []byte
		want  []esclusa.Package
		owned []string
		gaps  []string
	}{
		{name: "epoch 0", blob: base(numbers(tagEpoch, 0)), want: []esclusa.Package{a}},
		{name: "a key", blob: makeHeader(text(tagName, "gpg-pubkey"), text(tagVersion, "1"), text(tagRelease, "2"))},
		{
			name: "nosrc", blob: base(text(tagSourceRPM, "a-b-1.0-2.nosrc.rpm")),
			want: with(a, func(p *esclusa.Package) { p.Source = esclusa.SourcePackage{Name: "a-b", Version: "1.0-2"} }),
		},
		{
			name: "a source that is none", blob: base(text(tagSourceRPM, "none")), want: []esclusa.Package{a},
			gaps: []string{"source of a: its header names no usable source package"},
		},
		{
			name: "a module without a stream", blob: base(text(tagModularity, "none")), want: []esclusa.Package{a},
			gaps: []string{"module of a: its header has no usable module stream"},
		},
		{
			name: "whole paths, as rpm 3 had them", blob: base(list(tagOldFilenames, "/bin/a", "/etc/b")), want: []esclusa.Package{a},
			owned: []string{"bin/a", "usr/bin/a", "etc/b"},
		},
		{
			name: "folders are left out",
			blob: base(list(tagBasenames, "d", "f"), list(tagDirnames, "/"), numbers(tagDirIndexes, 0, 0),
				field{tagFileModes, typeInt16, 2, "\x41\xed\x81\xa4"}),
			want: []esclusa.Package{a}, owned: []string{"f"},
		},
		{
			name: "a file in no folder", blob: base(list(tagBasenames, "f"), list(tagDirnames, "/"), numbers(tagDirIndexes, 1)),
			want: []esclusa.Package{a}, gaps: []string{"paths of a: a file has no folder"},
		},
		{
			name: "fewer folders than files", blob: base(list(tagBasenames, "f", "g"), list(tagDirnames, "/"), numbers(tagDirIndexes, 0)),
			want: []esclusa.Package{a}, owned: []string{"f"}, gaps: []string{"paths of a: a file has no folder"},
		},
		{name: "no name", blob: makeHeader(text(tagVersion, "1")), gaps: []string{"rpm package: its header has no usable name"}},
		{name: "no release", blob: makeHeader(text(tagName, "a"), text(tagVersion, "1")), gaps: []string{"rpm package a: its header has no usable version"}},
		{
			name: "an epoch of another type", blob: base(text(tagEpoch, "1")),
			gaps: []string{"rpm package a: its epoch: a value of its header is broken"},
		},
		{name: "cut", blob: base()[:40], gaps: []string{"rpm package: its header is cut"}},
		{name: "a count that overflows", blob: []byte("\xff\xff\xff\xff\xff\xff\xff\xff"), gaps: []string{"rpm package: its header is cut"}},
		{
			name: "a text without an end", blob: base(field{tagLicense, typeString, 1, "MIT"}, field{tagArch, typeString, 1, "x"}),
			want: []esclusa.Package{a},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := layertest.Read(t, Reader{}, place, 0o644, makeNDB([][]byte{tt.blob}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, res.Packages, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.owned, res.Owned); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.gaps, whats(res.Gaps)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAttacks are databases that cost a naive reader all memory or time.
func TestAttacks(t *testing.T) {
	attacks := map[string]struct {
		data func() []byte
		err  string
	}{
		"an sqlite tree with a cycle": {func() []byte {
			db := makeSQLite(samples())
			binary.BigEndian.PutUint32(db[512+8:], 2) // the last child of page 2 is page 2
			return db
		}, "page 2 is used twice"},
		"an sqlite page whose cells are all the same": {func() []byte {
			db := makeSQLite(samples()[:1])
			leaf := db[2*512 : 3*512]
			cell := leaf[8:10]
			binary.BigEndian.PutUint16(leaf[3:], 100)
			for i := range 100 {
				copy(leaf[8+2*i:], cell)
			}
			return db
		}, "rows share their bytes"},
		"ndb slots of one blob": {func() []byte {
			db := makeNDB(samples())
			for at := 48; at < 4096; at += 16 {
				copy(db[at:], db[32:48])
			}
			return db
		}, "slots share their blobs"},
		"ndb slots without end": {func() []byte {
			db := makeNDB(samples())
			binary.LittleEndian.PutUint32(db[12:], 1<<31)
			return db
		}, "a page of slots is broken"},
		"a bdb page of 4 GiB": {func() []byte {
			db := makeBDB(binary.LittleEndian, samples())
			binary.LittleEndian.PutUint32(db[20:], 1<<31)
			return db
		}, "page size 2147483648"},
		"no database":       {func() []byte { return []byte("hello") }, "no database of a known form"},
		"an empty database": {func() []byte { return nil }, "no database of a known form"},
	}
	for name, a := range attacks {
		t.Run(name, func(t *testing.T) {
			_, err := layertest.Read(t, Reader{}, place, 0o644, a.data())
			if err == nil || err.Error() != a.err {
				t.Errorf("error %v, want %q", err, a.err)
			}
		})
	}
}

func TestManifest(t *testing.T) {
	data := "mariner-release\t2.0-12.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t580\tnoarch\t0\tmariner-release-2.0-12.cm2.src.rpm\n" +
		"shadow\t4.9-8.cm2\t1\t2\tMicrosoft Corporation\t2\t3\tx86_64\t2\tshadow-utils-4.9-8.cm2.src.rpm\r\n" +
		"gpg-pubkey\t1-2\t1\t2\t(none)\t(none)\t0\t(none)\t0\t(none)\n" +
		"broken\t1\n"
	want := []esclusa.Package{
		{Name: "mariner-release", Version: "2.0-12.cm2", Arch: "noarch", Source: esclusa.SourcePackage{Name: "mariner-release", Version: "2.0-12.cm2"}},
		{Name: "shadow", Version: "2:4.9-8.cm2", Arch: "x86_64", Source: esclusa.SourcePackage{Name: "shadow-utils", Version: "4.9-8.cm2"}},
	}
	for i := range want {
		want[i].Type, want[i].Reader, want[i].Path = "rpm", "rpm", manifestFile
	}
	res, err := layertest.Read(t, Reader{}, manifestFile, 0o644, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, res.Packages); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"rpm package: its line in the manifest has another form"}, whats(res.Gaps)); diff != "" {
		t.Error(diff)
	}
	if _, err := layertest.Read(t, Reader{}, manifestFile, 0o644, nil); err == nil {
		t.Error("an empty manifest is no error")
	}
}

// TestWriteAheadLog has SQLite leave a log behind.
func TestWriteAheadLog(t *testing.T) {
	const path = "var/lib/rpm/rpmdb.sqlite-wal"
	read := func(t *testing.T, data []byte) []string {
		res, err := layertest.Read(t, Reader{}, path, 0o644, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range res.Gaps {
			if g.Scope != esclusa.GapSystem {
				t.Errorf("scope %s", g.Scope)
			}
		}
		return whats(res.Gaps)
	}
	gap := []string{"rpm database: its write-ahead log holds changes that may not be in the database"}
	if diff := cmp.Diff([]string(nil), read(t, nil)); diff != "" {
		t.Error("empty: " + diff)
	}
	if diff := cmp.Diff(gap, read(t, []byte("not a log"))); diff != "" {
		t.Error("unknown: " + diff)
	}
	tools(t, "sqlite3")
	db := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	// A copy of the log while the connection is open is what a build leaves
	// that was cut off.
	script := "PRAGMA journal_mode=WAL; CREATE TABLE Packages(hnum INTEGER PRIMARY KEY, blob BLOB); INSERT INTO Packages VALUES(1, x'00');\n" +
		".shell cp " + db + "-wal " + db + "-left\n"
	run(t, script, "sqlite3", db)
	left, err := os.ReadFile(db + "-left")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gap, read(t, left)); diff != "" {
		t.Error("left behind: " + diff)
	}
	if diff := cmp.Diff([]string(nil), read(t, left[:32])); diff != "" {
		t.Error("only its header: " + diff)
	}
	old := append([]byte(nil), left...)
	old[16]++ // the log was started anew since its frames were written
	if diff := cmp.Diff([]string(nil), read(t, old)); diff != "" {
		t.Error("reset: " + diff)
	}
}

// TestSums: which files vouch for their content.
func TestSums(t *testing.T) {
	sum := strings.Repeat("5e", 32)
	files := []field{
		list(tagBasenames, "a", "conf", "ghost", "link", "volatile", "b"), list(tagDirnames, "/usr/bin/", "/etc/"), numbers(tagDirIndexes, 0, 1, 0, 0, 0, 0),
		list(tagFileDigests, sum+"0a", sum+"0b", sum+"0c", "", sum+"0e", sum+"0f"),
		numbers(tagFileFlags, 0, flagConfig, flagGhost, 0, 0, 0), numbers(tagFileVerify, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xfffffffe, 0xffffffff),
	}
	for _, c := range []struct {
		name string
		blob []byte
		want []string
	}{
		{"all kinds of files", makeHeader(append(files, text(tagName, "p"))...), []string{"p usr/bin/a 0a", "p usr/bin/b 0f"}},
		{"no name", makeHeader(files...), nil},
		{"no flags", makeHeader(text(tagName, "p"), files[0], files[1], files[2], files[3]), []string{"p usr/bin/a 0a", "p etc/conf 0b", "p usr/bin/ghost 0c", "p usr/bin/volatile 0e", "p usr/bin/b 0f"}},
		{"fewer sums than files", makeHeader(text(tagName, "p"), files[0], files[1], files[2], list(tagFileDigests, sum+"0a")), []string{"p usr/bin/a 0a"}},
		{"sums of another type", makeHeader(text(tagName, "p"), files[0], files[1], files[2], numbers(tagFileDigests, 1)), nil},
		{"no header", []byte("x"), nil},
	} {
		for form, data := range made([][]byte{c.blob}) {
			var got []string
			Reader{}.Sums(&layer.File{Path: place, Data: data}, func(path, s, pkg string) {
				got = append(got, pkg+" "+path+" "+strings.TrimPrefix(s, sum))
			})
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s in %s (-want +got):\n%s", c.name, form, d)
			}
		}
	}
}

func FuzzDatabase(f *testing.F) {
	for _, data := range made(samples()) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := layertest.Read(t, Reader{}, place, 0o644, data)
		check(t, len(data), res, err)
		Reader{}.Sums(&layer.File{Path: place, Data: data}, func(path, sum, pkg string) {
			if path == "" || sum == "" || pkg == "" {
				t.Fatalf("sum %q of %q in %q", sum, path, pkg)
			}
		})
	})
}

func FuzzHeader(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		db := makeNDB([][]byte{data})
		Reader{}.Sums(&layer.File{Path: place, Data: db}, func(string, string, string) {})
		res, err := layertest.Read(t, Reader{}, place, 0o644, db)
		check(t, len(db), res, err)
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("a\t1-2\t\t\t\t\t\tnoarch\t3\ta-1-2.src.rpm\n\nb\t1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := layertest.Read(t, Reader{}, manifestFile, 0o644, data)
		check(t, len(data), res, err)
	})
}

func FuzzWriteAheadLog(f *testing.F) {
	f.Add([]byte("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if res, err := layertest.Read(t, Reader{}, "var/lib/rpm/rpmdb.sqlite-wal", 0o644, data); err != nil || len(res.Gaps) > 1 {
			t.Fatalf("%v %v", res, err)
		}
	})
}

func check(t *testing.T, size int, res layer.Result, err error) {
	t.Helper()
	if err != nil && err.Error() == "" {
		t.Error("an error without a text")
	}
	for _, p := range res.Packages {
		if p.Name == "" || p.Version == "" || p.Type != "rpm" || p.Path == "" {
			t.Fatalf("package %+v", p)
		}
	}
	paths := 0
	for _, p := range res.Owned {
		if p == "" {
			t.Fatal("an empty path is owned")
		}
		paths += len(p)
	}
	if limit := 10*size + 1<<18; paths > limit {
		t.Fatalf("%d bytes of paths from %d", paths, size)
	}
}

func BenchmarkReal(b *testing.B) {
	out, err := exec.CommandContext(b.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		b.Skipf("not installed: go (%v)", err)
	}
	for _, file := range []string{"centos8-modularitylabel/Packages", "fedora35/rpmdb.sqlite", "sle15-bci/Packages.db"} {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), real, "pkg/testdata", file))
		if errors.Is(err, os.ErrNotExist) {
			b.Skipf("not downloaded: go mod download %s", real)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Run(filepath.Dir(file), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() { // the database of one image
				if _, err := (Reader{}).Read(&layer.File{Path: place, Data: data}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(filepath.Dir(file)+"/sums", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			n := 0
			for b.Loop() { // the sums of one image
				n = 0
				Reader{}.Sums(&layer.File{Path: place, Data: data}, func(string, string, string) { n++ })
			}
			b.ReportMetric(float64(n), "sums")
		})
	}
}
