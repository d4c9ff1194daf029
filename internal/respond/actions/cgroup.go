package actions

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// World is where things are on this machine.
type World struct {
	State string // folder of the responses
	// Unified is the mount of the unified hierarchy, Freezer that of the
	// freezer of version 1; empty where there is none.
	Unified, Freezer string
	// Containers are those that run now; may be nil.
	Containers func() []*esclusa.Container
}

// NewWorld looks at how this machine mounts its cgroups.
func NewWorld(state string) (*World, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &World{State: state}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		// id parent device root mountpoint options … - type source superoptions
		before, after, _ := strings.Cut(sc.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		switch {
		case len(left) < 5 || len(right) < 3 || left[3] != "/":
		case right[0] == "cgroup2" && w.Unified == "":
			w.Unified = left[4]
		case right[0] == "cgroup" && w.Freezer == "" && slices.Contains(strings.Split(right[2], ","), "freezer"):
			w.Freezer = left[4]
		}
	}
	return w, nil
}

// Group is a container's cgroup.
type Group struct {
	Path string `json:"path"` // the folder
	ID   uint64 `json:"id"`   // of the kernel: a name comes back, an id does not
	V1   bool   `json:"v1,omitempty"`
}

// Group finds the cgroup of a container: in the unified hierarchy, else in
// that of the version 1 freezer. Its own processes prove it to be the one.
func (w *World) Group(c *esclusa.Container) (Group, error) {
	if c == nil || path.Clean("/"+c.CgroupPath) == "/" {
		return Group{}, errors.New("it has no cgroup of its own")
	}
	for _, at := range []struct {
		mount string
		v1    bool
	}{{w.Unified, false}, {w.Freezer, true}} {
		if at.mount == "" {
			continue
		}
		g := Group{Path: filepath.Join(at.mount, path.Clean("/"+c.CgroupPath)), V1: at.v1}
		var err error
		if g.ID, err = groupID(g.Path); err != nil {
			continue
		}
		if !at.v1 && c.Cgroup == g.ID || g.holds(c.CgroupPath) {
			return g, nil
		}
	}
	return Group{}, fmt.Errorf("cgroup of container %s: %w", c.ID, ErrGone)
}

// holds says that a process of the cgroup is below the same path in every
// hierarchy that could have named the container.
func (g *Group) holds(at string) bool {
	list, err := g.Processes()
	if err != nil || len(list) == 0 {
		return false
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", list[0].Key.PID))
	if err != nil {
		return false
	}
	at = path.Clean("/" + at)
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, is, _ := strings.Cut(rest, ":")
		if slices.Contains(strings.Split(controllers, ","), "pids") && is != at && !strings.HasPrefix(is, at+"/") {
			return false
		}
	}
	return true
}

func groupID(folder string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(folder, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// There says whether it is still the very cgroup.
func (g *Group) There() bool {
	id, err := groupID(g.Path)
	return err == nil && id == g.ID
}

// Processes are those of the cgroup and of all below it.
func (g *Group) Processes() ([]Stat, error) {
	var out []Stat
	err := filepath.WalkDir(g.Path, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil || !d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(name, "cgroup.procs"))
		if err != nil {
			return nil // gone meanwhile, or threaded: its processes are named by the cgroup above
		}
		for line := range bytes.Lines(data) {
			pid, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 32)
			if err != nil {
				continue
			}
			if s, err := ReadStat(int32(pid)); err == nil && s.State != 'Z' && s.State != 'X' {
				out = append(out, s)
			}
			if len(out) > MaxProcesses {
				return fmt.Errorf("more than %d processes are in %s", MaxProcesses, g.Path)
			}
		}
		return nil
	})
	return out, err
}

// Frozen says whether somebody asked for it to be frozen.
func (g *Group) Frozen() (bool, error) {
	name, word := "cgroup.freeze", "1"
	if g.V1 {
		name, word = "freezer.self_freezing", "1"
	}
	data, err := os.ReadFile(filepath.Join(g.Path, name))
	if err != nil {
		return false, g.lost(err)
	}
	return strings.TrimSpace(string(data)) == word, nil
}

// Freeze freezes or thaws it, and returns when it is so.
func (g *Group) Freeze(ctx context.Context, on bool) error {
	if !g.There() {
		return fmt.Errorf("cgroup %s: %w", g.Path, ErrGone)
	}
	file, word, says, want := "cgroup.freeze", "0", "cgroup.events", "frozen 0"
	if on {
		word, want = "1", "frozen 1"
	}
	if g.V1 {
		file, word, says, want = "freezer.state", "THAWED", "freezer.state", "THAWED"
		if on {
			word, want = "FROZEN", "FROZEN"
		}
	}
	if err := write(filepath.Join(g.Path, file), word); err != nil {
		return g.lost(err)
	}
	f, err := os.Open(filepath.Join(g.Path, says))
	if err != nil {
		return g.lost(err)
	}
	defer f.Close()
	buf := make([]byte, 256)
	for wait := 10 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		n, err := f.ReadAt(buf, 0)
		if err != nil && err != io.EOF {
			return g.lost(err)
		}
		if slices.Contains(strings.Split(string(buf[:n]), "\n"), want) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("cgroup %s does not say %q: %w", g.Path, want, ctx.Err())
		}
		// Not time.Sleep, which waits for a millisecond at least where nothing
		// else is to be done.
		ts := unix.NsecToTimespec(int64(wait))
		_ = unix.Nanosleep(&ts, nil)
	}
}

// lost tells a cgroup that went away from other errors.
func (g *Group) lost(err error) error {
	if !g.There() || errors.Is(err, syscall.ENODEV) {
		return fmt.Errorf("cgroup %s: %w", g.Path, ErrGone)
	}
	return err
}

// Empty kills all processes of the cgroup, and what they make meanwhile,
// until there are none.
func (g *Group) Empty(ctx context.Context) error {
	for ctx.Err() == nil {
		list, err := g.Processes()
		if err != nil {
			return g.lost(err)
		}
		if len(list) == 0 {
			return nil
		}
		if g.V1 { // frozen by version 1, a process does not even die
			if err := write(filepath.Join(g.Path, "freezer.state"), "THAWED"); err != nil {
				return g.lost(err)
			}
		}
		if err := Kill(ctx, Keys(list)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// write writes a word to a file of the kernel that is there.
func write(name, word string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(word)
	return errors.Join(err, f.Close())
}
