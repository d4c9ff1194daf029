package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// Seed adds the cgroups and processes that were there before records were
// taken. Records must already be coming: then nothing is missed, and where
// both speak of one process the record wins.
func (h *Host) Seed() error {
	if err := h.seedCgroups(); err != nil {
		return fmt.Errorf("read cgroups: %w", err)
	}
	found, err := h.readProcesses()
	if err != nil {
		return fmt.Errorf("read processes: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs.seed(found, h.group)
	return nil
}

func (h *Host) readProcesses() ([]seeded, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []seeded
	starts := map[int32]uint64{}
	groups := map[string]uint64{}
	for _, name := range names {
		pid, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue
		}
		p, err := readProcess("/proc/"+name, int32(pid))
		if err != nil {
			continue // ended meanwhile
		}
		p.Started = h.Wall(p.Start)
		p.Cgroup = h.cgroupOf(int32(pid), groups)
		starts[p.PID] = p.Start
		found = append(found, seeded{p, bootTime()})
		if len(found) == h.options.Processes {
			break
		}
	}
	for i := range found { // of a parent that ended meanwhile the start stays 0
		p := &found[i].p
		if p.Parent.PID != 0 {
			p.Parent.Start = starts[p.Parent.PID]
		}
	}
	return found, nil
}

// cgroupOf is the id of the cgroup that a process is in, 0 when it is gone.
func (h *Host) cgroupOf(pid int32, ids map[string]uint64) uint64 {
	at := h.tree.of(pid)[0]
	if at == "" {
		return 0
	}
	id, ok := ids[at]
	if !ok {
		id, _ = cgroupID(path.Join(h.tree.mount, at)) // 0: gone meanwhile
		ids[at] = id
	}
	return id
}

// of is where a process is: in the hierarchy that counts, and in the unified
// one; empty where it is not.
func (t *hierarchy) of(pid int32) [2]string {
	b, err := readSmall(fmt.Sprintf("/proc/%d/cgroup", pid), 64<<10)
	if err != nil {
		return [2]string{}
	}
	first, unified := parseCgroups(b)
	if t.mount == t.unified {
		first = unified
	}
	return [2]string{first, unified}
}

// parseCgroups reads /proc/PID/cgroup: the paths in the hierarchy of the pids
// controller of version 1, and in the unified one.
func parseCgroups(b []byte) (pids, unified string) {
	for line := range strings.Lines(string(b)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, at, ok := strings.Cut(rest, ":")
		switch {
		case !ok || !strings.HasPrefix(at, "/"):
		case controllers == "":
			unified = at
		case controllers == "pids" || strings.HasPrefix(controllers, "pids,") || strings.HasSuffix(controllers, ",pids") ||
			strings.Contains(controllers, ",pids,"):
			pids = at
		}
	}
	return pids, unified
}

// readProcess reads a process's files, and its stat a second time: a pid may
// have been given to another process in between.
func readProcess(dir string, pid int32) (Process, error) {
	var p Process
	b, err := readSmall(dir+"/stat", 8<<10)
	if err != nil {
		return p, err
	}
	s, err := parseStat(b)
	if err != nil {
		return p, err
	}
	p.PID, p.Start, p.Name, p.Parent.PID = pid, s.start, s.name, s.parent
	if b, err = readSmall(dir+"/status", 64<<10); err != nil {
		return p, err
	}
	p.Creds = parseStatus(b)
	p.NS = readNamespaces(dir)
	readExe(&p, dir)
	if b, err = readSmall(dir+"/cmdline", 64<<10); err == nil {
		p.Args, p.ArgsCut = splitArgs(b), len(b) == 64<<10
	}
	if b, err = readSmall(dir+"/stat", 8<<10); err != nil {
		return p, err
	}
	if again, err := parseStat(b); err != nil || again.start != s.start {
		return p, fs.ErrNotExist
	}
	return p, nil
}

// readSmall reads at most limit bytes of a file that may not be regular: it
// never waits for a writer.
func readSmall(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

type stat struct {
	name   string
	parent int32
	start  uint64 // ns since boot
}

var errProc = errors.New("not as proc(5) says")

// parseStat reads /proc/PID/stat. The name may hold blanks and brackets.
func parseStat(b []byte) (stat, error) {
	var s stat
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from {
		return s, errProc
	}
	s.name = string(b[from+1 : to])
	rest := strings.Fields(string(b[to+1:])) // from field 3, the state
	if len(rest) < 20 {
		return s, errProc
	}
	parent, err := strconv.ParseInt(rest[1], 10, 32)
	if err != nil {
		return s, errProc
	}
	ticks, err := strconv.ParseUint(rest[19], 10, 64)
	if err != nil || ticks > 1<<63/esclusa.ClockTick {
		return s, errProc
	}
	s.parent, s.start = int32(parent), ticks*esclusa.ClockTick
	return s, nil
}

// parseStatus reads ids and capabilities of /proc/PID/status.
func parseStatus(b []byte) esclusa.Credentials {
	var c esclusa.Credentials
	ids := func(s string, real, effective *uint32) {
		if f := strings.Fields(s); len(f) > 1 {
			r, _ := strconv.ParseUint(f[0], 10, 32) // the kernel wrote it
			e, _ := strconv.ParseUint(f[1], 10, 32)
			*real, *effective = uint32(r), uint32(e)
		}
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Uid":
			ids(value, &c.UID, &c.EUID)
		case "Gid":
			ids(value, &c.GID, &c.EGID)
		case "CapEff":
			c.Effective, _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return c
}

func readNamespaces(dir string) esclusa.Namespaces {
	of := func(name string) uint32 {
		target, err := os.Readlink(dir + "/ns/" + name)
		if err != nil {
			return 0
		}
		_, inum, _ := strings.Cut(strings.TrimSuffix(target, "]"), ":[")
		n, _ := strconv.ParseUint(inum, 10, 32)
		return uint32(n)
	}
	return esclusa.Namespaces{
		Mount: of("mnt"), PID: of("pid"), Net: of("net"), User: of("user"),
		IPC: of("ipc"), UTS: of("uts"), Cgroup: of("cgroup"),
	}
}

// readExe reads what a process runs. In an overlay /proc does not tell a
// lower layer from the upper one, so the source stays unknown.
func readExe(p *Process, dir string) {
	exe, err := os.Readlink(dir + "/exe")
	if err != nil {
		return // of the kernel
	}
	p.Exe, p.ExeDeleted = strings.CutSuffix(exe, " (deleted)")
	var st unix.Statfs_t
	if unix.Statfs(dir+"/exe", &st) != nil {
		return
	}
	switch {
	case int64(st.Type) == unix.OVERLAYFS_SUPER_MAGIC:
	case int64(st.Type) != unix.TMPFS_MAGIC:
		p.ExeSource = esclusa.SourceHost
	case strings.HasPrefix(p.Exe, "/memfd:"):
		p.ExeSource = esclusa.SourceMemory
	default:
		p.ExeSource = esclusa.SourceTmpfs
	}
}

func splitArgs(b []byte) []string {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}
