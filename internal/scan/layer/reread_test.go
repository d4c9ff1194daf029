package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/google/go-cmp/cmp"
)

// anyReader says what it sees: name, version, path and content. Content that
// begins with "bad" is an error, with "own" a list of the distribution's files.
type anyReader struct{ spec layer.Spec }

func (r anyReader) Spec() layer.Spec { return r.spec }

func (r anyReader) Read(f *layer.File) (layer.Result, error) {
	text := string(f.Data[:min(len(f.Data), 40)])
	var res layer.Result
	switch {
	case strings.HasPrefix(text, "bad"):
		return res, errors.New("told to")
	case strings.HasPrefix(text, "own"):
		res.Owned = []string{f.Path, text, r.spec.Name}
	case strings.HasPrefix(text, "dull"):
	default:
		res.Facts = []layer.Fact{{Key: fmt.Sprintf("%s %d %s %v %d", r.spec.Name, r.spec.Version, f.Path, f.Mode, f.UID), Value: text}}
	}
	return res, nil
}

// hitReader finds words, and says where.
type hitReader struct {
	anyReader
	word string
}

func (r hitReader) Literals() []layer.Literal { return []layer.Literal{{Bytes: r.word}} }

func (r hitReader) Read(f *layer.File) (layer.Result, error) {
	res, err := r.anyReader.Read(f)
	res.Facts = append(res.Facts, layer.Fact{Key: "hits", Value: fmt.Sprint(f.Hits)})
	return res, err
}

// manyReaders are one of each way to want a file.
func manyReaders(version int) []layer.Reader {
	one := func(name string, s layer.Spec, claims ...layer.Claim) anyReader {
		s.Name, s.Version, s.Claims = name, version, claims
		return anyReader{s}
	}
	return []layer.Reader{
		one("suffix", layer.Spec{System: "suffix", MaxSize: 3000}, layer.Claim{Suffix: ".pkg"}),
		one("magic", layer.Spec{MaxSize: 3000}, layer.Claim{Magic: "\x7fELF"}, layer.Claim{Magic: "longer magic"}),
		one("mode", layer.Spec{}, layer.Claim{Mode: fs.ModeSetuid}),
		one("under", layer.Spec{Skim: true, MaxSize: 500}, layer.Claim{Under: "bin/"}),
		one("text", layer.Spec{Skim: true}, layer.Claim{Text: true, Suffix: ".txt"}, layer.Claim{Text: true, Dir: "d"}),
		hitReader{one("hits", layer.Spec{}, layer.Claim{Text: true}), "sesame"},
		hitReader{one("more-hits", layer.Spec{}, layer.Claim{Text: true}, layer.Claim{Suffix: ".pkg", Always: true}), "own"},
	}
}

// parts reads a tar in parts, and counts what it gives.
type parts struct {
	*bytes.Reader
	read int
}

func (p *parts) MoveTo(offset int64) error {
	_, err := p.Seek(offset, io.SeekStart)
	return err
}

func (p *parts) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.read += n
	return n, err
}

// wholeAndIndex reads all of a layer.
func wholeAndIndex(t testing.TB, p *layer.Pool, raw []byte) (*layer.Record, *layer.Index) {
	t.Helper()
	var x layer.Index
	rec, err := p.ReadTarIndexed(t.Context(), opener(raw), &x)
	if err != nil {
		t.Fatal(err)
	}
	return stored(t, rec), storedIndex(t, &x)
}

// stored is the record as it comes out of a cache.
func stored(t testing.TB, rec *layer.Record) *layer.Record {
	t.Helper()
	b, err := rec.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := layer.DecodeRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func storedIndex(t testing.TB, x *layer.Index) *layer.Index {
	t.Helper()
	b, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := layer.DecodeIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// reread makes a record by the pool's readers from an older one.
func reread(t testing.TB, p *layer.Pool, raw []byte, old *layer.Record, x *layer.Index) (*layer.Record, int, error) {
	t.Helper()
	r, err := p.Reread(t.Context(), old, x)
	if err != nil {
		return nil, 0, err
	}
	from := &parts{Reader: bytes.NewReader(raw)}
	rec, err := r.Run(from)
	return rec, from.read, err
}

// law holds a record that was made from an older one to what all of the layer
// gives. whole says that there is no other way than that.
func law(t testing.TB, raw []byte, before, now []layer.Reader) (read int, whole bool) {
	t.Helper()
	old, x := wholeAndIndex(t, newPool(t, layer.DefaultLimits(), before...), raw)
	p := newPool(t, layer.DefaultLimits(), now...)
	want, _ := wholeAndIndex(t, p, raw)
	got, read, err := reread(t, p, raw, old, x)
	if want.Whole || old.Whole {
		if !errors.Is(err, layer.ErrIndex) {
			t.Errorf("a record that can only be made whole: %v", err)
		}
		return read, true
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(text(t, want), text(t, stored(t, got))); d != "" {
		t.Errorf("(-whole +again):\n%s", d)
	}
	return read, false
}

// lawfulFiles is a layer with one of each that makes a difference.
func lawfulFiles() []file {
	setuid := func(h *tar.Header) { h.Mode |= 0o4000 }
	return []file{
		{Path: "a.pkg", Content: "a 1"},
		{Path: "bad.pkg", Content: "bad"},
		{Path: "own.pkg", Content: "own x"},
		{Path: "own.txt", Content: "own y"},
		{Path: "large.pkg", Content: strings.Repeat("x", 3001)},
		{Path: "large.elf", Content: "\x7fELF" + strings.Repeat("\x00", 3001)},
		{Path: "x.elf", Content: "\x7fELF\x00"},
		{Path: "magic", Content: "longer magic here"},
		{Path: "no-magic", Content: "longer mug"},
		{Path: "bin/su", Content: "su sesame", Header: setuid},
		{Path: "bin/large", Content: strings.Repeat("y", 501)},
		{Path: "t.txt", Content: "open sesame"},
		{Path: "b.txt", Content: "\x00sesame"},
		{Path: "x/d/t", Content: "text"},
		{Path: "empty.txt"},
		{Path: "gone", Whiteout: true},
		{Path: "o", Opaque: true},
		{Path: "l.pkg", Link: "a.pkg"},
		// Links: to a name that is claimed, to one that is not, before it, into
		// another layer, to nothing but a text, set-uid, to a file that is large.
		{Path: "h.pkg", Hard: "a.pkg"},
		{Path: "n.pkg", Hard: "store/n"},
		{Path: "store/n", Content: "n 1 sesame"},
		{Path: "m.pkg", Hard: "store/n"},
		{Path: "below.pkg", Hard: "below"},
		{Path: "h.txt", Hard: "store/t"},
		{Path: "store/t", Content: "open sesame"},
		{Path: "h-su", Hard: "store/su", Header: setuid},
		{Path: "store/su", Content: "su\x00", Header: setuid},
		{Path: "bin/h", Hard: "store/h"},
		{Path: "store/h", Content: strings.Repeat("z", 501)},
		{Path: "h-large.pkg", Hard: "store/large"},
		{Path: "store/large", Content: strings.Repeat("w", 16<<20+1)},
		{Path: "h-holes.pkg", Hard: "holes.txt"},
		holes("holes.txt", 9), holes("holes.pkg", 9000),
		{Path: strings.Repeat("long/", 1000) + "x.pkg", Content: "x"},
		{Path: "own-2.pkg", Content: "own x"},
	}
}

// TestRereadLaw: whatever changed among the readers, the record is the one
// that a whole read gives; and where little changed little is read.
func TestRereadLaw(t *testing.T) {
	raw := sparseTar(t, lawfulFiles()...)
	old, now := manyReaders(1), manyReaders(2)
	for i, r := range old {
		name := r.Spec().Name
		without := append(append([]layer.Reader{}, old[:i]...), old[i+1:]...)
		changed := append(append([]layer.Reader{}, without...), now[i])
		for what, c := range map[string]struct{ before, now []layer.Reader }{
			"added": {without, old}, "removed": {old, without}, "changed": {old, changed}, "alone": {old, old[i : i+1]}, "first": {old[i : i+1], old},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				read, whole := law(t, raw, c.before, c.now)
				if whole || name == "mode" && what == "added" && read > 2000 {
					t.Errorf("%d bytes read; whole: %v", read, whole)
				}
			})
		}
	}
	t.Run("all changed", func(t *testing.T) { law(t, raw, old, now) })
	t.Run("none changed", func(t *testing.T) { law(t, raw, old, old) })
}

// TestRereadRandom is the law over layers and readers by chance; FuzzReread
// goes on from there.
func TestRereadRandom(t *testing.T) {
	lawful := 0
	for seed := range uint64(300) {
		if !rereadRandom(t, seed) {
			lawful++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if lawful < 200 {
		t.Errorf("only %d of 300 layers were read again", lawful)
	}
}

func FuzzReread(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { rereadRandom(t, seed) })
}

func rereadRandom(t *testing.T, seed uint64) (whole bool) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	var files []file
	for i := range rnd.IntN(30) {
		name := pick("", "", "bin/", "d/", "store/") + pick(fmt.Sprint("f", i), fmt.Sprint("f", i), fmt.Sprint("f", rnd.IntN(60))) + pick("", ".pkg", ".txt")
		f := file{Path: name, Header: func(h *tar.Header) { h.Uid = i }}
		if rnd.IntN(5) == 0 {
			f.Header = func(h *tar.Header) { h.Mode |= 0o4000 }
		}
		switch rnd.IntN(8) {
		case 0, 1:
			if len(files) > 0 {
				f.Hard = files[rnd.IntN(len(files))].Path
			}
		case 2:
			f.Link = "f1"
		case 3:
			f = holes(name, rnd.IntN(5000))
		default:
			f.Content = pick("bad", "own", "dull", "\x7fELF", "longer magic", "sesame", "\x00", "", "text ") + strings.Repeat("x", rnd.IntN(2)*rnd.IntN(4000))
		}
		files = append(files, f)
	}
	some := func() (set []layer.Reader) {
		for i := range manyReaders(1) {
			if v := rnd.IntN(4); v > 0 {
				set = append(set, manyReaders(v)[i])
			}
		}
		return append(set, noteReader{})
	}
	_, whole = law(t, sparseTar(t, files...), some(), some())
	return whole
}

// TestRereadRefused: what only the whole layer can tell, and what is no index
// of it.
func TestRereadRefused(t *testing.T) {
	readers := manyReaders(1)
	plain := registrytest.Tar(t, file{Path: "a.pkg", Content: "a 1"}, file{Path: "b.txt", Content: "sesame"})
	p := newPool(t, layer.DefaultLimits(), readers...)
	good, x := wholeAndIndex(t, p, plain)
	if _, _, err := reread(t, p, plain, good, x); err != nil {
		t.Fatalf("the benign twin: %v", err)
	}
	few := layer.DefaultLimits()
	few.Items, few.Hits = 1, 100
	for name, files := range map[string][]file{
		"twice":      {{Path: "a.pkg", Content: "a 1"}, {Path: "a.pkg", Content: "a 2"}},
		"many items": {{Path: "a.pkg", Content: "a 1"}, {Path: "b.pkg", Content: "a 2"}},
		"many hits":  {{Path: "a.txt", Content: strings.Repeat("sesame", 101)}},
	} {
		raw := registrytest.Tar(t, files...)
		old, x := wholeAndIndex(t, newPool(t, few, readers[:1]...), raw)
		if name == "many hits" {
			old, x = wholeAndIndex(t, newPool(t, few, readers[2:]...), raw)
		}
		if _, _, err := reread(t, newPool(t, few, readers...), raw, old, x); !errors.Is(err, layer.ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown, fewer := *good, *good
	unknown.Gaps, fewer.Readers = []esclusa.Gap{{}}, append(good.Readers, good.Readers[0])
	for name, old := range map[string]*layer.Record{"nobody's gap": &unknown, "one reader twice": &fewer} {
		if _, _, err := reread(t, p, plain, old, x); !errors.Is(err, layer.ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := newPool(t, layer.DefaultLimits(), manyReaders(2)...)
	if _, _, err := reread(t, all, plain[:600], good, x); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("a tar that was cut: %v", err)
	}
	for n := range len(x.Files) - 1 {
		cut := layer.Index{Files: x.Files[:n+1]}
		r, err := all.Reread(t.Context(), good, &cut)
		if err != nil && !errors.Is(err, layer.ErrIndex) {
			t.Errorf("cut at %d: %v", n+1, err)
		}
		if err == nil && len(r.Parts()) > 1 {
			t.Errorf("cut at %d: all files are there", n+1)
		}
	}
}

// TestIndexDamage: each bit that flips, and each cut, is seen.
func TestIndexDamage(t *testing.T) {
	_, x := wholeAndIndex(t, newPool(t, layer.DefaultLimits()), registrytest.Tar(t, file{Path: "a.pkg", Content: "a 1"}, file{Path: "b.pkg", Hard: "a.pkg"}))
	x.Table = oci.SeekTable{Whole: true, Sums: [][]byte{{1}}, Marks: []oci.Mark{{In: 1, Window: []byte{1}}}}
	b, err := x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := layer.DecodeIndex(b); err != nil || cmp.Diff(x, back) != "" {
		t.Fatalf("%v: %v", back, err)
	}
	for i := range b {
		if _, err := layer.DecodeIndex(b[:i]); !errors.Is(err, layer.ErrIndex) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := layer.DecodeIndex(b); !errors.Is(err, layer.ErrIndex) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			b[i] ^= 1 << bit
		}
	}
}

// FuzzIndex: entries of any bytes are read or refused, within their size; and
// no reading of a layer by them reads beyond it.
func FuzzIndex(f *testing.F) {
	raw := registrytest.Tar(f, file{Path: "a.pkg", Content: "a 1"}, file{Path: "d/b.txt", Content: "sesame"}, file{Path: "h.pkg", Hard: "d/b.txt"})
	p := newPool(f, layer.DefaultLimits(), manyReaders(1)...)
	old, x := wholeAndIndex(f, newPool(f, layer.DefaultLimits()), raw)
	b, err := x.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(x.Files)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = layer.DecodeIndex(b) // must not panic
		r, err := p.Reread(t.Context(), old, &layer.Index{Files: b})
		if err != nil {
			if !errors.Is(err, layer.ErrIndex) {
				t.Fatal(err)
			}
			return
		}
		if rec, err := r.Run(&parts{Reader: bytes.NewReader(raw)}); (rec == nil) == (err == nil) {
			t.Fatalf("%v beside %v", rec, err)
		}
	})
}
