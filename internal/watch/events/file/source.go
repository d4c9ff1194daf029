package file

import (
	"context"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// source is two groups of fanotify and what is known beside them.
type source struct {
	scope events.Scope
	to    events.Posts

	root   string // where the host's files are seen; empty for ours
	names  int    // group of whole file systems: names that come and change
	inodes int    // group of files: what is read and written in place
	mounts *os.File
	stop   [2]int // a pipe that ends the wait

	overlays map[string]*overlay
	systems  map[uint64]int    // marked file systems, by device: a folder on each
	folders  map[string]folder // by entry.folder
	told     map[act]time.Time
	failed   int // marks, each of which leaves something unseen
	copied   []copied
}

// folder is where a folder lies: below the upper layer of an overlay, or on
// the host.
type folder struct {
	in   *overlay
	path string
}

// act is what one process does to one file, which is told once.
type act struct {
	pid  int32
	path string
	op   byte
}

// copied is a file of a lower layer that came into the upper one: it is being
// written, unless all that follows is a change of its mode.
type copied struct {
	pid    int32
	at     entry
	change change
	in     *overlay
	since  time.Time
}

const (
	// again is how long the same act is not told again.
	again = time.Second
	// settle is how long after a file was copied up its mode is changed, if
	// that was the reason.
	settle = 2 * time.Millisecond
	// keepGone is how long an overlay is known after it was unmounted.
	keepGone = 30 * time.Second
	// What is remembered is bounded, and forgotten whole.
	maxFolders = 8192
	maxTold    = 8192
	maxCopied  = 1024
	// maxListed is how many files of one folder are marked.
	maxListed = 256
)

const (
	maskNames  = unix.FAN_CREATE | unix.FAN_RENAME | unix.FAN_ATTRIB | unix.FAN_ONDIR
	maskInodes = unix.FAN_ACCESS | unix.FAN_CLOSE_NOWRITE | unix.FAN_MODIFY | unix.FAN_CLOSE_WRITE
)

func newSource(scope events.Scope) (events.Source, error) {
	s := &source{
		scope: scope, names: -1, inodes: -1,
		systems: map[uint64]int{}, folders: map[string]folder{}, told: map[act]time.Time{},
	}
	var err error
	// FAN_RENAME, which tells both names, exists since Linux 5.17.
	if s.names, err = unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_REPORT_DFID_NAME|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, 0); err == nil {
		s.inodes, err = unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_LARGEFILE|unix.O_NOATIME)
	}
	// The host is where its first process is; where that one may not be looked
	// at, where we are.
	first := "/proc/self"
	if unix.Access("/proc/1/root/.", unix.F_OK) == nil {
		first, s.root = "/proc/1", "/proc/1/root"
	}
	for _, flag := range []uint{unix.FAN_MARK_ADD, unix.FAN_MARK_REMOVE} { // does this kernel know the mask?
		if err == nil {
			err = unix.FanotifyMark(s.names, flag, maskNames, unix.AT_FDCWD, s.root+"/")
		}
	}
	if err == nil {
		s.mounts, err = os.Open(first + "/mountinfo")
	}
	if err == nil {
		err = unix.Pipe2(s.stop[:], unix.O_CLOEXEC)
	}
	if err == nil {
		err = s.remount()
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("fanotify: %w", err)
	}
	return s, nil
}

func (s *source) close() {
	for _, fd := range []int{s.names, s.inodes} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if s.mounts != nil {
		s.mounts.Close()
	}
	for _, fd := range s.systems {
		unix.Close(fd)
	}
}

// Run implements events.Source.
func (s *source) Run(ctx context.Context, to events.Posts) error {
	s.to = to
	defer s.close()
	defer unix.Close(s.stop[0])
	stop := context.AfterFunc(ctx, func() { unix.Close(s.stop[1]) })
	defer stop()
	// What is told late is out of order with what the rings tell, and the
	// kernel's queue is short. Without the right to it is merely slower.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0) }()
	buf := make([]byte, 64<<10)
	for {
		wait := -1
		if len(s.copied) > 0 {
			wait = int(settle / time.Millisecond)
		}
		fds := []unix.PollFd{
			{Fd: int32(s.names), Events: unix.POLLIN},
			{Fd: int32(s.inodes), Events: unix.POLLIN},
			{Fd: int32(s.mounts.Fd()), Events: unix.POLLPRI},
			{Fd: int32(s.stop[0]), Events: unix.POLLIN},
		}
		if _, err := unix.Poll(fds, wait); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for files: %w", err)
		}
		if fds[2].Revents != 0 {
			if err := s.remount(); err != nil {
				return fmt.Errorf("read mounts: %w", err)
			}
		}
		for _, g := range []struct {
			fd     int
			handle func(*message)
		}{{s.names, s.named}, {s.inodes, s.used}} {
			if err := s.drain(g.fd, buf, g.handle); err != nil {
				return err
			}
		}
		for ; s.failed > 0; s.failed-- {
			to.Lose(kernel.File)
		}
		s.settle(time.Now(), ctx.Err() != nil)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// drain handles what waits in a group.
func (s *source) drain(fd int, buf []byte, handle func(*message)) error {
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN || n == 0 {
			return nil
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read fanotify: %w", err)
		}
		for b := buf[:n]; len(b) > 0; {
			var m message
			if m, b, err = next(b); err != nil {
				return err
			}
			if m.mask&unix.FAN_Q_OVERFLOW != 0 {
				s.to.Lose(kernel.File)
				continue
			}
			handle(&m)
		}
	}
}

// remount learns which overlays there are, and marks what holds them.
func (s *source) remount() error {
	if _, err := s.mounts.Seek(0, 0); err != nil {
		return err
	}
	now, err := overlays(s.mounts)
	if err != nil {
		return err
	}
	was := s.overlays
	s.overlays = now
	clear(s.folders)
	for upper, o := range was { // of one that is gone, what was done waits yet
		if now[upper] == nil && len(now) < maxOverlays && (o.gone.IsZero() || time.Since(o.gone) < keepGone) {
			if o.gone.IsZero() {
				o.gone = time.Now()
			}
			now[upper] = o
		}
	}
	if s.scope.Host {
		s.system("/")
	}
	for upper, o := range now {
		if old := was[upper]; old != nil && old.point == o.point {
			continue
		}
		s.system(upper)
		s.markNamed(o)
	}
	return nil
}

// system marks the file system of a folder of the host, once.
func (s *source) system(dir string) {
	var st unix.Stat_t
	if unix.Stat(s.root+dir, &st) != nil || s.systems[st.Dev] != 0 {
		return
	}
	fd, err := unix.Open(s.root+dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.FanotifyMark(s.names, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, maskNames, fd, "")
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		s.failed++
		return
	}
	s.systems[st.Dev] = fd
}

// where finds a folder by its handle.
func (s *source) where(e *entry) (folder, bool) {
	if f, ok := s.folders[e.folder]; ok {
		return f, true
	}
	for _, on := range s.systems {
		fd, err := unix.OpenByHandleAt(on, handle(e.folder), unix.O_PATH|unix.O_CLOEXEC)
		if err != nil {
			continue
		}
		p, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		unix.Close(fd)
		if err != nil {
			return folder{}, false
		}
		f := s.place(p)
		if len(s.folders) >= maxFolders {
			clear(s.folders)
		}
		s.folders[e.folder] = f
		return f, true
	}
	return folder{}, false
}

// place says in which overlay a folder of the host lies.
func (s *source) place(p string) folder {
	for up := p; ; up = path.Dir(up) {
		if o := s.overlays[up]; o != nil {
			rest, _ := below(p, up)
			return folder{o, rest}
		}
		if up == "/" || up == "." {
			return folder{nil, p}
		}
	}
}

// named handles a name that came or changed.
func (s *source) named(m *message) {
	if m.mask&unix.FAN_ONDIR != 0 {
		if m.mask&unix.FAN_RENAME != 0 {
			clear(s.folders)
		}
		return
	}
	dir, ok := s.where(&m.at)
	if !ok || m.at.name == "" || dir.in == nil && !s.scope.Host {
		return
	}
	c := change{path: strings.TrimSuffix(dir.path, "/") + "/" + m.at.name}
	real := c.path
	if dir.in != nil {
		real = dir.in.upper + c.path
	}
	var st unix.Stat_t
	known := unix.Lstat(s.root+real, &st) == nil
	switch {
	case known && st.Mode&unix.S_IFMT == unix.S_IFLNK, known && st.Mode&unix.S_IFMT == unix.S_IFREG:
		c.mode = st.Mode & 0o7777
	case known: // a device stands for a name that is no more
		return
	}
	switch {
	case m.mask&(unix.FAN_CREATE|unix.FAN_RENAME) != 0 && s.copiedUp(m, dir, c):
	case m.mask&unix.FAN_RENAME != 0:
		c.op = opRename
		if from, ok := s.where(&m.from); ok && from.in == dir.in {
			c.old = from.path + "/" + m.from.name
		}
		s.tell(m.pid, c, dir.in)
	case m.mask&unix.FAN_CREATE != 0 && known && (st.Mode&unix.S_IFMT == unix.S_IFLNK || st.Nlink > 1):
		c.op = opLink
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			c.mode = 0
			c.old, _ = os.Readlink(s.root + real)
		}
		s.tell(m.pid, c, dir.in)
	case m.mask&unix.FAN_CREATE != 0:
		c.op = opCreate
		s.tell(m.pid, c, dir.in)
	}
	if m.mask&unix.FAN_ATTRIB != 0 {
		s.notWritten(m)
	}
	// A mode may have been set a moment ago, under the old name.
	if known && (m.mask&unix.FAN_ATTRIB != 0 || m.mask&unix.FAN_RENAME != 0 && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0) {
		c.op, c.old = opChmod, ""
		s.tell(m.pid, c, dir.in)
	}
}

// copiedUp says whether a file only came from a lower layer, and keeps it
// until it is clear why.
func (s *source) copiedUp(m *message, dir folder, c change) bool {
	if dir.in == nil {
		return false
	}
	if m.mask&unix.FAN_RENAME != 0 { // out of the folder where overlayfs prepares it
		if from, ok := s.where(&m.from); !ok || from.in != nil || from.path != dir.in.work && !strings.HasPrefix(from.path, dir.in.work+"/") {
			return false
		}
	}
	var st unix.Stat_t
	for _, l := range dir.in.lower {
		if unix.Lstat(s.root+l+c.path, &st) != nil {
			continue
		}
		c.op = opWrite
		if len(s.copied) < maxCopied {
			s.copied = append(s.copied, copied{m.pid, m.at, c, dir.in, time.Now()})
		} else {
			s.tell(m.pid, c, dir.in)
		}
		return true
	}
	return false
}

// notWritten forgets a file that was copied up to change its mode.
func (s *source) notWritten(m *message) {
	s.copied = slices.DeleteFunc(s.copied, func(k copied) bool { return k.pid == m.pid && k.at == m.at })
}

// settle tells the files that were copied up to be written.
func (s *source) settle(now time.Time, all bool) {
	for len(s.copied) > 0 && (all || now.Sub(s.copied[0].since) >= settle) {
		k := s.copied[0]
		s.copied = s.copied[1:]
		s.tell(k.pid, k.change, k.in)
	}
}

// used handles a file that was read or written.
func (s *source) used(m *message) {
	if m.fd < 0 {
		return
	}
	defer unix.Close(int(m.fd))
	p, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m.fd))
	if err != nil {
		return
	}
	c := change{path: strings.TrimSuffix(p, " (deleted)")}
	var st unix.Stat_t
	if unix.Fstat(int(m.fd), &st) == nil {
		c.mode = st.Mode & 0o7777
	}
	if m.mask&(unix.FAN_ACCESS|unix.FAN_CLOSE_NOWRITE) != 0 {
		c.op = opRead
		s.tell(m.pid, c, nil)
	}
	if m.mask&(unix.FAN_MODIFY|unix.FAN_CLOSE_WRITE) != 0 {
		c.op = opWrite
		s.tell(m.pid, c, nil)
	}
}

// tell posts what somebody asks for, and has the file looked at from now on.
func (s *source) tell(pid int32, c change, in *overlay) {
	if in != nil {
		s.follow(in, c.path)
	}
	if !s.scope.Files.Wants(c.path, ops[c.op]) {
		return
	}
	now := time.Now()
	k := act{pid, c.path, c.op}
	if k.op == opCreate || k.op == opWrite { // who makes a file writes it, too
		k.op = opWrite
	}
	if now.Sub(s.told[k]) < again {
		return
	}
	if len(s.told) >= maxTold {
		clear(s.told)
	}
	s.told[k] = now
	s.to.Add(kernel.File, pid, c.body())
}
