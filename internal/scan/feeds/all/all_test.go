package all_test

import (
	"bytes"
	"context"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/truth"
)

// noFeeds are the folders beside this one that hold no feed, and why.
var noFeeds = map[string]string{
	"all": "the list itself",
	"vex": "documents that the user gives, not a source of advisories",
}

// TestEveryFolderIsListed reads the folders: a new one must be imported by
// the list.
func TestEveryFolderIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "all.go", nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	imported := make(map[string]bool)
	for _, im := range file.Imports {
		p, _ := strconv.Unquote(im.Path.Value)
		imported[path.Base(p)] = true
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		code, _ := filepath.Glob(filepath.Join("..", e.Name(), "*.go"))
		if !e.IsDir() || len(code) == 0 || noFeeds[e.Name()] != "" {
			continue
		}
		if !imported[e.Name()] {
			t.Errorf("folder %s is not listed in all.go", e.Name())
		}
	}
}

func TestSpecs(t *testing.T) {
	names, paths := make(map[string]bool), make(map[string]bool)
	for _, f := range all.Feeds() {
		s := f.Spec()
		if s.Name == "" || names[s.Name] || paths[s.Path] {
			t.Errorf("name %q or path %q is empty or taken", s.Name, s.Path)
		}
		names[s.Name], paths[s.Path] = true, true
		if u, err := url.Parse(s.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.String() != s.URL {
			t.Errorf("%s: address %q (%v)", s.Name, s.URL, err)
		}
		if s.Path != path.Clean(s.Path) || path.IsAbs(s.Path) || strings.HasPrefix(s.Path, "..") {
			t.Errorf("%s: path %q", s.Name, s.Path)
		}
		if s.MaxSize <= 0 {
			t.Errorf("%s: no limit", s.Name)
		}
	}
}

// counting counts what a feed skips; nothing else may come of rubbish.
type counting struct{ skipped int }

func (c *counting) Advisory(*esclusa.Advisory) error { panic("records of rubbish") }
func (c *counting) KEV(string, esclusa.KEV) error    { panic("records of rubbish") }
func (c *counting) EPSS(string, float64) error       { panic("records of rubbish") }
func (c *counting) Skip(string, error)               { c.skipped++ }
func (c *counting) Date(time.Time)                   {}

// TestRubbishIsAnError: what is no copy of the feed must not pass for an
// empty one.
func TestRubbishIsAnError(t *testing.T) {
	for _, f := range all.Feeds() {
		for _, text := range []string{"", "<html>log in</html>", "{}", "\x1f\x8b", "PK\x03\x04", "PK\x05\x06", strings.Repeat("\x00", 100_000)} {
			in := feeds.File{ReaderAt: bytes.NewReader([]byte(text)), Size: int64(len(text))}
			if err := f.Parse(t.Context(), in, new(counting)); err == nil {
				t.Errorf("%s: no error from %.20q", f.Spec().Name, text)
			}
		}
		in := feeds.File{ReaderAt: bytes.NewReader(nil), Size: f.Spec().MaxSize + 1}
		if err := f.Parse(t.Context(), in, new(counting)); err == nil {
			t.Errorf("%s: no error above the limit", f.Spec().Name)
		}
	}
}

// TestCancelled: a feed stops when it is told to.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tried := 0
	for _, f := range all.Feeds() {
		file, err := os.Open(filepath.Join(truth.Mirror(t), filepath.FromSlash(f.Spec().Path)))
		if os.IsNotExist(err) {
			continue // the mirror has not all ecosystems
		}
		if err != nil {
			t.Fatal(err)
		}
		st, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Parse(ctx, feeds.File{ReaderAt: file, Size: st.Size()}, new(counting)); err == nil {
			t.Errorf("%s: no error", f.Spec().Name)
		}
		file.Close()
		tried++
	}
	if tried == 0 {
		t.Error("no feed of the mirror was tried")
	}
}
