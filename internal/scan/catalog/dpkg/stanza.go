package dpkg

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// stanza is the part of one package's stanza that is used (deb822(5)). The
// values point into the file.
type stanza struct {
	line    int // of its first field
	name    []byte
	version []byte
	status  []byte
	arch    []byte
	source  []byte
	bad     int // line that is no field; 0 when there is none
}

// packages reads a status file.
func packages(f *layer.File) (layer.Result, error) {
	r := statusReader{path: f.Path, kind: "deb"}
	if f.Path == opkgStatus {
		r.kind = "opkg"
	}
	r.read(f.Data)
	res := layer.Result{Packages: r.packages, Gaps: r.gaps.List()}
	switch {
	case r.stopped:
		return res, fmt.Errorf("more than %d packages", catalog.MaxPackages)
	case r.known == 0 && len(bytes.TrimSpace(f.Data)) > 0:
		return res, errors.New("no package stanza in the file")
	}
	return res, nil
}

// statusReader turns stanzas into packages.
type statusReader struct {
	path, kind string
	packages   []esclusa.Package
	gaps       catalog.Gaps
	known      int // stanzas that name their package
	stopped    bool
	arch       string // of the last package: nearly always that of the next
}

func (r *statusReader) read(data []byte) {
	var s stanza
	for n := 1; len(data) > 0 && !r.stopped; n++ {
		line := data
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			data = nil
		}
		switch {
		case len(bytes.TrimSpace(line)) == 0:
			r.end(&s)
			s = stanza{}
		case line[0] == ' ' || line[0] == '\t':
			if s.line == 0 {
				s.line, s.bad = n, n
			}
		default:
			s.field(line, n)
		}
	}
	r.end(&s)
}

// field notes one field if it is wanted. Names of fields have no case.
func (s *stanza) field(line []byte, n int) {
	if s.line == 0 {
		s.line = n
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		if s.bad == 0 {
			s.bad = n
		}
		return
	}
	if value := s.want(line[:colon]); value != nil {
		*value = bytes.TrimSpace(line[colon+1:])
	}
}

// want is where the value of a field goes; nil for the many that are not
// used. The length decides first: most lines end there.
func (s *stanza) want(name []byte) *[]byte {
	switch len(name) {
	case 6:
		if bytes.EqualFold(name, []byte("Source")) {
			return &s.source
		}
		if bytes.EqualFold(name, []byte("Status")) {
			return &s.status
		}
	case 7:
		if bytes.EqualFold(name, []byte("Package")) {
			return &s.name
		}
		if bytes.EqualFold(name, []byte("Version")) {
			return &s.version
		}
	case 12:
		if bytes.EqualFold(name, []byte("Architecture")) {
			return &s.arch
		}
	}
	return nil
}

// end turns a stanza into a package, a gap, or nothing when its files are
// not there.
func (r *statusReader) end(s *stanza) {
	if s.line == 0 {
		return
	}
	if !catalog.Token(s.name) {
		r.gaps.Add(r.path, s.line, "dpkg package", "its stanza has no usable name")
		return
	}
	r.known++
	if s.bad != 0 {
		r.gaps.Add(r.path, s.bad, "dpkg package "+string(s.name), "a line of its stanza is no field; the rest was read")
	}
	if !s.present() {
		return
	}
	if !catalog.Token(s.version) {
		r.gaps.Add(r.path, s.line, "version of "+string(s.name), "the stanza has no usable version")
		return
	}
	if len(r.packages) == catalog.MaxPackages {
		r.stopped = true
		return
	}
	p := esclusa.Package{
		Type:    r.kind,
		Name:    string(s.name),
		Version: string(s.version),
		Reader:  "dpkg",
		Place:   esclusa.Place{Path: r.path},
	}
	if catalog.Token(s.arch) {
		if r.arch != string(s.arch) {
			r.arch = string(s.arch)
		}
		p.Arch = r.arch
	}
	name, version, ok := cutSource(s.source)
	if !ok {
		r.gaps.Add(r.path, s.line, "source of "+p.Name, "the Source field is malformed; its own name was used")
	}
	p.Source = esclusa.SourcePackage{Name: string(name), Version: string(version)}
	r.packages = append(r.packages, p)
}

// present says whether the files of the package may be there. Only two of
// dpkg's states say that they are not; a missing Status (distroless) or a new
// state counts as present, and so does half-installed.
func (s *stanza) present() bool {
	state := s.status[bytes.LastIndexByte(s.status, ' ')+1:]
	return string(state) != "not-installed" && string(state) != "config-files"
}

// cutSource takes "glibc (2.36-9)" apart; the version stands there when it
// differs from the binary's, as it does after a binary rebuild (+b1).
func cutSource(field []byte) (name, version []byte, ok bool) {
	if len(field) == 0 {
		return nil, nil, true
	}
	name, rest, found := bytes.Cut(field, []byte(" ("))
	if found {
		if version, found = bytes.CutSuffix(rest, []byte(")")); !found || !catalog.Token(version) {
			return nil, nil, false
		}
	}
	if name = bytes.TrimSpace(name); !catalog.Token(name) {
		return nil, nil, false
	}
	return name, version, true
}
