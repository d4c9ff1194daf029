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
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
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
	if !bytes.Contains(sectionNames(f.Data), sectionName) {
		return layer.Result{}, nil
	}
	list, err := readAudit(f.Data)
	if err != nil {
		return layer.Result{}, fmt.Errorf("read cargo-auditable section: %w", err)
	}
	c := crates{path: f.Path, reader: installedName}
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

func readAudit(data []byte) ([]audited, error) {
	section := findSection(data)
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

var sectionName = []byte(".dep-v0\x00")

// header is what leads to the sections of an ELF file. debug/elf would read
// them all, which is too much for each C program of an image, and make a
// string of each name, which a forged table of names makes terabytes.
type header struct {
	order       binary.ByteOrder
	wide        bool // 64 bits
	off         uint64
	size, count int
	names       int // the section with the names
}

func readHeader(data []byte) (h header, ok bool) {
	if len(data) < 64 {
		return h, false
	}
	h.order = binary.LittleEndian
	if elf.Data(data[elf.EI_DATA]) == elf.ELFDATA2MSB {
		h.order = binary.BigEndian
	}
	tail := data[46:]
	if h.wide = elf.Class(data[elf.EI_CLASS]) == elf.ELFCLASS64; h.wide {
		h.off, tail = h.order.Uint64(data[40:]), data[58:]
	} else {
		h.off = uint64(h.order.Uint32(data[32:]))
	}
	h.size, h.count, h.names = int(h.order.Uint16(tail)), int(h.order.Uint16(tail[2:])), int(h.order.Uint16(tail[4:]))
	return h, true
}

// section is the content of the i-th section and the offset of its name.
func (h *header) section(data []byte, i int) (content []byte, name uint64) {
	at := h.off + uint64(i)*uint64(h.size)
	if h.wide {
		if e := cut(data, at, 64); e != nil {
			return cut(data, h.order.Uint64(e[24:]), h.order.Uint64(e[32:])), uint64(h.order.Uint32(e))
		}
		return nil, 0
	}
	if e := cut(data, at, 40); e != nil {
		return cut(data, uint64(h.order.Uint32(e[16:])), uint64(h.order.Uint32(e[20:]))), uint64(h.order.Uint32(e))
	}
	return nil, 0
}

func sectionNames(data []byte) []byte {
	h, ok := readHeader(data)
	if !ok {
		return nil
	}
	names, _ := h.section(data, h.names)
	return names
}

func findSection(data []byte) []byte {
	h, _ := readHeader(data)
	names, _ := h.section(data, h.names)
	for i := range h.count {
		content, name := h.section(data, i)
		if len(content) > 0 && bytes.Equal(cut(names, name, uint64(len(sectionName))), sectionName) {
			return content
		}
	}
	return nil
}

// cut is data[off:off+size], nil when the file does not hold all of it.
func cut(data []byte, off, size uint64) []byte {
	if off > uint64(len(data)) || size > uint64(len(data))-off {
		return nil
	}
	return data[off : off+size]
}

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
	c := crates{path: f.Path, reader: declaredName}
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
	path, reader string
	packages     []esclusa.Package
	gaps         catalog.Gaps
	git, dropped int
}

func (c *crates) add(name, version string, main, git bool) {
	switch {
	case name == "" || version == "" || len(name)+len(version) > 512:
		c.gaps.Add(c.path, 0, "crate "+strconv.Quote(name[:min(len(name), 64)]), "no usable name and version")
	case git:
		c.git++
	case len(c.packages) == catalog.MaxPackages:
		c.dropped++
	default:
		c.packages = append(c.packages, esclusa.Package{
			Type: "cargo", Name: name, Version: version, Main: main,
			Reader: c.reader, Place: esclusa.Place{Path: c.path},
		})
	}
}

func (c *crates) result() layer.Result {
	if c.git > 0 {
		c.gaps.Add(c.path, 0, strconv.Itoa(c.git)+" crates from git", "advisories name versions of crates.io only")
	}
	if c.dropped > 0 {
		c.gaps.Add(c.path, 0, strconv.Itoa(c.dropped)+" crates", "more packages than are read from one file")
	}
	return layer.Result{Packages: c.packages, Gaps: c.gaps.List()}
}
