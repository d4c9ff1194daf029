package tarwalk

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pieces hands bytes out a few at a time, and spoils what it handed out
// before: nobody may look at it again.
type pieces struct {
	data []byte
	size int
	last []byte
}

func (p *pieces) Next() ([]byte, error) {
	clear(p.last)
	if len(p.data) == 0 {
		return nil, io.EOF
	}
	n := min(p.size, len(p.data))
	p.last = bytes.Clone(p.data[:n])
	p.data = p.data[n:]
	return p.last, nil
}

// seen is what both readers are asked about an entry.
type seen struct {
	Name, Link string
	Type       byte
	Mode       string
	UID        int
	Size       int64
	Offset     int64
}

// counted says how far archive/tar has read: it reads no byte ahead.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// outcome is the kind of an error: archive/tar's own words for what it
// refuses are several, and its choice between them is not ours.
func outcome(err error) string {
	switch {
	case err == nil:
		return "goes on"
	case err == io.EOF:
		return "end"
	case errors.Is(err, ErrHeader), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, tar.ErrHeader), strings.HasPrefix(err.Error(), "archive/tar: "):
		return "refused"
	}
	return err.Error()
}

// census is how much two readers agreed on, so that a test sees whether it
// compared anything.
type census struct {
	entries, sparse, bytes, refused int
}

func (c *census) add(d census) {
	c.entries += d.entries
	c.sparse += d.sparse
	c.bytes += d.bytes
	c.refused += d.refused
}

// agree holds a walk to archive/tar over the same bytes: the same entries with
// the same content, and the same end. The differences are those of the package
// comment: of a file with holes the stored bytes are not the content, and if
// archive/tar refuses its map the comparison ends.
func agree(t testing.TB, src Source, r io.Reader) (c census) {
	t.Helper()
	in := &counted{r: r}
	tr, w := tar.NewReader(in), New(src)
	var e Entry
	for {
		h, want := tr.Next()
		got := w.Next(&e)
		if got == nil && e.Sparse && outcome(want) == "refused" {
			c.refused++
			return c
		}
		if outcome(got) != outcome(want) {
			t.Fatalf("entry %d, %q at %d: %v, archive/tar: %v", c.entries, e.Name, w.from, got, want)
		}
		if want != nil {
			if outcome(want) == "refused" {
				c.refused++
			}
			return c
		}
		c.entries++
		compareHeader(t, &e, h, in.n)
		if e.Sparse {
			c.sparse++
			continue
		}
		// Every third is passed over and every third left in the middle.
		limit := e.Size
		if c.entries%3 == 0 {
			limit = 0
		} else if c.entries%3 == 1 {
			limit /= 2
		}
		a, want := io.ReadAll(io.LimitReader(tr, limit))
		b, got := io.ReadAll(io.LimitReader(w, limit))
		if !bytes.Equal(a, b) || outcome(got) != outcome(want) {
			t.Fatalf("%q: %d bytes and %v, archive/tar %d and %v", e.Name, len(b), got, len(a), want)
		}
		c.bytes += len(a)
	}
}

func compareHeader(t testing.TB, e *Entry, h *tar.Header, at int64) {
	t.Helper()
	got := seen{string(e.Name), string(e.Link), e.Type, e.FileMode().String(), e.UID, e.Size, e.Offset}
	want := seen{h.Name, h.Linkname, h.Typeflag, h.FileInfo().Mode().String(), h.Uid, h.Size, at}
	if !hasContent(h.Typeflag) {
		want.Size = 0 // whatever stands there: no content follows
	}
	if h.Typeflag == tar.TypeXGlobalHeader && h.PAXRecords == nil {
		// A global header with a broken record: archive/tar stops somewhere
		// in a map, so that the name is now this and now that.
		want.Name = got.Name
	}
	if e.Sparse {
		if !claimsHoles(h) {
			t.Fatalf("%q: sparse, but nothing in the header says so", e.Name)
		}
		want.Offset = got.Offset // archive/tar has read the map already
	} else if h.Typeflag == tar.TypeGNUSparse {
		t.Fatalf("%q: not told to be sparse", e.Name)
	}
	if got != want {
		t.Fatal(cmp.Diff(want, got))
	}
	if hasContent(e.Type) && !e.Sparse && e.Stored != e.Size || !hasContent(e.Type) && e.Stored != 0 {
		t.Fatalf("%q: %d bytes stored of %d", e.Name, e.Stored, e.Size)
	}
}

func claimsHoles(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// agreeAll is agree in one chunk, in many, and byte by byte.
func agreeAll(t testing.TB, data []byte) (c census) {
	t.Helper()
	for i, size := range []int{len(data) + 1, 1, 512, 700, 4096} {
		if size == 1 && (len(data) > 1<<20 || testing.Short() && len(data) > 1<<14) {
			continue // slow, and nothing new; -short is for -race and emulators
		}
		d := agree(t, &pieces{data: data, size: size}, bytes.NewBuffer(data))
		if i == 0 {
			c = d
		} else if c != d {
			t.Fatalf("chunks of %d: %+v, in one %+v", size, d, c)
		}
	}
	return c
}

// sample is a tar by archive/tar's writer with an entry of each kind.
func sample(t testing.TB, format tar.Format) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h tar.Header, content string) {
		t.Helper()
		h.Format, h.Size = format, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			if format == tar.FormatUSTAR {
				return // not everything can be said in it
			}
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("folder/", 30)
	add(tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o1777}, "")
	add(tar.Header{Name: "dir/empty", Mode: 0o644}, "")
	for _, n := range []int{1, 511, 512, 513, 2000} {
		add(tar.Header{Name: fmt.Sprint("dir/of", n), Mode: 0o4755, Uid: n}, strings.Repeat("x", n))
	}
	add(tar.Header{Name: long + "file", Mode: 0o600}, "content")
	add(tar.Header{Name: strings.Repeat("n", 300), Mode: 0o600}, "content")
	add(tar.Header{Name: "größe/日本", Mode: 0o600}, "content")
	add(tar.Header{Name: "sym", Typeflag: tar.TypeSymlink, Linkname: long}, "")
	add(tar.Header{Name: long + "hard", Typeflag: tar.TypeLink, Linkname: "dir/of1"}, "")
	add(tar.Header{Name: "fifo", Typeflag: tar.TypeFifo}, "")
	add(tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, "")
	add(tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8}, "")
	add(tar.Header{Name: "owner", Uid: 1 << 30, Gid: 1 << 30}, "content")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWriterFormats(t *testing.T) {
	for format, entries := range map[tar.Format]int{tar.FormatUSTAR: 12, tar.FormatPAX: 16, tar.FormatGNU: 16} {
		t.Run(format.String(), func(t *testing.T) {
			if c := agreeAll(t, sample(t, format)); c.entries != entries || c.bytes == 0 || c.refused != 0 {
				t.Errorf("%+v, want %d entries", c, entries)
			}
		})
	}
}

// TestCut cuts a tar at the edges of every block and inside it: the end of the
// stream is taken for the end of the tar where archive/tar does, and nowhere
// else.
func TestCut(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		data := sample(t, format)
		for n := range data {
			if n%blockSize%130 > 1 && n%blockSize != blockSize-1 {
				continue
			}
			for _, size := range []int{n + 1, 500} {
				agree(t, &pieces{data: data[:n], size: size}, bytes.NewBuffer(data[:n]))
			}
		}
	}
}

// TestBytes turns every byte into others, with and without a checksum that
// fits: what archive/tar takes is taken.
func TestBytes(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		h := &tar.Header{Name: "dir/name", Linkname: "link", Mode: 0o644, Uid: 1000, Size: 3, Format: format}
		if format == tar.FormatPAX {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b", "linkpath": "other"}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole := buf.Bytes()
		var c census
		for i := range len(whole) - 2*blockSize {
			for _, v := range []byte{0, ' ', '/', '7', 'S', 'g', 0x80, 0xff} {
				data := bytes.Clone(whole)
				data[i] = v
				c.add(agree(t, &pieces{data: data, size: len(data)}, bytes.NewBuffer(data)))
				fixSums(data)
				c.add(agree(t, &pieces{data: data, size: len(data)}, bytes.NewBuffer(data)))
			}
		}
		if c.refused == 0 || c.entries == 0 {
			t.Errorf("%v: %+v", format, c)
		}
	}
}

// fixSums writes a true checksum into every block that looks like a header.
func fixSums(data []byte) {
	for at := 0; at+blockSize <= len(data); at += blockSize {
		b := (*block)(data[at:])
		if b[0] == 0 || b[100] == 0 {
			continue
		}
		copy(b[148:156], "        ")
		sum := 0
		for _, c := range b {
			sum += int(c)
		}
		copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
}
