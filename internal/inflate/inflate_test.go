package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/esclusa/esclusa/internal/truth"
)

// maxTold is how many bytes more or fewer may come out before an error.
const maxTold = 300

// standard is what the standard library makes of a stream.
func standard(data []byte, f Format, limit int64) ([]byte, error) {
	r := io.Reader(nil)
	if f == Gzip {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // of nothing at all
		}
		if err != nil {
			return nil, err
		}
		r = z
	} else {
		r = flate.NewReader(bytes.NewReader(data))
	}
	return io.ReadAll(io.LimitReader(r, limit))
}

// own is what this package makes of it, by Next.
func own(src io.Reader, f Format, limit int64) ([]byte, error) {
	r := NewReader(src, f)
	defer r.Close()
	return drain(r, limit)
}

func drain(r *Reader, limit int64) ([]byte, error) {
	var out []byte
	for int64(len(out)) < limit {
		c, err := r.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, c...)
	}
	return out[:limit], nil
}

// kind is what an error means, in both packages' words.
func kind(err error) string {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut off"
	case errors.As(err, &corrupt), errors.Is(err, ErrCorrupt):
		return "corrupt"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, ErrFormat):
		return "format"
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, ErrChecksum):
		return "checksum"
	}
	return err.Error()
}

// same compares both on one stream: the same bytes and the same answer. A
// stream that is broken twice (cut off, and bits that mean nothing) may be
// called either, and up to maxTold bytes more or fewer come out before it.
func same(t *testing.T, data []byte, f Format) []byte {
	t.Helper()
	const limit = 64 << 20
	want, wantErr := standard(data, f, limit)
	got, err := own(bytes.NewReader(data), f, limit)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%d bytes %.40x: standard library: %v; here: %v", len(data), data, wantErr, err)
	}
	if err == nil {
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes %.40x: other bytes: %d, want %d", len(data), data, len(got), len(want))
		}
		return got
	}
	if k, w := kind(err), kind(wantErr); k != w && (k == "format" || k == "checksum" || w == "format" || w == "checksum") {
		t.Fatalf("%d bytes %.40x: %q, want %q", len(data), data, err, wantErr)
	}
	n := min(len(got), len(want))
	if !bytes.Equal(got[:n], want[:n]) || len(got)-n > maxTold || len(want)-n > maxTold {
		t.Fatalf("%d bytes %.40x: before the error %d bytes, want %d", len(data), data, len(got), len(want))
	}
	return nil
}

// content is text-like: runs, near and far repetitions, and noise.
func content(rnd *rand.Rand, size int) []byte {
	out := make([]byte, 0, size+512)
	for len(out) < size {
		switch n := len(out); {
		case n > 0 && rnd.IntN(3) > 0:
			d := 1 + rnd.IntN(min(n, []int{8, 40, 40_000}[rnd.IntN(3)]))
			for range 3 + rnd.IntN([]int{8, 300}[rnd.IntN(2)]) {
				out = append(out, out[len(out)-d])
			}
		default:
			bits := 1 + rnd.IntN(8)
			for range rnd.IntN(60) {
				out = append(out, byte(rnd.IntN(1<<bits)))
			}
		}
	}
	return out[:size]
}

func compress(t testing.TB, level int, parts ...[]byte) []byte {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// brief is of how many cases one is tried: all, but of many alike fewer where
// -race or an emulator make each of them slow.
func brief(n int) int {
	if testing.Short() {
		return n
	}
	return 1
}

// TestStreams reads whole streams of all kinds that writers make: every level,
// sizes at both edges of the buffers, blocks flushed in the middle.
func TestStreams(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 2, 7, 8, 255, windowSize - 1, windowSize, windowSize + 1, chunkSize - 1, chunkSize, chunkSize + 1, windowSize + chunkSize - 1, windowSize + chunkSize, windowSize + chunkSize + 1, 3*chunkSize + 77, 2_500_000}
	for range 20 {
		sizes = append(sizes, rnd.IntN(1_000_000))
	}
	for level := gzip.HuffmanOnly; level <= gzip.BestCompression; level++ {
		for i, size := range sizes {
			if (i+level)%brief(6) != 0 {
				continue
			}
			data := content(rnd, size)
			cut := rnd.IntN(size + 1)
			z := compress(t, level, data[:cut], data[cut:])
			got, err := own(bytes.NewReader(z), Gzip, 1<<40)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("level %d, %d bytes: got %d, %v", level, size, len(got), err)
			}
		}
	}
}

// TestSources reads one stream from sources of every habit.
func TestSources(t *testing.T) {
	data := content(rand.New(rand.NewPCG(3, 4)), 700_000)
	z := compress(t, 6, data)
	members := bytes.Join([][]byte{compress(t, 1, data[:1000]), compress(t, 0, data[1000:400_000]), compress(t, 9), compress(t, 9, data[400_000:])}, nil)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as it is": func(r io.Reader) io.Reader { return r }, "one byte at a time": iotest.OneByteReader,
		"half": iotest.HalfReader, "end with data": iotest.DataErrReader,
		"empty reads": func(r io.Reader) io.Reader { return &stutter{r: r} },
	} {
		for what, z := range map[string][]byte{"one member": z, "four members": members} {
			got, err := own(wrap(bytes.NewReader(z)), Gzip, 1<<40)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, %s: %d bytes of %d, %v", name, what, len(got), len(data), err)
			}
			r := NewReader(wrap(bytes.NewReader(z)), Gzip)
			if err := iotest.TestReader(r, data); err != nil {
				t.Errorf("%s, %s: Read: %v", name, what, err)
			}
			r.Close()
		}
	}
}

type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.n++; s.n%3 != 0 {
		return 0, nil
	}
	return s.r.Read(p[:min(len(p), 1000)])
}

func TestSourceErrors(t *testing.T) {
	broken := errors.New("the cable")
	z := compress(t, 6, content(rand.New(rand.NewPCG(5, 6)), 100_000))
	for _, n := range []int{0, 3, 11, 100, len(z) - 5} {
		_, err := own(io.MultiReader(bytes.NewReader(z[:n]), iotest.ErrReader(broken)), Gzip, 1<<40)
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if _, err := own(&idle{}, Gzip, 1<<40); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a source that never gives anything: %v", err)
	}
}

type idle struct{}

func (*idle) Read([]byte) (int, error) { return 0, nil }

// TestClosed: a closed reader stays closed, also when its memory is another's.
func TestClosed(t *testing.T) {
	z := compress(t, 6, []byte("some text"))
	a := NewReader(bytes.NewReader(z), Gzip)
	a.Close()
	b := NewReader(bytes.NewReader(z), Gzip)
	defer b.Close()
	a.Close()
	if _, err := a.Next(); !errors.Is(err, errClosed) {
		t.Errorf("Next after Close: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if got, err := drain(b, 1<<40); err != nil || string(got) != "some text" {
		t.Errorf("the other reader: %q, %v", got, err)
	}
}

// TestCutOff cuts a stream at every byte.
func TestCutOff(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	for _, level := range []int{0, 1, 9, gzip.HuffmanOnly} {
		z := compress(t, level, content(rnd, 1500), content(rnd, 700))
		for n := range z {
			same(t, z[:n], Gzip)
			same(t, z[min(10, n):n], Raw)
		}
	}
}

// TestFlipped flips each bit of a stream.
func TestFlipped(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for _, level := range []int{0, 1, 9, gzip.HuffmanOnly} {
		z := compress(t, level, content(rnd, 900), content(rnd, 300))
		for i := 0; i < 8*len(z); i += brief(5) {
			z[i/8] ^= 1 << (i % 8)
			same(t, z, Gzip)
			same(t, z[10:], Raw)
			z[i/8] ^= 1 << (i % 8)
		}
	}
}

// TestNoise: what is no stream at all, for the decoder of blocks.
func TestNoise(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	for range 30_000 / brief(6) {
		b := make([]byte, rnd.IntN(120))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		if len(b) > 0 {
			b[0] = b[0]&^7 | []byte{1, 2, 3, 4, 5}[rnd.IntN(5)]
		}
		same(t, b, Raw)
	}
}

func TestHeaders(t *testing.T) {
	body := compress(t, 6, []byte("content"))[10:]
	head := func(flags byte, rest ...string) []byte {
		h := []byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 255}
		for _, r := range rest {
			h = append(h, r...)
		}
		return append(h, body...)
	}
	name := func(n int) string { return string(bytes.Repeat([]byte{'n'}, n)) + "\x00" }
	for what, z := range map[string][]byte{
		"nothing": {}, "one byte": {0x1f}, "nine bytes": head(0)[:9], "plain": head(0),
		"name": head(8, "a.tar\x00"), "name of 511": head(8, name(511)), "name of 512": head(8, name(512)), "name without an end": head(8, name(40000)),
		"comment": head(16, "words\x00"), "both": head(24, "a\x00", "b\x00"), "high bytes": head(8, "\xff\xe9\x00"),
		"extra": head(4, "\x03\x00abc"), "extra of 65535": head(4, "\xff\xff"+name(65534)), "extra cut off": head(4, "\xff\xff"),
		"all": head(28, "\x02\x00xy", "a\x00", "b\x00"), "header checksum, wrong": head(2, "\x01\x02"),
		"header checksum": head(2, "\x0a\x95"), "reserved flags": head(0xe0), "text": head(1),
		"other method": append([]byte{0x1f, 0x8b, 7}, head(0)[3:]...), "no magic": []byte("PK\x03\x04aaaaaaaaaaaaaaaa"),
		"zeros behind": append(head(0), make([]byte, 100)...), "one byte behind": append(head(0), 0), "text behind": append(head(0), "trailing garbage"...),
		"half a header behind": append(head(0), 0x1f, 0x8b, 8), "member behind": append(head(0), head(8, "x\x00")...),
		"wrong size": append(head(0)[:len(head(0))-1], 9), "wrong sum": append(append([]byte{}, head(0)[:len(head(0))-8]...), 0, 0, 0, 0, 7, 0, 0, 0),
	} {
		t.Run(what, func(t *testing.T) { same(t, z, Gzip) })
	}
}

// TestCorpora reads every file that tests of this repository and of the
// standard library hold, and what fuzzing on this machine has found, packed,
// and as it is.
func TestCorpora(t *testing.T) {
	files := 0
	for _, root := range []string{"..", filepath.Join(truth.GoRoot(t), "src", "compress"), filepath.Join(truth.GoRoot(t), "src", "archive")} {
		names := filesIn(t, root, "/testdata/")
		files += len(names)
		for _, name := range names {
			corpus(t, name)
		}
	}
	if files < 100 {
		t.Errorf("%d files only", files)
	}
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	const most = 2000 // years of fuzzing leave more than a test has time for
	found := filesIn(t, filepath.Join(strings.TrimSpace(string(out)), "fuzz"), "/esclusa/")
	for i := 0; i < len(found); i += 1 + len(found)/most {
		corpus(t, found[i])
	}
	t.Logf("%d files, %d finds of fuzzing", files, len(found))
}

// filesIn are those files below root with part in their path; none where
// there is no root.
func filesIn(t *testing.T, root, part string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // others may fuzz at this time, and tidy up
		}
		if err == nil && !e.IsDir() && strings.Contains(p, part) {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func corpus(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(data) > 4<<20 {
		return
	}
	for _, data := range seeds(data) {
		if got := same(t, compress(t, 6, data), Gzip); !bytes.Equal(got, data) {
			t.Errorf("%s: packed and unpacked it is another", name)
		}
		same(t, data, Gzip)
		same(t, data, Raw)
	}
}

// seeds are the bytes and strings in a file of a fuzzing corpus; any other
// file is the one seed.
func seeds(data []byte) [][]byte {
	if !bytes.HasPrefix(data, []byte("go test fuzz v1\n")) {
		return [][]byte{data}
	}
	var all [][]byte
	for line := range strings.Lines(string(data)) {
		for _, kind := range []string{"[]byte(", "string("} {
			quoted, ok := strings.CutPrefix(strings.TrimSpace(line), kind)
			if v, err := strconv.Unquote(strings.TrimSuffix(quoted, ")")); ok && err == nil {
				all = append(all, []byte(v))
			}
		}
	}
	return all
}

// FuzzInflate compares with the standard library, and begins again at each
// checkpoint.
func FuzzInflate(f *testing.F) {
	rnd := rand.New(rand.NewPCG(13, 14))
	for _, level := range []int{0, 1, 6, 9, gzip.HuffmanOnly} {
		z := compress(f, level, content(rnd, 300), content(rnd, 2000))
		f.Add(z, false)
		f.Add(z[10:], true)
	}
	for _, s := range streams() {
		f.Add(s.bits.bytes(), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		format := Gzip
		if raw {
			format = Raw
		}
		if want := same(t, data, format); want != nil && len(want) < 4<<20 {
			resumed(t, data, format, want, 1+int64(len(want)/5))
		}
	})
}

// BenchmarkInflate unpacks 8 MB of text-like content; the peers beside it.
func BenchmarkInflate(b *testing.B) {
	data := content(rand.New(rand.NewPCG(15, 16)), 8<<20)
	z := compress(b, 6, data)
	for name, run := range map[string]func() (int64, error){
		"here": func() (int64, error) {
			r := NewReader(bytes.NewReader(z), Gzip)
			defer r.Close()
			n := int64(0)
			for {
				c, err := r.Next()
				if n += int64(len(c)); err == io.EOF {
					return n, nil
				} else if err != nil {
					return n, err
				}
			}
		},
		"standard": func() (int64, error) {
			r, err := gzip.NewReader(bytes.NewReader(z))
			if err != nil {
				return 0, err
			}
			return io.Copy(io.Discard, r)
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := run(); err != nil || n != int64(len(data)) {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func ExampleReader_Next() {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, "through the lock")
	_ = w.Close()

	r := NewReader(&z, Gzip)
	defer r.Close()
	for {
		chunk, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", chunk)
	}
	// Output: through the lock
}
