package open

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/shield/guards"
)

// acts open a file and close it again: "path" names one of this host; else
// "name" is one in a folder of the act's own. With "type" and "options" a file
// system is mounted there that has it; with "outside: yes" the file is reached
// by a descriptor from before the act had its own mounts.
func acts() map[string]func(map[string]string) error {
	return map[string]func(map[string]string) error{
		"write": func(with map[string]string) error { return act(with, unix.O_WRONLY) },
		"read":  func(with map[string]string) error { return act(with, unix.O_RDONLY) },
	}
}

func act(with map[string]string, flags int) error {
	if with["path"] != "" {
		return open(with["path"], flags)
	}
	name := with["name"]
	if name == "" || filepath.Base(name) != name {
		return fmt.Errorf("%q is no name of a file", name)
	}
	if kind := with["type"]; kind != "" {
		if kind == "cgroup" { // a user namespace may mount what is its own
			if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
				return fmt.Errorf("make a cgroup namespace: %w", err)
			}
		}
		return guards.Scratch(guards.Nothing, func(dir string) error {
			return guards.Mounted(dir, kind, with["options"], func(at string) error {
				return open(filepath.Join(at, name), flags)
			})
		})
	}
	file := -1
	defer func() { _ = unix.Close(file) }()
	return guards.Scratch(func(dir string) (err error) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		file, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		return err
	}, func(dir string) error {
		if with["outside"] == "yes" {
			return open(fmt.Sprintf("/proc/self/fd/%d", file), flags)
		}
		return open(filepath.Join(dir, name), flags)
	})
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	return unix.Close(fd)
}

// keep mounts a hierarchy of cgroups that an act names for as long as the act
// takes: a user namespace may mount one that exists, and make none.
func keep(with map[string]string) (func() error, error) {
	if with["type"] != "cgroup" {
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "esclusa-cgroup-")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("none", dir, "cgroup", 0, with["options"]); err != nil {
		return nil, errors.Join(fmt.Errorf("mount a hierarchy of cgroups: %w", err), os.Remove(dir))
	}
	return func() error { return errors.Join(unix.Unmount(dir, 0), os.Remove(dir)) }, nil
}
