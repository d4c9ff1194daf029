package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/esclusa/esclusa"
	"golang.org/x/sys/unix"
)

// FolderOptions say what of a folder is left out.
type FolderOptions struct {
	// Skip are folders, relative to the root, that are not entered.
	Skip []string
	// SkipNames are folder names that are not entered anywhere: ".git".
	SkipNames []string
}

// HostSkips are the folders of a live host that hold no files of its own:
// kernel interfaces, and the layers and file systems of containers, which are
// targets of their own.
func HostSkips() []string {
	return []string{
		"proc", "sys", "dev", "run", "lost+found",
		"var/lib/docker", "var/lib/containerd", "var/lib/containers/storage", "var/lib/kubelet/pods",
		"var/lib/rancher/k3s/agent/containerd", "var/snap/docker/common/var-lib-docker",
	}
}

// ReadFolder reads a folder as one layer. It stays below dir whatever links
// say, and does not enter other file systems that are no disk.
func (p *Pool) ReadFolder(ctx context.Context, dir string, opt FolderOptions) (*Record, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	f := folder{walker: p.walker(ctx), root: root, dir: dir, opt: opt}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f.dev = uint64(st.Dev)
	return f.finish(f.walk(".", 0))
}

// ReadFile reads one file as if it were all of a layer, under the given name
// and mode.
func (p *Pool) ReadFile(ctx context.Context, name string, mode fs.FileMode, data []byte) (*Record, error) {
	w := p.walker(ctx)
	w.rec.Entries, w.rec.Bytes = 1, int64(len(data))
	w.rec.Paths = append(w.rec.Paths, pathHash(name, false))
	return w.finish(w.file(name, mode, 0, int64(len(data)), bytes.NewReader(data)))
}

type folder struct {
	*walker
	root *os.Root
	dir  string
	dev  uint64
	opt  FolderOptions
}

// maxDepth bounds nested folders; no real tree comes near.
const maxDepth = 1000

func (f *folder) walk(dir string, depth int) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		f.gap(byTar, dir, "folder", fmt.Errorf("more than %d folders deep", maxDepth))
		return nil
	}
	d, err := f.root.Open(dir)
	if err != nil {
		f.gap(byTar, dir, "folder", err)
		return nil
	}
	// In pieces: a folder of a million files is not held as a whole.
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			if err := f.one(path.Join(dir, e.Name()), e, depth); err != nil {
				d.Close()
				return err
			}
		}
		if err != nil || len(entries) == 0 {
			break
		}
	}
	return d.Close()
}

func (f *folder) one(name string, e fs.DirEntry, depth int) error {
	f.rec.Entries++
	if f.rec.Entries > f.pool.limits.Entries {
		return fmt.Errorf("%w: more than %d files", ErrLimit, f.pool.limits.Entries)
	}
	f.rec.Paths = append(f.rec.Paths, pathHash(name, e.IsDir()))
	switch t := e.Type(); {
	case t.IsDir():
		if slices.Contains(f.opt.Skip, name) || slices.Contains(f.opt.SkipNames, path.Base(name)) || !f.sameDisk(name) {
			return nil
		}
		return f.walk(name, depth+1)
	case t&fs.ModeSymlink != 0:
		target, err := f.root.Readlink(name)
		if err == nil {
			f.link(&f.rec.Symlinks, name, target)
		}
		return nil
	case t.IsRegular():
		return f.regular(name, e)
	}
	return nil
}

func (f *folder) regular(name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return nil // gone since it was listed
	}
	f.rec.Bytes += info.Size()
	f.pool.set.claims(name, info.Mode(), info.Size(), &f.wants)
	if info.Size() == 0 || f.wants.none() {
		return nil
	}
	// O_NONBLOCK: a file that was replaced by a pipe must not stop us.
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.unread(name, err)
		}
		return nil
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	uid := 0
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uid = int(st.Uid)
	}
	// A file that changes while it is read, or cannot be, is a gap of its own.
	if err := f.file(name, info.Mode(), uid, info.Size(), file); err != nil {
		if f.ctx.Err() != nil || errors.Is(err, ErrLimit) {
			return err
		}
		f.unread(name, err)
	}
	return nil
}

// pseudo are file systems whose files are views of the kernel or of other
// machines. Containers' overlays are targets of their own.
func pseudo(magic int64) (skip, gap bool) {
	switch magic {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEVPTS_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC,
		unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC, unix.HUGETLBFS_MAGIC,
		unix.BINFMTFS_MAGIC, unix.NSFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.AUTOFS_SUPER_MAGIC:
		return true, false
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.FUSE_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC:
		return true, true
	}
	return false, false
}

// sameDisk says whether a folder is to be entered: all of the root's own file
// system, and mounts of other disks.
func (f *folder) sameDisk(name string) bool {
	full := filepath.Join(f.dir, name)
	var st syscall.Stat_t
	if err := syscall.Lstat(full, &st); err != nil || uint64(st.Dev) == f.dev {
		return true
	}
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(full, &fsinfo); err != nil {
		return true
	}
	skip, gap := pseudo(fsinfo.Type)
	if gap {
		f.into.gap(byTar, esclusa.Gap{
			Scope: esclusa.GapFile, Place: esclusa.Place{Path: name}, What: "mounted file system",
			Err: "lies on the network or in user space", Hint: "scan it where it lives",
		})
	}
	return !skip
}
