package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// kernelPackage depends on the newest kernel of its kind.
const kernelPackage = "linux-image-cloud-amd64"

// kernel is an unpacked package.
type kernel struct {
	image   string
	modules map[string]string // name → file
}

// kernel fetches Debian's kernel, unless it is there. The package is only
// unpacked: the host's own boot is none of our business.
func (g *guest) kernel(ctx context.Context) (*kernel, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", kernelPackage).Output()
	name := regexp.MustCompile(`linux-image-\d\S*`).FindString(string(out))
	if err != nil || name == "" {
		return nil, fmt.Errorf("no package %s is known: %w\nhint: apt-get update, on Debian for amd64", kernelPackage, errors.Join(err, fs.ErrNotExist))
	}
	dir := filepath.Join(g.cache, name)
	if _, err := os.Stat(dir); err != nil {
		if err := fetch(ctx, name, dir); err != nil {
			return nil, err
		}
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("%s has %d kernels", name, len(images))
	}
	k := &kernel{image: images[0], modules: map[string]string{}}
	return k, filepath.WalkDir(filepath.Join(dir, "lib/modules"), func(path string, d fs.DirEntry, err error) error {
		if base, ok := strings.CutSuffix(filepath.Base(path), ".ko"); ok {
			k.modules[strings.ReplaceAll(base, "-", "_")] = path
		}
		return err
	})
}

func fetch(ctx context.Context, name, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	get := exec.CommandContext(ctx, "apt-get", "download", "-qq", name)
	get.Dir = tmp
	if out, err := get.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch %s: %w: %s", name, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download left %d packages", len(debs))
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], filepath.Join(tmp, "x")).CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", name, err, out)
	}
	return os.Rename(filepath.Join(tmp, "x"), dir)
}

// needed are the files of modules with all that they depend on, in the order
// in which they are loaded.
func (k *kernel) needed(names ...string) (files []string, err error) {
	for _, n := range names {
		file, ok := k.modules[n]
		if !ok {
			return nil, fmt.Errorf("this kernel has no module %s", n)
		}
		depends, err := depends(file)
		if err != nil {
			return nil, err
		}
		below, err := k.needed(depends...)
		if err != nil {
			return nil, err
		}
		for _, f := range append(below, file) {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// depends reads what a module says that it needs.
func depends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("%s is no module", file)
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	for line := range bytes.SplitSeq(data, []byte{0}) {
		if list, ok := bytes.CutPrefix(line, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(strings.ReplaceAll(string(list), "-", "_"), ","), nil
		}
	}
	return nil, nil
}
