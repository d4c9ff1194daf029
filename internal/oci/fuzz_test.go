package oci

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
)

func small(t testing.TB) *registrytest.Built {
	return registrytest.Image(t,
		registrytest.Layer{CreatedBy: "ADD file:1 in /", Files: []registrytest.File{{Path: "a", Content: "b"}}},
		registrytest.Layer{CreatedBy: "COPY", Compression: registrytest.Zstd, Files: []registrytest.File{{Path: "c", Content: "d"}}},
	)
}

// FuzzManifest: what is taken for a manifest or an index is one of the two
// and within the limits, and a member is chosen or refused.
func FuzzManifest(f *testing.F) {
	b := small(f)
	f.Add([]byte(b.Blobs[b.Root.Digest]))
	index := registrytest.Index(f, b, registrytest.Spec{Platform: "linux/arm/v7"}.Build(f))
	f.Add([]byte(index.Blobs[index.Root.Digest]))
	f.Add([]byte(`{"schemaVersion":1,"fsLayers":[]}`))
	f.Add([]byte(`[{"Config":"a.json","RepoTags":["x:1"],"Layers":["l/layer.tar"]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if members, err := parseDockerManifest(b); err == nil {
			_, _ = selectDocker(members, "x:1")
			_, _ = selectDocker(members, "")
		}
		if index, err := parseIndex(b); err == nil {
			_, _ = (&Options{}).selectMember(index.Manifests, "x")
			_, _ = (&Options{}).selectMember(index.Manifests, "")
		}
		d, err := parseDocument(b)
		if err != nil {
			return
		}
		if d.isIndex() == (d.Config != nil || d.Layers != nil) || len(d.Layers) > maxLayers {
			t.Errorf("accepted %q", b)
		}
		if m, err := (&Options{Platform: "linux/arm"}).choose(d.Manifests); err == nil && isAttestation(m) {
			t.Errorf("chose %v", m)
		}
	})
}

// FuzzConfig: a configuration that is taken has usable diff-IDs, and a base
// within its layers.
func FuzzConfig(f *testing.F) {
	b := small(f)
	f.Add([]byte(b.Blobs[b.Manifest.Config.Digest]))
	f.Add([]byte(`{"config":{"Labels":{"io.buildpacks.lifecycle.metadata":"{}"},"Healthcheck":{"Test":["x"]}},"created":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := parseConfig(b)
		if err != nil {
			return
		}
		img := cfg.image()
		for _, l := range img.Layers {
			if newHash(l.DiffID) == nil {
				t.Errorf("diff-id %q", l.DiffID)
			}
		}
		if base := Base(img, nil); base.Layers < 0 || base.Layers > len(img.Layers) {
			t.Errorf("%d of %d layers are the base's", base.Layers, len(img.Layers))
		}
		if _, err := json.Marshal(img.Image); err != nil {
			t.Error(err)
		}
	})
}

// FuzzArchive: whatever comes as an archive, a layer that reads to its end is
// the one that the configuration names.
func FuzzArchive(f *testing.F) {
	b := small(f)
	for _, path := range []string{b.DockerArchive(f, "x:1"), b.DockerSave(f, "x:1"), b.LayoutTar(f)} {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
		f.Add(registrytest.Compress(f, registrytest.Gzip, content))
	}
	limits := Limits{Output: 1 << 20, Layer: 1 << 20, Pipe: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := Open(t.Context(), "-", Options{Stdin: bytes.NewReader(b), Limits: limits})
		if err != nil {
			return
		}
		defer img.Close()
		for i := range img.Layers {
			s, err := img.Layers[i].OpenTar(t.Context())
			if err != nil {
				continue
			}
			sum := newHash(img.Layers[i].DiffID)
			s = VerifyDiffID(s, img.Layers[i].DiffID)
			if _, err := io.Copy(sum, s); err == nil && compare("", img.Layers[i].DiffID, sum) != io.EOF {
				t.Errorf("layer %d: wrong content passed", i)
			}
			s.Close()
		}
	})
}

// FuzzDecompress: the two ways of reading give the same, and end.
func FuzzDecompress(f *testing.F) {
	for _, c := range []registrytest.Compression{registrytest.Gzip, registrytest.Zstd, registrytest.None} {
		f.Add(registrytest.Compress(f, c, []byte(strings.Repeat("abc", 100))))
	}
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'z'})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 4 << 20
		chunked, err1 := readAllChunks(bytes.NewReader(b), limit)
		read, err2 := readAll(bytes.NewReader(b), limit)
		if len(chunked) < limit && !bytes.Equal(chunked, read) || (err1 == nil) != (err2 == nil) {
			t.Errorf("Next gives %d bytes (%v), Read %d (%v)", len(chunked), err1, len(read), err2)
		}
	})
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	s, err := Decompress(r, "")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return io.ReadAll(io.LimitReader(s, limit))
}

func readAllChunks(r io.Reader, limit int) (all []byte, err error) {
	s, err := Decompress(r, "")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for len(all) < limit {
		c, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return all, err
		}
		all = append(all, c...)
	}
	return all, nil
}

// FuzzContainerd: answers of containerd, frames and messages.
func FuzzContainerd(f *testing.F) {
	target := appendString(appendString(nil, 1, "type"), 2, "sha256:"+strings.Repeat("0", 64))
	msg := appendString(nil, 1, string(appendString(nil, 3, string(append(target, 3<<3, 200, 1)))))
	f.Add(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := func() *frames {
			return &frames{body: io.NopCloser(bytes.NewReader(b)), end: func() error { return nil }}
		}
		if msg, err := answer().next(); err == nil {
			if d, err := parseStoredImage(msg); err == nil && newHash(esclusa.Digest(d.Digest)) == nil {
				t.Errorf("digest %q", d.Digest)
			}
		}
		if n, _ := io.Copy(io.Discard, &storedBlob{f: answer()}); n > int64(len(b)) {
			t.Errorf("%d bytes out of %d", n, len(b))
		}
	})
}

// FuzzReference: a name that is taken is complete, and means itself.
func FuzzReference(f *testing.F) {
	for _, s := range []string{"nginx", "a/b:1", "localhost:5000/x", "[::1]:5/a@sha256:" + strings.Repeat("a", 64), "docker.io/x", "A/b", "x:1@sha256:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseReference(s)
		if err != nil {
			return
		}
		again, err := parseReference(r.name())
		if err != nil || again.name() != r.name() {
			t.Errorf("%q is %q, and that is %q, %v", s, r.name(), again.name(), err)
		}
		if strings.Contains(r.Repository, "..") {
			t.Errorf("repository %q", r.Repository)
		}
	})
}

func TestReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"nginx":                   "docker.io/library/nginx:latest",
		"nginx:1.25":              "docker.io/library/nginx:1.25",
		"user/app":                "docker.io/user/app:latest",
		"docker.io/nginx":         "docker.io/library/nginx:latest",
		"index.docker.io/a/b:1":   "docker.io/a/b:1",
		"quay.io/a/b":             "quay.io/a/b:latest",
		"localhost/a":             "localhost/a:latest",
		"localhost:5000/a:b":      "localhost:5000/a:b",
		"[::1]:5000/a":            "[::1]:5000/a:latest",
		"nginx@" + digest:         "docker.io/library/nginx@" + digest,
		"ghcr.io/a/b:1@" + digest: "ghcr.io/a/b@" + digest,
		"a/b/c/d:x":               "docker.io/a/b/c/d:x",
	} {
		got, err := parseReference(in)
		if err != nil || got.name() != want {
			t.Errorf("%q is %q, %v; want %q", in, got.name(), err, want)
		}
	}
	for _, in := range []string{"", ":", "a:", "a//b", "../x", "a/../b", "a b", "a@sha256:1", "a:b:c", "http://a/b", "a\x00", "-a"} {
		if got, err := parseReference(in); err == nil {
			t.Errorf("%q is taken as %q", in, got.name())
		}
	}
}

// BenchmarkLayer reads one layer of 64 MiB of text-like bytes: the unit of
// work is the uncompressed byte.
func BenchmarkLayer(b *testing.B) {
	content := make([]byte, 64<<20)
	state := uint32(1)
	for i := range content { // words of a small alphabet: compresses about 3:1
		state = state*1664525 + 1013904223
		content[i] = "etaoin shrdlu\n/.0"[state>>28]
	}
	for name, c := range map[string]registrytest.Compression{"gzip": registrytest.Gzip, "zstd": registrytest.Zstd, "none": registrytest.None} {
		b.Run(name, func(b *testing.B) {
			img, err := Open(b.Context(), registrytest.Image(b, registrytest.Layer{Tar: content, Compression: c}).Layout(b), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer img.Close()
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := img.Layers[0].OpenTar(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = s.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}
