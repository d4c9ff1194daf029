package match

import (
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/cvss"
)

// flaw is one row to be: the records that speak of one flaw in one package.
type flaw struct {
	names   []string // every id of it, first met first
	records []held
	merged  bool // into another
}

// merge makes one finding of all the records of a flaw. Two records are one
// flaw when they share a name. A record of a distribution that answers
// several flaws ("upstream") is part of the row of each.
func (m *matcher) merge(p *esclusa.Package, t *target, records []held) {
	if len(records) == 0 {
		return
	}
	var flaws []*flaw
	byName := make(map[string]*flaw, len(records))
	add := func(h held, names ...string) {
		var f *flaw
		for _, n := range names {
			if g := byName[n]; g != nil && g != f {
				if f == nil {
					f = g
				} else {
					f.names, f.records = append(f.names, g.names...), append(f.records, g.records...)
					for _, n := range g.names {
						byName[n] = f
					}
					g.merged = true
				}
			}
		}
		if f == nil {
			f = &flaw{}
			flaws = append(flaws, f)
		}
		for _, n := range names {
			if byName[n] != f {
				byName[n] = f
				f.names = append(f.names, n)
			}
		}
		f.records = append(f.records, h)
	}
	for _, h := range records {
		a := h.advisory
		switch up := upstream(a); len(up) {
		case 0:
			add(h, append([]string{a.ID}, a.Aliases...)...)
		case 1:
			// The record's own name is no alias: it may answer this flaw in
			// many packages, and DSAs are shared by several flaws.
			add(h, append([]string{up[0]}, a.Aliases...)...)
		default:
			for _, u := range up {
				add(h, u)
			}
		}
	}
	m.out.Findings = slices.Grow(m.out.Findings, len(flaws))
	for _, f := range flaws {
		if !f.merged {
			m.out.Findings = append(m.out.Findings, m.finding(p, t, f))
		}
	}
}

// upstream are the flaws that a record answers. Where CVEs are among them the
// others (UBUNTU-CVE-…) are records of the same flaws.
func upstream(a *esclusa.Advisory) []string {
	for i, u := range a.Upstream {
		if !isCVE(u) {
			only := slices.Clone(a.Upstream[:i])
			for _, v := range a.Upstream[i:] {
				if isCVE(v) {
					only = append(only, v)
				}
			}
			if len(only) > 0 {
				return only
			}
			break
		}
	}
	return a.Upstream
}

// finding is the row of a flaw.
func (m *matcher) finding(p *esclusa.Package, t *target, f *flaw) esclusa.Finding {
	slices.SortStableFunc(f.records, func(a, b held) int {
		if c := rank(a.advisory.ID) - rank(b.advisory.ID); c != 0 {
			return c
		}
		return strings.Compare(a.advisory.ID, b.advisory.ID)
	})
	out := esclusa.Finding{
		Kind: esclusa.KindVulnerability, Advisory: f.records[0].advisory.ID,
		Package: p, Place: p.Place, Origin: p.Origin,
	}
	malicious, notice := false, true
	for _, h := range f.records {
		a := h.advisory
		malicious = malicious || a.Malicious
		notice = notice && a.Informational != ""
		out.Title = firstOf(out.Title, a.Summary)
		out.URL = firstOf(out.URL, a.URL)
		if !a.Published.IsZero() && (out.Published.IsZero() || a.Published.Before(out.Published)) {
			out.Published = a.Published
		}
	}
	out.ID, out.Aliases = names(f, malicious)
	rate(&out, f)
	switch {
	case malicious:
		out.Kind, out.Severity = esclusa.KindMaliciousPackage, esclusa.SeverityCritical
		out.Advice = "remove it, and treat every secret that it could read as stolen"
	case notice:
		out.Kind = esclusa.KindNotice
	default:
		out.Reach = m.reach(p, f)
	}
	m.exploitation(&out)
	if !malicious {
		out.Fix = fixOf(p, t, f)
		out.Advice = advice(p, out.Fix)
	}
	return out
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rank orders ids by who is likely to know them.
func rank(id string) int {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "CVE":
		return 0
	case "GHSA":
		return 1
	case "GO", "PYSEC", "RUSTSEC", "OSV", "HSEC", "BIT", "GSD":
		return 2
	case "MAL", "LWA":
		return 3
	}
	return 4
}

// names are the id that people use and all the others, sorted. The records of
// distributions are no other names of the flaw: they stand in Advisory. A
// malicious package is known by its report.
func names(f *flaw, malicious bool) (id string, aliases []string) {
	all := slices.Clone(f.names)
	byRank := func(a, b string) int {
		ra, rb := rank(a), rank(b)
		if malicious {
			if a[:min(4, len(a))] == "MAL-" {
				ra = -1
			}
			if b[:min(4, len(b))] == "MAL-" {
				rb = -1
			}
		}
		if ra != rb {
			return ra - rb
		}
		return strings.Compare(a, b)
	}
	slices.SortFunc(all, byRank)
	all = slices.Compact(all)
	if len(all) == 1 {
		return all[0], nil
	}
	return all[0], all[1:]
}

// rate sets severity, score and vector: from the vectors if there is one,
// else the gravest word of the sources.
func rate(out *esclusa.Finding, f *flaw) {
	var vectors []string
	word := esclusa.SeverityUnknown
	for _, h := range f.records {
		own := h.affected.CVSS
		if len(own) == 0 && len(upstream(h.advisory)) <= 1 {
			// The vector of a record that answers several flaws is that of
			// the gravest; which one it is, it does not say.
			own = h.advisory.CVSS
		}
		vectors = append(vectors, own...)
		w := h.affected.Severity
		if w == esclusa.SeverityUnknown {
			w = h.advisory.Severity
		}
		word = max(word, w)
	}
	// A vector that cannot be read leaves the word; the flaw is reported.
	score, vector, _ := cvss.Best(vectors)
	if vector == "" {
		out.Severity = word
		return
	}
	out.Score, out.Vector, out.Severity = score, vector, esclusa.SeverityOf(score)
}

// reach: one linked record is enough; absent must hold for all.
func (m *matcher) reach(p *esclusa.Package, f *flaw) esclusa.Reachability {
	all := esclusa.ReachAbsent
	for _, h := range f.records {
		switch m.linked(p, h.affected) {
		case esclusa.ReachLinked:
			return esclusa.ReachLinked
		case esclusa.ReachUnknown:
			all = esclusa.ReachUnknown
		}
	}
	return all
}

// fixOf is the smallest version that ends all the records of a flaw.
func fixOf(p *esclusa.Package, t *target, f *flaw) *esclusa.Fix {
	var best *held
	for i := range f.records {
		c := &f.records[i]
		if c.fix == "" {
			continue
		}
		if best == nil {
			best = c
			continue
		}
		v, err := t.scheme.Parse(c.fix)
		if err != nil {
			continue
		}
		cmp, err := v.CompareTo(best.fix)
		if err != nil {
			continue
		}
		// Prefer what suffices, and of that the smaller; else the greater.
		ok, bestOK := sufficient(t, f, c.fix), sufficient(t, f, best.fix)
		if ok && (!bestOK || cmp < 0) || !ok && !bestOK && cmp > 0 {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	fix := &esclusa.Fix{Version: best.fix, Since: since(f, best.fix), Command: command(p, t, best.fix)}
	return fix
}

// sufficient says that no record of the flaw holds for the version.
func sufficient(t *target, f *flaw, fix string) bool {
	v, err := t.scheme.Parse(fix)
	if err != nil {
		return false
	}
	for _, h := range f.records {
		if yes, _, err := affected(v, fix, h.affected); yes || err != nil {
			return false
		}
	}
	return true
}

// since is the first day on which a record named the fix.
func since(f *flaw, fix string) time.Time {
	var first time.Time
	for _, h := range f.records {
		at := h.advisory.Published
		if h.fix == fix && !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}
