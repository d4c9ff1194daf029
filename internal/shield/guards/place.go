package guards

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/yamlread"
)

// Filesystem is the kernel's number of a kind of file system; 0 is any.
type Filesystem uint32

func filesystems() map[string]Filesystem {
	return map[string]Filesystem{
		"cgroup": unix.CGROUP_SUPER_MAGIC, "cgroup2": unix.CGROUP2_SUPER_MAGIC, "proc": unix.PROC_SUPER_MAGIC,
		"sysfs": unix.SYSFS_MAGIC, "overlay": unix.OVERLAYFS_SUPER_MAGIC, "tmpfs": unix.TMPFS_MAGIC,
	}
}

// DecodeText implements yamlread.Scalar.
func (f *Filesystem) DecodeText(s string) error {
	n, ok := filesystems()[s]
	if !ok {
		return yamlread.Hinted{Msg: fmt.Sprintf("unknown file system %q", yamlread.Clip(s, 40)), Hint: "known are cgroup, cgroup2, overlay, proc, sysfs, tmpfs"}
	}
	*f = n
	return nil
}

func (f Filesystem) String() string {
	for name, n := range filesystems() {
		if n == f {
			return name
		}
	}
	return fmt.Sprintf("%#x", uint32(f))
}

// CheckNames holds that each of a rule's names fits the kernel's table: 1 to
// size-1 bytes.
func CheckNames(rd *yamlread.Reader, at yamlread.Pos, what string, names []string, size int) {
	for _, n := range names {
		if n == "" || len(n) >= size || strings.ContainsAny(n, "/\x00") {
			rd.Fail(at, fmt.Sprintf("%s %q", what, yamlread.Clip(n, 40)), fmt.Sprintf("a name without a slash, at most %d bytes", size-1))
		}
	}
}

// Scratch gives an act a folder of its own and then, behind before, a mount
// namespace of its own: the mounts of do end with its thread.
func Scratch(before, do func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "esclusa-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := before(dir); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return do(dir)
}

// Nothing is done before.
func Nothing(string) error { return nil }

// Mounted mounts a file system below dir while do looks at it.
func Mounted(dir, kind, options string, do func(at string) error) (err error) {
	at := filepath.Join(dir, "mounted")
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("none", at, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s: %w", kind, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(at, unix.MNT_DETACH)) }()
	return do(at)
}
