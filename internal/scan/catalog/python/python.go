// Package python reads Python distributions: Installed what pip, setuptools
// and the distributions leave in site-packages, Declared the lock files of
// pip, Poetry, uv, Pipenv and PDM. Names are in the normal form of PEP 503,
// the one the advisories use.
//
// Metadata below a folder named test, tests, testing, testdata or fixtures is
// not a package: projects ship broken and ancient distributions there to test
// themselves. Only folders below the last site-packages or dist-packages
// count, so that an environment installed in /srv/test is still seen.
//
// It never resolves a requirement: one that names no exact version is counted
// in a Gap. Start with Readers.
package python

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	installedName = "python"
	declaredName  = "python/lock"
)

// Readers are those of images and of projects.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

// installed reads the metadata of installed distributions.
type installed struct{}

// Spec says which files are read. Whether METADATA lies in a *.dist-info
// folder is for Read: a claim names whole folders only.
func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 2,
		Where:   layer.Installed,
		Claims: []layer.Claim{
			{Base: "METADATA"},
			{Base: "PKG-INFO"},
			{Suffix: ".egg-info"},
			{Suffix: eggSuffix, Magic: "PK\x03\x04"},
		},
	}
}

// Read reads one file of metadata, as far as its headers go.
func (installed) Read(f *layer.File) (layer.Result, error) {
	if !isMetadata(f.Path) || isFixture(f.Path) {
		return layer.Result{}, nil
	}
	text := f.Data
	if strings.HasSuffix(f.Path, eggSuffix) {
		var err error
		if text, err = cutEgg(f.Data); err != nil || text == nil {
			return layer.Result{}, err
		}
	}
	p, err := readMetadata(text)
	if err != nil {
		return layer.Result{}, fmt.Errorf("read python metadata: %w", err)
	}
	p.Place = esclusa.Place{Path: f.Path}
	return layer.Result{Packages: []esclusa.Package{p}}, nil
}

// isMetadata knows the four layouts: wheels (PEP 376), setuptools' folders and
// its zipped eggs, and the single files that distutils wrote. A *.whl is a
// package that could be installed, and none that is.
func isMetadata(p string) bool {
	dir, base := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	switch base {
	case "METADATA":
		return strings.HasSuffix(dir, ".dist-info")
	case "PKG-INFO":
		return strings.HasSuffix(dir, ".egg-info") || path.Base(dir) == "EGG-INFO"
	}
	return strings.HasSuffix(base, ".egg-info") || strings.HasSuffix(base, eggSuffix)
}

func isFixture(p string) bool {
	for _, root := range [...]string{"site-packages/", "dist-packages/"} {
		if i := strings.LastIndex(p, root); i >= 0 {
			p = p[i+len(root):]
		}
	}
	for {
		elem, rest, ok := strings.Cut(p, "/")
		if !ok {
			return false
		}
		switch elem {
		case "test", "tests", "testing", "testdata", "fixtures":
			return true
		}
		p = rest
	}
}

// declared reads lock files and requirements.
type declared struct{}

// Spec says which files are read.
func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 2,
		Where:   layer.Declared,
		Claims: []layer.Claim{
			{Prefix: "requirements", Suffix: ".txt"},
			{Suffix: "requirements.txt"}, // test-requirements.txt
			{Dir: "requirements", Suffix: ".txt"},
			{Base: "poetry.lock"},
			{Base: "uv.lock"},
			{Base: "pdm.lock"},
			{Base: "Pipfile.lock"},
			{Prefix: "pylock.", Suffix: ".toml"},
		},
		MaxSize: 32 << 20,
	}
}

// Read reads one lock file.
func (declared) Read(f *layer.File) (layer.Result, error) {
	l := newLock(f.Path)
	var err error
	switch base := path.Base(f.Path); {
	case !isRequirements(f.Path) && strings.HasSuffix(base, ".txt"):
		return layer.Result{}, nil
	case base == "poetry.lock":
		err = l.readPoetry(f.Data)
	case base == "uv.lock":
		err = l.readUV(f.Data)
	case base == "pdm.lock":
		err = l.readPDM(f.Data)
	case base == "Pipfile.lock":
		err = l.readPipfile(f.Data)
	case strings.HasSuffix(base, ".toml"):
		err = l.readPylock(f.Data)
	default:
		err = l.readRequirements(f.Data)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", path.Base(f.Path), err)
	}
	return l.result(), err
}

// isRequirements knows requirements-dev.txt, dev-requirements.txt and
// requirements/dev.txt; other
// text further below a folder of that name is no list.
func isRequirements(p string) bool {
	dir, base := path.Split(p)
	return strings.HasPrefix(base, "requirements") || strings.HasSuffix(base, "requirements.txt") || path.Base(dir) == "requirements"
}

// lock gathers the packages of one file.
type lock struct {
	catalog.List
	// unpinned requirements are one Gap for the file: a requirements.txt can
	// be all of them, and none of them is an error of its author.
	unpinned int
}

func newLock(path string) *lock {
	return &lock{List: catalog.List{Type: "pypi", Reader: declaredName, Path: path}}
}

func (l *lock) add(name, version string, line int, dev, main bool) {
	if !isName(name) || !isVersion(version) {
		l.Gaps.Add(l.Path, line, "version of "+short(name), "no usable name and version")
		return
	}
	l.Add(esclusa.Package{Name: normal(name), Version: version, Dev: dev, Main: main, Place: esclusa.Place{Line: line}})
}

func (l *lock) result() layer.Result {
	l.Count(l.unpinned, "unpinned requirements", "no exact version is named")
	return l.Result()
}

// isVersion asks for ASCII without spaces: PEP 440 knows nothing else, and
// older versions are words too. Whether it has an order is for the matcher.
func isVersion(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// short keeps an outside string from filling a report.
func short(s string) string { return strconv.Quote(s[:min(len(s), 64)]) }

// isName is the grammar of names in PEP 508.
func isName(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		if !letter && (c != '.' && c != '_' && c != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return true
}

// normal is the name in the form of PEP 503: lower case, and one hyphen for
// each run of hyphens, underscores and dots.
func normal(name string) string {
	if isNormal(name) {
		return name
	}
	out := make([]byte, 0, len(name))
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-' || c == '_' || c == '.':
			if len(out) > 0 && out[len(out)-1] != '-' {
				out = append(out, '-')
			}
		case 'A' <= c && c <= 'Z':
			out = append(out, c+'a'-'A')
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isNormal(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c == '_' || c == '.' || 'A' <= c && c <= 'Z':
			return false
		case c == '-' && i > 0 && name[i-1] == '-':
			return false
		}
	}
	return true
}
