package scan_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
)

// rules are a user's, for scripts in srv.
func rules(t *testing.T) []*malware.Rules {
	t.Helper()
	own, err := malware.Open(fstest.MapFS{"a.yaml": &fstest.MapFile{Data: []byte(`
- id: acme-beacon
  title: Beacon
  severity: high
  why: It is the exercise's.
  file: {type: text, paths: ['srv/**']}
  strings:
    host: {text: 'beacon.acme.example'}
  path: srv/run.sh
  attack: 'ping beacon.acme.example'
  benign: 'ping acme.example'
`)}})
	if err != nil {
		t.Fatal(err)
	}
	return []*malware.Rules{own}
}

// longLayer is one of some MiB, with a package and what the rule finds.
func longLayer(n int, c registrytest.Compression) registrytest.Layer {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := func() string {
		b := make([]byte, 3<<20)
		for i := range b {
			b[i] = byte(rnd.IntN(64))
		}
		return string(b)
	}
	files := []registrytest.File{
		{Path: "app/node_modules/left-pad/package.json", Content: `{"name":"left-pad","version":"1.3.0"}`},
		{Path: "app/l", Link: "/srv"},
		{Path: "srv/gone", Whiteout: true},
		{Path: fmt.Sprint("srv/run-", n, ".sh"), Content: "#!/bin/sh\nping beacon.acme.example\n"},
	}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		files = append(files, registrytest.File{Path: "var/" + name, Content: noise()})
	}
	return registrytest.Layer{Files: files, Compression: c}
}

// TestReread: a rule was added, and only what it wants is read, from each kind
// of store; the report is that of a scan without a cache.
func TestReread(t *testing.T) {
	built := registrytest.Image(t, longLayer(1, registrytest.Gzip), longLayer(2, registrytest.None), longLayer(3, registrytest.Zstd))
	reg := registrytest.Serve(t)
	for name, target := range map[string]string{
		"folder": built.Layout(t), "archive": built.LayoutTar(t), "registry": reg.Push("team/app", built, "1"),
	} {
		t.Run(name, func(t *testing.T) {
			do := func(c scan.Config) *esclusa.Report { return scanned(t, c, target) }
			c := config(t, t.TempDir())
			before := do(c)
			c.Malware = rules(t)
			got := do(c)
			if e := got.End; e.LayersRead != 3 || e.LayersInPart != 2 || e.IndexesRefused != 0 || e.BytesRead > before.End.BytesRead/2 {
				t.Errorf("after %+v: %+v", before.End, e)
			}
			again := do(c)
			if e := again.End; e.LayersRead != 0 {
				t.Errorf("nothing changed: %+v", e)
			}
			fresh := c
			fresh.Cache = nil
			want := do(fresh)
			same(t, answer(t, want), answer(t, got))
			same(t, answer(t, want), answer(t, again))
			if found := countFindings(want, "malware/acme-beacon"); found != 3 || countFindings(before, "malware/acme-beacon") != 0 {
				t.Errorf("the rule finds %d", found)
			}
			// Without secrets and malware: nothing is read at all.
			c.Malware, c.PackagesOnly = nil, true
			if e := do(c).End; e.LayersInPart != 2 || e.BytesRead > got.End.BytesRead {
				t.Errorf("fewer readers: %+v", e)
			}
		})
	}
}

func countFindings(r *esclusa.Report, id string) (n int) {
	for i := range r.Findings {
		if r.Findings[i].ID == id {
			n++
		}
	}
	return n
}

// TestRereadRefused: an index that leads nowhere costs a whole read, and
// changes no report.
func TestRereadRefused(t *testing.T) {
	built := registrytest.Image(t, longLayer(1, registrytest.Gzip))
	target := built.Layout(t)
	fresh := config(t, "")
	fresh.Malware = rules(t)
	want := scanned(t, fresh, target)
	for name, damage := range map[string]struct {
		do      func(t *testing.T, dir string, c *cache.Cache, id esclusa.Digest)
		refused int
		inPart  int
	}{
		"none": {func(*testing.T, string, *cache.Cache, esclusa.Digest) {}, 0, 1},
		"gone": {func(t *testing.T, dir string, _ *cache.Cache, _ esclusa.Digest) { rewriteIndex(t, dir, nil) }, 0, 0},
		"flipped": {func(t *testing.T, dir string, _ *cache.Cache, _ esclusa.Digest) {
			rewriteIndex(t, dir, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, 0, 0},
		"cut": {func(t *testing.T, dir string, _ *cache.Cache, _ esclusa.Digest) {
			rewriteIndex(t, dir, func(b []byte) []byte { return b[:len(b)-1] })
		}, 0, 0},
		"sums of another blob": {func(t *testing.T, _ string, c *cache.Cache, id esclusa.Digest) {
			x, _ := c.Index(id)
			x.Table.Sums[0][20] ^= 1
			if err := c.PutIndex(id, x); err != nil {
				t.Fatal(err)
			}
		}, 1, 0},
		"files cut": {func(t *testing.T, _ string, c *cache.Cache, id esclusa.Digest) {
			x, _ := c.Index(id)
			x.Files = x.Files[:len(x.Files)-1]
			if err := c.PutIndex(id, x); err != nil {
				t.Fatal(err)
			}
		}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := config(t, dir)
			before := scanned(t, c, target)
			damage.do(t, dir, c.Cache, before.Image.Layers[0].DiffID)
			c.Malware = rules(t)
			got := scanned(t, c, target)
			if e := got.End; e.LayersRead != 1 || e.IndexesRefused != damage.refused || e.LayersInPart != damage.inPart {
				t.Errorf("%+v", e)
			}
			same(t, answer(t, want), answer(t, got))
		})
	}
}

// rewriteIndex changes the only index in a cache; nil removes it.
func rewriteIndex(t *testing.T, dir string, change func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "indexes", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if change == nil {
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(files[0], change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
