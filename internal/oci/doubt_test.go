package oci

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/inflate"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/opencontainers/go-digest"
)

// refusing is a decoder that gives up, or breaks, after so many bytes.
type refusing struct {
	Stream
	left   int
	breaks bool
}

func (r *refusing) Next() ([]byte, error) {
	if r.left == 0 {
		if r.breaks {
			return nil, errBroke
		}
		return nil, inflate.ErrCorrupt
	}
	c, err := r.Stream.Next()
	c = c[:min(len(c), r.left)]
	r.left -= len(c)
	return c, err
}

func layerOf(t *testing.T, blob []byte, opened *int) *Layer {
	t.Helper()
	return &Layer{
		Layer: esclusa.Layer{Digest: esclusa.Digest(digest.FromBytes(blob)), Size: int64(len(blob))},
		open: func(context.Context) (io.ReadCloser, error) {
			*opened++
			return io.NopCloser(bytes.NewReader(blob)), nil
		},
		limits: Limits{}.withDefaults(), doubts: new(atomic.Int64),
	}
}

// TestSecondOpinion: where our decoder errs the layer is read all the same,
// and it is counted; where the layer is broken the standard library says so.
func TestSecondOpinion(t *testing.T) {
	data := strings.Repeat("one layer, two decoders. ", 50_000)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, data)
	_ = w.Close()
	for _, left := range []int{0, 1, 300_000, len(data) - 1} {
		for _, breaks := range []bool{false, true} {
			opened := 0
			l := layerOf(t, z.Bytes(), &opened)
			s, err := l.OpenTar(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ts := s.(*tarStream)
			ts.Stream = &refusing{Stream: ts.Stream, left: left, breaks: breaks}
			got, err := io.ReadAll(s)
			if err != nil || string(got) != data || opened != 2 || l.doubts.Load() != 1 {
				t.Errorf("after %d bytes: got %d of %d, %v; opened %d times, %d doubts", left, len(got), len(data), err, opened, l.doubts.Load())
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}

	broken := bytes.Clone(z.Bytes())
	broken[len(broken)/2] ^= 0x10
	opened := 0
	l := layerOf(t, broken, &opened)
	s, err := l.OpenTar(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = io.ReadAll(s)
	if err == nil || opened != 2 || l.doubts.Load() != 1 {
		t.Errorf("a broken layer: %v; opened %d times, %d doubts", err, opened, l.doubts.Load())
	}
	if doubtful(err) {
		t.Errorf("the last word was our own: %v", err)
	}
}

// TestSecondOpinionRegistry: a registry that answers one request at a time is
// asked again only when the first answer was closed.
func TestSecondOpinionRegistry(t *testing.T) {
	noise := make([]byte, 12<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	raw := registrytest.Tar(t, registrytest.File{Path: "noise", Content: string(noise)})
	blob := registrytest.Compress(t, registrytest.Gzip, raw)
	// A block of the type that there is none of, early in the stream.
	blob = append(append(blob[:10:10], 7), blob[11:]...)
	target := registrytest.Serve(t).Push("a", registrytest.Image(t, registrytest.Layer{Tar: raw, Blob: blob}), "1")
	img, err := Open(t.Context(), target, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := img.Layers[0].OpenTar(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.ReadAll(s); err == nil || ctx.Err() != nil || img.Doubts() != 1 {
		t.Errorf("%v, %v; %d doubts", err, ctx.Err(), img.Doubts())
	}
}
