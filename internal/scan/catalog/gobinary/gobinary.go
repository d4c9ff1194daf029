// Package gobinary reads what the Go linker leaves in an ELF executable: the
// modules it was built from, the release of the standard library, and the
// names of the functions that are really linked, by which an advisory's
// symbols can be told present or absent. Stripping removes none of the three.
//
// It never runs the file, never guesses a version ("(devel)" stays so) and
// does not read Mach-O or PE: they do not run in a Linux container. A Go
// executable whose modules are not recorded is a Gap.
//
// Start with Reader.Read; the function names are in symbols.go.
package gobinary

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const name = "gobinary"

// devel is what the Go tool says of a module that was built from a folder.
const devel = "(devel)"

// Reader reads Go executables.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    name,
		Version: 1,
		Where:   layer.Installed,
		Claims:  []layer.Claim{{Magic: elf.ELFMAG}},
		MaxSize: 256 << 20,
	}
}

// Read reads one executable. Everything that Go did not link is refused after
// its headers, without an allocation.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	switch look(f.Data) {
	case packed:
		return layer.Result{Gaps: []esclusa.Gap{{
			Scope: esclusa.GapFile,
			Place: esclusa.Place{Path: f.Path},
			What:  "executable",
			Err:   "packed with UPX: what is linked into it cannot be seen",
			Hint:  "ship it unpacked (upx -d): layers are compressed anyway",
		}}}, nil
	case foreign:
		return layer.Result{}, nil
	}
	info, err := buildinfo.Read(bytes.NewReader(f.Data))
	if err != nil {
		return layer.Result{}, fmt.Errorf("read Go build information: %w", err)
	}
	r := layer.Result{Packages: packages(f.Path, info)}
	var linked linked
	if table := findTable(f.Data, info.GoVersion); table != nil {
		linked = readTable(table)
	}
	r.Symbols = linked.hashes
	if info.Main.Path == "" && len(info.Deps) == 0 && (info.Path == "" || linked.hashes == nil || linked.modules) {
		r.Gaps = append(r.Gaps, esclusa.Gap{
			Scope: esclusa.GapItem,
			Place: esclusa.Place{Path: f.Path},
			What:  "modules of a Go executable",
			Err:   "built without module information",
			Hint:  "build it in module mode",
		})
	}
	if len(info.Deps) > catalog.MaxPackages {
		return r, fmt.Errorf("more than %d modules", catalog.MaxPackages)
	}
	return r, nil
}

func packages(path string, info *debug.BuildInfo) []esclusa.Package {
	pkgs := make([]esclusa.Package, 0, min(len(info.Deps), catalog.MaxPackages)+2)
	add := func(module, version string, main bool) {
		if version == "" {
			version = devel
		}
		pkgs = append(pkgs, esclusa.Package{
			Type: "golang", Name: strings.ToValidUTF8(module, "\uFFFD"), Version: strings.ToValidUTF8(version, "\uFFFD"), Main: main,
			Reader: name, Place: esclusa.Place{Path: path},
		})
	}
	if info.Main.Path != "" {
		add(info.Main.Path, info.Main.Version, true)
	}
	if v := stdlibVersion(info.GoVersion); v != "" {
		add("stdlib", v, false)
	}
	for _, d := range info.Deps[:min(len(info.Deps), catalog.MaxPackages)] {
		module, version := d.Path, d.Version
		if r := d.Replace; r != nil {
			// A folder has no name that an advisory could know: the code goes
			// on under the name it is imported by, at a version nobody knows.
			if version = r.Version; !isFolder(r.Path) {
				module = r.Path
			}
		}
		add(module, version, false)
	}
	return pkgs
}

// isFolder tells a folder from a module path, as the go command does for the
// right side of a replace directive.
func isFolder(p string) bool {
	return strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../") ||
		strings.HasPrefix(p, "/") || p == "." || p == ".."
}

// stdlibVersion is the release of the toolchain as the Go vulnerability
// database orders it: go1.22.3 is 1.22.3, go1.23rc1 is 1.23.0-rc.1. What a
// vendor appends to a release (-fips, " X:boringcrypto") is dropped. What is
// no release ("devel go1.24-2a4f8d1") is left as it is: no order holds for
// it, and the matcher says so in a Gap.
func stdlibVersion(v string) string {
	rest, ok := strings.CutPrefix(v, "go")
	if !ok {
		return v
	}
	major, rest := digits(rest)
	minor, patch := "", ""
	if strings.HasPrefix(rest, ".") {
		minor, rest = digits(rest[1:])
	}
	if strings.HasPrefix(rest, ".") {
		patch, rest = digits(rest[1:])
	}
	out := major + "." + minor + "." + patch
	full := patch != ""
	if !full {
		out += "0"
	}
	for _, pre := range [...]string{"beta", "rc"} {
		if after, ok := strings.CutPrefix(rest, pre); ok {
			var n string
			n, rest = digits(after)
			out += "-" + pre + "." + n
			full = n != ""
		}
	}
	switch {
	case major == "" || minor == "":
		return v
	case rest == "":
		return out
	case full && strings.ContainsRune(" -+", rune(rest[0])):
		return out
	case rest[0] == ' ' && rest[1:] != "":
		return out // go1.20 X:boringcrypto: .0 was not written before 1.21
	}
	return v
}

func digits(s string) (num, rest string) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// looks is what the headers of an ELF file tell.
type looks int8

const (
	foreign looks = iota
	golang
	packed
)

var upxMagic = []byte("UPX!")

// look decides by the table of section names, a few hundred bytes. Only a
// file without one (sstrip) has its writable segments searched.
func look(data []byte) looks {
	h, ok := readHeader(data)
	if !ok || h.kind != elf.ET_EXEC && h.kind != elf.ET_DYN {
		return foreign
	}
	if names := h.sectionNames(data); len(names) > 0 {
		for _, n := range goSections {
			if bytes.Contains(names, n) {
				return golang
			}
		}
		return foreign
	}
	if bytes.Contains(data[:min(len(data), layer.MagicSize)], upxMagic) {
		return packed
	}
	for i := range h.phnum {
		if seg, flags, ok := h.segment(data, i); ok && flags&elf.PF_W != 0 && bytes.Contains(seg, infoMagic) {
			return golang
		}
	}
	return foreign
}

var (
	goSections = [][]byte{[]byte(".go.buildinfo\x00"), []byte(".gopclntab\x00"), []byte(".note.go.buildid\x00")}
	infoMagic  = []byte("\xff Go buildinf:")
)

// header is the part of the ELF header that leads to sections and segments.
// debug/elf reads all of it and allocates: too much for the thousands of C
// programs in an image.
type header struct {
	order              binary.ByteOrder
	wide               bool // 64 bits
	kind               elf.Type
	phoff, shoff       uint64
	phnum, shnum       int
	phentsize, shentsz int
	shstrndx           int
}

func readHeader(data []byte) (h header, ok bool) {
	if len(data) < 64 || string(data[:4]) != elf.ELFMAG {
		return h, false
	}
	switch elf.Data(data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		h.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		h.order = binary.BigEndian
	default:
		return h, false
	}
	var tail []byte // from e_flags on, which is where the classes agree again
	switch elf.Class(data[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		h.wide = true
		h.phoff, h.shoff = h.order.Uint64(data[32:]), h.order.Uint64(data[40:])
		tail = data[48:64]
	case elf.ELFCLASS32:
		h.phoff, h.shoff = uint64(h.order.Uint32(data[28:])), uint64(h.order.Uint32(data[32:]))
		tail = data[36:52]
	default:
		return h, false
	}
	h.kind = elf.Type(h.order.Uint16(data[16:]))
	half := func(at int) int { return int(h.order.Uint16(tail[at:])) }
	h.phentsize, h.phnum = half(6), half(8)
	h.shentsz, h.shnum, h.shstrndx = half(10), half(12), half(14)
	return h, true
}

// entry is the i-th record of a table, nil when it is not in the file.
func entry(data []byte, off uint64, size, i, least int) []byte {
	if size < least || off > uint64(len(data)) {
		return nil
	}
	at := off + uint64(i)*uint64(size)
	if at > uint64(len(data)) || uint64(len(data))-at < uint64(size) {
		return nil
	}
	return data[at : at+uint64(size)]
}

// cut is data[off:off+size], nil when the file does not hold all of it.
func cut(data []byte, off, size uint64) []byte {
	if off > uint64(len(data)) || size > uint64(len(data))-off {
		return nil
	}
	return data[off : off+size]
}

// section is the content of the i-th section and the offset of its name.
func (h *header) section(data []byte, i int) (content []byte, nameAt uint32) {
	if h.wide {
		e := entry(data, h.shoff, h.shentsz, i, 64)
		if e == nil {
			return nil, 0
		}
		return cut(data, h.order.Uint64(e[24:]), h.order.Uint64(e[32:])), h.order.Uint32(e)
	}
	e := entry(data, h.shoff, h.shentsz, i, 40)
	if e == nil {
		return nil, 0
	}
	return cut(data, uint64(h.order.Uint32(e[16:])), uint64(h.order.Uint32(e[20:]))), h.order.Uint32(e)
}

func (h *header) sectionNames(data []byte) []byte {
	if h.shoff == 0 || h.shnum == 0 {
		return nil
	}
	names, _ := h.section(data, h.shstrndx)
	return names
}

// segment is the content of the i-th segment if it is loaded.
func (h *header) segment(data []byte, i int) (seg []byte, flags elf.ProgFlag, ok bool) {
	var kind elf.ProgType
	if h.wide {
		e := entry(data, h.phoff, h.phentsize, i, 56)
		if e == nil {
			return nil, 0, false
		}
		kind, flags = elf.ProgType(h.order.Uint32(e)), elf.ProgFlag(h.order.Uint32(e[4:]))
		seg = cut(data, h.order.Uint64(e[8:]), h.order.Uint64(e[32:]))
	} else {
		e := entry(data, h.phoff, h.phentsize, i, 32)
		if e == nil {
			return nil, 0, false
		}
		kind, flags = elf.ProgType(h.order.Uint32(e)), elf.ProgFlag(h.order.Uint32(e[24:]))
		seg = cut(data, uint64(h.order.Uint32(e[4:])), uint64(h.order.Uint32(e[16:])))
	}
	return seg, flags, kind == elf.PT_LOAD && seg != nil
}
