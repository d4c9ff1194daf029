// Package rust reads crates: Installed those that cargo-auditable recorded in
// an executable, Declared those of a Cargo.lock. Crates of a folder are the
// project's own (Main). Crates of a git repository have no place in the order
// of crates.io's versions, which advisories speak of: they are counted in a
// Gap.
//
// It never guesses crates from the strings of an executable: one that was
// built without cargo-auditable gives nothing, as a C program does.
//
// Start with Readers.
package rust

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/elffile"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	installedName = "rust"
	declaredName  = "rust/lock"
)

// Readers are those of images and of projects.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

// installed reads executables with a .dep-v0 section.
type installed struct{}

// Spec says which files are read.
func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		Claims:  []layer.Claim{{Magic: elf.ELFMAG}},
		MaxSize: 256 << 20,
		Skim:    true, // gobinary's Gap names the same file already
	}
}

// maxAudit bounds the inflated section; rustc's own is 60 KB.
const maxAudit = 16 << 20

// Read reads one executable. One without the section is refused by its table
// of section names, without an allocation.
func (installed) Read(f *layer.File) (layer.Result, error) {
	program, ok := elffile.Open(f.Data)
	if !ok || !bytes.Contains(program.Names(), sectionName) {
		return layer.Result{}, nil
	}
	list, err := readAudit(program.Named(sectionName))
	if err != nil {
		return layer.Result{}, fmt.Errorf("read cargo-auditable section: %w", err)
	}
	c := newCrates(f.Path, installedName)
	for _, p := range list {
		if p.Kind == "build" {
			continue // ran while it was built, and is not in the executable
		}
		c.add(p.Name, p.Version, p.Source == "local" || p.Root, p.Source == "git")
	}
	return c.result(), nil
}

type audited struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Source  string `json:"source"` // crates.io, git, local, registry
	Kind    string `json:"kind"`   // build; else runtime
	Root    bool   `json:"root"`
}

func readAudit(section []byte) ([]audited, error) {
	if section == nil {
		return nil, errors.New("section outside the file")
	}
	z, err := zlib.NewReader(bytes.NewReader(section))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	text, err := io.ReadAll(io.LimitReader(z, maxAudit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxAudit {
		return nil, fmt.Errorf("inflates to more than %d bytes", maxAudit)
	}
	var record struct {
		Packages []audited `json:"packages"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, err
	}
	return record.Packages, nil
}

var sectionName = []byte(".dep-v0")

// declared reads Cargo.lock.
type declared struct{}

// Spec says which files are read.
func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		Claims:  []layer.Claim{{Base: "Cargo.lock"}},
		MaxSize: 32 << 20,
	}
}

type locked struct {
	Name    string `toml:"name"`
	Version string `toml:"version"`
	Source  string `toml:"source"`
}

// Read reads a lock file of version 1 to 4: what changed between them is not
// about names, versions and sources.
func (declared) Read(f *layer.File) (layer.Result, error) {
	var file struct {
		Version int      `toml:"version"`
		Package []locked `toml:"package"`
		// Root was the project's own crate until 2017.
		Root *locked `toml:"root"`
	}
	if err := toml.Unmarshal(f.Data, &file); err != nil {
		return layer.Result{}, fmt.Errorf("read Cargo.lock: %w", err)
	}
	c := newCrates(f.Path, declaredName)
	if file.Root != nil {
		c.add(file.Root.Name, file.Root.Version, true, false)
	}
	for _, p := range file.Package {
		c.add(p.Name, p.Version, p.Source == "", strings.HasPrefix(p.Source, "git+"))
	}
	r := c.result()
	if file.Version > 4 {
		return r, fmt.Errorf("read Cargo.lock: version %d is newer than this reader", file.Version)
	}
	return r, nil
}

// crates gathers the packages of one file.
type crates struct {
	catalog.List
	git int
}

func newCrates(path, reader string) *crates {
	return &crates{List: catalog.List{Type: "cargo", Reader: reader, Path: path}}
}

func (c *crates) add(name, version string, main, git bool) {
	if git && name != "" && version != "" {
		c.git++
		return
	}
	c.Add(esclusa.Package{Name: name, Version: version, Main: main})
}

func (c *crates) result() layer.Result {
	c.Count(c.git, "crates from git", "advisories name versions of crates.io only")
	return c.Result()
}
