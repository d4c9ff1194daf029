// Package match brings packages and advisories together: packages go in,
// findings and gaps come out. It is pure: no file, no network, no clock.
//
// It never takes "not known" for "not affected": a version that cannot be
// read, an ecosystem without a feed, a distribution that nobody speaks for
// any more is a Gap, and everything else is still reported.
//
// Start with Match; ranges.go says when a version is affected, module.go what
// a module's stream changes in that, merge.go when two records are one flaw,
// ecosystem.go which advisories a package needs.
package match

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// Advisories is what matching needs to know. Its answers do not change while
// Match runs.
type Advisories interface {
	// Lookup returns the advisories on a package of an ecosystem ("npm",
	// "Debian": without a release), each reduced to its Affected entries of
	// that name; their Ecosystem has the release. The name is normalised by
	// the callee. No advisory is no error.
	Lookup(ecosystem, name string) ([]esclusa.Advisory, error)
	// Has says whether there is a feed for the ecosystem at all.
	Has(ecosystem string) bool
	KEV(cve string) (esclusa.KEV, bool)
	EPSS(cve string) (float64, bool)
}

// Input is what one image gives to match.
type Input struct {
	Packages []esclusa.Package
	// Distro is the image's; packages that name their own keep it.
	Distro esclusa.Distro
	// Image is what VEX statements may be about.
	Image      esclusa.Image
	Advisories Advisories
	// Symbols are the sorted hashes (layer.SymbolHash) of the functions in
	// the binary at a path; nil when not known. The function may be nil.
	Symbols func(path string) []uint64
	VEX     []Statement
	Now     time.Time
}

// Output is what matching says.
type Output struct {
	Findings []esclusa.Finding
	Gaps     []esclusa.Gap
}

// Match finds the advisories that hold for the packages. The findings are in
// the order of the packages; see Order.
func Match(in Input) Output {
	m := matcher{in: &in, said: map[string]bool{}, found: map[lookupKey]lookup{}}
	for i := range in.Packages {
		m.pkg(&in.Packages[i])
	}
	m.endOfLife()
	m.applyVEX()
	return m.out
}

type matcher struct {
	in   *Input
	out  Output
	said map[string]bool // gaps that are said once
	// found keeps answers: the 20 binaries of one source ask the same. That
	// nothing is known of most names is found out again as fast.
	found map[lookupKey]lookup
	// held is scratch space for the records that hold for a package.
	held []held
}

type lookupKey struct{ ecosystem, name string }

type lookup struct {
	list []esclusa.Advisory
	err  error
}

// pkg matches one package.
func (m *matcher) pkg(p *esclusa.Package) {
	t, gap := targetOf(p, m.in.Distro)
	if gap != nil {
		m.once(*gap)
		return
	}
	if t.ecosystem == "" {
		return
	}
	if !m.in.Advisories.Has(t.ecosystem) {
		m.once(esclusa.Gap{
			Scope: esclusa.GapFeed, What: "feed osv/" + t.ecosystem,
			Err:  fmt.Sprintf("the advisory database has nothing on %s: its packages were not matched", t.ecosystem),
			Hint: "run esclusa advisories update",
		})
		return
	}
	list, err := m.lookup(t.ecosystem, t.name)
	if err != nil {
		m.unread(p, t.ecosystem, err)
		return
	}
	if len(list) == 0 {
		return
	}
	m.held = m.hold(p, &t, list, m.held[:0])
	m.merge(p, &t, m.held)
}

// unread tells of advisories that are there and could not be read. Where one
// is damaged nobody knows how many are: that is said once, of all of them.
func (m *matcher) unread(p *esclusa.Package, ecosystem string, err error) {
	if errors.Is(err, advisory.ErrDamaged) {
		m.once(esclusa.Gap{
			Scope: esclusa.GapSystem, What: "advisories on " + advisory.Base(ecosystem), Err: advisory.ErrDamaged.Error(),
			Hint: "run esclusa advisories update",
		})
		return
	}
	m.item(p, "advisories on "+p.Name, err.Error())
}

func (m *matcher) lookup(ecosystem, name string) ([]esclusa.Advisory, error) {
	key := lookupKey{ecosystem, name}
	l, ok := m.found[key]
	if !ok {
		l.list, l.err = m.in.Advisories.Lookup(ecosystem, name)
		if len(l.list) > 0 || l.err != nil {
			m.found[key] = l
		}
	}
	return l.list, l.err
}

// once reports a gap of the whole image the first time it is met.
func (m *matcher) once(g esclusa.Gap) {
	if key := g.What + "\x00" + g.Err; !m.said[key] {
		m.said[key] = true
		m.out.Gaps = append(m.out.Gaps, g)
	}
}

// item reports a gap of one package.
func (m *matcher) item(p *esclusa.Package, what, err string) {
	m.once(esclusa.Gap{Scope: esclusa.GapItem, Place: p.Place, What: what, Err: err})
}

// endOfLife says that silence about a distribution means nothing any more.
func (m *matcher) endOfLife() {
	d := m.in.Distro
	if d.EndOfLife.IsZero() || !d.EndOfLife.Before(m.in.Now) {
		return
	}
	for i := range m.in.Packages {
		switch m.in.Packages[i].Type {
		case "deb", "apk", "rpm":
			name := d.Name
			if name == "" {
				name = d.ID + " " + d.Version
			}
			m.once(esclusa.Gap{
				Scope: esclusa.GapFeed, What: "advisories of " + name,
				Err:  "its security support ended on " + d.EndOfLife.Format(time.DateOnly) + ": newer flaws in it are not announced",
				Hint: "move to a supported release",
			})
			return
		}
	}
}

// Feeds are the names of the feeds that the packages need, among them those
// of exploitation. Ecosystems that nothing is published for are left out.
func Feeds(packages []esclusa.Package) map[string]bool {
	need := map[string]bool{}
	for i := range packages {
		t, _ := targetOf(&packages[i], esclusa.Distro{})
		if t.ecosystem != "" {
			need["osv/"+t.ecosystem] = true
		}
	}
	if len(need) > 0 {
		need["kev"], need["epss"] = true, true
	}
	return need
}

// cves are the ids that KEV and EPSS know.
func cves(f *esclusa.Finding, yield func(string) bool) {
	if isCVE(f.ID) && !yield(f.ID) {
		return
	}
	for _, a := range f.Aliases {
		if isCVE(a) && !yield(a) {
			return
		}
	}
}

func isCVE(id string) bool { return len(id) > 4 && id[:4] == "CVE-" }

// exploitation fills in KEV and EPSS: the first entry and the highest score
// of all the CVEs that the finding stands for.
func (m *matcher) exploitation(f *esclusa.Finding) {
	f.EPSS = -1
	for id := range func(yield func(string) bool) { cves(f, yield) } {
		if k, ok := m.in.Advisories.KEV(id); ok && (f.KEV == nil || k.Added.Before(f.KEV.Added)) {
			f.KEV = &k
		}
		if s, ok := m.in.Advisories.EPSS(id); ok {
			f.EPSS = max(f.EPSS, s)
		}
	}
}

// linked says whether vulnerable functions of the entry are in the binary.
func (m *matcher) linked(p *esclusa.Package, f *esclusa.Affected) esclusa.Reachability {
	if p.Type != "golang" || len(f.Symbols) == 0 || m.in.Symbols == nil {
		return esclusa.ReachUnknown
	}
	hashes := m.in.Symbols(p.Path)
	if hashes == nil {
		return esclusa.ReachUnknown
	}
	for _, s := range f.Symbols {
		if _, ok := slices.BinarySearch(hashes, symbolHash(s)); ok {
			return esclusa.ReachLinked
		}
	}
	for _, path := range f.Imports {
		if !slices.ContainsFunc(f.Symbols, func(s string) bool { return inImport(s, path) }) {
			return esclusa.ReachUnknown // the whole package is vulnerable
		}
	}
	return esclusa.ReachAbsent
}
