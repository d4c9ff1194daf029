// Package gate says whether an image may pass: Decide judges facts by a
// policy at a moment and gives a verdict with its reasons. It is a pure
// function, so the same image gets the same answer in CI, at the registry and
// at admission, and Explain can show the way to it.
//
// It reads no file, asks no network and looks at no clock. What it was told
// is missing, and what it could not evaluate, is in the verdict: unknown is
// never "clean". The language of policies is in gate/policy.
//
// Start with Facts and Decide.
package gate

import (
	"slices"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// Facts are all that a verdict stands on.
type Facts struct {
	Image    esclusa.Image
	Feeds    []esclusa.Feed
	Packages []esclusa.Package
	Findings []esclusa.Finding
	Gaps     []esclusa.Gap

	// Later says whether version a of the package comes after b. With it the
	// findings that one upgrade ends are one reason, which names the version
	// that ends all of them; without it each fixed version is its own. It is
	// scan's knowledge, lent to a verb that never imports it.
	Later func(p *esclusa.Package, a, b string) bool

	base *base
}

// FactsOf takes the facts out of a report.
func FactsOf(r *esclusa.Report) Facts {
	return Facts{Image: r.Image, Feeds: r.Feeds, Packages: r.Packages, Findings: r.Findings, Gaps: r.Gaps}
}

// base is what an earlier image already had.
type base struct {
	ref   string
	known map[baseKey]struct{}
}

type baseKey struct {
	kind          esclusa.FindingKind
	id, pkg, path string
}

// key identifies a finding across two images: its version and layer may
// differ, its id, package and kind do not; a finding without a package is
// identified by its path.
func keyOf(f *esclusa.Finding, id string) baseKey {
	k := baseKey{kind: f.Kind, id: id}
	if f.Package != nil {
		k.pkg = f.Package.Type + "/" + f.Package.Name
	} else {
		k.path = f.Path
	}
	return k
}

// Since gives the facts as seen from an earlier image: findings that it has
// as well are old debt, which is warned of and does not stop a release.
// Malware and malicious packages are never debt, and neither is a gap: that
// the old image could not be read either proves nothing.
func (f Facts) Since(old Facts) Facts {
	b := &base{ref: old.Image.Ref, known: make(map[baseKey]struct{}, len(old.Findings))}
	for i := range old.Findings {
		g := &old.Findings[i]
		if g.Suppressed() {
			continue
		}
		b.known[keyOf(g, g.ID)] = struct{}{}
		for _, a := range g.Aliases {
			b.known[keyOf(g, a)] = struct{}{}
		}
	}
	f.base = b
	return f
}

func (b *base) has(f *esclusa.Finding) bool {
	if b == nil || f.Kind == esclusa.KindMalware || f.Kind == esclusa.KindMaliciousPackage {
		return false
	}
	_, ok := b.known[keyOf(f, f.ID)]
	for i := 0; !ok && i < len(f.Aliases); i++ {
		_, ok = b.known[keyOf(f, f.Aliases[i])]
	}
	return ok
}

// Decide judges facts by a policy. The strictest rule that matches decides; a
// finding that VEX suppresses matches none. A condition that could not be
// evaluated makes the verdict Undecided, unless another rule denies anyway or
// the rule could only have warned. Took is left for the caller.
func Decide(f Facts, p *policy.Policy, now time.Time) esclusa.Verdict {
	return decide(&f, p, now, nil)
}

func decide(f *Facts, p *policy.Policy, now time.Time, traces []Trace) esclusa.Verdict {
	v := esclusa.Verdict{Image: f.Image.Digest, At: now, Gaps: widest(f.Gaps)}
	if p == nil || (f.Image.Kind == "" && f.Image.Ref == "" && f.Image.Digest == "") {
		v.Reasons = []esclusa.Reason{{Rule: "gate", Message: "Nothing was judged: there is no image or no policy."}}
		return v
	}
	v.Policy, v.PolicyDigest = p.Name, p.Digest
	j := newJudge(f, p, now)
	j.judge(traces)
	v.Decision = j.decision
	v.Gaps = append(v.Gaps, j.gaps...)
	v.Reasons, v.Exempted = j.reasons()
	for i, e := range j.expired {
		if e {
			v.Expired = append(v.Expired, p.Exceptions[i].String())
		}
	}
	return v
}

// Limits of a verdict: it is stored, sent and read by people.
const (
	maxGaps    = 100
	maxReasons = 100
)

var scopeRank = map[esclusa.GapScope]int{
	esclusa.GapLayer: 0, esclusa.GapSystem: 1, esclusa.GapFeed: 2, esclusa.GapFile: 3, esclusa.GapItem: 4,
}

// widest keeps the gaps that hide most, and says how many it left out.
func widest(gaps []esclusa.Gap) []esclusa.Gap {
	if len(gaps) == 0 {
		return nil
	}
	out := slices.Clone(gaps)
	slices.SortStableFunc(out, func(a, b esclusa.Gap) int { return scopeRank[a.Scope] - scopeRank[b.Scope] })
	if len(out) > maxGaps {
		out = append(out[:maxGaps], esclusa.Gap{
			Scope: esclusa.GapItem, What: "more gaps", Err: plural(len(gaps)-maxGaps, "more gap") + " in the report",
		})
	}
	return out
}

// strictness orders the decisions by what they let pass: an undecided image
// waits, a denied one is refused.
func strictness(d esclusa.Decision) int {
	switch d {
	case esclusa.Allow:
		return 0
	case esclusa.Warn:
		return 1
	case esclusa.Undecided:
		return 2
	}
	return 3
}
