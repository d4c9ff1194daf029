package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
	"github.com/goccy/go-yaml/ast"
)

// Decision is what a rule may decide: deny or warn.
type Decision esclusa.Decision

// DecodeText implements yamlread.Scalar.
func (d *Decision) DecodeText(s string) error {
	switch s {
	case "deny":
		*d = Decision(esclusa.Deny)
	case "warn":
		*d = Decision(esclusa.Warn)
	case "allow":
		return yamlread.Hinted{Msg: "a rule cannot allow", Hint: "what no rule refuses passes; what a rule refuses passes by an exception, which has an owner and an end"}
	default:
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not deny or warn", yamlread.Clip(s, 20)), Hint: ""}
	}
	return nil
}

// Kind is a kind of finding.
type Kind esclusa.FindingKind

var kinds = []Kind{
	Kind(esclusa.KindVulnerability), Kind(esclusa.KindMaliciousPackage), Kind(esclusa.KindMalware),
	Kind(esclusa.KindSecret), Kind(esclusa.KindMisconfiguration), Kind(esclusa.KindNotice),
}

// DecodeText implements yamlread.Scalar.
func (k *Kind) DecodeText(s string) error { return yamlread.Word(k, s, kinds) }

// Reach is an answer of reachability; "unknown" is nothing proved.
type Reach string

var reaches = []Reach{"unknown", Reach(esclusa.ReachLinked), Reach(esclusa.ReachAbsent)}

// DecodeText implements yamlread.Scalar.
func (k *Reach) DecodeText(s string) error { return yamlread.Word(k, s, reaches) }

// Of says whether a finding has this answer.
func (k Reach) Of(f *esclusa.Finding) bool {
	return string(k) == string(f.Reach) || (k == "unknown" && f.Reach == esclusa.ReachUnknown)
}

// Origin says whose layer something is in.
type Origin string

var origins = []Origin{"unknown", Origin(esclusa.OriginBase), Origin(esclusa.OriginOwn)}

// DecodeText implements yamlread.Scalar.
func (o *Origin) DecodeText(s string) error { return yamlread.Word(o, s, origins) }

// Of says whether a finding has this origin.
func (o Origin) Of(f *esclusa.Finding) bool {
	return string(o) == string(f.Origin) || (o == "unknown" && f.Origin == esclusa.OriginUnknown)
}

// Scope is how much a gap hides.
type Scope esclusa.GapScope

var scopes = []Scope{
	Scope(esclusa.GapItem), Scope(esclusa.GapFile), Scope(esclusa.GapFeed),
	Scope(esclusa.GapSystem), Scope(esclusa.GapLayer),
}

// DecodeText implements yamlread.Scalar.
func (s *Scope) DecodeText(t string) error { return yamlread.Word(s, t, scopes) }

// Compare is a number with a comparison: ">= 9".
type Compare struct {
	Op    string
	Value float64
}

// DecodeText implements yamlread.Scalar.
func (c *Compare) DecodeText(s string) error {
	op, rest := operator(s)
	v, err := strconv.ParseFloat(rest, 64)
	if op == "" || err != nil || v != v {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a comparison", yamlread.Clip(s, 20)), Hint: `write it as ">= 9" or "< 0.5", in quotes`}
	}
	*c = Compare{op, v}
	return nil
}

// Holds says whether x stands in this relation.
func (c *Compare) Holds(x float64) bool {
	switch c.Op {
	case ">=":
		return x >= c.Value
	case ">":
		return x > c.Value
	case "<=":
		return x <= c.Value
	}
	return x < c.Value
}

func operator(s string) (op, rest string) {
	s = strings.TrimSpace(s)
	for _, o := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(s, o); ok {
			return o, strings.TrimSpace(rest)
		}
	}
	return "", s
}

// Severities are the severities that a rule means, one bit each.
type Severities uint8

// DecodeText implements yamlread.Scalar.
func (s *Severities) DecodeText(t string) error {
	op, w := operator(t)
	bound, err := severity(w)
	if err != nil {
		return err
	}
	c := Compare{op, float64(bound)}
	*s = 0
	for v := esclusa.SeverityUnknown; v <= esclusa.SeverityCritical; v++ {
		if v == bound && op == "" || op != "" && c.Holds(float64(v)) {
			*s |= 1 << v
		}
	}
	return nil
}

// Has says whether v is one of them.
func (s Severities) Has(v esclusa.Severity) bool { return s&(1<<uint(v)) != 0 }

var severityWords = []string{"unknown", "none", "low", "medium", "high", "critical"}

// severity takes the six words only: a policy should read the same everywhere.
func severity(w string) (esclusa.Severity, error) {
	i := slices.Index(severityWords, w)
	if i < 0 {
		return 0, yamlread.Hinted{Msg: fmt.Sprintf("unknown severity %q", yamlread.Clip(w, 20)), Hint: yamlread.DidYouMean(w, severityWords) + ` (write "high" or ">= high")`}
	}
	return esclusa.Severity(i), nil
}

// Span is a length of time in days, hours or weeks: 14d, 36h, 2w, 0d.
type Span time.Duration

const day = 24 * time.Hour

// DecodeText implements yamlread.Scalar.
func (d *Span) DecodeText(s string) error {
	units := map[byte]time.Duration{'h': time.Hour, 'd': day, 'w': 7 * day}
	bad := yamlread.Hinted{Msg: fmt.Sprintf("%q is not a length of time", yamlread.Clip(s, 20)), Hint: "write it as 14d, 36h or 2w"}
	if len(s) < 2 || units[s[len(s)-1]] == 0 {
		return bad
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	if err != nil || time.Duration(n)*units[s[len(s)-1]] > 3660*day {
		return bad
	}
	*d = Span(time.Duration(n) * units[s[len(s)-1]])
	return nil
}

func (d Span) String() string {
	t := time.Duration(d)
	if t%day == 0 {
		return fmt.Sprintf("%dd", t/day)
	}
	return fmt.Sprintf("%dh", t/time.Hour)
}

// Grace is the time that a team has from the day a fix appeared, by severity.
type Grace [esclusa.SeverityCritical + 1]Span

// decodeNode reads one span for all, or one for each severity; a severity
// that is not named has none.
// DecodeNode implements yamlread.Node.
func (g *Grace) DecodeNode(r *yamlread.Reader, n ast.Node, what string) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		var all Span
		if s, ok := r.Text(n, "grace"); ok {
			if err := all.DecodeText(s); err != nil {
				r.FailErr(yamlread.PosOf(n), fmt.Errorf("grace: %w", err))
			}
		}
		for i := range g {
			g[i] = all
		}
		return
	}
	entries, _ := r.Entries(n, "grace")
	for _, e := range entries {
		sev, err := severity(yamlread.Key(e))
		if err != nil {
			r.FailErr(yamlread.PosOf(e.Key), fmt.Errorf("grace: %w", err))
			continue
		}
		s, ok := r.Text(e.Value, "grace "+yamlread.Key(e))
		if !ok {
			continue
		}
		if err := g[sev].DecodeText(s); err != nil {
			r.FailErr(yamlread.PosOf(e.Value), fmt.Errorf("grace %s: %w", yamlread.Key(e), err))
		}
	}
}

// Date is a day in UTC, or a moment where the hour matters.
type Date struct {
	time.Time
	Day bool // written without an hour
}

// DecodeText implements yamlread.Scalar.
func (d *Date) DecodeText(s string) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		t, err := time.Parse(layout, s)
		if err == nil && t.Year() >= 2000 && t.Year() < 2200 {
			*d = Date{t.UTC(), layout == time.DateOnly}
			return nil
		}
	}
	return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a date", yamlread.Clip(s, 30)), Hint: "write it as 2026-11-24"}
}

// End is the moment after the last that the date names: a day counts whole.
func (d Date) End() time.Time {
	if d.Day {
		return d.Add(day)
	}
	return d.Time
}

// Pattern is a text where * stands for any run of characters, slashes
// included, and ? for one byte.
type Pattern string

const maxPattern = 256

// DecodeText implements yamlread.Scalar.
func (p *Pattern) DecodeText(s string) error {
	if strings.TrimSpace(s) == "" {
		return yamlread.Hinted{Msg: "a pattern is empty", Hint: ""}
	}
	if len(s) > maxPattern {
		return yamlread.Hinted{Msg: fmt.Sprintf("a pattern has %d bytes; at most %d are read", len(s), maxPattern), Hint: ""}
	}
	*p = Pattern(s)
	return nil
}

// Match says whether the whole of s fits. Its time is bounded by the product
// of the lengths.
func (p Pattern) Match(s string) bool { return p.match(s, false) }

// MatchFold is Match without regard to the case of ASCII letters: the ids of
// flaws do not differ by it; packages and paths do.
func (p Pattern) MatchFold(s string) bool { return p.match(s, true) }

func (p Pattern) match(s string, fold bool) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == s[j] || fold && lower(p[i]) == lower(s[j])):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// literal says whether the pattern holds any text of its own.
func (p Pattern) literal() bool { return strings.Trim(string(p), "*?/:@.-_ ") != "" }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Patterns are alternatives.
type Patterns []Pattern

// Match says whether any of them fits.
func (ps Patterns) Match(s string) bool {
	for _, p := range ps {
		if p.Match(s) {
			return true
		}
	}
	return false
}

// MatchID says whether any of them fits a finding's id or an alias of it.
func (ps Patterns) MatchID(f *esclusa.Finding) bool {
	for _, p := range ps {
		if p.MatchFold(f.ID) || slices.ContainsFunc(f.Aliases, p.MatchFold) {
			return true
		}
	}
	return false
}

// MatchImage says whether any of them fits the image's name, with or without
// its tag and digest: "ghcr.io/acme/*" and "ghcr.io/acme/shop" both fit
// ghcr.io/acme/shop:1.2.
func (ps Patterns) MatchImage(img *esclusa.Image) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.matchImage(img) })
}

func (p Pattern) matchImage(img *esclusa.Image) bool {
	if p.Match(img.Ref) || (img.Digest != "" && p.Match(string(img.Digest))) {
		return true
	}
	name, _, _ := strings.Cut(img.Ref, "@")
	if p.Match(name) {
		return true
	}
	// A colon after the last slash begins a tag; one before it, a port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return p.Match(name[:i])
	}
	return false
}
