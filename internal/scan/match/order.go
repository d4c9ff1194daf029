package match

import (
	"cmp"
	"slices"

	"github.com/esclusa/esclusa"
)

// Order returns findings, of any kind, in the order in which to fix them. First what is an attack already (malicious packages, malware,
// secrets that can be used), then what is being exploited (CISA's catalogue),
// then by severity, probability of exploitation and whether a fix is out.
// Behind these come flaws whose code is not linked, notices, and at the end
// what a VEX statement took away. The order is total: equal input in any
// order gives the same output.
func Order(findings []esclusa.Finding) []esclusa.Finding {
	// Pointers are sorted, not findings of half a kilobyte.
	order := make([]*esclusa.Finding, len(findings))
	for i := range findings {
		order[i] = &findings[i]
	}
	slices.SortStableFunc(order, compare)
	sorted := make([]esclusa.Finding, len(findings))
	for i, f := range order {
		sorted[i] = *f
	}
	return sorted
}

func compare(x, y *esclusa.Finding) int {
	if c := cmp.Compare(class(x), class(y)); c != 0 {
		return c
	}
	if c := cmp.Compare(y.Severity, x.Severity); c != 0 {
		return c
	}
	if c := cmp.Compare(y.EPSS, x.EPSS); c != 0 {
		return c
	}
	if c := cmp.Compare(noFix(x), noFix(y)); c != 0 {
		return c
	}
	if c := cmp.Compare(y.Score, x.Score); c != 0 {
		return c
	}
	return identity(x, y)
}

// identity tells apart what is equally urgent.
func identity(x, y *esclusa.Finding) int {
	var p, q esclusa.Package
	if x.Package != nil {
		p = *x.Package
	}
	if y.Package != nil {
		q = *y.Package
	}
	return cmp.Or(
		cmp.Compare(x.Kind, y.Kind), cmp.Compare(p.SourceName(), q.SourceName()), cmp.Compare(x.ID, y.ID),
		cmp.Compare(p.Type, q.Type), cmp.Compare(p.Name, q.Name), cmp.Compare(p.Version, q.Version), cmp.Compare(p.Arch, q.Arch),
		cmp.Compare(x.Path, y.Path), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Layer, y.Layer),
		cmp.Compare(x.Advisory, y.Advisory), cmp.Compare(x.Evidence, y.Evidence), cmp.Compare(x.Title, y.Title),
	)
}

func class(f *esclusa.Finding) int {
	switch {
	case f.Suppressed():
		return 5
	case f.Kind == esclusa.KindMaliciousPackage, f.Kind == esclusa.KindMalware, f.Kind == esclusa.KindSecret && !f.Deleted:
		return 0
	case f.Kind == esclusa.KindNotice:
		return 4
	case f.Reach == esclusa.ReachAbsent:
		return 3
	case f.KEV != nil:
		return 1
	}
	return 2
}

func noFix(f *esclusa.Finding) int {
	if f.Fix == nil {
		return 1
	}
	return 0
}
