package gate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// groupKey says which matches are one reason: those that one act ends. The
// same command, or the same package and fixed version, is the same act.
type groupKey struct {
	rule, exception int
	decision        esclusa.Decision
	note            note
	kind            esclusa.FindingKind
	a, b, c         string
}

func (j *judge) keyFor(s *policy.Subject) groupKey {
	f := s.Finding
	switch {
	case f == nil && s.Gap != nil:
		return keyForGap(s.Gap)
	case f == nil:
		return groupKey{}
	case f.Package == nil:
		return groupKey{kind: f.Kind, a: f.ID}
	}
	switch end := j.end(f); {
	case end == nil:
		return groupKey{kind: f.Kind, a: f.Package.Name, b: f.Package.Version}
	case end.Command != "":
		return groupKey{kind: f.Kind, a: end.Command}
	default:
		return groupKey{kind: f.Kind, a: f.Package.Name, b: f.Package.Version, c: end.Version}
	}
}

// upgradeKey is what is upgraded at once: all packages of one source.
type upgradeKey struct{ typ, source, version string }

func upgradeOf(p *esclusa.Package) upgradeKey {
	return upgradeKey{p.Type, p.SourceName(), p.SourceVersion()}
}

// plan finds, for each package, the version that ends all that can be ended:
// whoever is sent away to upgrade should have to do it once.
func (j *judge) plan() {
	j.upgrades = map[upgradeKey]*esclusa.Fix{}
	for i := range j.facts.Findings {
		f := &j.facts.Findings[i]
		if f.Package == nil || f.Suppressed() || !policy.Fixed(f) {
			continue
		}
		key := upgradeOf(f.Package)
		if best := j.upgrades[key]; best == nil || best.Version != f.Fix.Version && j.facts.Later(f.Package, f.Fix.Version, best.Version) {
			j.upgrades[key] = f.Fix
		}
	}
}

// end is what ends the finding, and others of its package with it.
func (j *judge) end(f *esclusa.Finding) *esclusa.Fix {
	if f.Package == nil || !policy.Fixed(f) {
		return f.Fix
	}
	if up := j.upgrades[upgradeOf(f.Package)]; up != nil {
		return up
	}
	return f.Fix
}

// keyForGap tells wide gaps apart; a hundred broken files are one matter, and
// so are feeds that the same command would renew.
func keyForGap(g *esclusa.Gap) groupKey {
	switch g.Scope {
	case esclusa.GapFile, esclusa.GapItem:
		return groupKey{a: string(g.Scope)}
	case esclusa.GapFeed:
		return groupKey{a: string(g.Scope), b: g.Hint}
	}
	return groupKey{a: string(g.Scope), b: g.What}
}

// group gathers the matches of one reason.
type group struct {
	key      groupKey
	first    policy.Subject // the worst of them
	count    int
	ids      []string // the first few, each once
	packages []string
	others   int       // matches whose id is not in ids
	until    time.Time // the earliest end of grace
}

// fewIDs is how many names a reason gives: a hint of what it is about, and
// few enough for an exception to list.
const fewIDs = 5

func (g *group) add(s *policy.Subject, until time.Time) {
	g.count++
	if !until.IsZero() && (g.until.IsZero() || until.Before(g.until)) {
		g.until = until
	}
	name := ""
	switch {
	case s.Finding != nil:
		name = s.Finding.ID
		if p := s.Finding.Package; p != nil && len(g.packages) < 4 && !slices.Contains(g.packages, p.Name) {
			g.packages = append(g.packages, p.Name)
		}
		if worse(s.Finding, g.first.Finding) {
			g.first = *s
		}
	case s.Gap != nil:
		name = s.Gap.What
	case s.Feed != nil:
		name = s.Feed.Name
	}
	switch {
	case slices.Contains(g.ids, name):
	case len(g.ids) < fewIDs:
		g.ids = append(g.ids, name)
	default:
		g.others++
	}
}

func worse(a, b *esclusa.Finding) bool {
	if (a.KEV != nil) != (b.KEV != nil) {
		return a.KEV != nil
	}
	return a.Severity > b.Severity
}

// reasons turns the groups into what the verdict says, strictest and worst
// first, within the limits of a verdict.
func (j *judge) reasons() (reasons []esclusa.Reason, exempted []esclusa.Exempted) {
	groups := make([]*group, 0, len(j.groups))
	for _, g := range j.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, order)
	rest := map[int]*esclusa.Reason{}
	var ruleOrder []int
	for _, g := range groups {
		if g.key.exception >= 0 {
			if len(exempted) < maxReasons {
				e := &j.policy.Exceptions[g.key.exception]
				exempted = append(exempted, esclusa.Exempted{
					Reason: j.reason(g), Owner: clean(e.Owner, 100), Because: clean(e.Reason, 300), Until: e.Expires.End(),
				})
			}
			continue
		}
		if len(reasons) < maxReasons {
			reasons = append(reasons, j.reason(g))
			continue
		}
		r := rest[g.key.rule]
		if r == nil {
			r = &esclusa.Reason{Rule: j.policy.Rules[g.key.rule].Name, Decision: g.key.decision}
			rest[g.key.rule] = r
			ruleOrder = append(ruleOrder, g.key.rule)
		}
		r.Count += g.count
	}
	for _, i := range ruleOrder {
		r := rest[i]
		r.Message = "And " + plural(r.Count, "more match") + " of this rule; the report lists them."
		reasons = append(reasons, *r)
	}
	return reasons, exempted
}

func order(a, b *group) int {
	if c := strictness(b.key.decision) - strictness(a.key.decision); c != 0 {
		return c
	}
	if fa, fb := a.first.Finding, b.first.Finding; fa != nil && fb != nil {
		if worse(fa, fb) {
			return -1
		}
		if worse(fb, fa) {
			return 1
		}
	}
	return cmp.Or(
		cmp.Compare(a.key.rule, b.key.rule), cmp.Compare(b.count, a.count),
		cmp.Compare(a.key.a, b.key.a), cmp.Compare(a.key.b, b.key.b), cmp.Compare(a.key.c, b.key.c),
		cmp.Compare(a.key.kind, b.key.kind), cmp.Compare(a.key.exception, b.key.exception), cmp.Compare(a.key.note, b.key.note),
	)
}

// reason writes one group for people, in at most maxReason bytes of JSON.
func (j *judge) reason(g *group) esclusa.Reason {
	rule := &j.policy.Rules[g.key.rule]
	r := esclusa.Reason{Rule: rule.Name, Decision: g.key.decision, Count: g.count}
	var what string
	advice := rule.Fix
	switch s := &g.first; {
	case s.Finding != nil:
		f := s.Finding
		what = j.aboutFinding(g)
		r.Finding, r.Origin = clean(f.ID, 80), esclusa.Origin(clean(string(f.Origin), 10))
		r.Place = place(f.Place)
		if p := f.Package; p != nil {
			r.Package = clean(p.Name+" "+p.Version, 120)
			if r.Place == (esclusa.Place{}) {
				r.Place = place(p.Place)
			}
		}
		r.Evidence = clean(f.Evidence, 100)
		r.Fix = fix(j.end(f))
		if f.Advice != "" && !policy.Fixed(f) {
			advice = f.Advice
		}
	case s.Gap != nil:
		what = aboutGap(g)
		r.Place, r.Evidence = place(s.Gap.Place), clean(s.Gap.Err, maxGapErr)
		advice = or(advice, s.Gap.Hint)
	case s.Feed != nil:
		what = aboutFeeds(g)
	default:
		what = aboutImage(rule, s)
	}
	r.Message = sentences(what, j.noteText(g), rule.Message, advice)
	if g.key.exception < 0 && g.key.decision == esclusa.Deny {
		r.Exception = j.snippet(g)
	}
	return fit(r)
}

// doMark begins the sentence that says what to do.
const doMark = " Do: "

// maxGapErr is the size of a gap's error where a reason shows it.
const maxGapErr = 200

// sentences joins what is not empty: facts, note, the rule's own words, and
// what to do.
func sentences(what, note, message, advice string) string {
	out := clean(what, 300) + "."
	if note != "" {
		out += " " + clean(note, 160) + "."
	}
	if message != "" {
		out += " " + strings.TrimSuffix(clean(message, 240), ".") + "."
	}
	if advice != "" {
		out += doMark + ended(clean(advice, 280))
	}
	return out
}

// ended is a sentence with its full stop; one that was cut has its ellipsis.
func ended(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

func (j *judge) aboutFinding(g *group) string {
	f := g.first.Finding
	names := g.idNames()
	pkg := ""
	if f.Package != nil {
		pkg = clean(f.Package.Name, 60) + " " + clean(f.Package.Version, 40)
		if n := len(g.packages); n > 1 {
			short := make([]string, 0, 3)
			for _, p := range g.packages[:min(3, n)] {
				short = append(short, clean(p, 40))
			}
			pkg = strings.Join(short, ", ")
			if n > 3 {
				pkg += " and more"
			}
		}
	}
	var b strings.Builder
	b.Grow(160)
	switch f.Kind {
	case esclusa.KindVulnerability:
		b.WriteString(rated(f) + " " + names + " in " + or(pkg, "an unnamed package"))
		if f.KEV != nil {
			b.WriteString(", exploited (CISA KEV)")
		}
		b.WriteString(j.fixAge(f))
	case esclusa.KindMaliciousPackage:
		fmt.Fprintf(&b, "%s is a malicious package (%s)", or(pkg, "an unnamed package"), names)
	case esclusa.KindMalware:
		fmt.Fprintf(&b, "malware %s in %s", names, places(g))
	case esclusa.KindSecret:
		fmt.Fprintf(&b, "secret %s in %s", names, places(g))
	default:
		fmt.Fprintf(&b, "%s %s %s", rated(f), clean(string(f.Kind), 40), names)
		if f.Title != "" {
			b.WriteString(": " + clean(f.Title, 100))
		}
	}
	if f.Deleted {
		b.WriteString("; a higher layer deletes it, and whoever can pull the image can still read it")
	}
	return upperFirst(b.String())
}

// idNames are the first three ids and the number of the others.
func (g *group) idNames() string {
	ids := make([]string, 0, 3)
	for _, id := range g.ids[:min(3, len(g.ids))] {
		ids = append(ids, clean(id, 50))
	}
	return list(ids, len(g.ids)+g.others)
}

func rated(f *esclusa.Finding) string {
	if f.Severity == esclusa.SeverityUnknown {
		return "unrated"
	}
	return f.Severity.String()
}

func places(g *group) string {
	path := cleanEnd(or(g.first.Finding.Path, "an unknown place"), 100)
	if g.count > 1 {
		return path + " and " + plural(g.count-1, "more place")
	}
	return path
}

func upperFirst(s string) string {
	if s != "" && 'a' <= s[0] && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}

func (j *judge) fixAge(f *esclusa.Finding) string {
	switch {
	case !policy.Fixed(f):
		return "; no fix is out yet"
	case f.Fix.Since.IsZero():
		return "; a fix is out"
	}
	days := int(j.now.Sub(f.Fix.Since) / (24 * time.Hour))
	if days < 0 {
		return "; the fix is dated " + date(f.Fix.Since)
	}
	if days == 0 {
		return "; the fix came out today"
	}
	return "; a fix is out for " + plural(days, "day")
}

func (j *judge) noteText(g *group) string {
	switch g.key.note {
	case inGrace:
		return "In its grace period: denied from " + date(g.until)
	case unfixed:
		return "Its grace period begins when a fix is out"
	case inBase:
		return "It is already in BASE" + prefixed(" ", j.facts.base.ref)
	case undated:
		return "The source does not say when the fix came out, so no grace period counts"
	case failed:
		return "The condition of the rule could not be evaluated"
	}
	return ""
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

var hides = map[esclusa.GapScope]string{
	esclusa.GapLayer: "all or the rest of a layer", esclusa.GapSystem: "all packages of one kind",
	esclusa.GapFeed: "an advisory source", esclusa.GapFile: "a file", esclusa.GapItem: "one entry",
}

func aboutGap(g *group) string {
	whats := make([]string, 0, 3)
	for _, w := range g.ids[:min(3, len(g.ids))] {
		whats = append(whats, clean(w, 60))
	}
	// What is listed are kinds of gap; how many places they are in is another
	// number, said where it differs.
	kinds := len(g.ids)
	if g.others > 0 {
		kinds = len(g.ids) + g.others
	}
	s := fmt.Sprintf("not examined: %s (hides %s)", list(whats, kinds), or(hides[g.first.Gap.Scope], "an unknown part"))
	if g.count > kinds {
		s += ", in " + plural(g.count, "place")
	}
	return upperFirst(s)
}

func aboutFeeds(g *group) string {
	short := make([]string, 0, fewIDs)
	for _, n := range g.ids {
		short = append(short, clean(n, 30))
	}
	s := "Advisory source " + list(short, len(g.ids)+g.others)
	if g.count > 1 {
		return "Advisory sources " + list(short, len(g.ids)+g.others) + " are old or in doubt"
	}
	if g.first.Feed.Date.IsZero() {
		return s + " has no date"
	}
	return s + " last said something on " + date(g.first.Feed.Date)
}

func aboutImage(rule *policy.Rule, s *policy.Subject) string {
	var what []string
	if q := rule.Image; q != nil {
		if is := q.Root; is != nil {
			what = append(what, map[bool]string{true: "starts as root", false: "does not start as root"}[*is])
		}
		if q.EndOfLife != nil && *q.EndOfLife {
			what = append(what, fmt.Sprintf("is built on %s %s, which had its last security fixes on %s",
				clean(s.Image.Distro.ID, 20), clean(s.Image.Distro.Version, 20), date(s.Image.Distro.EndOfLife)))
		}
		if q.OlderThan != nil {
			built := "was built on " + date(s.Image.Created)
			if s.Image.Created.IsZero() {
				built = "does not say when it was built"
			}
			what = append(what, built)
		}
		if m := missing(q, s.Image); m != nil {
			what = append(what, "has no label "+clean(strings.Join(m, ", "), 80))
		}
	}
	if what == nil {
		what = append(what, "matches rule "+rule.Name)
	}
	return "The image " + strings.Join(what, " and ")
}

func place(p esclusa.Place) esclusa.Place {
	return esclusa.Place{Layer: esclusa.Digest(clean(string(p.Layer), 140)), Path: cleanEnd(p.Path, 140), Line: p.Line}
}

// fix is the fix as a reason shows it. A command that is cut would be another
// command, so one that is too long or not plain is left out.
func fix(f *esclusa.Fix) *esclusa.Fix {
	if f == nil || f.Version == "" && f.Command == "" {
		return nil
	}
	out := &esclusa.Fix{Version: clean(f.Version, 60), Since: f.Since}
	if c := clean(f.Command, 200); c == f.Command {
		out.Command = c
	}
	return out
}

// snippet is an exception ready to be pasted: the owner and the reason are
// for a person to fill in, so it does not parse before.
func (j *judge) snippet(g *group) string {
	f := g.first.Finding
	var parts []string
	add := func(key, val string) bool {
		if c := clean(val, 80); c != val || val == "" {
			return false
		}
		parts = append(parts, key+": "+quote(val))
		return true
	}
	switch {
	case f != nil && len(g.ids) == 1:
		add("id", g.ids[0])
	case f != nil && g.others == 0:
		var ids []string
		for _, id := range g.ids {
			if clean(id, 40) == id {
				ids = append(ids, quote(id))
			}
		}
		parts = append(parts, "ids: ["+strings.Join(ids, ", ")+"]")
	}
	switch {
	case f != nil && f.Package != nil:
		if len(g.packages) == 1 && add("package", f.Package.Name) && g.others > 0 {
			add("version", f.Package.Version)
		}
	case f != nil && g.count == 1:
		add("path", f.Path)
	case g.first.Gap != nil:
		add("gap", g.first.Gap.What)
	case g.first.Feed != nil && g.count == 1:
		add("feed", g.first.Feed.Name)
	}
	parts = append(parts, "rule: "+quote(j.policy.Rules[g.key.rule].Name))
	if name := imageName(j.facts.Image.Ref); !add("image", name) {
		return ""
	}
	return "- {" + strings.Join(parts, ", ") + ", owner: , reason: , created: " + date(j.now) +
		", expires: " + date(j.now.Add(30*24*time.Hour)) + "}"
}

// imageName is a reference without tag and digest.
func imageName(ref string) string {
	name, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// quote writes a text as a YAML value: plain where that is safe.
func quote(s string) string {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_./+", c) >= 0) {
			return "'" + strings.ReplaceAll(s, "'", "''") + "'"
		}
	}
	return s
}

// maxReason is the size of one reason in JSON: an admission answer, an event
// or a header must be able to carry it.
const maxReason = 1024

// fit takes away what helps least until the reason is small enough. The rule,
// the decision, the finding's id and the package always stay.
func fit(r esclusa.Reason) esclusa.Reason {
	if roughly(&r) <= maxReason {
		return r
	}
	for _, shrink := range []func(){
		func() {},
		func() { r.Evidence = clean(r.Evidence, 40) },
		func() { r.Exception = "" },
		func() { r.Place.Path = cleanEnd(r.Place.Path, 80) },
		func() { r.Message = clean(r.Message, 400) },
		func() { r.Evidence = "" },
		func() { r.Message = clean(r.Message, 240) },
		func() {
			if r.Fix != nil {
				r.Fix.Command = ""
			}
		},
		func() { r.Place = esclusa.Place{Layer: r.Place.Layer} },
	} {
		shrink()
		if b, err := json.Marshal(r); err == nil && len(b) <= maxReason {
			return r
		}
	}
	return r
}

// roughly is an upper bound of the reason's size in JSON that needs no JSON:
// most reasons are far below the limit.
func roughly(r *esclusa.Reason) int {
	n := 400 // keys, punctuation, numbers and times
	for _, s := range []string{
		r.Rule, r.Message, r.Finding, r.Package, string(r.Place.Layer), r.Place.Path, string(r.Origin), r.Evidence, r.Exception,
	} {
		n += jsonLen(s)
	}
	if r.Fix != nil {
		n += jsonLen(r.Fix.Version) + jsonLen(r.Fix.Command)
	}
	return n
}
