// Package ruby reads gems: Installed the specifications that RubyGems writes
// when it installs one, default gems included; Declared the lock files of
// Bundler.
//
// A specification is Ruby code and is never run: RubyGems writes it in one
// fixed form, and what is not in that form is a Gap. The *.gemspec of a gem's
// own sources, outside a specifications folder, is not read.
//
// Start with Readers.
package ruby

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	installedName = "ruby"
	declaredName  = "ruby/lock"
)

// Readers are those of images and of projects.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

// installed reads specifications of installed gems.
type installed struct{}

// Spec says which files are read.
func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		Claims:  []layer.Claim{{Dir: "specifications", Suffix: ".gemspec"}},
		MaxSize: 4 << 20,
	}
}

// Read reads one specification.
func (installed) Read(f *layer.File) (layer.Result, error) {
	if !isInstalled(f.Path) {
		return layer.Result{}, nil
	}
	p, err := readSpec(f.Data)
	if err != nil {
		return layer.Result{}, fmt.Errorf("read gem specification: %w", err)
	}
	p.Place = esclusa.Place{Path: f.Path}
	return layer.Result{Packages: []esclusa.Package{p}}, nil
}

// isInstalled: specifications/x.gemspec and specifications/default/x.gemspec,
// where RubyGems itself looks.
func isInstalled(p string) bool {
	dir := path.Dir(p)
	if path.Base(dir) == "default" {
		dir = path.Dir(dir)
	}
	return path.Base(dir) == "specifications"
}

// readSpec looks for the assignments to the block's variable:
//
//	Gem::Specification.new do |s|
//	  s.name = "rake".freeze
//	  s.version = "13.0.6"
func readSpec(data []byte) (esclusa.Package, error) {
	p := esclusa.Package{Type: "gem", Reader: installedName}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		field, value, ok := assignment(line)
		if !ok {
			continue
		}
		switch string(field) {
		case "name":
			if p.Name == "" {
				p.Name, _ = literal(value)
			}
		case "version":
			if p.Version == "" {
				value = bytes.TrimPrefix(value, []byte("Gem::Version.new("))
				p.Version, _ = literal(value)
			}
		case "license", "licenses":
			if p.Licenses == nil {
				p.Licenses = literals(value)
			}
		}
	}
	if !isName(p.Name) || !isVersion(p.Version) {
		return esclusa.Package{}, errors.New("no name and version in the form that RubyGems writes")
	}
	return p, nil
}

// assignment splits "  s.name = value".
func assignment(line []byte) (field, value []byte, ok bool) {
	line = bytes.TrimSpace(line)
	i := bytes.IndexByte(line, '.')
	if i <= 0 || !isWord(line[:i]) {
		return nil, nil, false
	}
	left, right, ok := bytes.Cut(line[i+1:], []byte{'='})
	left = bytes.TrimSpace(left)
	if !ok || !isWord(left) {
		return nil, nil, false
	}
	return left, bytes.TrimSpace(right), true
}

func isWord(b []byte) bool {
	for _, c := range b {
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0
}

// literal reads a string literal without escapes or interpolation: "x", 'x'
// or, up to RubyGems 1.8, %q{x}.
func literal(b []byte) (s string, rest []byte) {
	var end byte
	switch {
	case len(b) > 0 && (b[0] == '"' || b[0] == '\''):
		end, b = b[0], b[1:]
	case bytes.HasPrefix(b, []byte("%q{")):
		end, b = '}', b[3:]
	default:
		return "", nil
	}
	i := bytes.IndexByte(b, end)
	if i < 0 || bytes.ContainsAny(b[:i], `\#`) || !utf8.Valid(b[:i]) {
		return "", nil
	}
	return string(b[:i]), b[i+1:]
}

// literals reads ["MIT".freeze, "Ruby".freeze] or one string.
func literals(b []byte) []string {
	if !bytes.HasPrefix(b, []byte("[")) {
		if s, _ := literal(b); s != "" {
			return []string{s}
		}
		return nil
	}
	var list []string
	for b = b[1:]; len(list) < 16; {
		b = bytes.TrimLeft(b, " ,")
		s, rest := literal(b)
		if s == "" {
			break
		}
		list = append(list, s)
		b = bytes.TrimPrefix(rest, []byte(".freeze"))
	}
	return list
}

// isName follows Gem::Specification::VALID_NAME_PATTERN.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// isVersion follows Gem::Version: digits first, then letters, digits, dots and
// one hyphen, which stands for a pre-release.
func isVersion(s string) bool {
	if s == "" || len(s) > 256 || s[0] < '0' || s[0] > '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// declared reads the lock files of Bundler.
type declared struct{}

// Spec says which files are read.
func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		Claims: []layer.Claim{
			{Base: "Gemfile.lock"},
			{Base: "gems.locked"},
			{Suffix: ".gemfile.lock"}, // gemfiles/rails_7.gemfile.lock (Appraisal)
		},
		MaxSize: 32 << 20,
	}
}

// Read reads one lock file: sections with a header at the margin, and below
// "specs:" a gem on each line that is indented by four.
func (declared) Read(f *layer.File) (layer.Result, error) {
	var (
		r       layer.Result
		gaps    catalog.Gaps
		err     error
		section string
		known   = false // a section that this reader understands was seen
		seen    = map[string]bool{}
	)
	data := f.Data
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		if line[0] != ' ' {
			if isConflict(line) {
				return r, fmt.Errorf("read Bundler lock file: merge conflict at line %d", n)
			}
			section = string(line[:min(len(line), 32)])
			known = known || isSource(section)
			continue
		}
		if !isSource(section) || !bytes.HasPrefix(line, []byte("    ")) || len(line) == 4 || line[4] == ' ' {
			continue
		}
		name, version, ok := lockedGem(line[4:])
		switch {
		case !ok:
			gaps.Add(f.Path, n, "gem "+strconv.Quote(string(line[:min(len(line), 64)])), "no usable name and version")
			continue
		case seen[name+" "+version]:
			continue // the same version for another platform
		case len(r.Packages) == catalog.MaxPackages:
			err = errors.New("read Bundler lock file: more packages than are read from one file")
			continue
		}
		seen[name+" "+version] = true
		r.Packages = append(r.Packages, esclusa.Package{
			Type: "gem", Name: name, Version: version, Main: section == "PATH",
			Reader: declaredName, Place: esclusa.Place{Path: f.Path, Line: n},
		})
	}
	if !known && err == nil {
		err = errors.New("read Bundler lock file: no section of gems")
	}
	r.Gaps = gaps.List()
	return r, err
}

func isSource(section string) bool {
	switch section {
	case "GEM", "GIT", "PATH", "PLUGIN SOURCE":
		return true
	}
	return false
}

func isConflict(line []byte) bool {
	return bytes.HasPrefix(line, []byte("<<<<<<<")) || bytes.HasPrefix(line, []byte(">>>>>>>")) ||
		bytes.HasPrefix(line, []byte("======="))
}

// lockedGem reads "nokogiri (1.15.4-x86_64-linux)". The hyphen starts the
// platform: a version is written without one here.
func lockedGem(b []byte) (name, version string, ok bool) {
	name, rest, ok := strings.Cut(strings.TrimSuffix(string(b[:min(len(b), 1024)]), "!"), " (")
	if !ok {
		return "", "", false
	}
	version, ok = strings.CutSuffix(rest, ")")
	version, _, _ = strings.Cut(version, "-")
	return name, version, ok && isName(name) && isVersion(version)
}
