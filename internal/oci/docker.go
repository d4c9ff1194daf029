package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esclusa/esclusa"
)

// defaultDockerHost is where docker listens unless told otherwise.
const defaultDockerHost = "unix:///var/run/docker.sock"

// maxInspect is the most that docker may say about one image.
const maxInspect = 8 << 20

// dockerSocket is the path of a unix socket, or empty.
func dockerSocket(host string) string {
	path, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return ""
	}
	return path
}

// docker speaks the Docker Engine API (podman's service speaks it as well).
type docker struct {
	client *http.Client
	base   string
	life   context.Context // ends with Close of the image
}

func newDocker(host string, life context.Context) (*docker, error) {
	if host == "" {
		host = defaultDockerHost
	}
	t := &http.Transport{MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second}
	d := &docker{client: &http.Client{Transport: t}, base: "http://docker", life: life}
	u, err := url.Parse(host)
	switch {
	case err == nil && u.Scheme == "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", u.Path)
		}
	case err == nil && u.Scheme == "tcp" && u.Port() != "2376":
		d.base = "http://" + u.Host
	default:
		return nil, hint(fmt.Errorf("docker host %q is not supported", host),
			"unix:// and plain tcp:// are; for others run docker save and name the file")
	}
	return d, nil
}

// get asks for a part of an image. Only checked names become part of a URL.
func (d *docker) get(ctx context.Context, name, part string) (io.ReadCloser, error) {
	if !isHexID(name) {
		if _, err := parseReference(name); err != nil {
			return nil, err
		}
	}
	return d.open(ctx, (&url.URL{Path: "/images/" + name + "/" + part}).EscapedPath(), "docker images lists what docker has")
}

// open asks for a path that is escaped already; advice is for who asked for
// what docker does not have.
func (d *docker) open(ctx context.Context, path, advice string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, noDaemon(fmt.Errorf("ask docker: %w", err), "docker", "DOCKER_HOST")
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var answer struct{ Message string }
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // only wording
	if json.Unmarshal(b, &answer) != nil || answer.Message == "" {
		answer.Message = resp.Status
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, hint(fmt.Errorf("docker: %w: %s", ErrNotFound, answer.Message), "%s", advice)
	}
	return nil, fmt.Errorf("docker: %s", answer.Message)
}

func isHexID(s string) bool {
	s = strings.TrimPrefix(s, "sha256:")
	return len(s) >= 12 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (d *docker) getJSON(ctx context.Context, name, part string, v any) error {
	r, err := d.get(ctx, name, part)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(io.LimitReader(r, maxInspect)).Decode(v); err != nil {
		return fmt.Errorf("read docker's answer to %s: %w", part, err)
	}
	return nil
}

// inspected is docker's description of an image: a configuration in other
// words.
type inspected struct {
	configFile
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	OS           string `json:"Os"`
	Architecture string
	Variant      string
	RootFS       struct{ Layers []string }
}

// openDocker describes the image by what docker says of it, so that nothing
// is exported if no layer is opened.
func (o *Options) openDocker(ctx context.Context, name string) (*Image, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	img, err := o.inspect(ctx, life, name)
	if err != nil {
		end()
		return nil, err
	}
	img.onClose(func() error { end(); return nil })
	return img, nil
}

func (o *Options) inspect(ctx, life context.Context, name string) (*Image, error) {
	d, err := newDocker(o.DockerHost, life)
	if err != nil {
		return nil, err
	}
	var in inspected
	if err := d.getJSON(ctx, name, "json", &in); err != nil {
		return nil, advise(err)
	}
	cfg := &in.configFile
	cfg.RootFS.DiffIDs = in.RootFS.Layers
	cfg.OS, cfg.Architecture, cfg.Variant = in.OS, in.Architecture, in.Variant
	var history []dockerHistory
	if err := d.getJSON(ctx, in.ID, "history", &history); err != nil {
		return nil, err
	}
	setHistory(cfg, history)
	for i, l := range cfg.RootFS.DiffIDs {
		if newHash(esclusa.Digest(l)) == nil || i >= maxLayers {
			return nil, fmt.Errorf("docker: layer %d: unusable diff-id %q", i, l)
		}
	}
	if err := o.checkPlatform(cfg, false); err != nil {
		return nil, err
	}
	img := cfg.image()
	img.ID, img.Digest, img.Tags = esclusa.Digest(in.ID), repoDigest(name, in.RepoDigests), in.RepoTags
	export := &dockerExport{docker: d, id: in.ID, want: cfg.RootFS.DiffIDs}
	for i := range img.Layers {
		img.Layers[i].MediaType = "application/vnd.docker.image.rootfs.diff.tar"
		img.Layers[i].open = func(ctx context.Context) (io.ReadCloser, error) { return export.open(ctx, i) }
	}
	img.serial = export.serial
	img.onClose(export.close)
	return img, nil
}

// repoDigest is the manifest digest under which name was pulled.
func repoDigest(name string, digests []string) esclusa.Digest {
	want, err := parseReference(name)
	for i, d := range digests {
		has, hasErr := parseReference(d)
		if hasErr != nil || err == nil && has.Repository != want.Repository && i < len(digests)-1 {
			continue
		}
		return esclusa.Digest(has.Reference.Reference)
	}
	return ""
}

// dockerHistory is newest first and does not say which steps are empty.
type dockerHistory struct {
	Created   int64 // Unix seconds
	CreatedBy string
	Comment   string
	Size      int64
}

// setHistory puts docker's history into the order of the configuration. A
// step is called empty if it added no bytes, or, where that does not give the
// number of layers (a layer can be of no bytes), if its words say so.
func setHistory(cfg *configFile, steps []dockerHistory) {
	slices.Reverse(steps)
	bySize := func(h dockerHistory) bool { return h.Size == 0 }
	for _, empty := range []func(dockerHistory) bool{bySize, isEmptyStep, bySize} {
		cfg.History = cfg.History[:0]
		layers := 0
		for _, h := range steps {
			cfg.History = append(cfg.History, configHistory{
				Created: lenientTime{time.Unix(h.Created, 0).UTC()}, CreatedBy: h.CreatedBy, Comment: h.Comment,
				EmptyLayer: empty(h),
			})
			if !empty(h) {
				layers++
			}
		}
		if layers == len(cfg.RootFS.DiffIDs) {
			return
		}
	}
}

// isEmptyStep knows the instructions of a Dockerfile that add no layer.
func isEmptyStep(h dockerHistory) bool {
	by := strings.TrimSpace(strings.TrimPrefix(h.CreatedBy, "/bin/sh -c"))
	by = strings.TrimSpace(strings.TrimPrefix(by, "#(nop)"))
	word, _, _ := strings.Cut(by, " ")
	switch word {
	case "ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER",
		"ONBUILD", "SHELL", "STOPSIGNAL", "USER", "VOLUME":
		return true
	}
	return false
}

// dockerExport is the image as a stream that docker makes on demand: the
// first layer opened reads it through once for its table of contents.
type dockerExport struct {
	*docker
	id   string
	want []string // diff-IDs

	mu    sync.Mutex
	tar   *archive
	names []string // of the layers
}

func (e *dockerExport) table(ctx context.Context) (*archive, []string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tar != nil {
		return e.tar, e.names, nil
	}
	// A stream may be read by several layers one after the other, so it must
	// not end with the context of the first.
	a, err := indexStream(ctx, func(context.Context) (io.ReadCloser, error) { return e.get(e.life, e.id, "get") })
	if err != nil {
		return nil, nil, fmt.Errorf("export %s from docker: %w", e.id, err)
	}
	members, err := readDockerManifest(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	if len(members) != 1 || len(members[0].Layers) != len(e.want) {
		return nil, nil, errors.New("docker exports another image than it describes")
	}
	e.tar, e.names = a, members[0].Layers
	return e.tar, e.names, nil
}

func (e *dockerExport) open(ctx context.Context, i int) (io.ReadCloser, error) {
	a, names, err := e.table(ctx)
	if err != nil {
		return nil, err
	}
	return a.open(ctx, names[i])
}

func (e *dockerExport) serial(ctx context.Context) ([]int, error) {
	a, names, err := e.table(ctx)
	if err != nil {
		return nil, err
	}
	return a.serial(names)(ctx)
}

func (e *dockerExport) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tar != nil {
		e.tar.close()
	}
	e.client.CloseIdleConnections()
	return nil
}
