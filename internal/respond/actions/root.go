package actions

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// Roots opens the file systems that a job's paths may be meant in, one after
// the other, until use is content: those of the container's processes, for a
// process of the host that of the host.
func (w *World) Roots(j *Job, use func(root *os.File) (bool, error)) error {
	keys := []esclusa.ProcessKey{j.Process.ProcessKey}
	if j.Container == nil {
		root, err := hostRoot()
		if err != nil {
			return err
		}
		defer root.Close()
		if ok, err := use(root); ok || err != nil {
			return err
		}
		return fmt.Errorf("no such file on the host: %w", ErrGone)
	}
	if g, err := w.Group(j.Container); err == nil {
		list, err := g.Processes()
		if err != nil {
			return err
		}
		keys = append(keys, Keys(list)...)
	}
	looked := false
	for _, k := range keys {
		root, err := openRoot(k)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		looked = true
		ok, err := use(root)
		root.Close()
		if ok || err != nil {
			return err
		}
	}
	if looked {
		return fmt.Errorf("no process of the container has such a file: %w", ErrGone)
	}
	return fmt.Errorf("no process of the container runs any more: %w", ErrGone)
}

// hostRoot is the root of the host's first process; where that one may not be
// looked at, ours.
func hostRoot() (*os.File, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	name := "/proc/1/root"
	fd, err := unix.Open(name, flags, 0)
	if errors.Is(err, os.ErrPermission) {
		name = "/"
		fd, err = unix.Open(name, flags, 0)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openRoot(k esclusa.ProcessKey) (*os.File, error) {
	pin, err := open(k)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pin)
	name := fmt.Sprintf("/proc/%d/root", k.PID)
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if !Runs(k) {
			err = ErrGone
		}
		return nil, fmt.Errorf("open root of process %s: %w", k, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// OpenIn opens a path inside a root. Links inside it, which belong to an
// attacker, lead nowhere else; the last part is not followed.
func OpenIn(root *os.File, name string, flags int) (*os.File, error) {
	name = path.Clean("/" + name)
	fd, err := unix.Openat2(int(root.Fd()), name, &unix.OpenHow{
		Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
