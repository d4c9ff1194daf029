package actions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/rails"
)

// MaxProcesses is how many processes an action looks at.
const MaxProcesses = 1 << 16

// Stat is what /proc/PID/stat says.
type Stat struct {
	Key    esclusa.ProcessKey
	Name   string
	State  byte // 'T' is stopped, 'Z' has ended
	Parent int32
	Flags  uint64
}

const flagKernelThread = 0x00200000 // PF_KTHREAD

// ReadStat reads a process as it is now.
func ReadStat(pid int32) (Stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return parseStat(pid, data)
}

func parseStat(pid int32, data []byte) (Stat, error) {
	s := Stat{Key: esclusa.ProcessKey{PID: pid}}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // a name may hold both
	if open < 0 || end < open {
		return s, fmt.Errorf("process %d: stat has no name", pid)
	}
	s.Name = string(data[open+1 : end])
	f := strings.Fields(string(data[end+1:]))
	if len(f) < 20 {
		return s, fmt.Errorf("process %d: stat is cut", pid)
	}
	s.State = f[0][0]
	parent, e1 := strconv.ParseInt(f[1], 10, 32)
	flags, e2 := strconv.ParseUint(f[6], 10, 64)
	start, e3 := strconv.ParseUint(f[19], 10, 64)
	s.Parent, s.Flags, s.Key.Start = int32(parent), flags, start*esclusa.ClockTick
	return s, errors.Join(e1, e2, e3)
}

// Runs says whether the very process still runs.
func Runs(k esclusa.ProcessKey) bool {
	s, err := ReadStat(k.PID)
	return err == nil && same(s.Key, k) && s.State != 'Z' && s.State != 'X'
}

// same compares by clock tick, the unit of /proc.
func same(a, b esclusa.ProcessKey) bool {
	return a.PID == b.PID && a.Start/esclusa.ClockTick == b.Start/esclusa.ClockTick
}

// pids are all processes of this machine.
func pids() ([]int32, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	out := make([]int32, 0, len(names))
	for _, n := range names {
		if pid, err := strconv.ParseInt(n, 10, 32); err == nil {
			out = append(out, int32(pid))
		}
	}
	return out, nil
}

// Tree is the process and all below it, those above first. It is empty when
// the process is gone.
func Tree(root esclusa.ProcessKey) ([]Stat, error) {
	all, err := pids()
	if err != nil {
		return nil, err
	}
	below := map[int32][]Stat{}
	var out []Stat
	for _, pid := range all {
		s, err := ReadStat(pid)
		switch {
		case err != nil || s.State == 'Z' || s.State == 'X':
		case same(s.Key, root):
			out = append(out, s)
		default:
			below[s.Parent] = append(below[s.Parent], s)
		}
	}
	for i := 0; i < len(out) && len(out) < MaxProcesses; i++ {
		out = append(out, below[out[i].Key.PID]...)
	}
	return out, nil
}

// Signal sends a signal to the very process: a pid that came back is not hit.
func Signal(k esclusa.ProcessKey, sig unix.Signal) error {
	fd, err := open(k)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return send(fd, k, sig)
}

// open pins a process; what is read of the pid while it is open is its own.
func open(k esclusa.ProcessKey) (int, error) {
	fd, err := unix.PidfdOpen(int(k.PID), 0)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return -1, fmt.Errorf("process %s: %w", k, ErrGone)
		}
		return -1, fmt.Errorf("open process %s: %w", k, err)
	}
	if !Runs(k) {
		unix.Close(fd)
		return -1, fmt.Errorf("process %s: %w", k, ErrGone)
	}
	return fd, nil
}

func send(fd int, k esclusa.ProcessKey, sig unix.Signal) error {
	err := unix.PidfdSendSignal(fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("process %s: %w", k, ErrGone)
	}
	if err != nil {
		return fmt.Errorf("signal process %s: %w", k, err)
	}
	return nil
}

// Kill ends the very processes and waits until they have ended. Those that are
// gone are no error.
func Kill(ctx context.Context, keys []esclusa.ProcessKey) error {
	var errs []error
	var fds []unix.PollFd
	defer func() {
		for _, f := range fds {
			unix.Close(int(f.Fd))
		}
	}()
	for _, k := range keys {
		fd, err := open(k)
		if err == nil {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			err = send(fd, k, unix.SIGKILL)
		}
		if err != nil && !errors.Is(err, ErrGone) {
			errs = append(errs, err)
		}
	}
	for i := range fds {
		for fds[i].Revents == 0 {
			if ctx.Err() != nil {
				return errors.Join(append(errs, fmt.Errorf("killed, but not ended: %w", ctx.Err()))...)
			}
			if _, err := unix.Poll(fds[i:i+1], 20); err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("wait for the end of a process: %w", err)
			}
		}
	}
	return errors.Join(errs...)
}

// StopTree stops a process and all below it; what they make meanwhile is
// stopped in the next round. note is told of each round before it is done.
func StopTree(ctx context.Context, root esclusa.ProcessKey, note func([]Stat) error) error {
	seen := map[esclusa.ProcessKey]bool{}
	for ctx.Err() == nil {
		tree, err := Tree(root)
		if err != nil {
			return err
		}
		var fresh []Stat
		for _, s := range tree {
			if !seen[s.Key] {
				seen[s.Key], fresh = true, append(fresh, s)
			}
		}
		if len(seen) > MaxProcesses {
			return fmt.Errorf("more than %d processes are below %s", MaxProcesses, root)
		}
		if len(fresh) == 0 {
			return nil
		}
		if err := note(fresh); err != nil {
			return err
		}
		for _, s := range fresh {
			if err := Signal(s.Key, unix.SIGSTOP); err != nil && !errors.Is(err, ErrGone) {
				return err
			}
		}
		if err := stopped(ctx, fresh); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stopped waits until processes make no more children.
func stopped(ctx context.Context, list []Stat) error {
	for _, s := range list {
		for {
			now, err := ReadStat(s.Key.PID)
			if err != nil || !same(now.Key, s.Key) || strings.IndexByte("TtZXD", now.State) >= 0 {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("process %s was told to stop and did not: %w", s.Key, ctx.Err())
			}
			time.Sleep(50 * time.Microsecond)
		}
	}
	return nil
}

// Hits are processes as the rails look at them. first is the host's first
// process's namespaces of mounts and pids.
func Hits(list []Stat) []rails.Hit {
	var ours [2]string
	for i, ns := range []string{"mnt", "pid"} {
		ours[i] = namespace(1, ns)
	}
	out := make([]rails.Hit, len(list))
	for i, s := range list {
		h := rails.Hit{ProcessKey: s.Key, Name: s.Name, Kernel: s.Flags&flagKernelThread != 0}
		at := fmt.Sprintf("/proc/%d", s.Key.PID)
		h.Exe, _ = os.Readlink(filepath.Join(at, "exe")) // none: a kernel thread, or it has ended
		h.Host = namespace(s.Key.PID, "mnt") == ours[0] && namespace(s.Key.PID, "pid") == ours[1]
		var st unix.Stat_t
		if unix.Stat(filepath.Join(at, "exe"), &st) == nil {
			h.Owned = st.Uid == 0 && st.Mode&0o022 == 0
		}
		out[i] = h
	}
	return out
}

func namespace(pid int32, kind string) string {
	s, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	if err != nil && pid == 1 { // where the first process may not be looked at, ours
		s, _ = os.Readlink("/proc/self/ns/" + kind)
	}
	return s
}

// Keys are the names of processes.
func Keys(list []Stat) []esclusa.ProcessKey {
	out := make([]esclusa.ProcessKey, len(list))
	for i, s := range list {
		out[i] = s.Key
	}
	return out
}
