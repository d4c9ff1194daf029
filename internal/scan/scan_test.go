package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/json"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// today is when the tests scan, yesterday when their feeds last spoke.
var (
	today     = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	yesterday = today.AddDate(0, 0, -1)
)

// flaw is an advisory on every version of a package.
func flaw(id, ecosystem, name string) esclusa.Advisory {
	return esclusa.Advisory{
		ID: id, Summary: "it breaks", Severity: esclusa.SeverityHigh, Published: yesterday, Modified: yesterday,
		Affected: []esclusa.Affected{{Ecosystem: ecosystem, Name: name, Ranges: []esclusa.Range{{
			Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{{Introduced: "0"}, {Fixed: "99.0.0"}},
		}}}},
	}
}

// database compiles a small one.
func database(t testing.TB, flaws ...esclusa.Advisory) *advisory.DB {
	t.Helper()
	var batch advisory.Batch
	for _, f := range flaws {
		if err := batch.Add(&f); err != nil {
			t.Fatal(err)
		}
	}
	ecosystems := []string{"npm", "Debian"}
	var sources []advisory.Source
	for i, e := range ecosystems {
		s := advisory.Source{Feed: esclusa.Feed{Name: "osv/" + e, Date: yesterday, Records: len(flaws)}, Ecosystems: []string{e}}
		if i == 0 {
			s.Batch = &batch
		}
		sources = append(sources, s)
	}
	st := advisory.State{Dir: t.TempDir()}
	if err := st.Replace(func(w io.Writer) error { return advisory.Build(w, sources) }); err != nil {
		t.Fatal(err)
	}
	db, err := st.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// config scans with advisories on left-pad and openssl; dir, if not empty, is
// the cache.
func config(t testing.TB, dir string) scan.Config {
	t.Helper()
	db := database(t, flaw("GHSA-left-pad", "npm", "left-pad"), flaw("DSA-1-1", "Debian:12", "openssl"))
	c := scan.Config{Tool: "test", Advisories: db, Feeds: db.Feeds(), Now: today}
	if dir != "" {
		c.Cache = cache.Open(dir, cache.DefaultMax)
	}
	return c
}

func scanned(t testing.TB, c scan.Config, target string) *esclusa.Report {
	t.Helper()
	r, err := scan.New(c).Scan(t.Context(), target, esclusa.TargetImage, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answer is the report as it is saved, without where the answer came from.
func answer(t testing.TB, r *esclusa.Report) string {
	t.Helper()
	c := *r
	c.End = esclusa.End{Took: c.End.Took, Packages: c.End.Packages, Findings: c.End.Findings, Gaps: c.End.Gaps, InflateDoubts: c.End.InflateDoubts}
	var b bytes.Buffer
	if err := (json.Format{}).Write(&b, &c, report.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func same(t testing.TB, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the reports differ (-want +got):\n%s", diff)
	}
}

// layers says how many were read and how many were known.
func layers(t testing.TB, r *esclusa.Report, read, cached int) {
	t.Helper()
	if r.End.LayersRead != read || r.End.LayersCached != cached {
		t.Errorf("read %d layers and knew %d, want %d and %d", r.End.LayersRead, r.End.LayersCached, read, cached)
	}
}

func npm(dir, name, version string) registrytest.File {
	return registrytest.File{Path: dir + "/node_modules/" + name + "/package.json", Content: fmt.Sprintf(`{"name":%q,"version":%q,"license":"MIT"}`, name, version)}
}

const status = `Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1~deb12u2
Maintainer: x

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2024a-0+deb12u1
Maintainer: x
`

// password looks like a secret, and is none of this file's.
func password() string { return "AKIA" + "Q3EGRTHGZX5LMNWP" }

// The layers of the image that most tests scan: a base, an application with a
// secret and a program, and a last step that deletes some of it.
func base() registrytest.Layer {
	return registrytest.Files(
		registrytest.File{Path: "etc/os-release", Content: "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"},
		registrytest.File{Path: "var/lib/dpkg/status", Content: status},
		registrytest.File{Path: "usr/bin/old", Mode: 0o755 | fs.ModeSetuid, Content: "\x7fELFnot really"},
		npm("usr/lib", "left-pad", "1.3.0"))
}

func application(more ...registrytest.File) registrytest.Layer {
	return registrytest.Files(append([]registrytest.File{
		npm("srv/app", "left-pad", "1.2.0"), npm("srv/app", "gone", "1.0.0"), npm("srv/app", "café", "1.0.0"),
		{Path: "srv/app/.env", Content: "AWS_ACCESS_KEY_ID=" + password() + "\n"},
		{Path: "srv/current", Link: "app"},
		{Path: "srv/app/node_modules/broken/package.json", Content: "{"},
		{Path: "srv/b\xffd/node_modules/x/package.json", Content: `{"name":"x","version":"1.0.0"}`},
	}, more...)...)
}

func clean() registrytest.Layer {
	return registrytest.Files(
		registrytest.File{Path: "srv/app/node_modules/gone", Whiteout: true},
		registrytest.File{Path: "srv/app/.env", Whiteout: true},
		npm("srv/current", "late", "2.0.0"))
}

func spec(user string, env ...string) registrytest.Spec {
	return registrytest.Spec{Layers: []registrytest.Layer{base(), application(), clean()}, Config: ocispec.ImageConfig{User: user, Env: env}}
}

// files are the entries of one kind in a cache.
func files(t testing.TB, dir, kind string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(dir, kind), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTheCacheChangesNothing: with no cache, an empty one, one of layers, one
// of the whole image and a damaged one, the report is the same to the byte.
func TestTheCacheChangesNothing(t *testing.T) {
	target := spec("app", "PASSWORD="+password()).Build(t).Layout(t)
	statement := match.Statement{
		VEXStatement:    esclusa.VEXStatement{Status: esclusa.VEXNotAffected, Justification: "code_not_reachable", At: yesterday},
		Vulnerabilities: []string{"GHSA-left-pad"}, Products: []match.Product{{ID: "pkg:npm/left-pad"}},
	}
	for _, c := range []struct {
		name   string
		change func(*scan.Config)
		want   []string // somewhere in the report: it must be about something
	}{
		{"everything", func(*scan.Config) {}, []string{
			"GHSA-left-pad", "DSA-1-1", `"deleted":true`, `"kind":"secret"`, `"kind":"misconfiguration"`, `"gap"`,
			`srv/app/node_modules/late`, `"id":"debian","version":"12"`,
		}},
		{"packages only", func(c *scan.Config) { c.PackagesOnly = true }, []string{"GHSA-left-pad"}},
		{"VEX", func(c *scan.Config) { c.VEX = []match.Statement{statement} }, []string{`"status":"not_affected"`}},
		{"gaps of others", func(c *scan.Config) { c.Gaps = []esclusa.Gap{{Scope: esclusa.GapItem, What: "statement 3"}} }, []string{"statement 3"}},
		{"no advisories", func(c *scan.Config) { c.Advisories = nil }, []string{"no advisory database"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			run := func(dir string) *esclusa.Report {
				conf := config(t, dir)
				c.change(&conf)
				return scanned(t, conf, target)
			}
			first := run("")
			want := answer(t, first)
			layers(t, first, 3, 0)
			for _, w := range c.want {
				if !strings.Contains(want, w) {
					t.Errorf("the report has no %s:\n%s", w, want)
				}
			}
			check := func(read, cached int) {
				t.Helper()
				r := run(dir)
				layers(t, r, read, cached)
				same(t, want, answer(t, r))
			}
			check(3, 0)
			check(0, 3) // as a whole
			if err := os.RemoveAll(filepath.Join(dir, "images")); err != nil {
				t.Fatal(err)
			}
			check(0, 3) // from its layers
			if err := os.RemoveAll(filepath.Join(dir, "layers")); err != nil {
				t.Fatal(err)
			}
			check(0, 3) // as a whole, when the layers' own records are gone
			kept := files(t, dir, "images")
			if len(kept) != 1 {
				t.Fatalf("%d images are kept", len(kept))
			}
			b, err := os.ReadFile(kept[0])
			if err != nil {
				t.Fatal(err)
			}
			for i := range 40 {
				bad := bytes.Clone(b)
				if at := i * len(b) / 40; i%2 == 0 {
					bad[at] ^= 1 << (i % 8)
				} else {
					bad = bad[:at]
				}
				if err := os.WriteFile(kept[0], bad, 0o600); err != nil {
					t.Fatal(err)
				}
				r := run(dir)
				if r.End.LayersRead+r.End.LayersCached != 3 {
					t.Errorf("damage %d: %+v", i, r.End)
				}
				same(t, want, answer(t, r))
			}
		})
	}
}

// TestAnotherConfigurationIsAnotherImage: images of the same layers share what
// was read of them, and nothing that is said of their configurations.
func TestAnotherConfigurationIsAnotherImage(t *testing.T) {
	specs := map[string]registrytest.Spec{
		"user":    spec("app"),
		"root":    spec("root"),
		"env":     spec("app", "API_TOKEN="+password()),
		"history": spec("app"),
		"steps":   spec("app"),
	}
	withHistory := specs["history"]
	withHistory.Layers = slices.Clone(withHistory.Layers)
	withHistory.Layers[1].CreatedBy = "RUN curl http://example.test/x | sh"
	specs["history"] = withHistory
	steps := specs["steps"]
	steps.Layers = append(slices.Clone(steps.Layers), registrytest.Layer{Empty: true, CreatedBy: "ARG DB_PASSWORD=" + password()})
	specs["steps"] = steps
	dir := t.TempDir()
	answers := map[string]string{}
	first := true
	for name, s := range specs {
		target := s.Build(t).Layout(t)
		want := scanned(t, config(t, ""), target)
		// The base is found by what was scanned before, so the reports are
		// compared as they are with a cache that knows the same images.
		for round := range 2 {
			r := scanned(t, config(t, dir), target)
			if first {
				layers(t, r, 3, 0)
			} else {
				layers(t, r, 0, 3)
			}
			first = false
			if round == 0 {
				same(t, answer(t, want), answer(t, r))
				r.Image = esclusa.Image{}
				answers[name] = answer(t, r)
			}
		}
	}
	for x, a := range answers {
		for y, b := range answers {
			if x < y && a == b {
				t.Errorf("%s and %s have the same report", x, y)
			}
		}
	}
	if n := len(files(t, dir, "images")); n != len(specs) {
		t.Errorf("%d images are kept of %d", n, len(specs))
	}
}

// TestTheNameIsNoContent: the same image under another name, in another
// packing, is known; and each report has its own name.
func TestTheNameIsNoContent(t *testing.T) {
	built := spec("app").Build(t)
	dir := t.TempDir()
	a := scanned(t, config(t, dir), built.Layout(t))
	b := scanned(t, config(t, dir), built.DockerArchive(t, "app:1"))
	layers(t, b, 0, 3)
	if n := len(files(t, dir, "images")); n != 1 {
		t.Errorf("%d images are kept", n)
	}
	if a.Image.Ref == b.Image.Ref || !slices.Contains(b.Image.Tags, "docker.io/library/app:1") && !slices.Contains(b.Image.Tags, "app:1") {
		t.Errorf("names: %q and %q, tags %v", a.Image.Ref, b.Image.Ref, b.Image.Tags)
	}
}

// TestNewsOfAKnownImage: an advisory that is out since the last scan is
// matched although nothing of the image is read.
func TestNewsOfAKnownImage(t *testing.T) {
	dir, target := t.TempDir(), spec("app").Build(t).Layout(t)
	scanned(t, config(t, dir), target)
	c := config(t, dir)
	c.Advisories = database(t, flaw("GHSA-news", "npm", "café"))
	r := scanned(t, c, target)
	layers(t, r, 0, 3)
	var got []string
	for _, f := range r.Findings {
		if f.Kind == esclusa.KindVulnerability {
			got = append(got, f.ID+" "+f.Package.Name)
		}
	}
	if diff := cmp.Diff([]string{"GHSA-news café"}, got); diff != "" {
		t.Errorf("vulnerabilities (-want +got):\n%s", diff)
	}
}

// TestOwnRules: what a user's rules find is found in images that were kept
// before there were any, and is gone with them.
func TestOwnRules(t *testing.T) {
	rules, err := malware.Open(fstest.MapFS{"own.yaml": &fstest.MapFile{Data: []byte(`- id: own
  title: Ours
  severity: high
  why: It is a test.
  file: {type: any}
  strings:
    one: {text: words-of-nobody}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	target := registrytest.Image(t, base(), application(registrytest.File{Path: "srv/own", Content: "words-of-nobody\n"})).Layout(t)
	for _, c := range []struct {
		own          []*malware.Rules
		found        bool
		read, cached int
	}{{nil, false, 2, 0}, {[]*malware.Rules{rules}, true, 2, 0}, {[]*malware.Rules{rules}, true, 0, 2}, {nil, false, 0, 2}} {
		conf := config(t, dir)
		conf.Malware = c.own
		r := scanned(t, conf, target)
		layers(t, r, c.read, c.cached)
		if got := slices.ContainsFunc(r.Findings, func(f esclusa.Finding) bool { return f.ID == "malware/own" && f.Path == "srv/own" }); got != c.found {
			t.Errorf("%d own rules: found %v", len(c.own), got)
		}
	}
}

// TestOneChangedLayer: the others are not read again.
func TestOneChangedLayer(t *testing.T) {
	dir := t.TempDir()
	scanned(t, config(t, dir), spec("app").Build(t).Layout(t))
	s := spec("app")
	s.Layers[1] = application(npm("srv/app", "new", "1.0.0"))
	target := s.Build(t).Layout(t)
	r := scanned(t, config(t, dir), target)
	layers(t, r, 1, 2)
	if !slices.ContainsFunc(r.Packages, func(p esclusa.Package) bool { return p.Name == "new" }) {
		t.Error("the new package is not there")
	}
}

// origins are those of some packages, by path.
func origins(r *esclusa.Report) map[string]esclusa.Origin {
	m := map[string]esclusa.Origin{}
	for _, p := range r.Packages {
		if p.Type == "npm" && (p.Name == "left-pad" || p.Name == "late") {
			m[p.Path] = p.Origin
		}
	}
	return m
}

// TestOrigins: whose work a package is, is known once its base image was
// seen, also for an image that was kept before.
func TestOrigins(t *testing.T) {
	const inBase, inApp, late = "usr/lib/node_modules/left-pad/package.json", "srv/app/node_modules/left-pad/package.json", "srv/app/node_modules/late/package.json"
	dir := t.TempDir()
	app := spec("app").Build(t).Layout(t)
	below := registrytest.Image(t, base()).Layout(t)
	before := scanned(t, config(t, dir), app)
	if diff := cmp.Diff(map[string]esclusa.Origin{inBase: "", inApp: "", late: ""}, origins(before)); diff != "" {
		t.Errorf("before the base is known (-want +got):\n%s", diff)
	}
	scanned(t, config(t, dir), below)
	for _, c := range []struct {
		dir          string
		read, cached int
	}{{dir, 0, 3}, {dir, 0, 3}} {
		r := scanned(t, config(t, c.dir), app)
		layers(t, r, c.read, c.cached)
		if diff := cmp.Diff(map[string]esclusa.Origin{inBase: esclusa.OriginBase, inApp: esclusa.OriginOwn, late: esclusa.OriginOwn}, origins(r)); diff != "" {
			t.Errorf("origins (-want +got):\n%s", diff)
		}
		for _, f := range r.Findings {
			if f.Path == "srv/app/.env" && f.Origin != esclusa.OriginOwn {
				t.Errorf("%s is of origin %q", f.ID, f.Origin)
			}
		}
		if r.Image.BaseBy == "" || r.Image.Layers[0].Origin != esclusa.OriginBase || r.Image.Layers[1].Origin != esclusa.OriginOwn {
			t.Errorf("base by %q, layers %v", r.Image.BaseBy, r.Image.Layers)
		}
	}
}

// TestBrokenLayer: what cannot be read is a gap that names the layer, the
// rest is reported, and nothing of it is kept: once it is mended, it is read.
func TestBrokenLayer(t *testing.T) {
	whole := registrytest.Tar(t, application().Files...)
	id := esclusa.Digest(digest.FromBytes(whole).String())
	blob := registrytest.Compress(t, registrytest.Gzip, whole)
	good := registrytest.Layer{Tar: whole}
	other := registrytest.Compress(t, registrytest.Gzip, registrytest.Tar(t, npm("srv/app", "planted", "1.0.0")))
	for _, c := range []struct {
		name  string
		layer registrytest.Layer
		gap   string
		hint  bool
		// believed are the packages of the layer that are reported: those before the damage
		believed bool
	}{
		{"cut", registrytest.Layer{Tar: whole, Blob: blob[:len(blob)-20]}, "rest of the layer", false, true},
		{"other content than the blob's digest", registrytest.Layer{Tar: whole, Blob: other, Digest: digest.FromBytes(blob).String()}, "layer", true, false},
		{"other content than the diff-ID", registrytest.Layer{Tar: whole, Blob: other}, "layer", true, false},
		{"no tar", registrytest.Layer{Tar: whole, Blob: []byte("nothing that was ever compressed")}, "layer", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			image := func(l registrytest.Layer) string { return registrytest.Image(t, base(), l, clean()).Layout(t) }
			broken, mended := image(c.layer), image(good)
			for _, folder := range []string{dir, dir, ""} { // nothing of it is kept, and no cache is needed to see it
				r := scanned(t, config(t, folder), broken)
				var gaps []esclusa.Gap
				for _, g := range r.Gaps {
					if g.Scope == esclusa.GapLayer {
						gaps = append(gaps, g)
					}
				}
				if len(gaps) != 1 || gaps[0].Layer != id || gaps[0].What != c.gap || gaps[0].Err == "" || (gaps[0].Hint != "") != c.hint {
					t.Errorf("gaps of layers: %+v", gaps)
				}
				names := map[string]bool{}
				for _, p := range r.Packages {
					names[p.Name] = true
				}
				if names["café"] != c.believed || names["planted"] || !names["libssl3"] || !names["late"] {
					t.Errorf("packages: %v", names)
				}
				if !slices.ContainsFunc(r.Findings, func(f esclusa.Finding) bool { return f.ID == "DSA-1-1" }) {
					t.Error("the other layers were not matched")
				}
			}
			if n := len(files(t, dir, "layers")); n != 2 {
				t.Errorf("%d layers are kept", n)
			}
			r := scanned(t, config(t, dir), mended)
			layers(t, r, 1, 2)
			same(t, answer(t, scanned(t, config(t, ""), mended)), answer(t, r))
		})
	}
}

// TestSameLayerTwice: one blob that stands in an image twice is read once.
func TestSameLayerTwice(t *testing.T) {
	built := registrytest.Image(t, application(), clean(), application())
	var sizes []int64
	for _, l := range built.Manifest.Layers[:2] {
		sizes = append(sizes, l.Size)
	}
	c := config(t, t.TempDir())
	r := scanned(t, c, built.Layout(t))
	layers(t, r, 2, 0)
	if want := sizes[0] + sizes[1]; r.End.BytesRead != want {
		t.Errorf("read %d bytes of %d", r.End.BytesRead, want)
	}
	if !slices.ContainsFunc(r.Packages, func(p esclusa.Package) bool { return p.Name == "gone" }) {
		t.Error("what the third layer brought back is not there")
	}
	layers(t, scanned(t, c, built.Layout(t)), 0, 3)
}

// TestProgress: it never goes back, and ends with all that was to be read.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	scanned(t, config(t, dir), registrytest.Image(t, base()).Layout(t))
	built := spec("app").Build(t)
	want := built.Manifest.Layers[1].Size + built.Manifest.Layers[2].Size
	c := config(t, dir)
	var mu sync.Mutex
	var last int64
	c.Progress = func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		if total != want || done > total {
			t.Errorf("%d of %d, want %d in all", done, total, want)
		}
		last = max(last, done)
	}
	r := scanned(t, c, built.Layout(t))
	layers(t, r, 2, 1)
	if last != want || r.End.BytesRead != want {
		t.Errorf("ended at %d, read %d of %d", last, r.End.BytesRead, want)
	}
}

// TestProgressWithinALayer: a bar moves while one large layer is read, whatever
// it comes in, and each byte counts once.
func TestProgressWithinALayer(t *testing.T) {
	noise := make([]byte, 2<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	built := registrytest.Image(t, registrytest.Files(
		registrytest.File{Path: "noise", Content: string(noise)}, registrytest.File{Path: "etc/os-release", Hard: "noise"}))
	for name, target := range map[string]string{"layout": built.Layout(t), "archive": built.DockerArchive(t, "x:1"), "registry": registrytest.Serve(t).Push("a", built)} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var steps, last int64
			c := config(t, "")
			c.Progress = func(done, total int64) {
				mu.Lock()
				defer mu.Unlock()
				if done > total || total < int64(len(noise)) {
					t.Errorf("%d of %d", done, total)
				}
				if steps, last = steps+1, max(last, done); last == total && steps < 4 {
					t.Errorf("done in %d steps", steps)
				}
			}
			if r := scanned(t, c, target); last == 0 || r.End.BytesRead != last {
				t.Errorf("read %d, shown %d", r.End.BytesRead, last)
			}
		})
	}
}

// TestCancel: a scan that is given up is an error, and keeps no half image.
func TestCancel(t *testing.T) {
	for _, workers := range []int{1, 4} {
		dir, target := t.TempDir(), spec("app").Build(t).Layout(t)
		ctx, cancel := context.WithCancel(t.Context())
		c := config(t, dir)
		c.Workers = workers
		c.Progress = func(int64, int64) { cancel() } // after the first layer
		r, err := scan.New(c).Scan(ctx, target, esclusa.TargetImage, oci.Options{})
		if !errors.Is(err, context.Canceled) && workers == 1 {
			t.Errorf("%v, %v", r, err)
		}
		cancel()
		if r, err := scan.New(c).Scan(ctx, spec("other").Build(t).Layout(t), esclusa.TargetImage, oci.Options{}); err == nil && r.End.LayersRead > 0 {
			t.Error("layers are read although all was given up")
		}
		same(t, answer(t, scanned(t, config(t, ""), target)), answer(t, scanned(t, config(t, dir), target)))
	}
}

// TestForwardArchive: layers of a compressed archive come out of one stream,
// in its order.
func TestForwardArchive(t *testing.T) {
	built := spec("app").Build(t)
	raw, err := os.ReadFile(built.DockerArchive(t, "app:1"))
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "app.tar.gz")
	if err := os.WriteFile(packed, registrytest.Compress(t, registrytest.Gzip, raw), 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := oci.Open(t.Context(), packed, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	order, err := img.Serial(t.Context())
	img.Close()
	if err != nil || len(order) != 3 {
		t.Fatalf("this archive can be read in any order: %v, %v", order, err)
	}
	want := scanned(t, config(t, ""), built.Layout(t))
	dir := t.TempDir()
	for i := range 2 {
		r := scanned(t, config(t, dir), packed)
		layers(t, r, 3*(1-i), 3*i)
		if diff := cmp.Diff(want.Packages, r.Packages); diff != "" {
			t.Errorf("packages (-layout +archive):\n%s", diff)
		}
		if len(r.Findings) != len(want.Findings) || len(r.Gaps) != len(want.Gaps) {
			t.Errorf("%d findings and %d gaps, want %d and %d", len(r.Findings), len(r.Gaps), len(want.Findings), len(want.Gaps))
		}
	}
}

// TestSideBySide: one scanner, one cache, several scans at once.
func TestSideBySide(t *testing.T) {
	s := scan.New(config(t, t.TempDir()))
	target := spec("app").Build(t).Layout(t)
	want := answer(t, scanned(t, config(t, ""), target))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				r, err := s.Scan(t.Context(), target, esclusa.TargetImage, oci.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				same(t, want, answer(t, r))
			}
		})
	}
	wg.Wait()
}

// TestFeeds: a source that this image needs and that is silent for too long,
// or of which records are missing, is a gap; one that it does not need is not.
func TestFeeds(t *testing.T) {
	target := spec("app").Build(t).Layout(t)
	feed := func(name string, days, skipped int) esclusa.Feed {
		return esclusa.Feed{Name: name, Date: today.AddDate(0, 0, -days), Skipped: skipped}
	}
	for _, c := range []struct {
		name  string
		feeds []esclusa.Feed
		age   time.Duration
		want  []string
	}{
		{"fresh", []esclusa.Feed{feed("osv/npm", 14, 0), feed("osv/Debian", 0, 0), feed("kev", 3, 0)}, 0, nil},
		{"old", []esclusa.Feed{feed("osv/npm", 15, 0), feed("osv/Debian", 1, 0)}, 0, []string{"feed osv/npm: last said something 15 days ago, on 2026-11-09"}},
		{"one day is too old here", []esclusa.Feed{feed("osv/npm", 1, 0)}, time.Hour, []string{"feed osv/npm: last said something 1 day ago, on 2026-11-23"}},
		{"nobody's", []esclusa.Feed{feed("osv/PyPI", 900, 7), feed("osv/crates.io", 900, 7)}, 0, nil},
		{"exploitation", []esclusa.Feed{feed("kev", 40, 0), feed("epss", 41, 0)}, 0, []string{
			"feed kev: last said something 40 days ago, on 2026-10-15", "feed epss: last said something 41 days ago, on 2026-10-14",
		}},
		{"no date", []esclusa.Feed{{Name: "osv/Debian"}}, 0, []string{"feed osv/Debian: its date is not known"}},
		{"bad records", []esclusa.Feed{feed("osv/Debian", 1, 3)}, 0, []string{"feed osv/Debian: 3 of its records could not be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config(t, "")
			conf.Feeds, conf.MaxFeedAge = c.feeds, c.age
			var got []string
			for _, g := range scanned(t, conf, target).Gaps {
				if g.Scope == esclusa.GapFeed {
					got = append(got, g.What+": "+g.Err)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGapsAreOrdered: the widest first, wherever they come from.
func TestGapsAreOrdered(t *testing.T) {
	conf := config(t, t.TempDir())
	conf.Gaps = []esclusa.Gap{{Scope: esclusa.GapItem, What: "x"}, {Scope: esclusa.GapSystem, What: "y"}}
	conf.Feeds = []esclusa.Feed{{Name: "osv/npm"}}
	raw := registrytest.Tar(t, base().Files...)
	blob := registrytest.Compress(t, registrytest.Gzip, raw)
	r := scanned(t, conf, registrytest.Image(t, registrytest.Layer{Tar: raw, Blob: blob[:len(blob)/2]}, application()).Layout(t))
	order := []esclusa.GapScope{esclusa.GapSystem, esclusa.GapLayer, esclusa.GapFeed, esclusa.GapFile, esclusa.GapItem}
	seen := map[esclusa.GapScope]bool{}
	last := 0
	for _, g := range r.Gaps {
		at := slices.Index(order, g.Scope)
		if at < last {
			t.Errorf("%s behind a narrower one: %v", g.Scope, r.Gaps)
		}
		last, seen[g.Scope] = at, true
	}
	if len(seen) != len(order) {
		t.Errorf("scopes: %v", seen)
	}
}

// TestOtherTargets: folders and files take the same way, and a file that
// nobody knows is no clean one.
func TestOtherTargets(t *testing.T) {
	dir := t.TempDir()
	for _, f := range append(base().Files, application().Files...) {
		path := filepath.Join(dir, f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if f.Link == "" {
			if err := os.WriteFile(path, []byte(f.Content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	lock := filepath.Join(dir, "package-lock.json")
	if err := os.WriteFile(lock, []byte(`{"lockfileVersion":3,"packages":{"node_modules/left-pad":{"version":"1.0.0"}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	nothing := filepath.Join(dir, "nothing.txt")
	if err := os.WriteFile(nothing, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	cached := t.TempDir()
	for _, c := range []struct {
		name, target string
		kind         esclusa.TargetKind
		want         []string
	}{
		{"root", dir, esclusa.TargetRoot, []string{"libssl3", "tzdata", "café", "gone", "left-pad", "left-pad", "x"}},
		{"source", filepath.Join(dir, "srv"), esclusa.TargetSource, nil},
		{"lock file", lock, esclusa.TargetSource, []string{"left-pad"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := scan.New(config(t, cached)).Scan(t.Context(), c.target, "", oci.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range r.Packages {
				names = append(names, p.Name)
			}
			if diff := cmp.Diff(c.want, names); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if r.Image.Kind != c.kind || r.Image.Ref != c.target {
				t.Errorf("%s %q", r.Image.Kind, r.Image.Ref)
			}
		})
	}
	if _, err := scan.New(config(t, "")).Scan(t.Context(), nothing, "", oci.Options{}); !errors.Is(err, scan.ErrNothing) {
		t.Errorf("a file that nobody knows: %v", err)
	}
	if _, err := scan.New(config(t, "")).Scan(t.Context(), filepath.Join(dir, "absent"), "", oci.Options{}); err == nil {
		t.Error("a file that is not there is scanned")
	}
}

// TestAnyNameOfAnSBOM: a document is known by its content, and the report
// names the file that is there: in packages, findings and gaps.
func TestAnyNameOfAnSBOM(t *testing.T) {
	const document = `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[
		{"type":"library","name":"left-pad","version":"1.0.0","purl":"pkg:npm/left-pad@1.0.0"},{"type":"library","name":"nobody"}]}`
	for _, name := range []string{"x.json", "inventory", "x.cdx.json"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := scan.New(config(t, "")).Scan(t.Context(), path, "", oci.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Packages) == 0 || len(r.Findings) == 0 || len(r.Gaps) == 0 {
			t.Fatalf("%s: %d packages, %d findings, %d gaps", name, len(r.Packages), len(r.Findings), len(r.Gaps))
		}
		f := &r.Findings[0]
		for _, got := range []string{r.Packages[0].Path, f.Path, f.Package.Path, r.Gaps[0].Path} {
			if got != name {
				t.Errorf("%q for %q", got, name)
			}
		}
	}
}

// TestScanProgram: a program is read for what it is built of, by whatever name
// it has; one of which nothing can be said is not called clean.
func TestScanProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := scan.New(config(t, t.TempDir())).Scan(t.Context(), self, "", oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Packages, func(p esclusa.Package) bool { return p.Name == "stdlib" && p.Type == "golang" }) {
		t.Errorf("no standard library in %d packages", len(r.Packages))
	}
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 1000)...), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := scan.New(config(t, t.TempDir())).Scan(t.Context(), plain, "", oci.Options{}); !errors.Is(err, scan.ErrNothing) {
		t.Error("a program of which nothing is known:", err)
	}
}
