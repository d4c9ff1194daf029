package sysctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const root = "/proc/sys"

func path(key string) string {
	return filepath.Join(root, filepath.Clean("/"+strings.NewReplacer(".", "/", "/", ".").Replace(key)))
}

// acts are what a proof tries. "write" writes one value to one key; "pinns"
// does what CRI-O's helper of that name does with its argument: it takes it
// apart at each + and writes the parts in order.
func acts() map[string]func(map[string]string) error {
	return map[string]func(map[string]string) error{
		"write": func(with map[string]string) error { return write(with["key"], with["value"], with["by"]) },
		"pinns": func(with map[string]string) error {
			for _, part := range strings.Split(with["sysctls"], "+") {
				k, v, ok := strings.Cut(part, "=")
				if !ok {
					return fmt.Errorf("%q is no key=value", part)
				}
				if err := write(k, v, with["by"]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// same stands for the value that a key has: a lawful write that changes nothing.
const same = "SAME"

// write writes by one of the names that a file of /proc/sys can have.
func write(key, value, by string) error {
	name := path(key)
	if value == same {
		v, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		value = string(v)
	}
	switch by {
	case "", "path":
		return put(unix.AT_FDCWD, name, value, 0)
	case "dots":
		return put(unix.AT_FDCWD, "/proc/self/../sys/"+strings.TrimPrefix(name, root+"/"), value, 0)
	case "folder": // a file descriptor of the folder
		fd, err := unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return put(fd, filepath.Base(name), value, 0)
	case "behind": // behind the first byte, so that this byte stays
		return put(unix.AT_FDCWD, name, value, 1)
	case "second mount", "bound folder", "bound file":
		return mounted(name, value, by)
	}
	return fmt.Errorf("unknown way %q", by)
}

// put opens, writes once, and closes.
func put(dir int, name, value string, at int64) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Seek(fd, at, unix.SEEK_SET); err != nil {
		return fmt.Errorf("seek in %s: %w", name, err)
	}
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// mounted writes by way of a mount that is seen by this thread alone; it ends
// with the thread.
func mounted(name, value, by string) (err error) {
	dir, err := os.MkdirTemp("", "esclusa-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	at, source, kind, flags := filepath.Join(dir, "m"), filepath.Dir(name), "", uintptr(unix.MS_BIND)
	target := filepath.Join(at, filepath.Base(name))
	switch by {
	case "second mount":
		source, kind, flags, target = "proc", "proc", 0, filepath.Join(at, "sys", strings.TrimPrefix(name, root))
	case "bound file":
		source, target = name, at
		if err := os.WriteFile(at, nil, 0o600); err != nil {
			return err
		}
	}
	if target != at {
		if err := os.Mkdir(at, 0o700); err != nil {
			return err
		}
	}
	if err := unix.Mount(source, at, kind, flags, ""); err != nil {
		return fmt.Errorf("mount %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(at, unix.MNT_DETACH)) }()
	return put(unix.AT_FDCWD, target, value, 0)
}

// keep notes the values of all keys that an act names; those that a namespace
// of its own holds are written back as they are.
func keep(with map[string]string) (func() error, error) {
	var keys []string
	if k := with["key"]; k != "" {
		keys = append(keys, k)
	}
	for _, part := range strings.Split(with["sysctls"], "+") {
		if k, _, ok := strings.Cut(part, "="); ok {
			keys = append(keys, k)
		}
	}
	old := map[string]string{}
	for _, k := range keys {
		v, err := os.ReadFile(path(k))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		old[k] = string(v)
	}
	return func() error {
		var errs []error
		for k, v := range old {
			if now, err := os.ReadFile(path(k)); err != nil || string(now) == v {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, os.WriteFile(path(k), []byte(v), 0))
		}
		return errors.Join(errs...)
	}, nil
}
