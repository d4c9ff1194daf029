package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is a read-only registry (OCI distribution specification 1.1: pull,
// tags, referrers, ranges) on a loopback port of its own.
type Registry struct {
	// Host is "127.0.0.1:port": what stands before the repository.
	Host string
	// Server is there for its certificate.
	Server *httptest.Server

	mu    sync.Mutex
	repos map[string]*repository
	seen  []string
	auth  Auth
	fault Fault
}

// Auth says whom the registry lets in.
type Auth struct {
	User, Password string
	// Token asks for a bearer token, which it issues to User at /token;
	// otherwise basic authentication is asked for.
	Token bool
	// Anonymous gives tokens to everybody, as public registries do.
	Anonymous bool
}

// Fault may answer a request in the registry's place; true says that it did.
// n counts the requests for the same URL from 0.
type Fault func(w http.ResponseWriter, r *http.Request, n int) bool

type repository struct {
	tags  map[string]digest.Digest
	media map[digest.Digest]string // manifests only
	blobs map[digest.Digest][]byte
}

// Serve starts a registry over plain HTTP that stops with the test.
func Serve(t testing.TB) *Registry {
	t.Helper()
	return serve(t, httptest.NewServer)
}

// ServeTLS starts a registry over TLS with a certificate that only
// Server.Client trusts.
func ServeTLS(t testing.TB) *Registry {
	t.Helper()
	return serve(t, httptest.NewTLSServer)
}

func serve(t testing.TB, start func(http.Handler) *httptest.Server) *Registry {
	r := &Registry{repos: map[string]*repository{}}
	r.Server = start(r)
	t.Cleanup(r.Server.Close)
	_, r.Host, _ = strings.Cut(r.Server.URL, "://")
	return r
}

// Protect asks for authentication from now on.
func (r *Registry) Protect(a Auth) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = a
}

// Break puts a fault in front of the registry; nil mends it.
func (r *Registry) Break(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// FirstTimes answers the first n requests for each URL that contains part
// with an HTTP status.
func FirstTimes(n, status int, part string) Fault {
	return func(w http.ResponseWriter, r *http.Request, seen int) bool {
		if seen >= n || !strings.Contains(r.URL.Path, part) {
			return false
		}
		w.WriteHeader(status)
		return true
	}
}

// Requests lists what was asked so far, as "GET /v2/…".
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// Push puts an image under a repository and tags, and returns its reference
// by the first tag, else by digest.
func (r *Registry) Push(repo string, b *Built, tags ...string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.repos[repo]
	if to == nil {
		to = &repository{map[string]digest.Digest{}, map[digest.Digest]string{}, map[digest.Digest][]byte{}}
		r.repos[repo] = to
	}
	maps.Copy(to.blobs, b.Blobs)
	for _, m := range append(slices.Clone(b.Manifests), b.Root) {
		to.media[m.Digest] = m.MediaType
	}
	for _, tag := range tags {
		to.tags[tag] = b.Root.Digest
	}
	if len(tags) > 0 {
		return r.Host + "/" + repo + ":" + tags[0]
	}
	return r.Host + "/" + repo + "@" + string(b.Root.Digest)
}

// PushLayout serves an OCI layout folder, made by whatever tool, under a
// repository; entries of its index.json keep their tags.
func (r *Registry) PushLayout(t testing.TB, repo, dir string) {
	t.Helper()
	var index ocispec.Index
	readJSON(t, filepath.Join(dir, ocispec.ImageIndexFile), &index)
	blobs := map[digest.Digest][]byte{}
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		blobs[digest.Digest(filepath.Base(filepath.Dir(f))+":"+filepath.Base(f))] = b
	}
	for _, m := range index.Manifests {
		b := &Built{Root: m, Blobs: blobs}
		var inner ocispec.Index
		if err := json.Unmarshal(blobs[m.Digest], &inner); err == nil {
			b.Manifests = inner.Manifests
		}
		if tag := m.Annotations[ocispec.AnnotationRefName]; tag != "" {
			r.Push(repo, b, tag)
		} else {
			r.Push(repo, b)
		}
	}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

var route = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)$`)
})

// ServeHTTP answers GET and HEAD.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	line := req.Method + " " + req.URL.Path
	n := 0
	for _, s := range r.seen {
		if s == line {
			n++
		}
	}
	r.seen = append(r.seen, line)
	fault, auth := r.fault, r.auth
	r.mu.Unlock()

	switch {
	case fault != nil && fault(w, req, n):
	case req.URL.Path == "/token":
		auth.token(w, req)
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "read only")
	case !auth.allows(req):
		auth.challenge(w, req)
	case req.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	default:
		m := route().FindStringSubmatch(req.URL.Path)
		if m == nil {
			fail(w, http.StatusNotFound, "NAME_UNKNOWN", req.URL.Path)
			return
		}
		r.serveRepo(w, req, m[1], m[2], m[3])
	}
}

func (r *Registry) serveRepo(w http.ResponseWriter, req *http.Request, name, kind, ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	repo := r.repos[name]
	if repo == nil {
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", name)
		return
	}
	switch kind {
	case "manifests":
		repo.manifest(w, req, ref)
	case "blobs":
		d := digest.Digest(ref)
		blob, ok := repo.blobs[d]
		if !ok {
			fail(w, http.StatusNotFound, "BLOB_UNKNOWN", ref)
			return
		}
		w.Header().Set("Docker-Content-Digest", ref)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(blob)) // ranges
	case "tags":
		writeJSON(w, "application/json", map[string]any{
			"name": name, "tags": slices.Sorted(maps.Keys(repo.tags)),
		})
	case "referrers":
		repo.referrers(w, digest.Digest(ref))
	}
}

func (repo *repository) manifest(w http.ResponseWriter, req *http.Request, ref string) {
	d, ok := repo.tags[ref]
	if !ok {
		d = digest.Digest(ref)
	}
	content, found := repo.blobs[d]
	media, isManifest := repo.media[d]
	if !found || !isManifest {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", ref)
		return
	}
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if req.Method == http.MethodGet {
		_, _ = w.Write(content) // the client went away
	}
}

// referrers lists the manifests whose subject is d.
func (repo *repository) referrers(w http.ResponseWriter, d digest.Digest) {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	for _, m := range slices.Sorted(maps.Keys(repo.media)) {
		var manifest ocispec.Manifest
		if json.Unmarshal(repo.blobs[m], &manifest) != nil || manifest.Subject == nil || manifest.Subject.Digest != d {
			continue
		}
		kind := manifest.ArtifactType
		if kind == "" {
			kind = manifest.Config.MediaType
		}
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: repo.media[m], Digest: m, Size: int64(len(repo.blobs[m])),
			ArtifactType: kind, Annotations: manifest.Annotations,
		})
	}
	writeJSON(w, ocispec.MediaTypeImageIndex, index)
}

func (a Auth) allows(req *http.Request) bool {
	if a == (Auth{}) {
		return true
	}
	if a.Token {
		return req.Header.Get("Authorization") == "Bearer "+a.secret()
	}
	user, password, ok := req.BasicAuth()
	return ok && user == a.User && password == a.Password
}

func (a Auth) challenge(w http.ResponseWriter, req *http.Request) {
	value := `Basic realm="registrytest"`
	if a.Token {
		scheme := "http"
		if req.TLS != nil {
			scheme = "https"
		}
		value = fmt.Sprintf(`Bearer realm="%s://%s/token",service="registrytest"`, scheme, req.Host)
	}
	w.Header().Set("WWW-Authenticate", value)
	fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
}

func (a Auth) token(w http.ResponseWriter, req *http.Request) {
	user, password, ok := req.BasicAuth()
	if !ok { // OAuth2 password grant
		user, password = req.FormValue("username"), req.FormValue("password")
	}
	if !a.Anonymous && (user != a.User || password != a.Password) {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "wrong user or password")
		return
	}
	writeJSON(w, "application/json", map[string]string{"token": a.secret(), "access_token": a.secret()})
}

// secret is the token: made here, so that no scanner takes it for a leaked one.
func (a Auth) secret() string {
	return digest.FromString(a.User + "\n" + a.Password).Encoded()
}

func writeJSON(w http.ResponseWriter, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"errors": []map[string]string{{"code": code, "message": message}},
	})
}
