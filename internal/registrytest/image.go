// Package registrytest makes real images from a few lines of a test and
// serves them as a registry does: layers of named files, hostile ones
// included, become blobs, manifests and indexes; those are written as OCI
// layouts and docker archives or served over loopback HTTP.
//
// Everything is deterministic: the same specification gives the same digests.
// It is imported by tests only, fails the test instead of returning errors,
// and never leaves the machine. Start with Image and Serve.
package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Epoch is the time of every file and image that names no other.
var Epoch = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// File is one entry of a layer. Nothing is cleaned or checked: a path of
// "../x" stands in the tar as written.
type File struct {
	Path string
	// Mode holds type and permissions; 0 is 0644, and 0755 for folders.
	// ModeDir, ModeDevice, ModeCharDevice and ModeNamedPipe choose the type.
	Mode    fs.FileMode
	Content string
	Link    string // makes a symbolic link to this
	Hard    string // makes a hard link to this path
	UID     int
	// Whiteout says that Path of the lower layers is deleted here.
	Whiteout bool
	// Opaque says that the folder Path hides all of the lower layers' content.
	Opaque bool
	// Header changes the header after all else: sizes, names, PAX records.
	Header func(*tar.Header)
}

// Compression says how a layer's blob is packed.
type Compression int

// The compressions; gzip is what most builders write.
const (
	Gzip Compression = iota
	Zstd
	None
)

// Layer is one layer of an image.
type Layer struct {
	Files []File
	// Tar stands in for Files: any bytes.
	Tar []byte
	// Blob stands in for the compressed form of the tar: any bytes.
	Blob        []byte
	Compression Compression
	MediaType   string // "" is the one that fits Compression
	DiffID      string // "" is the true one
	Digest      string // "" is the true one; the blob is stored under it
	URLs        []string
	Annotations map[string]string
	// CreatedBy and Created make the history entry.
	CreatedBy string
	Created   time.Time
	// Empty makes a history entry (ENV, CMD, …) without a layer.
	Empty bool
}

// Spec is an image to build.
type Spec struct {
	Layers []Layer
	// Platform is "linux/amd64" when empty; a third part is the variant.
	Platform    string
	Config      ocispec.ImageConfig
	Created     time.Time
	Annotations map[string]string // of the manifest
	// Docker writes the media types of docker's schema 2.
	Docker bool
	// NoHistory leaves the history out.
	NoHistory bool
	// RawConfig and RawManifest stand in for the generated JSON.
	RawConfig, RawManifest []byte
	// Edit changes the configuration and manifest before they are written.
	Edit func(*ocispec.Image, *ocispec.Manifest)
}

// Built is an image, or an index of images, as blobs.
type Built struct {
	// Root describes the manifest or index that a tag would name.
	Root ocispec.Descriptor
	// Blobs holds everything by digest: layers, configurations, manifests.
	Blobs map[digest.Digest][]byte
	// Manifests are the descriptors of the image manifests, one for an image.
	Manifests []ocispec.Descriptor
	// Manifest and Config are those of the (first) image.
	Manifest ocispec.Manifest
	Config   ocispec.Image
}

// Image builds an image for linux/amd64 of the given layers, lowest first.
func Image(t testing.TB, layers ...Layer) *Built {
	t.Helper()
	return Spec{Layers: layers}.Build(t)
}

// Files is a gzip layer of files.
func Files(files ...File) Layer { return Layer{Files: files} }

// Build builds the image.
func (s Spec) Build(t testing.TB) *Built {
	t.Helper()
	b := &Built{Blobs: map[digest.Digest][]byte{}}
	platform := ParsePlatform(s.Platform)
	created := s.Created
	if created.IsZero() {
		created = Epoch
	}
	b.Config = ocispec.Image{Created: &created, Platform: platform, Config: s.Config}
	b.Config.RootFS.Type = "layers"
	b.Manifest = ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   s.mediaType(ocispec.MediaTypeImageManifest),
		Annotations: s.Annotations,
		Layers:      []ocispec.Descriptor{},
	}
	for _, l := range s.Layers {
		if !s.NoHistory {
			at := l.Created
			if at.IsZero() {
				at = created
			}
			b.Config.History = append(b.Config.History, ocispec.History{
				Created: &at, CreatedBy: l.CreatedBy, EmptyLayer: l.Empty,
			})
		}
		if !l.Empty {
			desc, diffID := b.addLayer(t, s, l)
			b.Manifest.Layers = append(b.Manifest.Layers, desc)
			b.Config.RootFS.DiffIDs = append(b.Config.RootFS.DiffIDs, diffID)
		}
	}
	if s.Edit != nil {
		s.Edit(&b.Config, &b.Manifest)
	}
	config := s.RawConfig
	if config == nil {
		config = marshal(t, b.Config)
	}
	if b.Manifest.Config.Digest == "" {
		b.Manifest.Config = b.add(s.mediaType(ocispec.MediaTypeImageConfig), config)
	}
	manifest := s.RawManifest
	if manifest == nil {
		manifest = marshal(t, b.Manifest)
	}
	b.Root = b.add(s.mediaType(ocispec.MediaTypeImageManifest), manifest)
	b.Root.Platform = &platform
	b.Manifests = []ocispec.Descriptor{b.Root}
	return b
}

// Index joins images into an index; its members keep their platforms.
func Index(t testing.TB, members ...*Built) *Built {
	t.Helper()
	out := &Built{Blobs: map[digest.Digest][]byte{}}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for i, m := range members {
		maps.Copy(out.Blobs, m.Blobs)
		index.Manifests = append(index.Manifests, m.Root)
		out.Manifests = append(out.Manifests, m.Manifests...)
		if i == 0 {
			out.Manifest, out.Config = m.Manifest, m.Config
		}
	}
	out.Root = out.add(ocispec.MediaTypeImageIndex, marshal(t, index))
	return out
}

// Raw is any JSON under a media type, for what no builder should make.
func Raw(mediaType string, content []byte) *Built {
	b := &Built{Blobs: map[digest.Digest][]byte{}}
	b.Root = b.add(mediaType, content)
	return b
}

func (b *Built) addLayer(t testing.TB, s Spec, l Layer) (ocispec.Descriptor, digest.Digest) {
	t.Helper()
	raw := l.Tar
	if raw == nil {
		raw = Tar(t, l.Files...)
	}
	blob := l.Blob
	if blob == nil {
		blob = Compress(t, l.Compression, raw)
	}
	mediaType := l.MediaType
	if mediaType == "" {
		mediaType = s.mediaType([]string{
			ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd, ocispec.MediaTypeImageLayer,
		}[l.Compression])
	}
	desc := b.add(mediaType, blob)
	desc.URLs, desc.Annotations = l.URLs, l.Annotations
	if l.Digest != "" {
		delete(b.Blobs, desc.Digest)
		desc.Digest = digest.Digest(l.Digest)
		b.Blobs[desc.Digest] = blob
	}
	diffID := digest.Digest(l.DiffID)
	if diffID == "" {
		diffID = digest.FromBytes(raw)
	}
	return desc, diffID
}

func (b *Built) add(mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	b.Blobs[d] = content
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// mediaType is the docker name of an OCI media type where Docker is asked.
func (s Spec) mediaType(oci string) string {
	if !s.Docker {
		return oci
	}
	switch oci {
	case ocispec.MediaTypeImageManifest:
		return "application/vnd.docker.distribution.manifest.v2+json"
	case ocispec.MediaTypeImageConfig:
		return "application/vnd.docker.container.image.v1+json"
	case ocispec.MediaTypeImageLayer:
		return "application/vnd.docker.image.rootfs.diff.tar"
	}
	return "application/vnd.docker.image.rootfs.diff.tar.gzip"
}

// ParsePlatform reads "os/arch[/variant]"; "" is linux/amd64.
func ParsePlatform(s string) ocispec.Platform {
	if s == "" {
		s = "linux/amd64"
	}
	part := append(strings.SplitN(s, "/", 3), "", "")
	return ocispec.Platform{OS: part[0], Architecture: part[1], Variant: part[2]}
}

// Tar writes files as a tar, in the given order.
func Tar(t testing.TB, files ...File) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := f.header()
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("write tar header %q: %v", f.Path, err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(f.Content)); err != nil {
				t.Fatalf("write tar content %q: %v", f.Path, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("close tar: %v", err)
	}
	return buf.Bytes()
}

func (f File) header() *tar.Header {
	h := &tar.Header{
		Name: f.Path, Typeflag: tar.TypeReg, Size: int64(len(f.Content)), Uid: f.UID, ModTime: Epoch,
		Mode: int64(f.Mode.Perm()),
	}
	for bit, flag := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if f.Mode&bit != 0 {
			h.Mode |= flag
		}
	}
	if h.Mode == 0 {
		h.Mode = 0o644
		if f.Mode.IsDir() {
			h.Mode = 0o755
		}
	}
	switch {
	case f.Whiteout:
		h.Name = path.Join(path.Dir(f.Path), ".wh."+path.Base(f.Path))
	case f.Opaque:
		h.Name = path.Join(f.Path, ".wh..wh..opq")
	case f.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
	case f.Hard != "":
		h.Typeflag, h.Linkname = tar.TypeLink, f.Hard
	case f.Mode.IsDir():
		h.Typeflag = tar.TypeDir
	case f.Mode&fs.ModeCharDevice != 0:
		h.Typeflag = tar.TypeChar
	case f.Mode&fs.ModeDevice != 0:
		h.Typeflag = tar.TypeBlock
	case f.Mode&fs.ModeNamedPipe != 0:
		h.Typeflag = tar.TypeFifo
	}
	if h.Typeflag != tar.TypeReg {
		h.Size = 0
	}
	if f.Header != nil {
		f.Header(h)
	}
	return h
}

// Compress packs bytes.
func Compress(t testing.TB, c Compression, raw []byte) []byte {
	t.Helper()
	switch c {
	case None:
		return raw
	case Zstd:
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatalf("zstd: %v", err)
		}
		return enc.EncodeAll(raw, nil)
	}
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(raw); err != nil {
		t.Fatalf("gzip: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("gzip: %v", err)
	}
	return buf.Bytes()
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	return b
}
