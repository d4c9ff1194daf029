package report

import (
	"cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// Steps are the findings by what ends them, each group in the order of the
// report: the order in which to fix.
type Steps struct {
	Threats  []*esclusa.Finding // malicious packages, malware, secrets: a person has to act
	Upgrades []*Upgrade         // a newer version ends them
	Unfixed  []*Upgrade         // no version does yet
	Settings []*esclusa.Finding // misconfigurations
	Notices  []*esclusa.Finding
	// Suppressed are ruled out by VEX.
	Suppressed []*esclusa.Finding
}

// Upgrade is one source package in one version, and all that is wrong with it.
// It may be installed as several binary packages and in several places.
type Upgrade struct {
	Package esclusa.Package // the first
	Names   []string        // the packages built from the source
	Paths   []string        // where they are
	Origin  esclusa.Origin
	Fix     string // the version that ends all that can be ended
	Command string
	// Findings has each ID once, most urgent first.
	Findings []*esclusa.Finding
}

// Binaries are the names of the packages where they say more than the
// source's does.
func (u *Upgrade) Binaries() []string {
	if len(u.Names) == 1 && u.Names[0] == u.Package.SourceName() {
		return nil
	}
	return u.Names
}

// Worst is the highest severity.
func (u *Upgrade) Worst() esclusa.Severity {
	worst := esclusa.SeverityUnknown
	for _, f := range u.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// Exploited is how many are in CISA's catalogue.
func (u *Upgrade) Exploited() int {
	n := 0
	for _, f := range u.Findings {
		if f.KEV != nil {
			n++
		}
	}
	return n
}

// Plan sorts the findings into steps. It keeps their order.
func Plan(fs []esclusa.Finding) Steps {
	var s Steps
	fixed, open := groups{}, groups{}
	for i := range fs {
		f := &fs[i]
		switch {
		case f.Suppressed():
			s.Suppressed = append(s.Suppressed, f)
		case f.Kind == esclusa.KindMisconfiguration:
			s.Settings = append(s.Settings, f)
		case f.Kind == esclusa.KindNotice:
			s.Notices = append(s.Notices, f)
		case f.Kind != esclusa.KindVulnerability || f.Package == nil:
			s.Threats = append(s.Threats, f)
		case f.Fix != nil && f.Fix.Version != "":
			s.Upgrades = fixed.join(s.Upgrades, f)
		default:
			s.Unfixed = open.join(s.Unfixed, f)
		}
	}
	return s
}

// group is an upgrade in the making.
type group struct {
	*Upgrade
	names, paths, ids map[string]bool
}

type groups map[groupKey]*group

type groupKey struct {
	typ, source, version string
	origin               esclusa.Origin
}

// join puts the finding into its package's group, and makes the group at its
// first. The packages of one source are upgraded together.
func (by groups) join(list []*Upgrade, f *esclusa.Finding) []*Upgrade {
	p := f.Package
	key := groupKey{p.Type, p.SourceName(), p.SourceVersion(), f.Origin}
	g := by[key]
	if g == nil {
		g = &group{&Upgrade{Package: *p, Origin: f.Origin}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
		by[key] = g
		list = append(list, g.Upgrade)
	}
	g.Names = once(g.Names, g.names, p.Name)
	g.Paths = once(g.Paths, g.paths, cmp.Or(f.Path, p.Path))
	if f.Fix != nil && Later(p, f.Fix.Version, g.Fix) {
		g.Fix, g.Command = f.Fix.Version, f.Fix.Command
	}
	if !g.ids[f.ID] {
		g.ids[f.ID] = true
		g.Findings = append(g.Findings, f)
	}
	return list
}

func once(list []string, seen map[string]bool, s string) []string {
	if s == "" || seen[s] {
		return list
	}
	seen[s] = true
	return append(list, s)
}

// Later says whether version a of the package ends more than b. Where the two
// cannot be compared the first one stays: it belongs to what is to be fixed
// first.
func Later(p *esclusa.Package, a, b string) bool {
	if b == "" {
		return true
	}
	scheme, _ := version.ForPURL(p.Type) // one that is not known parses nothing
	va, err := scheme.Parse(a)
	if err != nil {
		return false
	}
	c, err := va.CompareTo(b)
	return err == nil && c > 0
}
