// Package apk reads the database of Alpine's package manager (Alpine, Wolfi,
// Chainguard): the packages, the paths that they own, and what these should
// hold. It compares nothing.
//
// Start with Reader; the format is described in apk-package(5).
package apk

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Reader reads apk's list of what is installed.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    "apk",
		Version: 1,
		Where:   layer.Installed,
		System:  "apk",
		Claims: []layer.Claim{
			{Path: "lib/apk/db/installed"},
			{Path: "usr/lib/apk/db/installed"}, // apk 3 on a merged /usr
		},
		MaxSize: 256 << 20,
	}
}

// Read reads the packages and their paths.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	r := reader{path: f.Path, owned: catalog.NewOwned(len(f.Data))}
	r.read(f.Data)
	if r.owned.Cut {
		r.gaps.Add(f.Path, 0, "paths of apk packages", "some are too long, or too many for the size of the file")
	}
	res := layer.Result{Packages: r.packages, Gaps: r.gaps.List(), Owned: r.owned.Paths}
	switch {
	case r.stopped:
		return res, fmt.Errorf("more than %d packages", catalog.MaxPackages)
	case r.known == 0 && len(bytes.TrimSpace(f.Data)) > 0:
		return res, errors.New("no package in the file")
	}
	return res, nil
}

// entry is what is used of one package; the values point into the file.
type entry struct {
	line                int // of its first field; 0 before it
	bad                 int // line that is no field; 0 when there is none
	name, version, arch []byte
	origin, license     []byte
	folder              []byte
}

// reader turns entries into packages.
type reader struct {
	path     string
	packages []esclusa.Package
	owned    *catalog.Owned
	gaps     catalog.Gaps
	known    int // entries that name their package
	stopped  bool
}

func (r *reader) read(data []byte) {
	var e entry
	for n := 1; len(data) > 0 && !r.stopped; n++ {
		line := data
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			data = nil
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			r.end(&e)
			e = entry{}
			continue
		}
		if e.line == 0 {
			e.line = n
		}
		if len(line) < 2 || line[1] != ':' {
			e.bad = n
			continue
		}
		r.field(&e, line[0], line[2:])
	}
	r.end(&e)
}

// field notes one field. F starts a folder, R is a file in it; both are
// relative to the root, and their order is all that joins them.
func (r *reader) field(e *entry, key byte, value []byte) {
	switch key {
	case 'P':
		e.name = value
	case 'V':
		e.version = value
	case 'A':
		e.arch = value
	case 'o':
		e.origin = value
	case 'L':
		e.license = value
	case 'F':
		e.folder = value
	case 'R':
		r.owned.Add(e.folder, value)
	}
}

// end turns an entry into a package or a gap.
func (r *reader) end(e *entry) {
	if e.line == 0 {
		return
	}
	if !catalog.Token(e.name) {
		r.gaps.Add(r.path, e.line, "apk package", "its entry has no usable name")
		return
	}
	r.known++
	if e.bad != 0 {
		r.gaps.Add(r.path, e.bad, "apk package "+string(e.name), "a line of its entry is no field; the rest was read")
	}
	if !catalog.Token(e.version) {
		r.gaps.Add(r.path, e.line, "version of "+string(e.name), "the entry has no usable version")
		return
	}
	if len(r.packages) == catalog.MaxPackages {
		r.stopped = true
		return
	}
	p := esclusa.Package{
		Type:    "apk",
		Name:    string(e.name),
		Version: string(e.version),
		Reader:  "apk",
		Place:   esclusa.Place{Path: r.path},
	}
	if catalog.Token(e.arch) {
		p.Arch = string(e.arch)
	}
	if catalog.Token(e.origin) {
		p.Source.Name = string(e.origin)
	}
	if license := catalog.Text(e.license); license != "" {
		p.Licenses = []string{license}
	}
	r.packages = append(r.packages, p)
}
