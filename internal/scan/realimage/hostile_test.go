package realimage

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/opencontainers/go-digest"
)

// What a hostile layer may cost, on top of an image that is in the cache.
const (
	maxPeak = 256 << 10 // KiB
	maxTime = 3 * time.Minute
)

// onTop builds the real image with one more layer.
func onTop(t testing.TB, extra registrytest.Layer) *registrytest.Built {
	t.Helper()
	return realImage(t).spec(func(l []registrytest.Layer) []registrytest.Layer { return append(l, extra) }).Build(t)
}

// restIsThere: nothing that lies in the good layers got lost.
func restIsThere(t testing.TB, r *esclusa.Report) {
	t.Helper()
	want, _ := firstReport(t)
	packages := map[string]bool{}
	for i := range r.Packages {
		packages[encode(t, r.Packages[i])] = true
	}
	for i := range want.Packages {
		if p := &want.Packages[i]; !packages[encode(t, p)] {
			t.Errorf("package lost: %s %s at %s", p.Name, p.Version, p.Path)
		}
	}
	findings := map[string]bool{}
	key := func(f *esclusa.Finding) string {
		name := ""
		if f.Package != nil {
			name = f.Package.PURL
		}
		return fmt.Sprint(f.Kind, f.ID, f.Place, f.Deleted, name)
	}
	for i := range r.Findings {
		findings[key(&r.Findings[i])] = true
	}
	for i := range want.Findings {
		if f := &want.Findings[i]; !findings[key(f)] {
			t.Errorf("finding lost: %s at %s", f.ID, f.Path)
		}
	}
}

// damaged is a layer with a package at its begin and at its end, and content
// that does not compress between them.
func damaged(t testing.TB, name string) (raw, blob []byte) {
	t.Helper()
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	raw = registrytest.Tar(t,
		registrytest.File{Path: "srv/a/node_modules/" + name + "-first/package.json", Content: `{"name":"` + name + `-first","version":"1.0.0"}`},
		registrytest.File{Path: "srv/noise", Content: string(noise)},
		registrytest.File{Path: "srv/z/node_modules/" + name + "-last/package.json", Content: `{"name":"` + name + `-last","version":"1.0.0"}`})
	return raw, registrytest.Compress(t, registrytest.Gzip, raw)
}

// TestDamagedLayerIsAGap: the gap names the layer, everything else is
// reported, and the gate refuses what nobody could see.
func TestDamagedLayerIsAGap(t *testing.T) {
	type damage struct {
		name string
		// believed are the packages that may be reported beside the gap: those
		// before the damage. A checksum that fails stands at the end, so a
		// flipped bit lets both pass, and the gap is what counts.
		believed string
		make     func(t *testing.T, raw, blob []byte) registrytest.Layer
	}
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 0x10
		return b
	}
	of := func(raw []byte) string { return digest.FromBytes(raw).String() }
	for _, c := range []damage{
		{"cut-blob", "first", func(_ *testing.T, raw, blob []byte) registrytest.Layer {
			return registrytest.Layer{Tar: raw, Blob: blob[:len(blob)/2], Digest: of(blob)}
		}},
		{"cut-stream", "first", func(_ *testing.T, raw, blob []byte) registrytest.Layer {
			return registrytest.Layer{Tar: raw, Blob: blob[:len(blob)/2]}
		}},
		{"cut-tar", "", func(t *testing.T, raw, _ []byte) registrytest.Layer {
			return registrytest.Layer{Tar: raw, Blob: registrytest.Compress(t, registrytest.Zstd, raw[:len(raw)/2]), Compression: registrytest.Zstd}
		}},
		{"flipped-blob", "first last", func(_ *testing.T, raw, blob []byte) registrytest.Layer {
			return registrytest.Layer{Tar: raw, Blob: flip(blob), Digest: of(blob)}
		}},
		{"flipped-stream", "first last", func(_ *testing.T, raw, blob []byte) registrytest.Layer {
			return registrytest.Layer{Tar: raw, Blob: flip(blob)}
		}},
		{"other-content", "", func(t *testing.T, raw, _ []byte) registrytest.Layer {
			return registrytest.Layer{Tar: flip(raw), DiffID: of(raw)}
		}},
		{"no-blob", "", func(_ *testing.T, raw, _ []byte) registrytest.Layer { return registrytest.Layer{Tar: raw} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, blob := damaged(t, c.name)
			built := onTop(t, c.make(t, raw, blob))
			if c.name == "no-blob" {
				delete(built.Blobs, built.Manifest.Layers[len(steps)].Digest)
			}
			bad := esclusa.Digest(of(raw))
			got := run(t, maxTime, "", "gate", "ci", built.Layout(t))
			r := got.report
			restIsThere(t, r)
			if !slices.ContainsFunc(r.Gaps, func(g esclusa.Gap) bool { return g.Scope == esclusa.GapLayer && g.Layer == bad }) {
				t.Errorf("no gap of scope layer names it: %v", r.Gaps)
			}
			for i := range r.Packages {
				if p := &r.Packages[i]; p.Layer == bad && !slices.Contains(strings.Fields(c.believed), strings.TrimPrefix(p.Name, c.name+"-")) {
					t.Errorf("%s is believed", p.Name)
				}
			}
			if got.code != exitDeny || r.Verdict == nil {
				t.Fatalf("exit code %d, want %d: %s", got.code, exitDeny, got.stderr)
			}
			if !slices.ContainsFunc(r.Verdict.Reasons, func(x esclusa.Reason) bool {
				return x.Rule == "unseen" && x.Decision == esclusa.Deny
			}) {
				t.Errorf("the gate does not say that the layer was not seen: %v", r.Verdict.Reasons)
			}
		})
	}
}

// gzipBomb is a tar of one file of ten GiB of zeros in some MB: members of a
// gzip stream may repeat.
func gzipBomb(t *testing.T) registrytest.Layer {
	var header bytes.Buffer
	if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "srv/zeros", Mode: 0o644, Size: 10 << 30, ModTime: registrytest.Epoch}); err != nil {
		t.Fatal(err)
	}
	blob := registrytest.Compress(t, registrytest.Gzip, header.Bytes())
	member := registrytest.Compress(t, registrytest.Gzip, make([]byte, 16<<20))
	blob = append(blob, bytes.Repeat(member, 640)...)
	return registrytest.Layer{Tar: []byte{}, Blob: blob, DiffID: digest.FromString("gzip bomb").String()}
}

// bigEntryJar has a pom.properties of 512 MiB.
func bigEntryJar(t *testing.T) registrytest.Layer {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, name := range []string{"META-INF/maven/a/b/pom.properties", "META-INF/MANIFEST.MF", "lib/inner.jar"} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		zeros := make([]byte, 1<<20)
		for range 512 {
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return registrytest.Files(registrytest.File{Path: "srv/java/bomb.jar", Content: buf.String()})
}

// nestedJar is eighty archives inside each other, sixteen copies at each of
// the inner levels: what opens all of them never ends.
func nestedJar(t *testing.T) registrytest.Layer {
	inner := jar("a.b", "leaf", "1")
	for range 80 {
		var buf bytes.Buffer
		z := zip.NewWriter(&buf)
		for i := range 16 {
			w, err := z.Create(fmt.Sprintf("lib/%d.jar", i))
			if err == nil {
				_, err = w.Write(inner)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if buf.Len() > 16<<20 {
			break
		}
		inner = buf.Bytes()
	}
	return registrytest.Files(registrytest.File{Path: "srv/java/matryoshka.jar", Content: string(inner)})
}

// sparse is a jar of ten GiB that GNU tar packs into some hundred bytes.
func sparse(format string) func(t *testing.T) registrytest.Layer {
	return func(t *testing.T) registrytest.Layer {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "sparse-"+format+".jar"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(10 << 30); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("tar", "-C", dir, "-S", "--format="+format, "-cf", "-", filepath.Base(f.Name())).Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(out) > 1<<20 {
			t.Fatalf("the sparse file takes %d bytes", len(out))
		}
		return registrytest.Layer{Tar: out}
	}
}

// loops are links that lead to each other, to themselves and in circles, and
// files whose paths run through them.
func loops(*testing.T) registrytest.Layer {
	return registrytest.Files(
		registrytest.File{Path: "srv/loop/a", Link: "b"},
		registrytest.File{Path: "srv/loop/b", Link: "a"},
		registrytest.File{Path: "srv/loop/self", Link: "self"},
		registrytest.File{Path: "srv/loop/here", Link: "."},
		registrytest.File{Path: "srv/loop/up", Link: "../../../../srv/loop/up/up"},
		registrytest.File{Path: "srv/loop/a/node_modules/looped/package.json", Content: `{"name":"looped","version":"1.0.0"}`},
		registrytest.File{Path: "srv/loop/up/node_modules/looped/package.json", Content: `{"name":"looped","version":"2.0.0"}`},
		registrytest.File{Path: "srv/loop/" + strings.Repeat("here/", 700) + "node_modules/deep/package.json", Content: `{"name":"deep","version":"1.0.0"}`},
	)
}

// TestBombs: what unpacks to more than it may is a gap; time and memory stay
// bounded, and everything else is reported.
func TestBombs(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T) registrytest.Layer
		gap  func(g esclusa.Gap) bool // nil: nothing is left unseen
	}{
		{"ten GiB of gzip", gzipBomb, func(g esclusa.Gap) bool { return g.Scope == esclusa.GapLayer }},
		{"jar with half a GiB in an entry", bigEntryJar, func(g esclusa.Gap) bool { return strings.HasPrefix(g.Path, "srv/java/bomb.jar") }},
		{"jar in jar in jar", nestedJar, func(g esclusa.Gap) bool { return strings.HasPrefix(g.Path, "srv/java/matryoshka.jar") }},
		{"sparse file, GNU", sparse("gnu"), func(g esclusa.Gap) bool { return g.Path == "sparse-gnu.jar" }},
		{"sparse file, PAX", sparse("posix"), func(g esclusa.Gap) bool { return g.Path == "sparse-posix.jar" }},
		{"links in circles", loops, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			built := onTop(t, c.make(t))
			added := esclusa.Digest(built.Config.RootFS.DiffIDs[len(steps)])
			start := time.Now()
			got := run(t, maxTime, "", "scan", built.Layout(t))
			t.Logf("%s, peak memory %d MiB", time.Since(start).Round(time.Millisecond), got.peak>>10)
			if got.peak > maxPeak {
				t.Errorf("peak memory is %d MiB", got.peak>>10)
			}
			restIsThere(t, got.report)
			var found bool
			for _, g := range got.report.Gaps {
				if g.Layer == added && c.gap != nil && c.gap(g) && !found {
					t.Logf("gap %s: %s", g.Scope, g)
					found = true
				}
			}
			if c.gap != nil && !found {
				t.Errorf("no gap: %v", got.report.Gaps)
			}
		})
	}
}
