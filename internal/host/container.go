package host

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// maxBelow is how many of them one container may take.
const maxBelow = 1 << 10

// box holds what is known of one container; the value in it is replaced,
// never changed.
type box struct {
	now   atomic.Pointer[esclusa.Container]
	place place
	refs  int // cgroups that lead here
}

func (b *box) load() *esclusa.Container {
	if b == nil {
		return nil
	}
	return b.now.Load()
}

// cgroup is what an id leads to. Processes point to it, so that what is
// learned later is theirs too.
type cgroup struct {
	box   atomic.Pointer[box] // nil for the host's
	known atomic.Bool         // false while, or because, nobody can say where it is
	gone  bool                // guarded by the lock
}

func (g *cgroup) container() (c *esclusa.Container, known bool) {
	if g == nil {
		return nil, false
	}
	return g.box.Load().load(), g.known.Load()
}

// containerID is empty on the host, and while nothing is known.
func (g *cgroup) containerID() string {
	if c, _ := g.container(); c != nil {
		return c.ID
	}
	return ""
}

type goneCgroup struct {
	id uint64
	at uint64
}

// Container finds the container of a cgroup. It is nil for the host's own
// cgroups. When nothing is known of the cgroup, known is false and it is
// asked for.
func (h *Host) Container(id uint64) (c *esclusa.Container, known bool) {
	h.mu.RLock()
	g := h.byID[id]
	h.mu.RUnlock()
	if g == nil {
		h.mu.Lock()
		g = h.group(id)
		h.mu.Unlock()
	}
	return g.container()
}

// ByID is a container that has, or lately had, a cgroup here.
func (h *Host) ByID(id string) *esclusa.Container {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.boxes[id].load()
}

// Containers are all that have, or lately had, a cgroup, in no order.
func (h *Host) Containers() []*esclusa.Container {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*esclusa.Container, 0, len(h.boxes))
	for _, b := range h.boxes {
		all = append(all, b.load())
	}
	return all
}

// CgroupMade takes the birth of a cgroup, before any process can be in it:
// its id and its path below the root of its hierarchy. It must be of the
// hierarchy that the ids of processes are of: that of the pids controller
// where version 1 has it, else the unified one. by is the process that made
// it: when runc did, its arguments name the container, which by now may be
// gone together with its state.
func (h *Host) CgroupMade(id uint64, path string, by esclusa.ProcessKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	isState := h.isState
	if n := h.procs.find(by); n != nil && isRuntime(n.now) {
		args := n.now.Args
		isState = func(namespace, name string) bool {
			return h.names(args, namespace, name) || h.isState(namespace, name)
		}
	}
	h.made(id, path, isState)
}

// isRuntime says whether a process of the host is what makes containers.
func isRuntime(p *Process) bool {
	c, _ := p.Container()
	switch filepath.Base(p.Exe) {
	case "runc", "crun", "youki":
		return c == nil
	}
	return false
}

// names says whether the arguments of a runtime make a container of that
// name: it stands last, and --root says whose it is.
func (h *Host) names(args []string, namespace, name string) bool {
	if len(args) < 2 || args[len(args)-1] != name {
		return false
	}
	root := ""
	for i, a := range args[:len(args)-1] {
		if a == "--root" {
			root = args[i+1]
		} else if after, ok := strings.CutPrefix(a, "--root="); ok {
			root = after
		}
	}
	of, ok := strings.CutPrefix(root, strings.TrimPrefix(h.shim, h.options.Root)+"/")
	if !ok {
		of = ""
	}
	return of == namespace
}

// made maps an id to the container that its path names.
func (h *Host) made(id uint64, path string, isState func(namespace, name string) bool) {
	pl, ok := findPlace(path, isState)
	if len(h.byID) >= h.options.Cgroups/2 && (pl.claimed || strings.Contains(path, "/user@")) {
		h.stats.CgroupsRefused++
		return
	}
	if !ok {
		h.learn(id, nil)
		return
	}
	if g := h.byID[id]; g != nil && g.box.Load() != nil {
		return // renamed since (version 1 allows it): the first name counts
	}
	h.join(id, pl, strings.TrimSuffix(path, "/") == pl.path)
}

// join maps an id to a container, and asks about a container that is new or
// started again. own says that the cgroup is the container's, not one below.
func (h *Host) join(id uint64, pl place, own bool) {
	b := h.boxes[pl.id]
	if b == nil {
		b = &box{place: pl}
		b.now.Store(&esclusa.Container{ID: pl.id, Runtime: pl.runtime, CgroupPath: pl.path, Pod: esclusa.Pod{UID: pl.pod}})
	} else if !own {
		h.learn(id, b)
		return
	}
	if !h.learn(id, b) {
		return
	}
	h.boxes[pl.id] = b
	if pl.claimed {
		c := *b.load()
		c.Gaps = unanswered(pl, errClaimed)
		b.now.Store(&c)
		return
	}
	if own && h.tree.unified == h.tree.mount {
		c := *b.load()
		c.Cgroup = id
		b.now.Store(&c)
	}
	h.ask(lookup{box: b})
}

// learn remembers where an id leads; nil is the host.
func (h *Host) learn(id uint64, b *box) bool {
	g := h.byID[id]
	if g == nil {
		if len(h.byID) >= h.options.Cgroups || b != nil && b.refs >= maxBelow {
			h.stats.CgroupsRefused++
			return false
		}
		g = &cgroup{}
		h.byID[id] = g
	}
	if old := g.box.Swap(b); old != nil {
		old.refs--
	}
	if b != nil {
		b.refs++
	}
	g.known.Store(true)
	return true
}

// CgroupGone takes the end of a cgroup. It can still be found for the grace.
func (h *Host) CgroupGone(id, at uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.byID[id]
	switch {
	case g == nil && len(h.byID) >= h.options.Cgroups, g != nil && g.gone:
		return
	case g == nil: // so that a walk that is under way does not bring it back
		g = &cgroup{}
		h.byID[id] = g
	}
	g.gone = true
	h.gone = append(h.gone, goneCgroup{id, at})
	h.reapCgroups(at)
}

func (h *Host) reapCgroups(now uint64) {
	n := 0
	for ; n < len(h.gone) && h.gone[n].at+uint64(h.options.Grace) <= now; n++ {
		g := h.byID[h.gone[n].id]
		if g == nil || !g.gone {
			continue
		}
		delete(h.byID, h.gone[n].id)
		if b := g.box.Load(); b != nil {
			if b.refs--; b.refs == 0 {
				delete(h.boxes, b.place.id)
			}
		}
	}
	if n > 0 {
		h.gone = slices.Delete(h.gone, 0, n)
	}
}

// group is the cgroup of an id, asked for when it is new; nil when there is
// no room. Ids that nobody told of, users of the host and the insides of
// containers may fill one half of the table; the other is for those that only
// root makes. The lock is held.
func (h *Host) group(id uint64) *cgroup {
	g := h.byID[id]
	if g == nil && id != 0 && len(h.byID) < h.options.Cgroups/2 {
		g = &cgroup{}
		h.byID[id] = g
		h.ask(lookup{cgroup: id})
	}
	return g
}

// hierarchy is the tree of cgroups whose ids name containers.
type hierarchy struct {
	mount   string // of the pids controller of version 1, else the unified one
	unified string // mount point of the unified hierarchy; may be empty
}

// findHierarchy reads how cgroups are mounted.
//
// On a host with version 1 controllers each process is in one cgroup of each
// hierarchy, and in the unified one only where its runtime cared to make one
// (runc since 1.0 does, crun does not). Every runtime makes one for pids. On
// a host with the unified hierarchy alone the pids controller may be off in
// a subtree, and the process's cgroup there is the one that tells.
func findHierarchy() (hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return hierarchy{}, err
	}
	defer f.Close()
	var t hierarchy
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// id parent device root mountpoint options … - type source superoptions
		before, after, _ := strings.Cut(sc.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		switch {
		case len(left) < 5 || len(right) < 3 || left[3] != "/":
		case right[0] == "cgroup2" && t.unified == "":
			t.unified = left[4]
		case right[0] == "cgroup" && t.mount == "" && slices.Contains(strings.Split(right[2], ","), "pids"):
			t.mount = left[4]
		}
	}
	if t.mount == "" {
		t.mount = t.unified
	}
	if t.mount == "" {
		return t, hint(fmt.Errorf("cgroups of this host: %w", fs.ErrNotExist), "mount -t cgroup2 none /sys/fs/cgroup")
	}
	return t, nil
}

// hinted is an error with advice for the reader.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

func hint(err error, text string) error { return hinted{err, text} }

// cgroupID is the kernel's id of a cgroup, by its folder.
func cgroupID(folder string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(folder, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// pathOf asks the kernel where the cgroup of an id is. It needs
// CAP_DAC_READ_SEARCH, and a cgroup that still is.
func (t *hierarchy) pathOf(id uint64) (string, error) {
	const fileidKernfs = 0xfe
	mount, err := unix.Open(t.mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(mount)
	handle := unix.NewFileHandle(fileidKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(mount, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("open cgroup %d: %w", id, err)
	}
	defer unix.Close(fd)
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return "", err
	}
	below, ok := strings.CutPrefix(at, strings.TrimSuffix(t.mount, "/"))
	if !ok || strings.HasSuffix(at, " (deleted)") {
		return "", fmt.Errorf("cgroup %d: %w", id, fs.ErrNotExist)
	}
	return path.Join("/", below), nil
}

// seedCgroups adds those that were there before records were taken.
func (h *Host) seedCgroups() error {
	n := 0
	return filepath.WalkDir(h.tree.mount, func(folder string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
			return nil
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case n == h.options.Cgroups:
			return fs.SkipAll
		}
		n++
		id, err := cgroupID(folder)
		if err != nil {
			return nil // gone meanwhile
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if g := h.byID[id]; g == nil || !g.known.Load() && !g.gone {
			h.made(id, path.Join("/", strings.TrimPrefix(folder, h.tree.mount)), h.isState)
		}
		return nil
	})
}
