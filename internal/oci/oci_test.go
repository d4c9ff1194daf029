package oci_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
)

// sample has every compression, an empty step and a configuration.
func sample(t testing.TB) *registrytest.Built {
	return registrytest.Spec{
		Annotations: map[string]string{"who": "me"},
		Config: ocispec.ImageConfig{
			User: "7", Env: []string{"A=b"}, Cmd: []string{"run"}, Labels: map[string]string{"l": "v"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}, "443/tcp": {}},
		},
		Layers: []registrytest.Layer{
			{CreatedBy: "ADD file:1 in /", Files: []registrytest.File{{Path: "etc/os-release", Content: "ID=debian\n"}}},
			{CreatedBy: "ENV A=b", Empty: true},
			{CreatedBy: "COPY a /a", Compression: registrytest.Zstd, Files: []registrytest.File{{Path: "a", Content: strings.Repeat("a", 700_000)}}},
			{CreatedBy: "RUN rm a", Compression: registrytest.None, Files: []registrytest.File{{Path: "a", Whiteout: true}}},
		},
	}.Build(t)
}

// tars reads all layers in the order that the image asks for.
func tars(t testing.TB, img *oci.Image) [][]byte {
	t.Helper()
	order, err := img.Serial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if order == nil {
		for i := range img.Layers {
			order = append(order, i)
		}
	}
	out := make([][]byte, len(img.Layers))
	for _, i := range order {
		s, err := img.Layers[i].OpenTar(t.Context())
		if err != nil {
			t.Fatalf("layer %d: %v", i, err)
		}
		s = oci.VerifyDiffID(s, img.Layers[i].DiffID)
		if out[i], err = io.ReadAll(s); err != nil {
			t.Fatalf("layer %d: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func open(t testing.TB, target string, o oci.Options) *oci.Image {
	t.Helper()
	img, err := oci.Open(t.Context(), target, o)
	if err != nil {
		t.Fatalf("open %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return img
}

// check holds an opened image to what was built.
func check(t *testing.T, b *registrytest.Built, img *oci.Image, withDigests bool) {
	t.Helper()
	want := esclusa.Image{
		Kind: esclusa.TargetImage, Platform: "linux/amd64", Created: registrytest.Epoch,
		ID: esclusa.Digest(b.Manifest.Config.Digest),
		Config: esclusa.ImageConfig{
			User: "7", Env: []string{"A=b"}, Cmd: []string{"run"}, Labels: map[string]string{"l": "v"},
			ExposedPorts: []string{"443/tcp", "80/tcp"},
		},
		History: []esclusa.History{
			{CreatedBy: "ADD file:1 in /", Created: registrytest.Epoch},
			{CreatedBy: "ENV A=b", Created: registrytest.Epoch, EmptyLayer: true},
			{CreatedBy: "COPY a /a", Created: registrytest.Epoch},
			{CreatedBy: "RUN rm a", Created: registrytest.Epoch},
		},
	}
	makers := []string{"ADD file:1 in /", "COPY a /a", "RUN rm a"}
	for i, d := range b.Config.RootFS.DiffIDs {
		l := esclusa.Layer{DiffID: esclusa.Digest(d), CreatedBy: makers[i]}
		if withDigests {
			l.Digest, l.Size = esclusa.Digest(b.Manifest.Layers[i].Digest), b.Manifest.Layers[i].Size
			l.MediaType = b.Manifest.Layers[i].MediaType
		}
		want.Layers = append(want.Layers, l)
	}
	if withDigests {
		want.Digest = esclusa.Digest(b.Manifests[0].Digest)
		if img.Annotations["who"] != "me" {
			t.Errorf("annotations %v", img.Annotations)
		}
	}
	got := img.Image
	got.Ref, got.Tags = "", nil
	if !withDigests {
		got.Layers = append([]esclusa.Layer(nil), got.Layers...)
		for i := range got.Layers {
			got.Layers[i].MediaType, got.Layers[i].Size = "", 0
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, raw := range tars(t, img) {
		if digest.FromBytes(raw) != b.Config.RootFS.DiffIDs[i] {
			t.Errorf("layer %d: other bytes", i)
		}
	}
}

func gzipped(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "packed.tar.gz", registrytest.Compress(t, registrytest.Gzip, b))
}

// unpacked is the tar as a folder.
func unpacked(t testing.TB, path string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xf", path, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// TestArchiveFolder: what is called manifest.json and is none is no image, and
// no file of an unpacked archive leads out of its folder.
func TestArchiveFolder(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]bool{
		`{"name":"a web application","icons":[]}`: false,
		`[]`:                    false,
		`[{"Config":"c.json"}]`: false,
		`[{"Config":"c.json","Layers":["l/l.tar"]}]`: true,
	} {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := oci.IsFolder(dir); got != want {
			t.Errorf("%s is an image: %t", text, got)
		}
	}
	built := sample(t)
	dir = unpacked(t, built.DockerArchive(t))
	layers, err := filepath.Glob(filepath.Join(dir, "*", "layer.tar"))
	if err != nil || len(layers) == 0 {
		t.Fatal(layers, err)
	}
	away := write(t, "away.tar", []byte("of someone else"))
	if err := errors.Join(os.Remove(layers[0]), os.Symlink(away, layers[0])); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, l := range open(t, dir, oci.Options{}).Layers {
		if s, err := l.OpenTar(t.Context()); err != nil {
			bad++
		} else {
			s.Close()
		}
	}
	if bad != 1 {
		t.Errorf("%d layers cannot be opened, want the one that leads away", bad)
	}
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	b := sample(t)
	file := func(path string) io.Reader {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	pipe := func(path string) io.Reader { return struct{ io.Reader }{file(path)} }
	reg := registrytest.Serve(t)
	for _, c := range []struct {
		name, target string
		stdin        io.Reader
		digests      bool
		tags         []string
	}{
		{name: "layout folder", target: b.Layout(t, "1.0"), digests: true, tags: []string{"1.0"}},
		{name: "layout without tag", target: b.Layout(t), digests: true},
		{name: "layout tag", target: b.Layout(t, "1", "2") + ":2", digests: true, tags: []string{"1", "2"}},
		{name: "layout digest", target: b.Layout(t) + "@" + string(b.Root.Digest), digests: true},
		{name: "layout prefix", target: "oci:" + b.Layout(t), digests: true},
		{name: "layout tar", target: b.LayoutTar(t), digests: true},
		{name: "layout tar.gz", target: gzipped(t, b.LayoutTar(t)), digests: true},
		{name: "docker archive", target: b.DockerArchive(t, "x:1"), tags: []string{"x:1"}},
		{name: "docker archive gz", target: gzipped(t, b.DockerArchive(t, "x:1")), tags: []string{"x:1"}},
		{name: "docker archive tag", target: b.DockerArchive(t, "x:1") + ":x:1", tags: []string{"x:1"}},
		{name: "docker archive folder", target: unpacked(t, b.DockerArchive(t, "x:1")), tags: []string{"x:1"}},
		{name: "docker archive folder tag", target: "docker-archive:" + unpacked(t, b.DockerArchive(t, "x:1", "x:2")) + ":2", tags: []string{"x:1", "x:2"}},
		{name: "docker save folder", target: unpacked(t, b.DockerSave(t, "x:1")), digests: true, tags: []string{"x:1"}},
		{name: "docker save folder as archive", target: "docker-archive:" + unpacked(t, b.DockerSave(t, "x:1")), tags: []string{"x:1"}},
		{name: "docker save", target: b.DockerSave(t, "x:1"), digests: true, tags: []string{"x:1"}},
		{name: "docker save as archive", target: "docker-archive:" + b.DockerSave(t, "x:1"), tags: []string{"x:1"}},
		{name: "stdin file", target: "-", stdin: file(b.DockerArchive(t)), digests: false},
		{name: "stdin pipe", target: "-", stdin: pipe(b.DockerSave(t)), digests: true},
		{name: "stdin pipe gz", target: "-", stdin: pipe(gzipped(t, b.DockerArchive(t)))},
		{name: "registry tag", target: reg.Push("a/b", b, "v1"), digests: true, tags: []string{reg.Host + "/a/b:v1"}},
		{name: "registry digest", target: "registry:" + reg.Push("a/b", b), digests: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			img := open(t, c.target, oci.Options{Stdin: c.stdin})
			if diff := cmp.Diff(c.tags, img.Tags); diff != "" {
				t.Error(diff)
			}
			if img.Ref != c.target {
				t.Errorf("ref %q", img.Ref)
			}
			check(t, b, img, c.digests)
		})
	}
}

// TestConcurrent opens the layers of each kind of source all at once, against
// the advice of Serial as well.
func TestConcurrent(t *testing.T) {
	b := sample(t)
	for name, target := range map[string]string{
		"folder": b.Layout(t), "tar": b.LayoutTar(t), "packed": gzipped(t, b.DockerArchive(t)),
		"registry": registrytestRef(t, b),
	} {
		t.Run(name, func(t *testing.T) {
			img := open(t, target, oci.Options{})
			errs := make(chan error)
			for range 4 {
				for i := range img.Layers {
					go func() {
						s, err := img.Layers[i].OpenTar(t.Context())
						if err == nil {
							_, err = io.Copy(io.Discard, oci.VerifyDiffID(s, img.Layers[i].DiffID))
							s.Close()
						}
						errs <- err
					}()
				}
			}
			for range 4 * len(img.Layers) {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func registrytestRef(t testing.TB, b *registrytest.Built) string {
	return registrytest.Serve(t).Push("r", b, "t")
}

func TestPlatform(t *testing.T) {
	arch := func(p string) *registrytest.Built { return registrytest.Spec{Platform: p}.Build(t) }
	amd, arm6, arm7, arm64 := arch("linux/amd64"), arch("linux/arm/v6"), arch("linux/arm/v7"), arch("linux/arm64/v8")
	attestation := registrytest.Spec{Platform: "unknown/unknown", Annotations: map[string]string{"x": "y"}}.Build(t)
	all := registrytest.Index(t, arm6, amd, attestation, arm7, arm64)
	nested := registrytest.Index(t, all)
	for _, c := range []struct {
		name     string
		b        *registrytest.Built
		platform string
		want     *registrytest.Built
		hint     string
	}{
		{"amd64", all, "linux/amd64", amd, ""},
		{"best arm", all, "linux/arm", arm7, ""},
		{"exact arm", all, "linux/arm/v6", arm6, ""},
		{"arm64", all, "linux/arm64", arm64, ""},
		{"arm64 v8", all, "linux/arm64/v8", arm64, ""},
		{"nested", nested, "linux/amd64", amd, ""},
		{"none", all, "linux/riscv64", nil, "linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64"},
		{"no variant", all, "linux/arm/v5", nil, "linux/arm/v6"},
		{"single, asked", arm64, "linux/amd64", nil, "linux/arm64"},
		{"single, not asked", arm64, "", arm64, ""},
		{"only one, not asked", registrytest.Index(t, arch("linux/s390x"), attestation), "", arch("linux/s390x"), ""},
		{"attestation only", registrytest.Index(t, attestation), "", nil, ""},
		{"bad", all, "linux", nil, "os/arch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := oci.Open(t.Context(), c.b.Layout(t), oci.Options{Platform: c.platform})
			if c.want == nil {
				if err == nil {
					t.Fatal("opened")
				}
				if got := hintOf(err); !strings.Contains(got, c.hint) {
					t.Errorf("%v: hint %q, want %q", err, got, c.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := img.ID; got != esclusa.Digest(c.want.Manifest.Config.Digest) {
				t.Errorf("opened %s", img.Platform)
			}
		})
	}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// TestErrors holds messages to the cause and the hint that a user needs.
func TestErrors(t *testing.T) {
	b := sample(t)
	reg := registrytest.Serve(t)
	ref := reg.Push("a", b, "1")
	two := registrytest.Index(t, b) // as entry of its own
	text := write(t, "x.txt", []byte("hello"))
	plainTar := write(t, "root.tar", registrytest.Tar(t, registrytest.File{Path: "etc/passwd"}))
	for _, c := range []struct {
		name, target string
		is           error
		message      string
		hint         string
	}{
		{"missing file", "./nothing.tar", os.ErrNotExist, "nothing.tar", "path"},
		{"missing report", "nothing.json", os.ErrNotExist, "nothing.json", "path"},
		{"missing with prefix", "oci:nothing", os.ErrNotExist, "nothing", "path"},
		{"folder", t.TempDir(), oci.ErrNotImage, "oci-layout", "registry:"},
		{"text", text, oci.ErrNotImage, "x.txt", "docker save"},
		{"other tar", plainTar, oci.ErrNotImage, "manifest.json", "root file system"},
		{"unknown tag in layout", b.Layout(t, "a") + ":b", oci.ErrNotFound, `"b"`, `"a"`},
		{"unknown tag in archive", b.DockerArchive(t, "x:1") + ":2", oci.ErrNotFound, `"2"`, `"x:1"`},
		{"bad name", "UPPER", nil, "UPPER", "lower case"},
		{"unknown tag", reg.Host + "/a:2", oci.ErrNotFound, "a:2", "tag"},
		{"unknown repository", reg.Host + "/b:2", oci.ErrNotFound, "b:2", "name"},
		{"refused", "127.0.0.1:1/a", nil, "127.0.0.1:1", "nothing listens"},
		{"no standard input", "-", nil, "standard input", ""},
		{"device", "/dev/null", oci.ErrNotImage, "/dev/null", ""},
		{"empty", "", os.ErrNotExist, "", "path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := oci.Open(ctx, c.target, oci.Options{})
			if err == nil {
				t.Fatal("opened")
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if !strings.Contains(err.Error(), c.message) || !strings.Contains(hintOf(err), c.hint) {
				t.Errorf("%q, hint %q; want %q, hint %q", err, hintOf(err), c.message, c.hint)
			}
		})
	}
	_, _ = ref, two
}

// TestPipeTooLong reads no more of a pipe than may be held.
func TestPipeTooLong(t *testing.T) {
	_, err := oci.Open(t.Context(), "-", oci.Options{Stdin: endless{}, Limits: oci.Limits{Pipe: 3 << 20}})
	var limit *oci.LimitError
	if !errors.As(err, &limit) || !strings.Contains(hintOf(err), "save the image to a file") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestTarWalker reads a layer with archive/tar, as a walker would.
func TestTarWalker(t *testing.T) {
	img := open(t, sample(t).Layout(t), oci.Options{})
	s, err := img.Layers[1].OpenTar(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h, err := tar.NewReader(s).Next()
	if err != nil || h.Name != "a" {
		t.Fatal(h, err)
	}
	rest := bytes.NewBuffer(nil)
	for {
		c, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil || len(c) == 0 {
			t.Fatal(len(c), err)
		}
		rest.Write(c)
	}
	if !bytes.HasPrefix(rest.Bytes(), []byte("aaa")) {
		t.Error("Next does not continue where Read stopped")
	}
}
