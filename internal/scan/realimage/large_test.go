package realimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// largeFiles is how many files the layer has, in folders of a thousand.
const largeFiles = 3_000_000

// TestLargeImage: an image of three million empty files and one package is
// scanned within 256 MiB.
func TestLargeImage(t *testing.T) {
	if testing.Short() {
		t.Skip("three million files take a minute")
	}
	start := time.Now()
	dir := largeLayout(t, largeFiles)
	t.Logf("made in %s", time.Since(start).Round(time.Second))
	start = time.Now()
	got := run(t, 10*time.Minute, "", "scan", dir, "--no-cache")
	t.Logf("large image: %d files, %s, peak memory %d MiB", largeFiles, time.Since(start).Round(time.Second), got.peak>>10)
	if got.peak > maxPeak {
		t.Errorf("peak memory is %d MiB", got.peak>>10)
	}
	r := got.report
	if len(r.Packages) != 1 || r.Packages[0].Name != "last" {
		t.Errorf("packages %v: the end of the layer was not read", r.Packages)
	}
	for _, g := range r.Gaps {
		if g.Layer != "" {
			t.Errorf("%s", g)
		}
	}
}

// countedSum is the digest and size of what is written through it.
type countedSum struct {
	hash.Hash
	n int64
}

func (c *countedSum) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

func (c *countedSum) digest() digest.Digest {
	return digest.Digest("sha256:" + hex.EncodeToString(c.Sum(nil)))
}

// largeLayout writes an OCI layout as a stream: the layer would not fit into
// the memory of the test.
func largeLayout(t testing.TB, files int) string {
	t.Helper()
	dir := t.TempDir()
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(blobs, "layer"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blob, raw := &countedSum{Hash: sha256.New()}, &countedSum{Hash: sha256.New()}
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, blob), gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFiles(io.MultiWriter(z, raw), files); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(f.Name(), filepath.Join(blobs, blob.digest().Encoded())); err != nil {
		t.Fatal(err)
	}
	add := func(mediaType string, v any) ocispec.Descriptor {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		name := filepath.Join(blobs, d.Digest.Encoded())
		if mediaType == ocispec.MediaTypeImageIndex {
			name = filepath.Join(dir, ocispec.ImageIndexFile)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return d
	}
	version := specs.Versioned{SchemaVersion: 2}
	config := ocispec.Image{Platform: registrytest.ParsePlatform("")}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{raw.digest()}}
	manifest := add(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: version, MediaType: ocispec.MediaTypeImageManifest, Config: add(ocispec.MediaTypeImageConfig, config),
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: blob.digest(), Size: blob.n}},
	})
	add(ocispec.MediaTypeImageIndex, ocispec.Index{Versioned: version, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest}})
	if err := os.WriteFile(filepath.Join(dir, ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("a tar of %d MiB in a blob of %d MiB", raw.n>>20, blob.n>>20)
	return dir
}

// writeFiles writes a tar. One header is changed in place: tar.Writer would
// take ten times as long.
func writeFiles(w io.Writer, files int) error {
	var one bytes.Buffer
	const name = "srv/data/0000/0000000.dat"
	if err := tar.NewWriter(&one).WriteHeader(&tar.Header{Name: name, Mode: 0o644, ModTime: registrytest.Epoch, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	header := one.Bytes()[:512]
	chunk := make([]byte, 0, 512*1000)
	for i := range files {
		copy(header, fmt.Sprintf("srv/data/%04d/%07d.dat", i/1000, i))
		checksum(header)
		chunk = append(chunk, header...)
		if len(chunk) == cap(chunk) || i == files-1 {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	tw := tar.NewWriter(w)
	content := `{"name":"last","version":"1.0.0"}`
	if err := tw.WriteHeader(&tar.Header{Name: "srv/node_modules/last/package.json", Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	if _, err := io.Copy(tw, strings.NewReader(content)); err != nil {
		return err
	}
	return tw.Close()
}

// checksum of a header counts its own eight bytes as blanks (POSIX, ustar).
func checksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
