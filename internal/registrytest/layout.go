package registrytest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layout writes the image as an OCI layout folder and returns its path. Each
// tag becomes an entry of index.json; without tags there is one without a name.
func (b *Built) Layout(t testing.TB, tags ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range b.layoutFiles(t, tags) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// LayoutTar writes the image as a tar of an OCI layout.
func (b *Built) LayoutTar(t testing.TB, tags ...string) string {
	t.Helper()
	return writeTar(t, "layout.tar", sorted(b.layoutFiles(t, tags)))
}

// DockerArchive writes the image as docker save did before version 25: layers
// unpacked, in folders of their own, the manifest last. An image of several
// platforms gives its first.
func (b *Built) DockerArchive(t testing.TB, tags ...string) string {
	t.Helper()
	files, manifest := []File{}, dockerManifest{RepoTags: tags}
	for i, l := range b.Manifest.Layers {
		raw := decompress(t, b.Blobs[l.Digest])
		name := digest.FromString(fmt.Sprint(i, l.Digest)).Encoded() + "/layer.tar"
		files = append(files, File{Path: name, Content: string(raw)})
		manifest.Layers = append(manifest.Layers, name)
	}
	manifest.Config = b.Manifest.Config.Digest.Encoded() + ".json"
	files = append(files,
		File{Path: manifest.Config, Content: string(b.Blobs[b.Manifest.Config.Digest])},
		File{Path: "manifest.json", Content: string(marshal(t, []dockerManifest{manifest}))})
	return writeTar(t, "archive.tar", files)
}

// DockerSave writes the image as docker save does since version 25: a tar
// that is an OCI layout and has a manifest.json beside its index.json.
func (b *Built) DockerSave(t testing.TB, tags ...string) string {
	t.Helper()
	files := b.layoutFiles(t, tags)
	manifest := dockerManifest{Config: blobPath(b.Manifest.Config.Digest), RepoTags: tags}
	for _, l := range b.Manifest.Layers {
		manifest.Layers = append(manifest.Layers, blobPath(l.Digest))
	}
	files["manifest.json"] = marshal(t, []dockerManifest{manifest})
	return writeTar(t, "save.tar", sorted(files))
}

type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (b *Built) layoutFiles(t testing.TB, tags []string) map[string][]byte {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, tag := range tags {
		d := b.Root
		d.Annotations = maps.Clone(d.Annotations)
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[ocispec.AnnotationRefName] = tag
		index.Manifests = append(index.Manifests, d)
	}
	if len(tags) == 0 {
		index.Manifests = append(index.Manifests, b.Root)
	}
	files := map[string][]byte{
		ocispec.ImageLayoutFile: marshal(t, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}),
		ocispec.ImageIndexFile:  marshal(t, index),
	}
	for d, content := range b.Blobs {
		files[blobPath(d)] = content
	}
	return files
}

func blobPath(d digest.Digest) string {
	algorithm, hex, _ := strings.Cut(string(d), ":")
	return "blobs/" + algorithm + "/" + hex
}

func sorted(files map[string][]byte) []File {
	var out []File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, File{Path: name, Content: string(files[name])})
	}
	return out
}

func writeTar(t testing.TB, name string, files []File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, Tar(t, files...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// decompress unpacks what Compress packed; other bytes stay as they are.
func decompress(t testing.TB, blob []byte) []byte {
	t.Helper()
	switch {
	case bytes.HasPrefix(blob, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(blob))
		if err != nil {
			return blob
		}
		if raw, err := io.ReadAll(r); err == nil {
			return raw
		}
	case bytes.HasPrefix(blob, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatalf("zstd: %v", err)
		}
		defer dec.Close()
		if raw, err := dec.DecodeAll(blob, nil); err == nil {
			return raw
		}
	}
	return blob
}
