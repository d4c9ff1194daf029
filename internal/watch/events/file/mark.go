package file

import (
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/watch/events"
)

// follow marks a file that came into the upper layer, if its being read or
// written again is asked for.
func (s *source) follow(o *overlay, p string) {
	if s.scope.Files.Wants(p, "read") || s.scope.Files.Wants(p, "write") {
		s.mark(o.point, p)
	}
}

// markNamed marks the files of an overlay that rules name: what a name of
// which the beginning or the end is given can stand for is listed, where it
// usually lies.
func (s *source) markNamed(o *overlay) {
	homes := []string{"/root"}
	for _, name := range s.list(o.point, "/home") {
		homes = append(homes, "/home/"+name)
	}
	for i := range s.scope.Files {
		f := &s.scope.Files[i]
		switch f.Match {
		case events.Whole:
			s.mark(o.point, f.Text)
		case events.Prefix:
			dir := path.Dir(f.Text + "x")
			for _, name := range s.list(o.point, dir) {
				if p := path.Join(dir, name); strings.HasPrefix(p, f.Text) {
					s.markChanged(o, f, p)
				}
			}
		case events.Suffix:
			s.mark(o.point, f.Text)
			for _, home := range homes {
				s.mark(o.point, home+f.Text)
			}
		}
	}
}

// markChanged marks a file for reading, or for writing in place: what lies in
// a lower layer is copied when it is written, and seen by that.
func (s *source) markChanged(o *overlay, f *events.File, p string) {
	var st unix.Stat_t
	if (events.Files{*f}).Wants(p, "read") || unix.Lstat(s.root+o.upper+p, &st) == nil {
		s.mark(o.point, p)
	}
}

// mark has a file looked at, by its path in a container whose root is mounted
// at point. Links lead inside of it. Only files are marked: to be told of a
// device or a pipe would open it.
func (s *source) mark(point, p string) {
	in, err := unix.Open(s.root+point, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return
	}
	defer unix.Close(in)
	fd, err := unix.Openat2(in, p, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if unix.FanotifyMark(s.inodes, unix.FAN_MARK_ADD, maskInodes, unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd)) != nil {
		s.failed++
	}
}

// list is the names in a folder of a container.
func (s *source) list(point, dir string) []string {
	in, err := unix.Open(s.root+point, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(in)
	fd, err := unix.Openat2(in, dir, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, _ := f.Readdirnames(maxListed) // what cannot be listed has nothing to be marked
	return names
}
