package cache_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan/cache"
	"github.com/esclusa/esclusa/internal/scan/contents"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	set = "0123456789abcdef"
	id  = esclusa.Digest("sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
)

// record is a real one, of a layer of n files.
func record(t testing.TB, n int) *layer.Record {
	t.Helper()
	s, err := layer.NewSet(nil, layer.Everywhere, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := layer.NewPool(s, 1, layer.DefaultLimits())
	defer p.Close()
	var files []registrytest.File
	for i := range n {
		files = append(files, registrytest.File{Path: fmt.Sprint(i), Content: "x"})
	}
	raw := registrytest.Tar(t, files...)
	rec, err := p.ReadTar(t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestGetPut(t *testing.T) {
	c := cache.Open(t.TempDir(), cache.DefaultMax)
	if _, ok := c.Get(set, id); ok {
		t.Fatal("an empty cache has an entry")
	}
	if err := c.Put(set, id, record(t, 3)); err != nil {
		t.Fatal(err)
	}
	rec, ok := c.Get(set, id)
	if !ok || rec.Entries != 3 {
		t.Fatalf("got %v, %v", rec, ok)
	}
	if _, ok := c.Get("fedcba9876543210", id); ok {
		t.Error("readers of another version see the entry")
	}
	for _, bad := range []esclusa.Digest{"", "sha256:", "sha256:../../../../../../../../../../etc/passwd", "../x:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if err := c.Put(set, bad, rec); err == nil {
			t.Errorf("%q is taken for a digest", bad)
		}
		if _, ok := c.Get(set, bad); ok {
			t.Errorf("%q has an entry", bad)
		}
	}
}

// TestDamage: a damaged entry is as good as none, and is gone.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	c := cache.Open(dir, cache.DefaultMax)
	if err := c.Put(set, id, record(t, 3)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "layers", "*", "sha256-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Get(set, id); ok {
		t.Error("a damaged entry is used")
	}
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("a damaged entry stays")
	}
}

// TestParallel: processes share the folder without a lock; whoever reads sees
// nothing or a whole record.
func TestParallel(t *testing.T) {
	dir := t.TempDir()
	rec := record(t, 1000)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c := cache.Open(dir, cache.DefaultMax)
			for range 20 {
				if err := c.Put(set, id, rec); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			c := cache.Open(dir, cache.DefaultMax)
			for range 50 {
				if got, ok := c.Get(set, id); ok && got.Entries != 1000 {
					t.Errorf("half a record: %d entries", got.Entries)
				}
			}
		})
	}
	wg.Wait()
	if _, ok := cache.Open(dir, cache.DefaultMax).Get(set, id); !ok {
		t.Error("nothing is left")
	}
}

// TestPrune: beyond its size the cache forgets what was used longest ago, and
// what a process that died left behind.
func TestPrune(t *testing.T) {
	dir := t.TempDir()
	rec := record(t, 1000) // 8 KB
	digest := func(i int) esclusa.Digest { return esclusa.Digest(fmt.Sprintf("sha256:%064x", i)) }
	c := cache.Open(dir, 40_000)
	put := func(i int) {
		t.Helper()
		// The look at the size holds for an hour; the test does not wait.
		os.Remove(filepath.Join(dir, "pruned"))
		if err := c.Put(set, digest(i), rec); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, "layers", set, fmt.Sprintf("sha256-%064x", i)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	leftover := filepath.Join(dir, "layers", set, ".tmp-1")
	put(0)
	if err := os.WriteFile(leftover, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(leftover, old, old); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 10; i++ {
		put(i)
	}
	if _, ok := c.Get(set, digest(0)); ok {
		t.Error("the oldest entry is still there")
	}
	if _, ok := c.Get(set, digest(9)); !ok {
		t.Error("the newest entry is gone")
	}
	if _, err := os.Stat(leftover); err == nil {
		t.Error("what a dead process left is still there")
	}
}

func TestRemember(t *testing.T) {
	c := cache.Open(t.TempDir(), cache.DefaultMax)
	if _, ok := c.Known(id); ok {
		t.Error("an empty cache knows an image")
	}
	c.Remember(id, cache.Seen{Name: "debian:12", Digest: "sha256:1"})
	c.Remember(id, cache.Seen{Name: "the first one stays"})
	if got, ok := c.Known(id); !ok || got.Name != "debian:12" || got.Digest != "sha256:1" {
		t.Errorf("got %v, %v", got, ok)
	}
}

// TestContents: what an image holds is kept as layers are: whole or not at
// all, and forgotten when it was not used for long.
func TestContents(t *testing.T) {
	dir := t.TempDir()
	c := cache.Open(dir, cache.DefaultMax)
	if _, ok := c.Contents(id); ok {
		t.Fatal("an empty cache has an entry")
	}
	held := &contents.Contents{Packages: []esclusa.Package{{Type: "npm", Name: "left-pad"}}}
	if err := c.PutContents(id, held); err != nil {
		t.Fatal(err)
	}
	got, ok := c.Contents(id)
	if !ok || len(got.Packages) != 1 || got.Packages[0].Name != "left-pad" {
		t.Fatalf("got %v, %v", got, ok)
	}
	if _, ok := c.Get(set, id); ok {
		t.Error("an image is taken for a layer")
	}
	if err := c.PutContents("", held); err == nil {
		t.Error("an empty key names an entry")
	}
	file := filepath.Join(dir, "images", "sha256-"+string(id[len("sha256:"):]))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{"cut": b[:len(b)-1], "empty": nil, "flipped": flip(b), "a layer": encoded(t)} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Contents(id); ok {
			t.Errorf("%s: damaged contents are used: %v", what, got)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a damaged entry stays", what)
		}
	}
	if err := c.PutContents(id, held); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "pruned"))
	if err := cache.Open(dir, 1).Put(set, id, record(t, 3)); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Contents(id); ok {
		t.Error("contents outlive the size of the cache")
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func encoded(t testing.TB) []byte {
	t.Helper()
	b, err := record(t, 3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKeep: a layer whose image is scanned again and again stays, although
// its record is not read.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	c := cache.Open(dir, cache.DefaultMax)
	if err := c.Put(set, id, record(t, 3)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "layers", set, "sha256-"+string(id[len("sha256:"):]))
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	c.Keep(set, "no digest")
	c.Keep(set, id)
	if st, err := os.Stat(file); err != nil || time.Since(st.ModTime()) > time.Hour {
		t.Errorf("the record is still old: %v, %v", st.ModTime(), err)
	}
}

// TestIndex: where files are is kept beside the records, is damaged or whole,
// and goes when the cache is too large.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	c := cache.Open(dir, cache.DefaultMax)
	if _, ok := c.Index(id); ok {
		t.Fatal("an empty cache has an entry")
	}
	x := &layer.Index{Files: []byte("files")}
	if err := c.PutIndex(id, x); err != nil {
		t.Fatal(err)
	}
	if got, ok := c.Index(id); !ok || string(got.Files) != "files" {
		t.Fatalf("got %v, %v", got, ok)
	}
	if err := c.PutIndex("../x", x); err == nil {
		t.Error("a path is taken for a digest")
	}
	file := filepath.Join(dir, "indexes", "sha256-"+string(id[len("sha256:"):]))
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	c.Keep(set, id)
	if st, err := os.Stat(file); err != nil || time.Since(st.ModTime()) > time.Hour {
		t.Errorf("the index is still old: %v", err)
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, flip(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Index(id); ok {
		t.Error("a damaged entry is used")
	}
	if err := c.PutIndex(id, x); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, "pruned"))
	if err := cache.Open(dir, 1).Put(set, id, record(t, 3)); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Index(id); ok {
		t.Error("an index outlives the size of the cache")
	}
}

// TestOlder: what other readers said of a layer, the last first; a record of
// another release stays, and is not taken.
func TestOlder(t *testing.T) {
	dir := t.TempDir()
	c := cache.Open(dir, cache.DefaultMax)
	if got := c.Older(id); len(got) != 0 {
		t.Fatalf("%d records in an empty cache", len(got))
	}
	for n := range 6 {
		name := fmt.Sprint("set", n)
		if err := c.Put(name, id, record(t, n)); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(n) * time.Minute)
		if err := os.Chtimes(filepath.Join(dir, "layers", name, "sha256-"+string(id[len("sha256:"):])), at, at); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(dir, "layers", "set5", "sha256-"+string(id[len("sha256:"):]))
	if err := os.WriteFile(foreign, []byte("esclusa layer 999\n..........."), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(foreign, at, at); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, rec := range c.Older(id) {
		got = append(got, rec.Entries)
	}
	if fmt.Sprint(got) != "[4 3 2]" {
		t.Errorf("records of %v files", got)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	if got := c.Older("../x"); len(got) != 0 {
		t.Error("a path is taken for a digest")
	}
}
