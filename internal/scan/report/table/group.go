package table

import (
	"cmp"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// groups are the findings by what to do about them, each in the order of the
// report.
type groups struct {
	threats    []esclusa.Finding // malicious packages, malware, secrets
	upgrades   []*upgrade
	unfixed    []*upgrade // no version ends them yet
	settings   []esclusa.Finding
	notices    []esclusa.Finding
	suppressed int
}

// upgrade is one package and all that a newer version ends.
type upgrade struct {
	pkg      esclusa.Package
	names    []string // binary packages of one source
	paths    int      // places where it is installed
	origin   esclusa.Origin
	fix      string
	command  string
	findings []esclusa.Finding
}

func group(fs []esclusa.Finding) groups {
	var g groups
	fixed, open := map[string]*upgrade{}, map[string]*upgrade{}
	for _, f := range fs {
		switch {
		case f.Suppressed():
			g.suppressed++
		case f.Kind == esclusa.KindMisconfiguration:
			g.settings = append(g.settings, f)
		case f.Kind == esclusa.KindNotice:
			g.notices = append(g.notices, f)
		case f.Kind != esclusa.KindVulnerability || f.Package == nil:
			g.threats = append(g.threats, f)
		case f.Fix != nil && f.Fix.Version != "":
			g.upgrades = join(g.upgrades, fixed, f)
		default:
			g.unfixed = join(g.unfixed, open, f)
		}
	}
	return g
}

// join puts the finding into its package's group, and makes the group at its
// first. The packages of one source are upgraded together.
func join(list []*upgrade, by map[string]*upgrade, f esclusa.Finding) []*upgrade {
	key := strings.Join([]string{f.Package.Type, f.Package.SourceName(), f.Package.SourceVersion(), string(f.Origin)}, "\x00")
	u := by[key]
	if u == nil {
		u = &upgrade{pkg: *f.Package, origin: f.Origin}
		by[key] = u
		list = append(list, u)
	}
	if !slices.Contains(u.names, f.Package.Name) {
		u.names = append(u.names, f.Package.Name)
	}
	if f.Fix != nil && later(f.Package, f.Fix.Version, u.fix) {
		u.fix, u.command = f.Fix.Version, f.Fix.Command
	}
	if !slices.ContainsFunc(u.findings, func(o esclusa.Finding) bool { return o.ID == f.ID }) {
		u.findings = append(u.findings, f)
	}
	return list
}

// later says whether version a ends more than b. Where the two cannot be
// compared the first one stays: it belongs to what is to be fixed first.
func later(p *esclusa.Package, a, b string) bool {
	if b == "" {
		return true
	}
	va, err := schemes[p.Type].Parse(a)
	if err != nil {
		return false
	}
	c, err := va.CompareTo(b)
	return err == nil && c > 0
}

// schemes are how the types of the package URL order their versions; the zero
// scheme parses nothing.
var schemes = map[string]version.Scheme{
	"deb": version.Deb, "rpm": version.RPM, "apk": version.APK, "golang": version.Go, "npm": version.NPM,
	"pypi": version.PEP440, "maven": version.Maven, "gem": version.RubyGems, "cargo": version.SemVer,
	"composer": version.Composer, "nuget": version.NuGet, "bitnami": version.Bitnami,
}

// worst is the highest severity of the group.
func (u *upgrade) worst() esclusa.Severity {
	return slices.MaxFunc(u.findings, func(a, b esclusa.Finding) int { return cmp.Compare(a.Severity, b.Severity) }).Severity
}

func (u *upgrade) exploited() int {
	n := 0
	for i := range u.findings {
		if u.findings[i].KEV != nil {
			n++
		}
	}
	return n
}

// counts are the numbers of the last line.
type counts struct {
	total, exploited, base, fixable int
	by                              map[esclusa.Severity]int
}

func count(fs []esclusa.Finding) counts {
	c := counts{by: map[esclusa.Severity]int{}}
	for i := range fs {
		f := &fs[i]
		if f.Suppressed() || f.Kind == esclusa.KindNotice {
			continue
		}
		c.total++
		c.by[f.Severity]++
		if f.KEV != nil {
			c.exploited++
		}
		if f.Origin == esclusa.OriginBase {
			c.base++
		}
		if f.Fix != nil && f.Fix.Version != "" {
			c.fixable++
		}
	}
	return c
}
