// Package quarantine takes a file away from who would run it: its content
// goes to the state folder, readable by root alone, and its name goes. Undo
// puts it back with mode, owner, times and extended attributes.
//
// Who has it open or runs it goes on: freeze them. Another hard link keeps the
// content where it is; the outcome says so.
package quarantine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{}

// Limits of one file.
const (
	maxSize   = 256 << 20
	maxXattrs = 64 << 10
)

// inverse is the file as it was.
type inverse struct {
	Folder id                `json:"folder"`
	File   id                `json:"file"`
	Size   int64             `json:"size"`
	Links  uint64            `json:"links"`
	Mode   uint32            `json:"mode"`
	UID    uint32            `json:"uid"`
	GID    uint32            `json:"gid"`
	Times  [2]int64          `json:"times"` // read, written; in ns
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

// id names a file of a file system.
type id struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionQuarantineFile, Stage: esclusa.StageContain, Reversible: true,
		Does:  "moves a file to where nobody runs it",
		Needs: []string{"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "setfcap", "sys_admin", "sys_ptrace"},
	}
}

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	if j.Action.Target.Path == "" {
		return errors.New("no file is named")
	}
	return w.Roots(j, func(root *os.File) (bool, error) {
		folder, f, err := open(root, j.Action.Target.Path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer folder.Close()
		defer f.Close()
		inv, err := look(folder, f)
		if err != nil {
			return false, err
		}
		return true, j.Keep(inv)
	})
}

// open opens the folder of a path, and what is there.
func open(root *os.File, name string) (folder, f *os.File, err error) {
	name = path.Clean("/" + name)
	if folder, err = actions.OpenIn(root, path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
		return nil, nil, err
	}
	fd, err := unix.Openat(int(folder.Fd()), path.Base(name), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return folder, nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return folder, os.NewFile(uintptr(fd), name), nil
}

func look(folder, f *os.File) (inverse, error) {
	var dir, st unix.Stat_t
	if err := errors.Join(unix.Fstat(int(folder.Fd()), &dir), unix.Fstat(int(f.Fd()), &st)); err != nil {
		return inverse{}, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return inverse{}, fmt.Errorf("%q is no regular file", f.Name())
	case st.Size > maxSize:
		return inverse{}, fmt.Errorf("%q has %d bytes; at most %d are taken", f.Name(), st.Size, maxSize)
	}
	inv := inverse{
		Folder: id{dir.Dev, dir.Ino}, File: id{st.Dev, st.Ino}, Size: st.Size, Links: uint64(st.Nlink), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		Times: [2]int64{st.Atim.Nano(), st.Mtim.Nano()},
	}
	var err error
	inv.Xattrs, err = xattrs(f)
	return inv, err
}

func xattrs(f *os.File) (map[string][]byte, error) {
	buf := make([]byte, maxXattrs)
	n, err := unix.Flistxattr(int(f.Fd()), buf)
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("attributes of %q: %w", f.Name(), err)
	}
	out := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(name, "trusted.overlay.") {
			continue // the overlay's own
		}
		value := make([]byte, maxXattrs)
		n, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q of %q: %w", name, f.Name(), err)
		}
		out[name] = value[:n]
	}
	return out, nil
}

// kept is where the content goes; while it is not whole, it is named .part.
func kept(w *actions.World, j *actions.Job) string {
	return filepath.Join(w.State, "quarantine", j.Action.ID)
}

// Do implements actions.Actor.
func (Actor) Do(_ context.Context, w *actions.World, j *actions.Job) error {
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(kept(w, j)), 0o700); err != nil {
		return err
	}
	return at(w, j, inv, func(folder, f *os.File) error {
		if f == nil {
			if _, err := os.Stat(kept(w, j)); err != nil {
				return fmt.Errorf("%q is not there any more: %w", j.Action.Target.Path, actions.ErrGone)
			}
			return nil
		}
		if !is(f, inv.File) {
			return fmt.Errorf("%q is another file by now", j.Action.Target.Path)
		}
		if err := save(f, kept(w, j)); err != nil {
			return err
		}
		if inv.Links > 1 {
			j.Said = fmt.Sprintf("%d other names still lead to its content", inv.Links-1)
		}
		if err := unix.Unlinkat(int(folder.Fd()), path.Base(f.Name()), 0); err != nil {
			return fmt.Errorf("remove %q: %w", f.Name(), err)
		}
		return folder.Sync()
	})
}

// at finds the folder of the file again, by what it was, and opens what bears
// the name now; nil for nothing.
func at(w *actions.World, j *actions.Job, inv inverse, use func(folder, f *os.File) error) error {
	return w.Roots(j, func(root *os.File) (bool, error) {
		folder, f, err := open(root, j.Action.Target.Path)
		if folder != nil {
			defer folder.Close()
		}
		if f != nil {
			defer f.Close()
		}
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return false, err
		case folder == nil || !is(folder, inv.Folder):
			return false, nil
		}
		return true, use(folder, f)
	})
}

func is(f *os.File, want id) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && want == id{st.Dev, st.Ino}
}

// save copies a file's content; under its name it is whole.
func save(f *os.File, to string) error {
	out, err := os.OpenFile(to+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.NewSectionReader(f, 0, maxSize+1))
	if err == nil && n > maxSize {
		err = fmt.Errorf("%q grew above %d bytes", f.Name(), maxSize)
	}
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Rename(to+".part", to); err != nil {
		return err
	}
	return actions.SyncFolder(filepath.Dir(to))
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, w *actions.World, j *actions.Job) (actions.State, error) {
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return actions.Absent, err
	}
	if _, err := os.Stat(kept(w, j)); err != nil {
		return actions.Absent, nil
	}
	state := actions.Holds
	err = at(w, j, inv, func(_, f *os.File) error {
		if f != nil && is(f, inv.File) {
			state = actions.Absent
		}
		return nil
	})
	if errors.Is(err, actions.ErrGone) {
		return actions.Gone, nil
	}
	return state, err
}

// Undo implements actions.Actor.
func (Actor) Undo(_ context.Context, w *actions.World, j *actions.Job) error {
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return err
	}
	name := kept(w, j)
	_, err = os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return drop(name + ".part") // it was never taken
	}
	if err != nil {
		return err
	}
	err = at(w, j, inv, func(folder, f *os.File) error {
		switch {
		case f != nil && is(f, inv.File):
			return nil // its name was never removed
		case f != nil:
			return restored(f, name) // by an earlier try, or there is another
		}
		return restore(folder, path.Base(j.Action.Target.Path), name, j.Action.ID, inv)
	})
	if err != nil {
		return fmt.Errorf("%w; the content is kept in %s", err, name)
	}
	return drop(name)
}

func drop(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// restored says whether a file has the content that was kept.
func restored(f *os.File, name string) error {
	want, err := os.Open(name)
	if err != nil {
		return err
	}
	defer want.Close()
	var sums [2][]byte
	for i, r := range []io.ReaderAt{want, f} {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(r, 0, maxSize+1)); err != nil {
			return err
		}
		sums[i] = h.Sum(nil)
	}
	if !bytes.Equal(sums[0], sums[1]) {
		return fmt.Errorf("another file is at %q by now", f.Name())
	}
	return nil
}

// restore makes the file anew beside its name, whole, and then gives it the
// name.
func restore(folder *os.File, base, from, action string, inv inverse) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, temp := int(folder.Fd()), ".esclusa-"+action
	if err := unix.Unlinkat(dir, temp, 0); err != nil && !errors.Is(err, unix.ENOENT) { // of an earlier try
		return err
	}
	fd, err := unix.Openat(dir, temp, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temp)
	_, err = io.Copy(f, in)
	// In this order: a new owner takes capabilities and set-uid bits away.
	err = errors.Join(err, unix.Fchown(fd, int(inv.UID), int(inv.GID)), unix.Fchmod(fd, inv.Mode))
	for name, value := range inv.Xattrs {
		if e := unix.Fsetxattr(fd, name, value, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("attribute %q: %w", name, e))
		}
	}
	times := []unix.Timespec{unix.NsecToTimespec(inv.Times[0]), unix.NsecToTimespec(inv.Times[1])}
	err = errors.Join(err, unix.UtimesNanoAt(dir, temp, times, unix.AT_SYMLINK_NOFOLLOW), f.Sync(), f.Close())
	if err == nil {
		err = unix.Renameat2(dir, temp, dir, base, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return errors.Join(err, unix.Unlinkat(dir, temp, 0))
	}
	return folder.Sync()
}
