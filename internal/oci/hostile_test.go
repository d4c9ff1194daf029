package oci_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// readLayer is the error that reading one layer to its end gives.
func readLayer(t testing.TB, img *oci.Image, i int) error {
	t.Helper()
	s, err := img.Layers[i].OpenTar(t.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = io.Copy(io.Discard, oci.VerifyDiffID(s, img.Layers[i].DiffID))
	return err
}

// TestBadLayers has one bad layer each, below a good one that stays readable.
func TestBadLayers(t *testing.T) {
	good := registrytest.Files(registrytest.File{Path: "good", Content: strings.Repeat("good", 100_000)})
	raw := registrytest.Tar(t, registrytest.File{Path: "f", Content: strings.Repeat("some text\n", 50_000)})
	gz, zs := registrytest.Compress(t, registrytest.Gzip, raw), registrytest.Compress(t, registrytest.Zstd, raw)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x40
		return b
	}
	id := func(b []byte) string { return string(digest.FromBytes(b)) }
	for _, c := range []struct {
		name  string
		layer registrytest.Layer
		is    error
		text  string
	}{
		{"flipped bit in gzip", registrytest.Layer{Tar: raw, Blob: flip(gz, len(gz)/2), Digest: id(gz)}, nil, ""},
		{"flipped bit in zstd", registrytest.Layer{Tar: raw, Blob: flip(zs, len(zs)/2), Digest: id(zs)}, nil, ""},
		{"flipped bit in gzip, true digest", registrytest.Layer{Tar: raw, Blob: flip(gz, len(gz)/2)}, nil, ""},
		{"flipped bit in plain tar", registrytest.Layer{Tar: raw, Blob: flip(raw, 600), Digest: id(raw)}, oci.ErrDigest, "content is sha256:"},
		{"cut gzip", registrytest.Layer{Tar: raw, Blob: gz[:len(gz)-20]}, io.ErrUnexpectedEOF, ""},
		{"cut zstd", registrytest.Layer{Tar: raw, Blob: zs[:len(zs)-9]}, io.ErrUnexpectedEOF, ""},
		{"other content, good gzip", registrytest.Layer{Tar: raw, Blob: registrytest.Compress(t, registrytest.Gzip, raw[:512]), Digest: id(gz)}, oci.ErrDigest, ""},
		{"bytes behind the end", registrytest.Layer{Tar: raw, Blob: append(bytes.Clone(gz), "tail"...)}, nil, ""},
		{"wrong diff-id", registrytest.Layer{Tar: raw, DiffID: id([]byte("x"))}, oci.ErrDigest, "diff-id"},
		{"xz", registrytest.Layer{Blob: []byte("\xfd7zXZ\x00rest")}, nil, "not supported"},
		{"encrypted", registrytest.Layer{Blob: []byte("noise"), MediaType: ocispec.MediaTypeImageLayerGzip + "+encrypted"}, oci.ErrUnreadable, "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := open(t, registrytest.Image(t, c.layer, good).Layout(t), oci.Options{})
			err := readLayer(t, img, 0)
			if err == nil {
				t.Fatal("read to its end")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v; want %v %q", err, c.is, c.text)
			}
			if err := readLayer(t, img, 1); err != nil {
				t.Errorf("the good layer: %v", err)
			}
		})
	}
}

func TestForeignLayer(t *testing.T) {
	b := registrytest.Image(t, registrytest.Layer{
		Blob: []byte("elsewhere"), MediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", URLs: []string{"https://example.com/x"},
	}, registrytest.Files())
	delete(b.Blobs, b.Manifest.Layers[0].Digest)
	for name, target := range map[string]string{"layout": b.Layout(t), "registry": registrytest.Serve(t).Push("a", b, "1")} {
		t.Run(name, func(t *testing.T) {
			img := open(t, target, oci.Options{})
			if err := readLayer(t, img, 0); !errors.Is(err, oci.ErrUnreadable) || hintOf(err) == "" {
				t.Errorf("%v, hint %q", err, hintOf(err))
			}
			if err := readLayer(t, img, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOddLayers are strange and right.
func TestOddLayers(t *testing.T) {
	raw := registrytest.Tar(t, registrytest.File{Path: "f", Content: "x"})
	half := len(raw) / 2
	members := append(registrytest.Compress(t, registrytest.Gzip, raw[:half]), registrytest.Compress(t, registrytest.Gzip, raw[half:])...)
	skippable := append([]byte{0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, registrytest.Compress(t, registrytest.Zstd, raw)...)
	trailer := append(registrytest.Compress(t, registrytest.Zstd, raw), 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'z')
	img := open(t, registrytest.Image(t,
		registrytest.Layer{Tar: raw, Blob: members},
		registrytest.Layer{Tar: raw, Blob: skippable, MediaType: ocispec.MediaTypeImageLayerGzip}, // it lies
		registrytest.Layer{Tar: raw, Blob: trailer, Compression: registrytest.Zstd},
		registrytest.Layer{Tar: []byte{}, Blob: []byte{}},
		registrytest.Layer{Tar: raw, Compression: registrytest.None, MediaType: ocispec.MediaTypeImageLayerZstd},
	).Layout(t), oci.Options{})
	for i := range img.Layers {
		if err := readLayer(t, img, i); err != nil {
			t.Errorf("layer %d: %v", i, err)
		}
	}
}

// zeros packs n MiB of zero bytes, as many members or frames.
func zeros(t testing.TB, c registrytest.Compression, n int) []byte {
	return bytes.Repeat(registrytest.Compress(t, c, make([]byte, 1<<20)), n)
}

func TestBombs(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   registrytest.Compression
		limits oci.Limits
		what   string
	}{
		{"gzip ratio", registrytest.Gzip, oci.Limits{}, "ratio"},
		{"zstd ratio", registrytest.Zstd, oci.Limits{}, "ratio"},
		{"output", registrytest.Gzip, oci.Limits{Output: 1 << 20}, "uncompressed size"},
		{"blob", registrytest.Gzip, oci.Limits{Layer: 100}, "size of a layer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 300
			blob := zeros(t, c.kind, n)
			img := open(t, registrytest.Image(t, registrytest.Layer{Blob: blob, Tar: []byte{}}).Layout(t), oci.Options{Limits: c.limits})
			err := readLayer(t, img, 0)
			var limit *oci.LimitError
			if !errors.As(err, &limit) || !strings.Contains(limit.What, c.what) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("archive in an archive", func(t *testing.T) {
		_, err := oci.Open(t.Context(), write(t, "x.tar.gz", zeros(t, registrytest.Gzip, 8)), oci.Options{Limits: oci.Limits{Output: 1 << 20}})
		if err == nil {
			t.Error("opened")
		}
	})
}

// TestBadDocuments are manifests, configurations and indexes that no tool
// should take.
func TestBadDocuments(t *testing.T) {
	b := sample(t)
	raw := func(format string, args ...any) *registrytest.Built {
		out := registrytest.Raw(ocispec.MediaTypeImageManifest, fmt.Appendf(nil, format, args...))
		maps.Copy(out.Blobs, b.Blobs)
		return out
	}
	config := func(text string) *registrytest.Built { return registrytest.Spec{RawConfig: []byte(text)}.Build(t) }
	edit := func(f func(*ocispec.Image, *ocispec.Manifest)) *registrytest.Built {
		return registrytest.Spec{Layers: []registrytest.Layer{registrytest.Files()}, Edit: f}.Build(t)
	}
	wide := registrytest.Image(t, slices.Repeat([]registrytest.Layer{registrytest.Files()}, 1001)...)
	deep := b
	for range 6 {
		deep = registrytest.Index(t, deep)
	}
	const d = `{"mediaType":"x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2}`
	for _, c := range []struct {
		name string
		b    *registrytest.Built
		text string
	}{
		{"not JSON", raw("{"), "parse manifest"},
		{"nothing", raw("{}"), "neither"},
		{"schema 1", raw(`{"schemaVersion":1,"fsLayers":[]}`), "schema 1"},
		{"both", raw(`{"schemaVersion":2,"config":%s,"layers":[],"manifests":[%s]}`, d, d), "both"},
		{"manifest that calls itself index", raw(`{"mediaType":"application/vnd.oci.image.index.v1+json","config":%s,"layers":[]}`, d), "both"},
		{"no configuration", raw(`{"layers":[]}`), "without configuration"},
		{"configuration missing", raw(`{"config":{"digest":%q,"size":2},"layers":[]}`, digest.FromString("no")), "fetch configuration"},
		{"huge configuration", raw(`{"config":{"digest":%q,"size":99999999},"layers":[]}`, digest.FromString("no")), "limit"},
		{"negative size", raw(`{"config":{"digest":%q,"size":-1},"layers":[]}`, digest.FromString("no")), "limit"},
		{"digest that is a path", raw(`{"config":{"digest":"sha256:../../../../etc/passwd","size":2},"layers":[]}`), "unusable digest"},
		{"md5", raw(`{"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":2},"layers":[]}`), "unusable digest"},
		{"artifact", edit(func(_ *ocispec.Image, m *ocispec.Manifest) {
			m.Config = ocispec.DescriptorEmptyJSON
			m.ArtifactType = "application/vnd.cncf.helm.config"
		}), "helm"},
		{"more layers than diff-IDs", edit(func(i *ocispec.Image, _ *ocispec.Manifest) { i.RootFS.DiffIDs = nil }), "1 layers, its configuration 0"},
		{"bad diff-ID", edit(func(i *ocispec.Image, _ *ocispec.Manifest) { i.RootFS.DiffIDs[0] = "sha256:zz" }), "unusable diff-id"},
		{"bad layer digest", edit(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:1" }), "unusable digest"},
		{"1001 layers", wide, "limit"},
		{"deep index", deep, "nesting"},
		{"empty index", registrytest.Index(t), "neither"},
		{"configuration is a list", config("[]"), "parse configuration"},
		{"configuration of wrong types", config(`{"config":{"Env":"x"}}`), "parse configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := oci.Open(t.Context(), c.b.Layout(t), oci.Options{})
			if err == nil {
				img.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v; want %q", err, c.text)
			}
		})
	}
	t.Run("odd times", func(t *testing.T) {
		img := open(t, config(`{"created":"yesterday","history":[{"created":7}]}`).Layout(t), oci.Options{})
		if !img.Created.IsZero() || len(img.History) != 1 {
			t.Errorf("%v %v", img.Created, img.History)
		}
	})
}

// TestIndexCycle cannot be built with true digests; a registry or a layout
// can still claim it.
func TestIndexCycle(t *testing.T) {
	self := digest.FromString("x")
	index := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":200}]}`, ocispec.MediaTypeImageIndex, self)
	b := registrytest.Raw(ocispec.MediaTypeImageIndex, index)
	b.Root.Digest = self
	b.Blobs[self] = index
	if img, err := oci.Open(t.Context(), b.Layout(t), oci.Options{}); err == nil {
		img.Close()
		t.Error("opened")
	}
}

// TestArchiveTricks plays with the names and links of an archive.
func TestArchiveTricks(t *testing.T) {
	b := sample(t)
	secretFile := write(t, "outside", []byte("root:x"))
	config := b.Blobs[b.Manifest.Config.Digest]
	name := b.Manifest.Config.Digest.Encoded() + ".json"
	layer := func(i int) string {
		return string(registrytest.Tar(t, registrytest.File{Path: fmt.Sprint(i)}))
	}
	build := func(manifest string, more ...registrytest.File) string {
		return write(t, "a.tar", registrytest.Tar(t, append(more,
			registrytest.File{Path: name, Content: string(config)},
			registrytest.File{Path: "manifest.json", Content: manifest})...))
	}
	entry := func(config string, layers ...string) string {
		return fmt.Sprintf(`[{"Config":%q,"Layers":["%s"]}]`, config, strings.Join(layers, `","`))
	}
	for _, c := range []struct {
		name, path string
		text       string // of the error of Open, or of layer 0
	}{
		{"up", build(entry("../../" + secretFile)), "not found"},
		{"absolute", build(entry(secretFile)), "not found"},
		{"link outside", build(entry("link.json"), registrytest.File{Path: "link.json", Link: secretFile}), "not found"},
		{"link in circles", build(entry("l1"), registrytest.File{Path: "l1", Link: "l2"}, registrytest.File{Path: "l2", Link: "l1"}), "circles"},
		{"layers missing", build(entry(name, "a", "b", "c")), "not found"},
		{"layer is a link outside", build(entry(name, "a", "b", "c"), registrytest.File{Path: "a", Link: secretFile}), "not found"},
		{"other layer", build(entry(name, "a", "b", "c"), registrytest.File{Path: "a", Content: layer(0)}), "digest mismatch"},
		{"other configuration", build(entry(digest.FromString("x").Encoded()+".json", "a"),
			registrytest.File{Path: digest.FromString("x").Encoded() + ".json", Content: string(config)}), "digest mismatch"},
		{"not JSON", build("x"), "parse manifest.json"},
		{"empty list", build("[]"), "is empty"},
		{"two images", build(`[{"Config":"a","RepoTags":["a:1"]},{"Config":"b","RepoTags":["b:1"]}]`), "2 images"},
		{"layer count", build(entry(name, "a")), "configuration 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := oci.Open(t.Context(), c.path, oci.Options{})
			if err == nil {
				defer img.Close()
				err = readLayer(t, img, 0)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v; want %q", err, c.text)
			}
		})
	}
	t.Run("cut", func(t *testing.T) {
		whole, err := os.ReadFile(b.DockerSave(t))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(whole); n += 997 {
			img, err := oci.Open(t.Context(), write(t, "cut.tar", whole[:n]), oci.Options{})
			if err == nil { // only the end was lost, so all else has to be there
				tars(t, img)
				img.Close()
				if n < len(whole)/2 {
					t.Errorf("opened %d of %d bytes", n, len(whole))
				}
			}
		}
	})
	t.Run("sparse", func(t *testing.T) {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("[]"), 1<<20); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"gnu", "posix"} {
			path := filepath.Join(dir, format+".tar")
			run(t, "tar", "--sparse", "--format="+format, "-C", dir, "-cf", path, "manifest.json")
			if _, err := oci.Open(t.Context(), path, oci.Options{}); err == nil || !strings.Contains(err.Error(), "manifest.json") {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
	t.Run("two manifests, two images", func(t *testing.T) {
		other := registrytest.Image(t)
		both := registrytest.Index(t, b)
		files := []registrytest.File{
			{Path: "oci-layout", Content: `{"imageLayoutVersion":"1.0.0"}`},
			{Path: "index.json", Content: fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, other.Root.MediaType, other.Root.Digest, other.Root.Size)},
			{Path: "manifest.json", Content: entry("blobs/sha256/" + b.Manifest.Config.Digest.Encoded())},
		}
		maps.Copy(both.Blobs, other.Blobs)
		for d, content := range both.Blobs {
			files = append(files, registrytest.File{Path: "blobs/sha256/" + d.Encoded(), Content: string(content)})
		}
		files[2].Content = strings.Replace(files[2].Content, `[""]`, "[]", 1)
		path := write(t, "two.tar", registrytest.Tar(t, files...))
		_, err := oci.Open(t.Context(), path, oci.Options{})
		if err == nil || !strings.Contains(hintOf(err), "docker-archive:") {
			t.Errorf("%v, hint %q", err, hintOf(err))
		}
		if img := open(t, "oci:"+path, oci.Options{}); string(img.ID) != string(other.Manifest.Config.Digest) {
			t.Errorf("oci: opened %s", img.ID)
		}
	})
}

// TestLayoutTricks has things that are no blobs where blobs should be.
func TestLayoutTricks(t *testing.T) {
	b := sample(t)
	blob := func(dir string) string {
		return filepath.Join(dir, "blobs", "sha256", b.Manifest.Layers[0].Digest.Encoded())
	}
	outside := write(t, "outside", b.Blobs[b.Manifest.Layers[0].Digest])
	for name, trick := range map[string]func(path string) error{
		"link outside": func(path string) error { return os.Symlink(outside, path) },
		"FIFO":         func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder":       func(path string) error { return os.Mkdir(path, 0o700) },
		"nothing":      func(string) error { return nil },
		"empty":        func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := b.Layout(t)
			if err := errors.Join(os.Remove(blob(dir)), trick(blob(dir))); err != nil {
				t.Fatal(err)
			}
			img := open(t, dir, oci.Options{})
			if err := readLayer(t, img, 0); err == nil {
				t.Error("read")
			}
			if err := readLayer(t, img, 1); err != nil {
				t.Error(err)
			}
		})
	}
}
