package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	peer "github.com/klauspost/compress/gzip"

	"github.com/esclusa/esclusa/internal/inflate"
)

// The decoders that the case "inflate" compares.
const (
	ours       = "esclusa"
	oursUnsafe = "esclusa -tags inflate_unsafe"
	klauspost  = "klauspost/compress"
	standard   = "compress/gzip"
)

// decoders are this very program as tools of the case "inflate": each unpacks
// the layers of an image and does nothing else. That all write the same bytes
// is made sure of first, because a digest in the measured run would be paid by all.
func (b *bench) decoders(ctx context.Context, image string) ([]tool, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	twin := filepath.Join(b.dir, "benchscan-unsafe")
	if err := goBuild(ctx, twin, "./internal/benchscan", "-tags=inflate_unsafe"); err != nil {
		return nil, err
	}
	var tools []tool
	first := ""
	for _, d := range []struct{ name, bin string }{{ours, self}, {oursUnsafe, twin}, {klauspost, self}, {standard, self}} {
		sums, err := exec.CommandContext(ctx, d.bin, "-unpack", d.name, "-sums", image).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		if first == "" {
			first = string(sums)
		}
		if len(sums) == 0 || string(sums) != first {
			return nil, fmt.Errorf("%s unpacks to %q, %s to %q", ours, first, d.name, sums)
		}
		tools = append(tools, tool{
			name: d.name, bin: d.bin,
			env:   func(string) []string { return nil },
			scan:  func(image string, _ mode) []string { return []string{"-unpack", d.name, image} },
			fine:  func(int) bool { return false },
			count: `tail -n 1 "$1"`,
		})
	}
	return tools, nil
}

// unpackImage unpacks the gzip layers of an image, and writes the digest of
// each, if asked for, and how many there were.
func unpackImage(w io.Writer, image, decoder string, sums bool) error {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(nil, 64<<10)
	var all sum
	layers := 0
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		in.Reset(r)
		// Blobs that are not documents are layers.
		if head, err := in.Peek(2); err != nil || string(head) != "\x1f\x8b" {
			continue
		}
		all.hash = noHash{}
		if sums {
			all.hash = sha256.New()
		}
		if err := unpack(&all, in, decoder); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		layers++
		if sums {
			fmt.Fprintln(w, all.String())
		}
	}
	_, err = fmt.Fprintf(w, "%d layers, %d MB\n", layers, all.n/1e6)
	return err
}

// noHash stands where nothing is to be hashed.
type noHash struct{ hash.Hash }

func (noHash) Write(p []byte) (int, error) { return len(p), nil }

// unpack uses each decoder as its authors want it used.
func unpack(w io.Writer, r io.Reader, decoder string) error {
	switch decoder {
	case ours, oursUnsafe:
		z := inflate.NewReader(r, inflate.Gzip)
		defer z.Close()
		for {
			c, err := z.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(c); err != nil {
				return err
			}
		}
	case klauspost:
		z, err := peer.NewReader(r)
		if err != nil {
			return err
		}
		_, err = z.WriteTo(w)
		return err
	case standard:
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(w, z, make([]byte, 256<<10))
		return err
	}
	return fmt.Errorf("no decoder %q", decoder)
}
