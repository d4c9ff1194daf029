package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"
)

// pieces hands bytes out a few at a time.
type pieces struct {
	data []byte
	size int
}

func (p *pieces) Next() ([]byte, error) {
	if len(p.data) == 0 {
		return nil, io.EOF
	}
	n := min(p.size, len(p.data))
	c := p.data[:n]
	p.data = p.data[n:]
	return c, nil
}

// TestSkipper holds skipping to what archive/tar sees without it: all of a
// tar, and the same error wherever it is cut.
func TestSkipper(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, size := range map[string]int{"a": 0, "b": 1, "c": 511, "d": 5000} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(size), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	names := func(r io.Reader) (all string, err error) {
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return all, err
			}
			all += h.Name
		}
	}
	for cut := range buf.Len() + 1 {
		data := buf.Bytes()[:cut]
		want, wantErr := names(io.MultiReader(bytes.NewReader(data))) // no Seek
		for _, size := range []int{1, 512, 700, 1 << 20} {
			got, err := names(&skipper{src: &pieces{data, size}})
			if got != want || !errors.Is(err, wantErr) {
				t.Fatalf("cut at %d, chunks of %d: %q and %v, want %q and %v", cut, size, got, err, want, wantErr)
			}
		}
	}
}
