package tarwalk

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// oldSparse is an old GNU sparse header with extra blocks of its map behind.
func oldSparse(name string, size int64, stored, extra int) []byte {
	var b block
	copy(b[:], name)
	copy(b[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o", stored)+"\x0000000000000\x00")
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 0, stored))
	copy(b[483:], fmt.Sprintf("%011o\x00", size))
	if extra > 0 {
		b[482] = 1
	}
	data := b[:]
	fixSums(data)
	for i := range extra {
		more := make([]byte, blockSize)
		if i < extra-1 {
			more[504] = 1
		}
		data = append(data, more...)
	}
	return append(data, make([]byte, (stored+blockSize-1)/blockSize*blockSize)...)
}

// TestHoles holds the one difference to its words: size with holes, stored
// bytes as they are, offset behind the map.
func TestHoles(t *testing.T) {
	data := append(oldSparse("a", 10<<30, 512, 0), oldSparse("b", 1<<20, 700, 3)...)
	data = append(data, sample(t, tar.FormatPAX)...)
	w := New(&pieces{data: data, size: 600})
	var e Entry
	for _, want := range []Entry{
		{Size: 10 << 30, Stored: 512, Offset: 512},
		{Size: 1 << 20, Stored: 700, Offset: 1024 + 512 + 3*512},
	} {
		if err := w.Next(&e); err != nil {
			t.Fatal(err)
		}
		if !e.Sparse || e.Size != want.Size || e.Stored != want.Stored || e.Offset != want.Offset {
			t.Errorf("%+v, want %+v", e, want)
		}
		if got, err := io.ReadAll(w); err != nil || int64(len(got)) != want.Stored {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if err := w.Next(&e); err != nil || string(e.Name) != "dir/" {
		t.Errorf("what follows: %q, %v", e.Name, err)
	}
}

// TestBounds: what is larger than the walker holds is refused, and what is
// just not is taken.
func TestBounds(t *testing.T) {
	pax := func(size int) []byte {
		head, tail := strconv.Itoa(size)+" comment=", "\n"
		text := head + strings.Repeat("x", size-len(head)-len(tail)) + tail
		return append(meta('x', []byte(text)), sample(t, tar.FormatUSTAR)...)
	}
	name := func(typ byte, size int) []byte {
		return append(meta(typ, bytes.Repeat([]byte("n"), size)), sample(t, tar.FormatUSTAR)...)
	}
	for what, tt := range map[string]struct {
		data []byte
		ok   bool
	}{
		"PAX":                {pax(maxMeta), true},
		"PAX, too large":     {pax(maxMeta + 1), false},
		"name":               {name('L', maxMeta), true},
		"name, too large":    {name('L', maxMeta+1), false},
		"link":               {name('K', maxMeta), true},
		"link, too large":    {name('K', maxMeta+1), false},
		"map":                {oldSparse("s", 1, 0, maxSparseBlocks), true},
		"map, too large":     {oldSparse("s", 1, 0, maxSparseBlocks+1), false},
		"name, none behind":  {meta('L', []byte("n")), true},
		"promise of 8 GiB":   {meta('x', nil, 8<<30-1), false},
		"content of 8 GiB":   {meta('0', nil, 8<<30-1), false},
		"half an end mark":   {append(make([]byte, blockSize), sample(t, tar.FormatGNU)...), false},
		"nothing":            {nil, true},
		"zeros":              {make([]byte, 1<<20), true},
		"text":               {bytes.Repeat([]byte("text "), 1000), false},
		"one byte":           {[]byte{0}, false},
		"one block of zeros": {make([]byte, blockSize), true},
	} {
		t.Run(what, func(t *testing.T) {
			if c := agreeAll(t, tt.data); (c.refused == 0) != tt.ok {
				t.Errorf("%+v", c)
			}
			if _, err := last(New(&pieces{data: tt.data, size: 1000})); (err == io.EOF) != tt.ok {
				t.Error(err)
			}
		})
	}
}

// meta is a header with content; size stands in for the content's.
func meta(typ byte, content []byte, size ...int) []byte {
	size = append(size, len(content))
	var b block
	copy(b[:], "meta")
	copy(b[100:], "0000644\x000000000\x000000000\x00"+fmt.Sprintf("%011o", size[0])+"\x0000000000000\x00")
	b[156] = typ
	data := append(b[:], content...)
	fixSums(data[:blockSize])
	return append(data, make([]byte, -len(content)&(blockSize-1))...)
}

func last(w *Walker) (n int, err error) {
	for e := (Entry{}); ; n++ {
		if err = w.Next(&e); err != nil {
			return n, err
		}
	}
}

// TestStreamErrors: the source's own errors are handed on as they are, and
// stay.
func TestStreamErrors(t *testing.T) {
	data := sample(t, tar.FormatPAX)
	broken := errors.New("cable pulled")
	for n := range data {
		r := io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken))
		w := New(Chunks(r))
		if _, err := last(w); err != broken && n < len(data)-blockSize {
			t.Fatalf("cut at %d: %v", n, err)
		}
		var e Entry
		if err := w.Next(&e); err == nil || w.Next(&e) != err {
			t.Fatalf("cut at %d: the error does not stay", n)
		}
	}
}

// idle never has a byte and never an error.
type idle struct{}

func (idle) Next() ([]byte, error)    { return nil, nil }
func (idle) Read([]byte) (int, error) { return 0, nil }

func TestNoProgress(t *testing.T) {
	for _, w := range []*Walker{New(idle{}), New(Chunks(idle{}))} {
		if _, err := last(w); err != io.ErrNoProgress {
			t.Error(err)
		}
	}
}

// TestNumbers: base 256, its borders, and octal in all that writers make of
// it.
func TestNumbers(t *testing.T) {
	wide := func(n int64) string {
		b := bytes.Repeat([]byte{byte(n >> 63)}, 12)
		binary.BigEndian.PutUint64(b[4:], uint64(n))
		b[0] |= 0x80
		return string(b)
	}
	for _, tt := range []struct {
		field string
		want  int64
		ok    bool
	}{
		{"00000000017\x00", 15, true},
		{"77777777777\x00", 1<<33 - 1, true},
		{"777777777777", 1<<36 - 1, true},
		{"         17 ", 15, true},
		{"17\x0099999999\x00", 15, true},
		{strings.Repeat("\x00", 12), 0, true},
		{strings.Repeat(" ", 12), 0, true},
		{"0000 000017\x00", 0, false},
		{"00000000018\x00", 0, false},
		{"-0000000017\x00", 0, false},
		{"0x000000017\x00", 0, false},
		{"0000000001/\x00", 0, false},
		{wide(0), 0, true},
		{wide(1 << 40), 1 << 40, true},
		{wide(math.MaxInt64), math.MaxInt64, true},
		{wide(-1), -1, true},
		{wide(math.MinInt64), math.MinInt64, true},
		{"\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", 0, false},
		{"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", 0, false},
		{"0000017\x00", 15, true},
		{"7777777 ", 1<<21 - 1, true},
		{"77777777", 1<<24 - 1, true},
		{"0000018\x00", 0, false},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", 0, true},
		{"\xff\xff\xff\xff\xff\xff\xff\xfe", -2, true},
	} {
		if got, ok := number([]byte(tt.field)); got != tt.want && tt.ok || ok != tt.ok {
			t.Errorf("%q: %d, %v", tt.field, got, ok)
		}
	}
}

// FuzzWalk holds every tar to archive/tar, as it is and with checksums that
// fit, in one chunk, in many and byte by byte.
func FuzzWalk(f *testing.F) {
	const small = 8 << 10 // the fuzzer wastes its time on larger ones
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		data := sample(f, format)
		f.Add(data[:min(len(data), small)])
	}
	f.Add(oldSparse("big", 10<<30, 512, 2))
	f.Add(append(meta('x', []byte("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n")), oldSparse("a", 4, 4, 0)...))
	f.Add(append(meta('x', []byte("25 GNU.sparse.offset=0\n\n")), sample(f, tar.FormatUSTAR)[:2048]...))
	for _, data := range goTars(f) {
		if len(data) <= small {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		agreeAll(t, data)
		fixed := bytes.Clone(data)
		fixSums(fixed)
		if !bytes.Equal(fixed, data) {
			agreeAll(t, fixed)
		}
	})
}

// thousand are 1,000 entries as a builder writes them: two of three have
// content, a few a PAX header.
func thousand(b *testing.B) []byte {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := range 1000 {
		h := tar.Header{Name: fmt.Sprintf("usr/share/doc/package-%d/copyright-%d.txt", i/10, i), Mode: 0o644, Typeflag: tar.TypeReg}
		switch {
		case i%10 == 0:
			h.Name, h.Typeflag, h.Mode = fmt.Sprintf("usr/share/doc/package-%d/", i/10), tar.TypeDir, 0o755
		case i%10 == 1:
			h.Typeflag, h.Linkname = tar.TypeSymlink, "copyright-0.txt"
		case i%10 < 8:
			h.Size = int64(i * 8)
		case i%50 == 8:
			h.Name = "größe/" + h.Name
		}
		if err := w.WriteHeader(&h); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// BenchmarkWalk is 1,000 entries of which nobody reads the content, in chunks
// of 256 KiB. archive/tar gets a reader that can pass over it, too.
func BenchmarkWalk(b *testing.B) {
	data := thousand(b)
	b.Run("tarwalk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n, err := last(New(&whole{data})); n != 1000 || err != io.EOF {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("archive_tar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r, n := tar.NewReader(bytes.NewReader(data)), 0
			for ; ; n++ {
				if _, err := r.Next(); err != nil {
					break
				}
			}
			if n != 1000 {
				b.Fatal(n)
			}
		}
	})
}

type whole struct{ data []byte }

func (w *whole) Next() ([]byte, error) {
	if len(w.data) == 0 {
		return nil, io.EOF
	}
	c := w.data[:min(len(w.data), 256<<10)]
	w.data = w.data[len(c):]
	return c, nil
}
