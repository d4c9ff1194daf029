package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/scan/catalog/apk"
	"github.com/esclusa/esclusa/internal/scan/catalog/dpkg"
	"github.com/esclusa/esclusa/internal/scan/catalog/osrelease"
	"github.com/esclusa/esclusa/internal/scan/catalog/rpm"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/prove"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (a app) shieldCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shield",
		Short: "Close the kernel interfaces that unpatched bugs need",
		Long: `Shield has virtual patches: each refuses the one use of a kernel interface that a
bug needs, and proves what it still allows.`,
	}
	group(c, func(got string) string { return "esclusa shield explain " + got })
	c.AddCommand(a.shieldListCommand(), a.shieldExplainCommand(), a.shieldApplyCommand(), a.shieldRetireCommand(), a.shieldTestCommand(), a.shieldActCommand())
	return c
}

// shieldActCommand is the process of a proof's act.
func (a app) shieldActCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "act ACT ARGUMENTS",
		Short:  "Do one use of an interface for esclusa shield test",
		Hidden: true,
		Args:   args(2, "an act and its arguments as JSON"),
		RunE:   func(_ *cobra.Command, args []string) error { return prove.Child(a.stdout, args[0], args[1]) },
	}
}

// patches are those of the content, or those of files.
func patches(files []string) ([]*shield.Patch, error) {
	if len(files) == 0 {
		dir, err := fs.Sub(content.Patches, "patches")
		if err != nil {
			return nil, err
		}
		return shield.ReadAll(dir)
	}
	var out []*shield.Patch
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, usageError{err, ""}
		}
		p, err := shield.Parse(name, data)
		if err != nil {
			return nil, usageError{err, ""}
		}
		out = append(out, p)
	}
	return out, nil
}

// patch finds one by its id, or reads a file.
func patch(id string) (*shield.Patch, error) {
	if strings.HasSuffix(id, ".yaml") {
		list, err := patches([]string{id})
		if err != nil {
			return nil, err
		}
		return list[0], nil
	}
	list, err := patches(nil)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, p := range list {
		if strings.EqualFold(p.ID, id) || (p.Name != "" && strings.EqualFold(p.Name, id)) {
			return p, nil
		}
		known = append(known, p.ID)
	}
	return nil, usagef("known are "+strings.Join(known, ", ")+"; or name a file that ends in .yaml", "unknown patch %q", id)
}

// hostFacts are what patches ask of this host: its kernel, and what its
// package managers list.
func hostFacts() shield.Facts {
	var f shield.Facts
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel, f.Build = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:])
	}
	if data, err := os.ReadFile("/etc/os-release"); err == nil {
		// One that cannot be read leaves upstream's versions to decide.
		if r, err := (osrelease.Reader{}).Read(&layer.File{Path: "etc/os-release", Data: data}); err == nil && r.Distro != nil {
			f.Distro = *r.Distro
		}
	}
	f.Packages, f.Unread = hostPackages("/")
	f.Program = hostProgram
	return f
}

// hostProgram finds a program where a runtime is put by hand: not by PATH,
// which says where the user's own are.
func hostProgram(name string) (string, bool) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/opt/bin", "/opt/" + name + "/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
	}
	return "", false
}

func hostPackages(root string) ([]esclusa.Package, error) {
	var out []esclusa.Package
	read := 0
	for _, db := range []struct {
		path   string
		reader layer.Reader
	}{
		{"var/lib/dpkg/status", dpkg.Reader{}},
		{"lib/apk/db/installed", apk.Reader{}},
		{"var/lib/rpm/rpmdb.sqlite", rpm.Reader{}},
		{"usr/lib/sysimage/rpm/rpmdb.sqlite", rpm.Reader{}},
	} {
		data, err := os.ReadFile(filepath.Join(root, db.path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		r, err := db.reader.Read(&layer.File{Path: db.path, Data: data})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", db.path, err)
		}
		read++
		out = append(out, r.Packages...)
	}
	if read == 0 {
		return nil, errors.New("no package manager's list was found")
	}
	return out, nil
}

// writeJSON writes a document for machines.
func (a app) writeJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
