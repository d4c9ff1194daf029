package catalog

import (
	"strconv"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// List gathers the packages of one file, at most MaxPackages, and what could
// not be read of it. Type, Reader and Path are those of every package.
type List struct {
	Type, Reader, Path string
	Gaps               Gaps

	packages []esclusa.Package
	dropped  int
}

// Add keeps a package, or notes that it has no usable name and version.
func (l *List) Add(p esclusa.Package) {
	switch {
	case p.Name == "" || p.Version == "" || len(p.Name)+len(p.Version) > 512:
		l.Gaps.Add(l.Path, p.Line, "package "+strconv.Quote(p.Name[:min(len(p.Name), 64)]), "no usable name and version")
	case len(l.packages) == MaxPackages:
		l.dropped++
	default:
		p.Type, p.Reader, p.Path = l.Type, l.Reader, l.Path
		l.packages = append(l.packages, p)
	}
}

// Count notes in one gap how many things of a kind a file holds that cannot be
// matched, and why; none is no gap.
func (l *List) Count(n int, what, why string) {
	if n > 0 {
		l.Gaps.Add(l.Path, 0, strconv.Itoa(n)+" "+what, why)
	}
}

// Result is what was gathered.
func (l *List) Result() layer.Result {
	l.Count(l.dropped, "packages", "more packages than are read from one file")
	return layer.Result{Packages: l.packages, Gaps: l.Gaps.List()}
}
