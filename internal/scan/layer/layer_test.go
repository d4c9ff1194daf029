package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/google/go-cmp/cmp"
)

// noteReader reads *.pkg, "name version" a line; a line "own PATH" claims a
// file for the distribution. Lists (*.list.pkg) are whole package systems.
type noteReader struct{ system string }

func (r noteReader) Spec() layer.Spec {
	return layer.Spec{
		Name: "note", Version: 1, System: r.system, MaxSize: 1 << 20,
		Claims: []layer.Claim{{Suffix: ".pkg"}, {Magic: "#!pkg\n"}},
	}
}

func (r noteReader) Read(f *layer.File) (layer.Result, error) {
	var res layer.Result
	for line := range strings.Lines(strings.TrimPrefix(string(f.Data), "#!pkg\n")) {
		a, b, ok := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case a == "panic":
			panic("told to")
		case !ok:
			return res, fmt.Errorf("no version in %q", line)
		case a == "own":
			res.Owned = append(res.Owned, b)
		default:
			res.Packages = append(res.Packages, esclusa.Package{Type: "note", Name: a, Version: b})
		}
	}
	return res, nil
}

// wordReader finds words in all text files.
type wordReader struct{}

func (wordReader) Spec() layer.Spec {
	return layer.Spec{Name: "word", Version: 1, Skim: true, MaxSize: 1 << 20, Claims: []layer.Claim{{Text: true}}}
}

func (wordReader) Literals() []layer.Literal {
	return []layer.Literal{{Bytes: "sesame"}, {Bytes: "PASSWORD", Fold: true}}
}

func (wordReader) Read(f *layer.File) (layer.Result, error) {
	var res layer.Result
	for _, h := range f.Hits {
		res.Findings = append(res.Findings, esclusa.Finding{Kind: esclusa.KindSecret, ID: fmt.Sprint(h.Literal, "@", h.End)})
	}
	return res, nil
}

// slowFinder is the plain search that every matcher agrees with.
type slowFinder struct{ lits []layer.Literal }

func (s slowFinder) Find(data []byte, dst []layer.Hit) []layer.Hit {
	for _, h := range layertest.Hits(s.lits, data) {
		if len(dst) == cap(dst) {
			break
		}
		dst = append(dst, h)
	}
	return dst
}

func newPool(t testing.TB, limits layer.Limits, readers ...layer.Reader) *layer.Pool {
	t.Helper()
	if readers == nil {
		readers = []layer.Reader{noteReader{}, wordReader{}}
	}
	set, err := layer.NewSet(readers, layer.Everywhere, func(l []layer.Literal) layer.Finder { return slowFinder{l} })
	if err != nil {
		t.Fatal(err)
	}
	p := layer.NewPool(set, 2, limits)
	t.Cleanup(p.Close)
	return p
}

func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func read(t testing.TB, p *layer.Pool, files ...registrytest.File) *layer.Record {
	t.Helper()
	rec, err := p.ReadTar(t.Context(), opener(registrytest.Tar(t, files...)))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

type file = registrytest.File

// show is a merged image in short: "path name version" of what is live, the
// same with "-" for what is deleted.
func show(m *layer.Merged) []string {
	var out []string
	line := func(mark string, ps []layer.Placed) {
		for _, p := range ps {
			for _, q := range p.Result.Packages {
				out = append(out, fmt.Sprintf("%s%s %s %s @%d", mark, p.Path, q.Name, q.Version, p.Layer))
			}
		}
	}
	line("", m.Live)
	line("-", m.Deleted)
	return out
}

func TestMerge(t *testing.T) {
	pkg := func(path, content string) file { return file{Path: path, Content: content} }
	dir := func(path string) file { return file{Path: path, Mode: fs.ModeDir} }
	tests := []struct {
		name   string
		layers [][]file
		want   []string
	}{
		{"one layer", [][]file{{pkg("a.pkg", "a 1")}}, []string{"a.pkg a 1 @0"}},
		{"replaced", [][]file{{pkg("a.pkg", "a 1")}, {pkg("a.pkg", "a 2")}}, []string{"a.pkg a 2 @1", "-a.pkg a 1 @0"}},
		{"replaced by an empty file", [][]file{{pkg("a.pkg", "a 1")}, {pkg("a.pkg", "")}}, []string{"-a.pkg a 1 @0"}},
		{"whiteout of a file", [][]file{{pkg("d/a.pkg", "a 1"), pkg("d/b.pkg", "b 1")}, {{Path: "d/a.pkg", Whiteout: true}}}, []string{"d/b.pkg b 1 @0", "-d/a.pkg a 1 @0"}},
		{"whiteout of a folder", [][]file{{pkg("d/e/a.pkg", "a 1"), pkg("dd/b.pkg", "b 1")}, {{Path: "d", Whiteout: true}}}, []string{"dd/b.pkg b 1 @0", "-d/e/a.pkg a 1 @0"}},
		{"opaque folder", [][]file{{pkg("d/a.pkg", "a 1")}, {{Path: "d", Opaque: true}, pkg("d/b.pkg", "b 1")}}, []string{"d/b.pkg b 1 @1", "-d/a.pkg a 1 @0"}},
		{"opaque root", [][]file{{pkg("a.pkg", "a 1")}, {{Path: ".wh..wh..opq"}, pkg("b.pkg", "b 1")}}, []string{"b.pkg b 1 @1", "-a.pkg a 1 @0"}},
		{"whiteout and file anew", [][]file{{pkg("d/a.pkg", "a 1")}, {{Path: "d", Whiteout: true}, pkg("d/a.pkg", "a 2")}}, []string{"d/a.pkg a 2 @1", "-d/a.pkg a 1 @0"}},
		{"came back", [][]file{{pkg("a.pkg", "a 1")}, {{Path: "a.pkg", Whiteout: true}}, {pkg("a.pkg", "a 3")}}, []string{"a.pkg a 3 @2", "-a.pkg a 1 @0"}},
		{"folder became a file", [][]file{{pkg("d/a.pkg", "a 1")}, {pkg("d", "x")}}, []string{"-d/a.pkg a 1 @0"}},
		{"folder became a link", [][]file{{pkg("d/a.pkg", "a 1")}, {{Path: "d", Link: "e"}}}, []string{"-d/a.pkg a 1 @0"}},
		{"file became a folder", [][]file{{pkg("a.pkg", "a 1")}, {dir("a.pkg"), pkg("a.pkg/b.pkg", "b 1")}}, []string{"a.pkg/b.pkg b 1 @1", "-a.pkg a 1 @0"}},
		{"folder entry touches nothing", [][]file{{pkg("d/a.pkg", "a 1")}, {dir("d")}}, []string{"d/a.pkg a 1 @0"}},
		{"aufs leftovers are no files", [][]file{{pkg("a.pkg", "a 1")}, {{Path: ".wh..wh.plnk"}, {Path: ".wh..wh.aufs"}}}, []string{"a.pkg a 1 @0"}},
		{"twice in one layer: the last", [][]file{{pkg("a.pkg", "a 1"), pkg("a.pkg", "a 2")}}, []string{"a.pkg a 2 @0"}},
		{"hard link, both there: once", [][]file{{pkg("a.pkg", "a 1"), {Path: "b.pkg", Hard: "a.pkg"}}}, []string{"a.pkg a 1 @0"}},
		{"hard link outlives its target", [][]file{{pkg("a.pkg", "a 1"), {Path: "b.pkg", Hard: "a.pkg"}}, {{Path: "a.pkg", Whiteout: true}}}, []string{"b.pkg a 1 @0", "-a.pkg a 1 @0"}},
		{"hard link to a name nobody claims", [][]file{{pkg("store/ab12", "a 1"), {Path: "n/a.pkg", Hard: "store/ab12"}}}, []string{"n/a.pkg a 1 @0"}},
		{"hard link into a lower layer", [][]file{{pkg("a.pkg", "a 1")}, {{Path: "a.pkg", Whiteout: true}, {Path: "b.pkg", Hard: "a.pkg"}}}, []string{"b.pkg a 1 @1", "-a.pkg a 1 @0"}},
		{"through a link of a lower layer", [][]file{{{Path: "lib", Link: "usr/lib"}, pkg("usr/lib/a.pkg", "a 1")}, {pkg("lib/a.pkg", "a 2")}}, []string{"usr/lib/a.pkg a 2 @1", "-usr/lib/a.pkg a 1 @0"}},
		{"whiteout through a link", [][]file{{{Path: "lib", Link: "/usr/lib"}, pkg("usr/lib/a.pkg", "a 1")}, {{Path: "lib/a.pkg", Whiteout: true}}}, []string{"-usr/lib/a.pkg a 1 @0"}},
		{"link replaced by a folder", [][]file{{{Path: "lib", Link: "usr/lib"}, pkg("usr/lib/a.pkg", "a 1")}, {dir("lib"), pkg("lib/a.pkg", "a 2")}}, []string{"lib/a.pkg a 2 @1", "usr/lib/a.pkg a 1 @0"}},
		{"link behind a link", [][]file{{{Path: "a", Link: "b"}, {Path: "b/c", Link: "/d"}, pkg("d/a.pkg", "a 1")}, {pkg("a/c/a.pkg", "a 2")}}, []string{"d/a.pkg a 2 @1", "-d/a.pkg a 1 @0"}},
		{"link loop", [][]file{{{Path: "x", Link: "y"}, {Path: "y", Link: "x"}}, {pkg("x/a.pkg", "a 1")}}, []string{"x/a.pkg a 1 @1"}},
		{"link out of the root", [][]file{{{Path: "x", Link: "../../../../etc"}}, {pkg("x/a.pkg", "a 1")}}, []string{"etc/a.pkg a 1 @1"}},
		{"path out of the root", [][]file{{pkg("../../etc/a.pkg", "a 1"), pkg("/abs/b.pkg", "b 1")}}, []string{"abs/b.pkg b 1 @0", "etc/a.pkg a 1 @0"}},
	}
	p := newPool(t, layer.DefaultLimits())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var recs []*layer.Record
			var ids []esclusa.Digest
			for i, l := range tt.layers {
				recs = append(recs, read(t, p, l...))
				ids = append(ids, esclusa.Digest(fmt.Sprint("sha256:", i)))
			}
			if d := cmp.Diff(tt.want, show(layer.Merge(recs, ids))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSince(t *testing.T) {
	p := newPool(t, layer.DefaultLimits())
	recs := []*layer.Record{
		read(t, p, file{Path: "db.pkg", Content: "old 1\nstays 1\nupgraded 1\nback 1"}),
		read(t, p, file{Path: "db.pkg", Content: "stays 1\nupgraded 1\nnew 1"}),
		read(t, p, file{Path: "x", Content: "unrelated"}),
		read(t, p, file{Path: "db.pkg", Content: "stays 1\nupgraded 2\nnew 1\nback 1"}),
	}
	m := layer.Merge(recs, []esclusa.Digest{"sha256:0", "sha256:1", "sha256:2", "sha256:3"})
	got := map[string]int{}
	for _, q := range m.Live[0].Result.Packages {
		got[q.Name] = m.Since(&m.Live[0], &q)
	}
	if d := cmp.Diff(map[string]int{"stays": 0, "upgraded": 3, "new": 1, "back": 3}, got); d != "" {
		t.Error(d)
	}
}

func TestOwned(t *testing.T) {
	p := newPool(t, layer.DefaultLimits())
	m := layer.Merge([]*layer.Record{
		read(t, p, file{Path: "db.pkg", Content: "own usr/bin/x\nown usr/bin/y"}, file{Path: "usr/bin/x", Content: "1"}),
		read(t, p, file{Path: "usr/bin/y", Content: "2"}),
	}, []esclusa.Digest{"sha256:0", "sha256:1"})
	for place, want := range map[esclusa.Place]bool{
		{Layer: "sha256:0", Path: "usr/bin/x"}:        true,
		{Layer: "sha256:0", Path: "usr/bin/x!/inner"}: true,
		{Layer: "sha256:0", Path: "usr/bin/z"}:        false,
		// A later layer put its own file in the place of the distribution's.
		{Layer: "sha256:1", Path: "usr/bin/y"}: false,
	} {
		if got := m.Owned(place); got != want {
			t.Errorf("Owned(%v) = %v", place, got)
		}
	}
}

func TestSearch(t *testing.T) {
	p := newPool(t, layer.DefaultLimits())
	rec := read(t, p, file{Path: "a.txt", Content: "open sesame, Password: x"}, file{Path: "b.bin", Content: "\x00sesame"}, file{Path: "c", Content: "nothing"})
	var got []string
	for _, it := range rec.Items {
		for _, f := range it.Result.Findings {
			got = append(got, f.Path+" "+f.ID)
		}
	}
	if d := cmp.Diff([]string{"a.txt 0@11", "a.txt 1@21"}, got); d != "" {
		t.Error(d)
	}
}

func TestGaps(t *testing.T) {
	limits := layer.DefaultLimits()
	limits.PathSize = 100
	p := newPool(t, limits, noteReader{system: "note"}, wordReader{})
	rec := read(t, p,
		file{Path: "bad.pkg", Content: "noversion"},
		file{Path: "boom.pkg", Content: "panic"},
		file{Path: "large.pkg", Content: strings.Repeat("x", 1<<20+1)},
		file{Path: strings.Repeat("long/", 100) + "x", Content: "x"},
		file{Path: "good.pkg", Content: "a 1"},
	)
	var got []string
	for _, g := range rec.Gaps {
		got = append(got, string(g.Scope)+" "+g.Path[:min(8, len(g.Path))]+" "+g.What)
	}
	want := []string{"system bad.pkg all note packages", "system boom.pkg all note packages", "system large.pk all note packages", "file long/lon file"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := show(layer.Merge([]*layer.Record{rec}, []esclusa.Digest{"sha256:0"})); !slices.Equal(got, []string{"good.pkg a 1 @0"}) {
		t.Errorf("the good file beside them: %q", got)
	}
}

func TestSparse(t *testing.T) {
	// Ten GiB by its header, one block in the tar: not read, and a gap.
	h := &tar.Header{Name: "big.pkg", Typeflag: tar.TypeGNUSparse, Size: 0, Format: tar.FormatGNU}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "a.pkg", Typeflag: tar.TypeReg, Size: 3, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "a 1")
	w.Flush()
	raw := append(b.Bytes(), sparseHeader(h.Name)...)
	raw = append(raw, make([]byte, 1024)...)
	p := newPool(t, layer.DefaultLimits())
	rec, err := p.ReadTar(t.Context(), opener(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Gaps) != 1 || rec.Gaps[0].Path != "big.pkg" || !strings.Contains(rec.Gaps[0].Err, "10737418240 bytes") {
		t.Errorf("gaps: %v", rec.Gaps)
	}
	if len(rec.Items) != 1 {
		t.Errorf("items: %v", rec.Items)
	}
}

// sparseHeader is an old GNU sparse entry: 10 GiB with no data at all.
func sparseHeader(name string) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
	copy(b[148:], "        ")
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	copy(b[386:], "00000000000\x0000000000000\x00")
	copy(b[483:], "120000000000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func TestLimits(t *testing.T) {
	many := make([]file, 100)
	for i := range many {
		many[i] = file{Path: fmt.Sprint(i, ".pkg"), Content: "a 1"}
	}
	raw := registrytest.Tar(t, many...)
	for name, tt := range map[string]struct {
		change func(*layer.Limits)
		items  int
		cut    bool
	}{
		"entries": {func(l *layer.Limits) { l.Entries = 10 }, 10, true},
		"bytes":   {func(l *layer.Limits) { l.Bytes = 15 }, 5, true},
		"items":   {func(l *layer.Limits) { l.Items = 7 }, 7, false},
		"none":    {func(*layer.Limits) {}, 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := layer.DefaultLimits()
			tt.change(&l)
			rec, err := newPool(t, l).ReadTar(t.Context(), opener(raw))
			if errors.Is(err, layer.ErrLimit) != tt.cut {
				t.Errorf("err = %v", err)
			}
			if len(rec.Items) != tt.items {
				t.Errorf("%d items, want %d", len(rec.Items), tt.items)
			}
			if wantGap := name != "none"; (len(rec.Gaps) > 0) != wantGap {
				t.Errorf("gaps: %v", rec.Gaps)
			}
		})
	}
}

func TestTruncated(t *testing.T) {
	raw := registrytest.Tar(t, file{Path: "a.pkg", Content: "a 1"}, file{Path: "b.pkg", Content: strings.Repeat("b 1\n", 1000)})
	rec, err := newPool(t, layer.DefaultLimits()).ReadTar(t.Context(), opener(raw[:2000]))
	if err == nil || len(rec.Gaps) != 1 || rec.Gaps[0].Scope != esclusa.GapLayer {
		t.Errorf("err %v, gaps %v", err, rec.Gaps)
	}
	if got := show(layer.Merge([]*layer.Record{rec}, []esclusa.Digest{"sha256:0"})); !slices.Equal(got, []string{"a.pkg a 1 @0"}) {
		t.Errorf("what came before the cut: %q", got)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	raw := registrytest.Tar(t, file{Path: "a.pkg", Content: "a 1"})
	if _, err := newPool(t, layer.DefaultLimits()).ReadTar(ctx, opener(raw)); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/a.pkg", "a 1")
	write(".git/b.pkg", "b 1")
	write("proc/c.pkg", "c 1")
	write("a/proc/d.pkg", "d 1")
	outside := filepath.Join(t.TempDir(), "out.pkg")
	if err := os.WriteFile(outside, []byte("out 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "escape")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..", filepath.Join(dir, "a", "loop")); err != nil {
		t.Fatal(err)
	}
	rec, err := newPool(t, layer.DefaultLimits()).ReadFolder(t.Context(), dir, layer.FolderOptions{Skip: []string{"proc"}, SkipNames: []string{".git"}})
	if err != nil {
		t.Fatal(err)
	}
	got := show(layer.Merge([]*layer.Record{rec}, []esclusa.Digest{""}))
	if d := cmp.Diff([]string{"a/a.pkg a 1 @0", "a/proc/d.pkg d 1 @0"}, got); d != "" {
		t.Error(d)
	}
}

func TestRecord(t *testing.T) {
	p := newPool(t, layer.DefaultLimits())
	files := []file{
		{Path: "a.pkg", Content: "a 1\nown b"},
		{Path: "l", Link: "a.pkg"},
		{Path: "h.pkg", Hard: "a.pkg"},
		{Path: "gone", Whiteout: true},
		{Path: "s.txt", Content: "sesame"},
		{Path: "bad.pkg", Content: "x"},
	}
	rec := read(t, p, files...)
	a, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := read(t, p, files...).Encode()
	if !bytes.Equal(a, b) {
		t.Error("the same layer gives different bytes")
	}
	back, err := layer.DecodeRecord(a)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := back.Encode()
	if !bytes.Equal(a, c) {
		t.Error("decoded and encoded again differs")
	}
	for i := range a {
		bad := bytes.Clone(a)
		bad[i] ^= 0x40
		if _, err := layer.DecodeRecord(bad); !errors.Is(err, layer.ErrRecord) {
			t.Fatalf("byte %d flipped: err = %v", i, err)
		}
	}
	for i := range a {
		if _, err := layer.DecodeRecord(a[:i]); !errors.Is(err, layer.ErrRecord) {
			t.Fatalf("cut at %d: err = %v", i, err)
		}
	}
}

func FuzzReadTar(f *testing.F) {
	f.Add(registrytest.Tar(f, file{Path: "a.pkg", Content: "a 1"}, file{Path: "l", Link: "a.pkg"}, file{Path: "h.pkg", Hard: "x"}, file{Path: "x", Content: "y 1"}, file{Path: "d/.wh..wh..opq"}))
	f.Add(append(sparseHeader("big.pkg"), make([]byte, 1024)...))
	limits := layer.DefaultLimits()
	limits.Bytes, limits.Memory = 1<<24, 1<<22
	p := newPool(f, limits)
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec, err := p.ReadTar(t.Context(), opener(raw))
		if rec == nil {
			t.Fatal("no record")
		}
		if err != nil && len(rec.Gaps) == 0 {
			t.Fatalf("%v, and no gap", err)
		}
		m := layer.Merge([]*layer.Record{rec, rec}, []esclusa.Digest{"sha256:0", "sha256:1"})
		for _, pl := range m.Live {
			if strings.HasPrefix(pl.Path, "/") || strings.HasPrefix(pl.Path, "../") {
				t.Fatalf("path %q leaves the root", pl.Path)
			}
		}
		if _, err := rec.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	rec := read(f, newPool(f, layer.DefaultLimits()), file{Path: "a.pkg", Content: "a 1"})
	b, _ := rec.Encode()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := layer.DecodeRecord(b); err == nil {
			layer.Merge([]*layer.Record{rec}, []esclusa.Digest{"sha256:0"})
		}
	})
}

// BenchmarkReadTar is one layer of 10,000 files of which a hundred are
// claimed by name, uncompressed: the walk without the inflate.
func BenchmarkReadTar(b *testing.B) {
	files := make([]file, 10_000)
	for i := range files {
		files[i] = file{Path: fmt.Sprintf("usr/share/some/folder%d/file%d.bin", i/100, i), Content: strings.Repeat("\x00binary", 300)}
		if i%100 == 0 {
			files[i] = file{Path: fmt.Sprintf("usr/lib/%d.pkg", i), Content: "a 1"}
		}
	}
	raw := registrytest.Tar(b, files...)
	p := newPool(b, layer.DefaultLimits(), noteReader{})
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.ReadTar(b.Context(), opener(raw)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestUnreadable: a package database that may not be opened hides its whole
// system, any other file only itself. Root may open everything, so the test
// gives its rights away.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Seteuid(0)
	}
	dir, err := os.MkdirTemp("", "unreadable")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"db.pkg", "good.pkg", "note.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a 1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"db.pkg", "note.txt"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	rec, err := newPool(t, layer.DefaultLimits(), noteReader{system: "note"}, wordReader{}).ReadFolder(t.Context(), dir, layer.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range rec.Gaps {
		got = append(got, string(g.Scope)+" "+g.Path)
	}
	if d := cmp.Diff([]string{"system db.pkg", "file note.txt"}, got); d != "" {
		t.Error(d)
	}
	if len(rec.Items) != 1 || rec.Items[0].Path != "good.pkg" {
		t.Errorf("the readable file beside them: %v", rec.Items)
	}
}
