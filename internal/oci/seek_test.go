package oci_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// words is text that packs to a third.
func words(seed uint64, size int) string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	for b.Len() < size {
		for range 3 + rnd.IntN(9) {
			b.WriteByte(byte('a' + rnd.IntN(16)))
		}
		b.WriteByte(' ')
	}
	return b.String()[:size]
}

// mark reads a layer whole.
func mark(t *testing.T, l *oci.Layer) ([]byte, *oci.SeekTable) {
	t.Helper()
	var table oci.SeekTable
	s, err := l.OpenTarMarked(t.Context(), &table)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	whole, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return whole, &table
}

// readParts reads places in and out of order, and gives what it fetched of
// the blob for the last of them.
func readParts(t *testing.T, l *oci.Layer, whole []byte, table *oci.SeekTable) int64 {
	t.Helper()
	s, err := l.OpenSeeker(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rnd := rand.New(rand.NewPCG(5, 6))
	last := len(whole) - 600_000
	for _, at := range []int{0, 100, 1 << 20, 0, len(whole) - 1, 5 << 20, 5<<20 + 10, rnd.IntN(len(whole)), rnd.IntN(len(whole)), last} {
		before := s.Fetched()
		if err := s.MoveTo(int64(at)); err != nil {
			t.Fatalf("move to %d: %v", at, err)
		}
		want := whole[at:min(len(whole), at+300_000)]
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("at %d: other content, %v", at, err)
		}
		if at == last {
			return s.Fetched() - before
		}
	}
	return 0
}

// TestSeek reads parts of layers from each store that allows it.
func TestSeek(t *testing.T) {
	big := registrytest.File{Path: "big", Content: words(1, 20<<20)}
	built := registrytest.Image(t, registrytest.Layer{Files: []registrytest.File{big}},
		registrytest.Layer{Files: []registrytest.File{big, {Path: "x", Content: "y"}}, Compression: registrytest.None})
	reg := registrytest.Serve(t)
	for name, target := range map[string]string{
		"folder": built.Layout(t), "archive": built.LayoutTar(t), "registry": reg.Push("team/app", built, "1"),
	} {
		t.Run(name, func(t *testing.T) {
			img := open(t, target, oci.Options{})
			for i := range img.Layers {
				whole, table := mark(t, &img.Layers[i])
				if fetched := readParts(t, &img.Layers[i], whole, table); fetched == 0 || fetched > 5<<20 {
					t.Errorf("layer %d: %d bytes of %d fetched for 300 kB", i, fetched, table.Size)
				}
			}
		})
	}
}

// TestSeekNot: what cannot be read in parts says so.
func TestSeekNot(t *testing.T) {
	files := []registrytest.File{{Path: "f", Content: words(2, 3<<20)}}
	built := registrytest.Image(t, registrytest.Layer{Files: files}, registrytest.Layer{Files: files, Compression: registrytest.Zstd})
	img := open(t, built.Layout(t), oci.Options{})
	_, gz := mark(t, &img.Layers[0])
	_, zs := mark(t, &img.Layers[1])
	half := *gz
	half.Whole = false
	fewer := *gz
	fewer.Sums = gz.Sums[:0]
	for name, c := range map[string]struct {
		layer int
		table *oci.SeekTable
	}{"zstd": {1, zs}, "empty table": {0, &oci.SeekTable{}}, "table not whole": {0, &half}, "table cut": {0, &fewer}, "table of another": {1, gz}} {
		if _, err := img.Layers[c.layer].OpenSeeker(t.Context(), c.table); !errors.Is(err, oci.ErrNotSeekable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	saved := open(t, built.DockerArchive(t, "app:1"), oci.Options{})
	_, plain := mark(t, &saved.Layers[0])
	if _, err := saved.Layers[0].OpenSeeker(t.Context(), plain); !errors.Is(err, oci.ErrNotSeekable) {
		t.Errorf("a layer without a digest: %v", err)
	}
}

// TestSeekChanged: a part that was changed after the whole was read is refused
// before any of it comes out; the parts around it can be read.
func TestSeekChanged(t *testing.T) {
	for _, c := range []registrytest.Compression{registrytest.Gzip, registrytest.None} {
		built := registrytest.Image(t, registrytest.Layer{Files: []registrytest.File{{Path: "big", Content: words(3, 20<<20)}}, Compression: c})
		dir := built.Layout(t)
		img := open(t, dir, oci.Options{})
		l := &img.Layers[0]
		whole, table := mark(t, l)
		file := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(string(l.Digest), "sha256:"))
		blob, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blob[len(blob)/2] ^= 4
		if err := os.WriteFile(file, blob, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := l.OpenSeeker(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		read := func(at int) error {
			if err := s.MoveTo(int64(at)); err != nil {
				return err
			}
			got := make([]byte, 1000)
			_, err := io.ReadFull(s, got)
			if err == nil && !bytes.Equal(got, whole[at:at+1000]) {
				t.Errorf("at %d: changed content came out", at)
			}
			return err
		}
		if err := read(0); err != nil {
			t.Errorf("before the change: %v", err)
		}
		if err := read(len(whole) / 2); !errors.Is(err, oci.ErrDigest) {
			t.Errorf("in the changed part: %v", err)
		}
		if err := read(len(whole) - 5000); err != nil {
			t.Errorf("behind the change: %v", err)
		}
	}
}
