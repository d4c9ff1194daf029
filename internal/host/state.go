package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/esclusa/esclusa"
)

// Sizes of what runtimes keep in files.
const (
	maxState   = 4 << 20
	maxStorage = 64 << 20
)

// spec is the part of an OCI runtime configuration that is of use here.
type spec struct {
	Annotations map[string]string
	Process     struct{ Capabilities struct{ Bounding []string } }
	Linux       struct{ Namespaces []struct{ Type string } }
}

func parseSpec(b []byte) (*spec, error) {
	if len(b) > maxState {
		return nil, fmt.Errorf("configuration of %d bytes", len(b))
	}
	var s spec
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("parse configuration: %w", err)
	}
	return &s, nil
}

func (s *spec) privileged() bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == "user" {
			return false
		}
	}
	return isRoot(s.Process.Capabilities.Bounding)
}

// rootCapabilities lead out of a container: who has all of them is the host's
// root by another name. Kernels differ in how many capabilities there are, and
// hosts in which they give away, so not all are asked for.
func rootCapabilities() []string {
	return []string{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_DAC_READ_SEARCH", "CAP_MAC_ADMIN"}
}

func isRoot(set []string) bool {
	for _, c := range rootCapabilities() {
		if !slices.Contains(set, c) {
			return false
		}
	}
	return true
}

// state is the part of runc's state.json that is of use here.
type state struct {
	ID      string    `json:"id"`
	PID     int32     `json:"init_process_pid"`
	Created time.Time `json:"created"`
	Config  struct {
		Capabilities struct{ Bounding []string } `json:"capabilities"`
		Namespaces   []struct {
			Type string `json:"type"`
		} `json:"namespaces"`
	} `json:"config"`
	CgroupPaths map[string]string `json:"cgroup_paths"`
}

func (s *state) privileged() bool {
	for _, n := range s.Config.Namespaces {
		if n.Type == "NEWUSER" {
			return false
		}
	}
	return isRoot(s.Config.Capabilities.Bounding)
}

// state reads runc's, waiting a moment for it to be written.
func (h *Host) state(ctx context.Context, pl place) (state, bool) {
	if !isName(pl.id) {
		return state{}, false
	}
	var dirs []string
	if pl.runtime == esclusa.RuntimeContainerd {
		for _, namespace := range []string{pl.namespace, "k8s.io", "default"} {
			if isName(namespace) {
				dirs = append(dirs, filepath.Join(h.shim, namespace))
			}
		}
	} else {
		dirs = append(append(dirs, h.runc...), h.more...)
		dirs = append(dirs, filepath.Join(h.shim, "moby"))
	}
	for _, dir := range dirs {
		at := filepath.Join(dir, pl.id)
		for wait := 10 * time.Millisecond; isFolder(at) && wait < 200*time.Millisecond; wait *= 2 {
			if s, err := readState(at); err == nil {
				return s, true
			}
			select {
			case <-ctx.Done():
				return state{}, false
			case <-time.After(wait):
			}
		}
	}
	return state{}, false
}

func readState(dir string) (state, error) {
	var s state
	err := readJSON(filepath.Join(dir, "state.json"), maxState, func(d *json.Decoder) error { return d.Decode(&s) })
	if err == nil && s.ID != filepath.Base(dir) {
		err = fmt.Errorf("state of %q in %s", s.ID, dir)
	}
	return s, err
}

// readJSON reads a regular file of bounded size.
func readJSON(name string, limit int64, read func(*json.Decoder) error) error {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return fmt.Errorf("%s: no regular file of at most %d bytes", name, limit)
	}
	return read(json.NewDecoder(io.LimitReader(f, limit)))
}

// runcStates finds containers of runc whose cgroup is not named after them
// (cgroupsPath of their configuration): state.json says where it is.
func (h *Host) runcStates() {
	var here []string
	for _, root := range h.runc {
		names, err := os.ReadDir(root)
		if err != nil {
			continue
		}
		for _, d := range names[:min(len(names), h.options.Cgroups)] {
			at := filepath.Join(root, d.Name())
			here = append(here, at)
			if h.seen[at] || !isName(d.Name()) {
				continue
			}
			s, err := readState(at)
			if err != nil {
				continue // being made, or being removed
			}
			h.seen[at] = true
			h.claim(d.Name(), s)
		}
	}
	for at := range h.seen {
		if !slices.Contains(here, at) {
			delete(h.seen, at)
		}
	}
}

func (h *Host) claim(id string, s state) {
	folder := s.CgroupPaths["pids"]
	if h.tree.mount == h.tree.unified {
		folder = orElse(s.CgroupPaths[""], s.CgroupPaths["unified"])
	}
	below, ok := strings.CutPrefix(folder, strings.TrimSuffix(h.tree.mount, "/")+"/")
	if !ok {
		return
	}
	cgroup, err := cgroupID(folder)
	if err != nil {
		return
	}
	at := path.Join("/", below)
	pl, ok := findPlace(at, h.isState)
	if !ok {
		pl = place{id: id, runtime: esclusa.RuntimeRunc, path: at, sure: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.byID[cgroup]; g == nil || g.box.Load() == nil {
		h.join(cgroup, pl, true)
	}
}

// unifiedID is the id of a container's cgroup in the unified hierarchy, on a
// host that has version 1 as well: that of its first process, else that of
// the same path. 0 when there is none.
func (t *hierarchy) unifiedID(pid int32, pl place) uint64 {
	if t.unified == "" {
		return 0
	}
	at := pl.path
	if t.mount != t.unified && pid > 0 {
		if of := t.of(pid)[1]; of != "" {
			p, ok := findPlace(of, func(_, name string) bool { return name == pl.id })
			if !ok || p.id != pl.id {
				return 0
			}
			at = p.path
		}
	}
	id, err := cgroupID(filepath.Join(t.unified, at))
	if err != nil {
		return 0
	}
	return id
}

// stored is one member of containers.json or images.json of
// containers/storage.
type stored struct {
	ID       string
	Names    []string
	Image    string
	Metadata string
	Digest   esclusa.Digest // of an image
}

// readStorage finds a container and its image in the files of
// containers/storage.
func readStorage(ctx context.Context, root, id string) (facts, error) {
	c, driver, err := findStored(ctx, root, "*-containers", id, "containers.json", "volatile-containers.json")
	if err != nil {
		return facts{}, err
	}
	var meta struct {
		Image string `json:"image-name"`
		Name  string `json:"name"`
	}
	if err := json.Unmarshal([]byte(c.Metadata), &meta); err != nil {
		return facts{}, fmt.Errorf("metadata: %w", err)
	}
	f := facts{name: meta.Name, ref: meta.Image}
	if c.Image == "" {
		return f, nil // a pod's own container may have no image
	}
	if !isID(c.Image) {
		return facts{}, fmt.Errorf("image %q", c.Image)
	}
	f.id = esclusa.Digest("sha256:" + c.Image)
	img, _, err := findStored(ctx, root, driver+"-images", c.Image, "images.json")
	if err != nil {
		return facts{}, fmt.Errorf("image %s: %w", c.Image, err)
	}
	if isDigest(img.Digest) {
		f.image = img.Digest
	}
	return f, nil
}

func isDigest(d esclusa.Digest) bool {
	hex, ok := strings.CutPrefix(string(d), "sha256:")
	return ok && isID(hex)
}

// findStored looks for an id in the files of a store, one entry at a time.
func findStored(ctx context.Context, root, store, id string, files ...string) (stored, string, error) {
	dirs, err := filepath.Glob(filepath.Join(root, store))
	if err != nil {
		return stored{}, "", err
	}
	for _, dir := range dirs {
		driver, _, _ := strings.Cut(filepath.Base(dir), "-")
		for _, name := range files {
			var found stored
			err := readJSON(filepath.Join(dir, name), maxStorage, func(d *json.Decoder) error {
				return eachStored(ctx, d, func(s stored) bool {
					if s.ID == id {
						found = s
					}
					return s.ID != id
				})
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return stored{}, "", err
			}
			if found.ID != "" {
				return found, driver, nil
			}
		}
	}
	return stored{}, "", fs.ErrNotExist
}

func eachStored(ctx context.Context, d *json.Decoder, visit func(stored) bool) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("no list: %w", err)
	}
	for d.More() {
		if err := ctx.Err(); err != nil {
			return err
		}
		var s stored
		if err := d.Decode(&s); err != nil {
			return err
		}
		if !visit(s) {
			return nil
		}
	}
	return nil
}

// readUserdata reads a container's OCI configuration out of
// containers/storage.
func readUserdata(root, id string) (*spec, error) {
	found, err := filepath.Glob(filepath.Join(root, "*-containers", id, "userdata", "config.json"))
	if err != nil || len(found) == 0 {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	var s spec
	return &s, readJSON(found[0], maxState, func(d *json.Decoder) error { return d.Decode(&s) })
}

func jsonLabels(s string) map[string]string {
	labels := map[string]string{}
	if json.Unmarshal([]byte(s), &labels) != nil || labels == nil {
		return map[string]string{}
	}
	return labels
}
