// Package gobinary reads what the Go linker leaves in an ELF executable: the
// modules it was built from, the release of the standard library, and the
// names of the functions that are really linked, by which an advisory's
// symbols can be told present or absent. Stripping removes none of the three.
//
// It never runs the file, never guesses a version ("(devel)" stays so) and
// does not read Mach-O or PE: they do not run in a Linux container. A Go
// executable whose modules are not recorded is a Gap.
//
// Start with Reader.Read; the record of the modules is in buildinfo.go,
// the function names are in symbols.go.
package gobinary

import (
	"debug/elf"
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
	info, err := readInfo(f.Data)
	r := layer.Result{Packages: packages(f.Path, info)}
	var linked linked
	if table := findTable(f.Data, info.GoVersion); table != nil {
		linked = readTable(table)
	}
	r.Symbols = linked.hashes
	if err != nil {
		return r, fmt.Errorf("read Go build information: %w", err)
	}
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
