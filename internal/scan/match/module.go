package match

import (
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// otherModule says that an entry is about another stream of a module than
// the installed one: a module's builds carry ".module" in the release, and
// the name of the stream stands in the title ("nodejs:18 security update").
func otherModule(p *esclusa.Package, a *esclusa.Advisory, f *esclusa.Affected) bool {
	installed := p.Modular != "" || isModular(p.Version)
	if modular, known := modularFix(f); known && modular != installed {
		return true
	}
	if !installed {
		return false
	}
	if p.Modular == "" {
		return namesOtherVersion(a.Summary, p)
	}
	return namesOtherStreams(a.Summary, p.Modular)
}

// namesOtherVersion: an SBOM may not tell the stream. A stream that is named
// after a version ("mariadb:10.5") holds no other version of the package that
// the module is named after.
func namesOtherVersion(title string, p *esclusa.Package) bool {
	v := p.Version
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	for word := range strings.FieldsSeq(title) {
		name, stream, ok := strings.Cut(word, ":")
		if !ok || name != p.Name && name != p.SourceName() || strings.Trim(stream, "0123456789.") != "" || stream == "" {
			continue
		}
		rest, same := strings.CutPrefix(v, stream)
		return !same || rest != "" && rest[0] >= '0' && rest[0] <= '9'
	}
	return false
}

func isModular(v string) bool { return strings.Contains(v, ".module") }

// modularFix says whether the entry's fixes are builds of a module; not known
// when it names none.
func modularFix(f *esclusa.Affected) (modular, known bool) {
	for i := range f.Ranges {
		for j := range f.Ranges[i].Events {
			if v := f.Ranges[i].Events[j].Fixed; v != "" {
				return isModular(v), true
			}
		}
	}
	return false, false
}

// namesOtherStreams says that a title names streams ("virt:rhel and
// virt-devel:rhel security update"), and not this one.
func namesOtherStreams(title, stream string) bool {
	named := false
	for word := range strings.FieldsSeq(title) {
		if word == stream {
			return false
		}
		name, rest, ok := strings.Cut(word, ":")
		named = named || ok && name != "" && rest != "" && !strings.Contains(rest, ":")
	}
	return named
}

// rebuilt: AlmaLinux lists one build of a module for each minor release, and
// a later erratum's build of an older minor must not condemn the newer: the
// installed build is mended if it is at or past a build of the same sources.
// CentOS, which is judged by Red Hat's errata, numbers its builds by itself:
// between the two the sources alone decide.
func rebuilt(p *esclusa.Package, a *esclusa.Advisory, f *esclusa.Affected) bool {
	have, ok := moduleBuild(p.Version)
	if !ok {
		return false
	}
	for i := range a.Affected {
		g := &a.Affected[i]
		if g.Ecosystem != f.Ecosystem {
			continue
		}
		for j := range g.Ranges {
			for _, e := range g.Ranges[j].Events {
				fix, ok := moduleBuild(e.Fixed)
				if !ok || fix.sources != have.sources {
					continue
				}
				installed, fixed := p.Version, e.Fixed
				if fix.builder != have.builder {
					installed, fixed = have.sources+have.bump, fix.sources+fix.bump
				}
				v, err := version.RPM.Parse(installed)
				if err != nil {
					continue
				}
				if c, err := v.CompareTo(fixed); err == nil && c >= 0 {
					return true
				}
			}
		}
	}
	return false
}

// build is an rpm version of a module in its parts:
// "2.4.37-47" ".module" "_" "el8.6.0+1111+ce6f4ceb" ".1".
type build struct {
	sources string
	builder byte   // "+" is Red Hat's, "_" CentOS's and AlmaLinux's
	bump    string // a change of the sources behind the name of the build
}

func moduleBuild(v string) (build, bool) {
	sources, rest, ok := strings.Cut(v, ".module")
	if !ok || rest == "" {
		return build{}, false
	}
	b := build{sources: sources, builder: rest[0]}
	if i := strings.LastIndexByte(rest, '+'); i > 0 {
		if j := strings.IndexByte(rest[i:], '.'); j > 0 {
			b.bump = rest[i+j:]
		}
	}
	return b, true
}
