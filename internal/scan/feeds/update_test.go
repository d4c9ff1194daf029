package feeds_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/all"
	"github.com/esclusa/esclusa/internal/scan/feeds/epss"
	"github.com/esclusa/esclusa/internal/scan/feeds/kev"
	"github.com/esclusa/esclusa/internal/scan/feeds/osv"
)

// record is a small OSV record on one package.
func record(id, eco, name, fixed string) string {
	return fmt.Sprintf(`{"id":%q,"modified":"2026-01-02T03:04:05Z","summary":"flaw in %s","affected":[
		{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
		id, name, eco, name, fixed)
}

// zipOf stores records without compression, so that a flipped byte hits what
// the test means to hit.
func zipOf(t *testing.T, records ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, r := range records {
		w, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("R-%d.json", i), Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, r)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manyRecords is a zip of some hundred kilobytes.
func manyRecords(t *testing.T, eco string, n int, fixed string) []byte {
	var list []string
	for i := range n {
		list = append(list, record(fmt.Sprintf("T-%d", i), eco, fmt.Sprintf("pkg%d", i), fixed))
	}
	return zipOf(t, list...)
}

func gzipOf(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	w.Close()
	return b.Bytes()
}

const (
	npmPath  = "osv/npm/all.zip"
	goPath   = "osv/Go/all.zip"
	kevPath  = "kev/known_exploited_vulnerabilities.json"
	epssPath = "epss/epss_scores-current.csv.gz"
)

func smallMirror(t *testing.T) map[string][]byte {
	return map[string][]byte{
		npmPath: manyRecords(t, "npm", 2000, "1.2.3"),
		goPath:  zipOf(t, record("GO-1", "Go", "example.org/m", "1.0.1")),
		kevPath: []byte(`{"dateReleased":"2026-08-07T16:45:47.0648Z","count":1,"vulnerabilities":[
			{"cveID":"CVE-2021-44228","dateAdded":"2021-12-10","dueDate":"2021-12-24","knownRansomwareCampaignUse":"Known"}]}`),
		epssPath: gzipOf("#model_version:v4,score_date:2026-08-22T00:00:00Z\ncve,epss,percentile\nCVE-2021-44228,0.94358,0.99957\n"),
	}
}

var smallFeeds = []feeds.Feed{osv.New("npm"), osv.New("Go"), osv.New("Alpine"), kev.New(), epss.New()}

// server serves files with validators and ranges, as a mirror does, and lets
// a test spoil an answer.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	asked  []string // "path" or "path from N"
	hinder func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool
}

func newServer(t *testing.T, files map[string][]byte) *server {
	s := &server{files: files}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	s.mu.Lock()
	body, ok := s.files[path]
	hinder := s.hinder
	line := path
	if from := r.Header.Get("Range"); from != "" {
		line += " " + from
	}
	s.asked = append(s.asked, line)
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	if hinder != nil && hinder(path, w, r, body) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (s *server) set(path string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = body
}

func (s *server) spoil(f func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hinder = f
}

// requests returns what was asked since the last call.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked = nil
	return list
}

func (s *server) update(t *testing.T, state advisory.State) (feeds.Result, error) {
	t.Helper()
	return feeds.Update(t.Context(), feeds.Options{
		From: s.URL, Feeds: smallFeeds, Into: state, Stall: 2 * time.Second,
	})
}

// mustUpdate updates and expects these feeds to be updated and to have failed.
func (s *server) mustUpdate(t *testing.T, state advisory.State, updated, failed []string) feeds.Result {
	t.Helper()
	res, err := s.update(t, state)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(updated, res.Updated); d != "" {
		t.Errorf("updated (-want +got):\n%s\ngaps: %v", d, res.Gaps)
	}
	if d := gocmp.Diff(failed, res.Failed); d != "" {
		t.Errorf("failed (-want +got):\n%s\ngaps: %v", d, res.Gaps)
	}
	return res
}

// fixOf is the fixed version that the database in use knows for a package.
func fixOf(t *testing.T, state advisory.State, eco, name string) string {
	t.Helper()
	db, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	list, err := db.Lookup(eco, name)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return ""
	}
	return list[0].Affected[0].Ranges[0].Events[1].Fixed
}

func content(t *testing.T, state advisory.State) []byte {
	t.Helper()
	b, err := os.ReadFile(state.Path())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var everything = []string{"osv/npm", "osv/Go", "kev", "epss"}

func TestUpdateConditional(t *testing.T) {
	s := newServer(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	res := s.mustUpdate(t, state, everything, nil)
	if d := gocmp.Diff([]string{"osv/Alpine"}, res.Absent); d != "" {
		t.Errorf("absent (-want +got):\n%s", d)
	}
	before := content(t, state)

	s.mustUpdate(t, state, nil, nil) // 304 for all
	if !bytes.Equal(before, content(t, state)) {
		t.Error("the database changed although no feed did")
	}

	s.set(goPath, zipOf(t, record("GO-1", "Go", "example.org/m", "1.0.2")))
	s.mustUpdate(t, state, []string{"osv/Go"}, nil)
	if got := fixOf(t, state, "Go", "example.org/m"); got != "1.0.2" {
		t.Errorf("fix in the new copy is %q", got)
	}
	if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.3" {
		t.Errorf("carried over: fix is %q", got)
	}
	db, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := esclusa.KEV{
		Added: time.Date(2021, 12, 10, 0, 0, 0, 0, time.UTC), Due: time.Date(2021, 12, 24, 0, 0, 0, 0, time.UTC), Ransomware: true,
	}
	if got, ok := db.KEV("CVE-2021-44228"); !ok || got != want {
		t.Errorf("KEV carried over: %+v %v", got, ok)
	}
	if got, ok := db.EPSS("CVE-2021-44228"); !ok || got != 0.94358 {
		t.Errorf("EPSS carried over: %v %v", got, ok)
	}
	if !db.Has("npm") || db.Has("Alpine") {
		t.Error("Has: npm must be there and Alpine not")
	}

	// What was put together of old and new is what a new start gives.
	other := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, other, everything, nil)
	fresh, err := other.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if fresh.Epoch() != db.Epoch() {
		t.Error("epoch differs between a carried over and a fresh database of the same data")
	}
}

// cutAfter lets the server hang up after n bytes of a body, once or always.
func cutAfter(n int, where string, always bool) func(string, http.ResponseWriter, *http.Request, []byte) bool {
	var once sync.Once
	return func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool {
		cut := always
		once.Do(func() { cut = true })
		if path != where || !cut || r.Header.Get("Range") != "" && !always {
			return false
		}
		from := 0
		if h := r.Header.Get("Range"); h != "" {
			fmt.Sscanf(h, "bytes=%d-", &from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(body[from:min(from+n, len(body))])
		panic(http.ErrAbortHandler)
	}
}

func TestUpdateResumesWithinARun(t *testing.T) {
	s := newServer(t, map[string][]byte{npmPath: smallMirror(t)[npmPath]})
	s.spoil(cutAfter(100_000, npmPath, false))
	state := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if got := s.requests(); !slices.Contains(got, npmPath+" bytes=100000-") {
		t.Errorf("no request for the rest: %v", got)
	}
	if got := fixOf(t, state, "npm", "pkg1999"); got != "1.2.3" {
		t.Errorf("fix is %q", got)
	}
	if left, _ := os.ReadDir(filepath.Join(state.Dir, "downloads")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestUpdateResumesInTheNextRun also shows that the old data stays, that the
// other feeds go on, and that a part is dropped when the server has a newer
// version.
func TestUpdateResumesInTheNextRun(t *testing.T) {
	files := smallMirror(t)
	s := newServer(t, files)
	state := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, state, everything, nil)

	s.set(npmPath, manyRecords(t, "npm", 2000, "1.2.4"))
	s.set(goPath, zipOf(t, record("GO-1", "Go", "example.org/m", "1.0.2")))
	s.spoil(cutAfter(20_000, npmPath, true))
	res := s.mustUpdate(t, state, []string{"osv/Go"}, []string{"osv/npm"})
	if len(res.Gaps) != 1 || res.Gaps[0].Scope != esclusa.GapFeed || res.Gaps[0].What != "feed osv/npm" ||
		!strings.Contains(res.Gaps[0].Hint, "2026-01-02") {
		t.Errorf("gaps %+v", res.Gaps)
	}
	if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.3" {
		t.Errorf("old data: fix is %q", got)
	}
	if got := fixOf(t, state, "Go", "example.org/m"); got != "1.0.2" {
		t.Errorf("other feed: fix is %q", got)
	}

	s.spoil(nil)
	s.requests()
	s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if got := s.requests(); !slices.Contains(got, npmPath+" bytes=100000-") {
		t.Errorf("no request for the rest of five times 20000 bytes: %v", got)
	}
	if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.4" {
		t.Errorf("fix is %q", got)
	}

	// Cut again, and newer on the server when we come back.
	s.set(npmPath, manyRecords(t, "npm", 2000, "1.2.5"))
	s.spoil(cutAfter(20_000, npmPath, true))
	s.mustUpdate(t, state, nil, []string{"osv/npm"})
	s.set(npmPath, manyRecords(t, "npm", 2000, "1.2.6"))
	s.spoil(nil)
	s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if got := fixOf(t, state, "npm", "pkg1999"); got != "1.2.6" {
		t.Errorf("fix is %q", got)
	}
}

func TestUpdateBadAnswers(t *testing.T) {
	good := smallMirror(t)[npmPath]
	flipped := bytes.Clone(good)
	for i := 0; i < len(flipped); i += 50 { // every record fails its checksum
		flipped[i] ^= 0x20
	}
	tests := map[string]func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool{
		"truncated file": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Write(good[:len(good)/2])
			return true
		},
		"flipped bytes": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Write(flipped)
			return true
		},
		"empty": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			return true
		},
		"empty zip": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Write(zipOf(t))
			return true
		},
		"page of a proxy": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			io.WriteString(w, "<html>please log in</html>")
			return true
		},
		"server error": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
		"gone": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusGone)
			return true
		},
		"range that was not asked for": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Content-Range", "bytes 5-9/10")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "hello")
			return true
		},
		"too big": func(_ string, w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Content-Length", "9000000000")
			w.Write(good)
			panic(http.ErrAbortHandler)
		},
		"stands still": func(_ string, w http.ResponseWriter, r *http.Request, _ []byte) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		},
		"endless redirect": func(path string, w http.ResponseWriter, r *http.Request, _ []byte) bool {
			http.Redirect(w, r, "/"+path, http.StatusFound)
			return true
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, smallMirror(t))
			state := advisory.State{Dir: t.TempDir()}
			s.mustUpdate(t, state, everything, nil)
			s.set(npmPath, manyRecords(t, "npm", 2000, "6.6.6")) // never gets through
			s.set(goPath, zipOf(t, record("GO-1", "Go", "example.org/m", "1.0.2")))
			s.spoil(func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool {
				return path == npmPath && spoil(path, w, r, body)
			})
			res := s.mustUpdate(t, state, []string{"osv/Go"}, []string{"osv/npm"})
			if len(res.Gaps) == 0 {
				t.Error("no gap")
			}
			if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.3" {
				t.Errorf("old data: fix is %q", got)
			}
			// And nothing of it stands in the way of the next update.
			s.spoil(nil)
			s.mustUpdate(t, state, []string{"osv/npm"}, nil)
			if got := fixOf(t, state, "npm", "pkg7"); got != "6.6.6" {
				t.Errorf("after the trouble: fix is %q", got)
			}
		})
	}
}

func TestUpdateFirstTimeAllBad(t *testing.T) {
	s := newServer(t, map[string][]byte{npmPath: []byte("no zip")})
	state := advisory.State{Dir: t.TempDir()}
	res, err := s.update(t, state)
	if err == nil || !strings.Contains(err.Error(), "no feed could be had") {
		t.Errorf("error %v, result %+v", err, res)
	}
	if _, err := state.Open(); !os.IsNotExist(err) && !strings.Contains(fmt.Sprint(err), "no such file") {
		t.Errorf("a database of nothing: %v", err)
	}
}

// TestUpdatePartSpoiltOnDisk: what is kept of a download may have been hurt;
// the same update begins again without it.
func TestUpdatePartSpoiltOnDisk(t *testing.T) {
	s := newServer(t, map[string][]byte{npmPath: smallMirror(t)[npmPath]})
	state := advisory.State{Dir: t.TempDir()}
	s.spoil(cutAfter(50_000, npmPath, true))
	if _, err := s.update(t, state); err == nil {
		t.Fatal("no error")
	}
	part := filepath.Join(state.Dir, "downloads", "osv%2Fnpm.part")
	b, err := os.ReadFile(part)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, make([]byte, len(b)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.spoil(nil)
	s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if got := fixOf(t, state, "npm", "pkg3"); got != "1.2.3" {
		t.Errorf("fix is %q", got)
	}
}

// TestUpdateHeals: no feed has news, but a record of the database is damaged:
// all feeds are fetched anew.
func TestUpdateHeals(t *testing.T) {
	s := newServer(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, state, everything, nil)
	b := content(t, state)
	b[len(b)/3] ^= 1
	if err := os.WriteFile(state.Path(), b, 0o644); err != nil {
		t.Fatal(err)
	}
	res := s.mustUpdate(t, state, everything, nil)
	if len(res.Gaps) != 1 || !strings.Contains(res.Gaps[0].Err, advisory.ErrDamaged.Error()) {
		t.Errorf("gaps %v", res.Gaps)
	}
	// Not byte for byte: the time of the fetch is in it.
	db, err := state.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Verify(); err != nil || !res.Damaged || fixOf(t, state, "npm", "pkg7") != "1.2.3" {
		t.Errorf("the damage is still there: %v", err)
	}
}

func TestUpdateSkipsBadRecords(t *testing.T) {
	s := newServer(t, map[string][]byte{npmPath: zipOf(t,
		record("A-1", "npm", "left", "1.0.0"), `{"id":"A-2","affected":[`, record("A-3", "npm", "right", "2.0.0"),
		strings.ReplaceAll(record("A-4", "npm", "up", "3.0.0"), "SEMVER", "MOON"),
	)})
	state := advisory.State{Dir: t.TempDir()}
	res := s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if f := res.Feeds[0]; f.Records != 2 || f.Skipped != 2 {
		t.Errorf("feed %+v", f)
	}
	if len(res.Gaps) != 2 || res.Gaps[0].Scope != esclusa.GapItem || !strings.Contains(res.Gaps[0].What, "R-1.json") ||
		!strings.Contains(res.Gaps[1].Err, "MOON") {
		t.Errorf("gaps %+v", res.Gaps)
	}
	if fixOf(t, state, "npm", "left") != "1.0.0" || fixOf(t, state, "npm", "right") != "2.0.0" {
		t.Error("the good records are not there")
	}
}

func TestUpdateCancelled(t *testing.T) {
	s := newServer(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, state, everything, nil)
	before := content(t, state)
	s.set(npmPath, manyRecords(t, "npm", 10, "6.6.6"))
	ctx, cancel := context.WithCancel(t.Context())
	s.spoil(func(_ string, _ http.ResponseWriter, r *http.Request, _ []byte) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	if _, err := feeds.Update(ctx, feeds.Options{From: s.URL, Feeds: smallFeeds, Into: state}); err == nil {
		t.Error("no error")
	}
	if !bytes.Equal(before, content(t, state)) {
		t.Error("the database changed")
	}
}

func TestUpdateManyAtOnce(t *testing.T) {
	s := newServer(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if res, err := s.update(t, state); err != nil || len(res.Failed) > 0 {
					t.Errorf("%v %v", err, res.Gaps)
				}
				if db, err := state.Open(); err != nil {
					t.Error(err)
				} else if list, err := db.Lookup("npm", "pkg7"); err != nil || len(list) != 1 {
					t.Errorf("%v %v", list, err)
				} else {
					db.Close()
				}
			}
		})
	}
	wg.Wait()
}

// TestUpdateKilled ends a child by SIGKILL while it downloads.
func TestUpdateKilled(t *testing.T) {
	const dirEnv, urlEnv = "FEEDS_TEST_DIR", "FEEDS_TEST_URL"
	if dir := os.Getenv(dirEnv); dir != "" {
		feeds.Update(context.Background(), feeds.Options{
			From: os.Getenv(urlEnv), Feeds: smallFeeds, Into: advisory.State{Dir: dir},
		})
		t.Fatal("the child was not killed")
	}
	s := newServer(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	s.mustUpdate(t, state, everything, nil)
	before := content(t, state)

	s.set(npmPath, manyRecords(t, "npm", 2000, "1.2.4"))
	halfway := make(chan bool)
	s.spoil(func(path string, w http.ResponseWriter, r *http.Request, body []byte) bool {
		if path != npmPath {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body[:150_000])
		w.(http.Flusher).Flush()
		close(halfway)
		<-r.Context().Done()
		return true
	})
	child := exec.Command(os.Args[0], "-test.run=^TestUpdateKilled$")
	child.Env = append(os.Environ(), dirEnv+"="+state.Dir, urlEnv+"="+s.URL)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	<-halfway
	part := filepath.Join(state.Dir, "downloads", "osv%2Fnpm.part")
	for { // until the child has written what it got
		if st, err := os.Stat(part); err == nil && st.Size() == 150_000 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	child.Process.Kill()
	if err := child.Wait(); err == nil || child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child ended with %v", err)
	}
	if !bytes.Equal(before, content(t, state)) {
		t.Error("the database changed")
	}
	if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.3" {
		t.Errorf("old data: fix is %q", got)
	}
	s.spoil(nil)
	s.requests()
	s.mustUpdate(t, state, []string{"osv/npm"}, nil)
	if got := s.requests(); !slices.Contains(got, npmPath+" bytes=150000-") {
		t.Errorf("no request for the rest: %v", got)
	}
	if got := fixOf(t, state, "npm", "pkg7"); got != "1.2.4" {
		t.Errorf("fix is %q", got)
	}
}

func writeMirror(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUpdateFromFolder(t *testing.T) {
	dir := writeMirror(t, smallMirror(t))
	state := advisory.State{Dir: t.TempDir()}
	o := feeds.Options{From: dir, Feeds: all.Feeds(), Into: state}
	res, err := feeds.Update(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff([]string{"osv/Go", "osv/npm", "kev", "epss"}, res.Updated); d != "" {
		t.Errorf("updated (-want +got):\n%s", d)
	}
	if res, err = feeds.Update(t.Context(), o); err != nil || len(res.Updated)+len(res.Failed) > 0 {
		t.Errorf("second time: %+v %v", res, err)
	}
	if len(res.Feeds) != 4 {
		t.Errorf("feeds %+v", res.Feeds)
	}
	// A feed that is not there any more is a trouble; its data stays.
	if err := os.RemoveAll(filepath.Join(dir, "kev")); err != nil {
		t.Fatal(err)
	}
	if res, err = feeds.Update(t.Context(), o); err != nil || !slices.Equal(res.Failed, []string{"kev"}) {
		t.Errorf("third time: %+v %v", res, err)
	}
	if _, err := feeds.Update(t.Context(), feeds.Options{From: dir + "/nowhere", Into: state}); err == nil {
		t.Error("no error from a mirror that is not there")
	}
}

func TestImportExport(t *testing.T) {
	dir := writeMirror(t, smallMirror(t))
	from := advisory.State{Dir: t.TempDir()}
	if _, err := feeds.Update(t.Context(), feeds.Options{From: dir, Feeds: smallFeeds, Into: from}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "advisories")
	w, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := feeds.Export(from, w); err != nil {
		t.Fatal(err)
	}
	w.Close()

	into := advisory.State{Dir: t.TempDir()}
	res, err := feeds.Import(t.Context(), feeds.Options{From: file, Feeds: smallFeeds, Into: into})
	if err != nil || len(res.Updated) != 4 {
		t.Fatalf("%+v %v", res, err)
	}
	if !bytes.Equal(content(t, from), content(t, into)) {
		t.Error("the imported database differs")
	}

	// One bit in the middle: the import is refused, the old one stays.
	b := content(t, from)
	b[len(b)/3] ^= 1
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := feeds.Import(t.Context(), feeds.Options{From: file, Feeds: smallFeeds, Into: into}); err == nil {
		t.Error("a damaged database was imported")
	}
	if got := fixOf(t, into, "npm", "pkg7"); got != "1.2.3" {
		t.Errorf("fix is %q", got)
	}
	// Nor does a damaged one go out of the house.
	if err := os.WriteFile(into.Path(), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := feeds.Export(into, io.Discard); !errors.Is(err, advisory.ErrDamaged) {
		t.Error("a damaged database was exported:", err)
	}
}

func TestImportTar(t *testing.T) {
	for _, prefix := range []string{"", "./", "mirror/"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for name, body := range smallMirror(t) {
			if err := w.WriteHeader(&tar.Header{Name: prefix + name, Size: int64(len(body)), Mode: 0o644}); err != nil {
				t.Fatal(err)
			}
			w.Write(body)
		}
		w.Close()
		file := filepath.Join(t.TempDir(), "mirror.tar")
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		state := advisory.State{Dir: t.TempDir()}
		res, err := feeds.Import(t.Context(), feeds.Options{From: file, Feeds: smallFeeds, Into: state})
		if err != nil || len(res.Updated) != 4 {
			t.Errorf("prefix %q: %+v %v", prefix, res, err)
		}
		if got := fixOf(t, state, "npm", "pkg1999"); got != "1.2.3" {
			t.Errorf("prefix %q: fix is %q", prefix, got)
		}
		if err := os.WriteFile(file, b.Bytes()[:b.Len()/2], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := feeds.Import(t.Context(), feeds.Options{From: file, Feeds: smallFeeds, Into: state}); err == nil {
			t.Error("no error from half a tar")
		}
	}
}
