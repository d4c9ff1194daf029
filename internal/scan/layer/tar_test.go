package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/google/go-cmp/cmp"
)

// chunked is a stream that hands out chunks, as layers of images do.
type chunked struct {
	io.Reader
	data []byte
	size int
}

func (c *chunked) Next() ([]byte, error) {
	if len(c.data) == 0 {
		return nil, io.EOF
	}
	p := c.data[:min(len(c.data), c.size)]
	c.data = c.data[len(p):]
	return p, nil
}

func (c *chunked) Close() error {
	if len(c.data) > 0 {
		return fmt.Errorf("closed with %d bytes unread: the digest is not checked", len(c.data))
	}
	return nil
}

// TestChunks: one record, however the stream comes, and all of the stream is
// read.
func TestChunks(t *testing.T) {
	raw := registrytest.Tar(t,
		file{Path: "a.pkg", Content: "a 1\nown x"}, file{Path: "big.txt", Content: strings.Repeat("open sesame\n", 10_000)},
		file{Path: strings.Repeat("long/", 60) + "b.pkg", Content: "b 1"}, file{Path: "l", Link: "a.pkg"},
		file{Path: "n/c.pkg", Hard: "store/c"}, file{Path: "store/c", Content: "c 1"}, file{Path: "gone", Whiteout: true},
	)
	raw = append(raw, make([]byte, 10_000)...)
	p := newPool(t, layer.DefaultLimits())
	want, err := p.ReadTar(t.Context(), opener(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Items) != 4 {
		t.Errorf("%d items", len(want.Items))
	}
	wantBytes, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 511, 512, 4000, len(raw)} {
		got, err := p.ReadTar(t.Context(), func() (io.ReadCloser, error) { return &chunked{data: raw, size: size}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := got.Encode(); !bytes.Equal(b, wantBytes) {
			t.Errorf("chunks of %d: another record", size)
		}
	}
}

// holes is a file stored sparse, in PAX format 1.0: its map stands before its
// content. archive/tar does not write the true keys: sparseTar puts them in.
func holes(path string, size int) file {
	return file{Path: "GNUSparseFile.0/" + path, Content: "1\n0\n3\n" + strings.Repeat("\x00", 506) + "a 1", Header: func(h *tar.Header) {
		h.Format = tar.FormatPAX
		h.PAXRecords = map[string]string{
			"XYZ.sparse.major": "1", "XYZ.sparse.minor": "0", "XYZ.sparse.name": path, "XYZ.sparse.realsize": fmt.Sprint(size),
		}
	}}
}

func sparseTar(t testing.TB, files ...file) []byte {
	t.Helper()
	return bytes.ReplaceAll(registrytest.Tar(t, files...), []byte("XYZ.sparse."), []byte("GNU.sparse."))
}

// TestOddEntries: what is no plain file is told or left alone, and hides
// nothing of the layer below, which holds a.pkg.
func TestOddEntries(t *testing.T) {
	typed := func(typ byte, path string) file {
		return file{Path: path, Content: "b 2", Header: func(h *tar.Header) { h.Typeflag, h.Size = typ, 0 }}
	}
	global := file{Path: "a.pkg", Header: func(h *tar.Header) {
		*h = tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "a.pkg", PAXRecords: map[string]string{"path": "a.pkg"}}
	}}
	for name, tt := range map[string]struct {
		files []file
		gaps  []string // scope and path
		live  []string
	}{
		"sparse database":        {[]file{holes("b.pkg", 3)}, []string{"system b.pkg"}, []string{"a.pkg a 1 @0"}},
		"sparse, too large":      {[]file{holes("b.pkg", 10<<30)}, []string{"system b.pkg"}, []string{"a.pkg a 1 @0"}},
		"sparse database, again": {[]file{holes("a.pkg", 3)}, []string{"system a.pkg"}, nil},
		"sparse text":            {[]file{holes("b.txt", 3)}, []string{"file b.txt"}, []string{"a.pkg a 1 @0"}},
		"sparse, its magic?":     {[]file{holes("b", 10<<20)}, []string{"file b"}, []string{"a.pkg a 1 @0"}},
		"sparse, and empty":      {[]file{holes("b.pkg", 0)}, nil, []string{"a.pkg a 1 @0"}},
		"link to a sparse file":  {[]file{{Path: "c.pkg", Hard: "b"}, holes("b", 3)}, []string{"file b", "system c.pkg"}, []string{"a.pkg a 1 @0"}},
		"global header":          {[]file{global}, nil, []string{"a.pkg a 1 @0"}},
		"unknown type":           {[]file{typed('D', "a.pkg")}, []string{"file a.pkg"}, []string{"a.pkg a 1 @0"}},
		"device":                 {[]file{{Path: "a.pkg", Mode: fs.ModeDevice}}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, layer.DefaultLimits(), noteReader{system: "note"}, wordReader{})
			rec, err := p.ReadTar(t.Context(), opener(sparseTar(t, tt.files...)))
			if err != nil {
				t.Fatal(err)
			}
			var gaps []string
			for _, g := range rec.Gaps {
				gaps = append(gaps, string(g.Scope)+" "+g.Path)
			}
			if d := cmp.Diff(tt.gaps, gaps); d != "" {
				t.Error(d)
			}
			m := layer.Merge([]*layer.Record{read(t, p, file{Path: "a.pkg", Content: "a 1"}), rec}, []esclusa.Digest{"sha256:0", "sha256:1"})
			m.Deleted = nil
			if d := cmp.Diff(tt.live, show(m)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestStatedSizes: sizes of what has no content are not counted, and no sum
// of sizes goes round to less than the limit.
func TestStatedSizes(t *testing.T) {
	size := func(n int64, typ byte) file {
		return file{Path: "x", Header: func(h *tar.Header) { h.Typeflag, h.Size = typ, n }}
	}
	p := newPool(t, layer.DefaultLimits())
	if rec := read(t, p, size(1<<50, tar.TypeDir), size(1<<62, tar.TypeLink)); rec.Bytes != 0 || rec.Entries != 2 {
		t.Errorf("%d bytes in %d entries", rec.Bytes, rec.Entries)
	}
	raw := registrytest.Tar(t, file{Path: "a", Content: "content"})
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "b", Size: math.MaxInt64, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReadTar(t.Context(), opener(append(raw[:1024], b.Bytes()...))); !errors.Is(err, layer.ErrLimit) {
		t.Error(err)
	}
}
