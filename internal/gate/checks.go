package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// check is one plain field of a rule: ok says whether it is absent or holds,
// got says what the subject has, for Explain. They are tables of functions
// without state, so that judging allocates nothing and Explain reads the same
// truth.
type check[Q any] struct {
	name string
	ok   func(q *Q, s *policy.Subject) bool
	got  func(s *policy.Subject) string
}

// failing is the first check that does not hold, nil when all do.
func failing[Q any](checks []check[Q], q *Q, s *policy.Subject) *check[Q] {
	for i := range checks {
		if !checks[i].ok(q, s) {
			return &checks[i]
		}
	}
	return nil
}

// matches is failing with a trace: subjects that fail exactly one check are
// the nearest misses. A finding of another kind is no miss.
func matches[Q any](t *Trace, checks []check[Q], q *Q, s *policy.Subject) bool {
	t.consider()
	if t == nil {
		return failing(checks, q, s) == nil
	}
	var miss *check[Q]
	misses := 0
	for i := range checks {
		if !checks[i].ok(q, s) {
			misses++
			miss = &checks[i]
		}
	}
	if misses == 1 && miss.name != "kind" {
		t.near(s, miss.name+" is "+miss.got(s))
	}
	return misses == 0
}

func is(want *bool, got bool) bool { return want == nil || *want == got }

func compare(c *policy.Compare, x float64) bool { return c == nil || c.Holds(x) }

func any1[T interface{ Of(*esclusa.Finding) bool }](words []T, f *esclusa.Finding) bool {
	return len(words) == 0 || slices.ContainsFunc(words, func(w T) bool { return w.Of(f) })
}

func pattern(ps policy.Patterns, s string) bool { return len(ps) == 0 || ps.Match(s) }

func yes(b bool) string { return fmt.Sprint(b) }

// findingChecks begin with those that fail most often and cost least.
var findingChecks = []check[policy.Finding]{
	{"kind", func(q *policy.Finding, s *policy.Subject) bool {
		return len(q.Kinds) == 0 || slices.Contains(q.Kinds, policy.Kind(s.Finding.Kind))
	}, func(s *policy.Subject) string { return string(s.Finding.Kind) }},
	{"severity", func(q *policy.Finding, s *policy.Subject) bool {
		return q.Severity == 0 || q.Severity.Has(s.Finding.Severity)
	}, func(s *policy.Subject) string { return s.Finding.Severity.String() }},
	{
		"exploited", func(q *policy.Finding, s *policy.Subject) bool { return is(q.Exploited, s.Finding.KEV != nil) },
		func(s *policy.Subject) string { return yes(s.Finding.KEV != nil) },
	},
	{"ransomware", func(q *policy.Finding, s *policy.Subject) bool {
		return is(q.Ransomware, s.Finding.KEV != nil && s.Finding.KEV.Ransomware)
	}, func(s *policy.Subject) string { return yes(s.Finding.KEV != nil && s.Finding.KEV.Ransomware) }},
	{
		"fixed", func(q *policy.Finding, s *policy.Subject) bool { return is(q.Fixed, policy.Fixed(s.Finding)) },
		func(s *policy.Subject) string { return yes(policy.Fixed(s.Finding)) },
	},
	{
		"reach", func(q *policy.Finding, s *policy.Subject) bool { return any1(q.Reach, s.Finding) },
		func(s *policy.Subject) string { return or(string(s.Finding.Reach), "unknown") },
	},
	{
		"origin", func(q *policy.Finding, s *policy.Subject) bool { return any1(q.Origin, s.Finding) },
		func(s *policy.Subject) string { return or(string(s.Finding.Origin), "unknown") },
	},
	{
		"deleted", func(q *policy.Finding, s *policy.Subject) bool { return is(q.Deleted, s.Finding.Deleted) },
		func(s *policy.Subject) string { return yes(s.Finding.Deleted) },
	},
	{
		"score", func(q *policy.Finding, s *policy.Subject) bool { return compare(q.Score, s.Finding.Score) },
		func(s *policy.Subject) string { return fmt.Sprint(s.Finding.Score) },
	},
	{"epss", func(q *policy.Finding, s *policy.Subject) bool {
		return q.EPSS == nil || s.Finding.EPSS >= 0 && q.EPSS.Holds(s.Finding.EPSS)
	}, func(s *policy.Subject) string { return fmt.Sprint(s.Finding.EPSS) }},
	{"package type", func(q *policy.Finding, s *policy.Subject) bool {
		return len(q.Types) == 0 || s.Finding.Package != nil && q.Types.Match(s.Finding.Package.Type)
	}, func(s *policy.Subject) string { return packageType(s.Finding) }},
	{"package", func(q *policy.Finding, s *policy.Subject) bool {
		return len(q.Packages) == 0 || s.Finding.Package != nil &&
			(q.Packages.Match(s.Finding.Package.Name) || q.Packages.Match(s.Finding.Package.SourceName()))
	}, func(s *policy.Subject) string { return or(packageName(s.Finding), "none") }},
	{
		"id", func(q *policy.Finding, s *policy.Subject) bool { return len(q.IDs) == 0 || q.IDs.MatchID(s.Finding) },
		func(s *policy.Subject) string { return s.Finding.ID },
	},
	{
		"path", func(q *policy.Finding, s *policy.Subject) bool { return pattern(q.Paths, s.Finding.Path) },
		func(s *policy.Subject) string { return or(s.Finding.Path, "none") },
	},
}

var gapChecks = []check[policy.Gap]{
	{"scope", func(q *policy.Gap, s *policy.Subject) bool {
		return len(q.Scopes) == 0 || slices.Contains(q.Scopes, policy.Scope(s.Gap.Scope))
	}, func(s *policy.Subject) string { return string(s.Gap.Scope) }},
	{
		"what", func(q *policy.Gap, s *policy.Subject) bool { return pattern(q.What, s.Gap.What) },
		func(s *policy.Subject) string { return s.Gap.What },
	},
	{
		"path", func(q *policy.Gap, s *policy.Subject) bool { return pattern(q.Paths, s.Gap.Path) },
		func(s *policy.Subject) string { return or(s.Gap.Path, "none") },
	},
}

var feedChecks = []check[policy.Feed]{
	{
		"name", func(q *policy.Feed, s *policy.Subject) bool { return pattern(q.Names, s.Feed.Name) },
		func(s *policy.Subject) string { return s.Feed.Name },
	},
	{
		"date", func(q *policy.Feed, s *policy.Subject) bool { return older(q.OlderThan, s.Feed.Date, s.Now) },
		func(s *policy.Subject) string { return date(s.Feed.Date) },
	},
}

var imageChecks = []check[policy.Image]{
	{
		"image", func(q *policy.Image, s *policy.Subject) bool { return len(q.Refs) == 0 || q.Refs.MatchImage(s.Image) },
		func(s *policy.Subject) string { return s.Image.Ref },
	},
	{"distribution", func(q *policy.Image, s *policy.Subject) bool {
		return pattern(q.Distros, s.Image.Distro.ID+":"+s.Image.Distro.Version)
	}, func(s *policy.Subject) string { return s.Image.Distro.ID + ":" + s.Image.Distro.Version }},
	{
		"root", func(q *policy.Image, s *policy.Subject) bool { return is(q.Root, policy.Root(s.Image)) },
		func(s *policy.Subject) string { return yes(policy.Root(s.Image)) },
	},
	{"endOfLife", func(q *policy.Image, s *policy.Subject) bool {
		return is(q.EndOfLife, policy.EndOfLife(s.Image, s.Now))
	}, func(s *policy.Subject) string { return yes(policy.EndOfLife(s.Image, s.Now)) }},
	{
		"date", func(q *policy.Image, s *policy.Subject) bool { return older(q.OlderThan, s.Image.Created, s.Now) },
		func(s *policy.Subject) string { return date(s.Image.Created) },
	},
	{"labels", func(q *policy.Image, s *policy.Subject) bool {
		return len(q.MissingLabels) == 0 || missing(q, s.Image) != nil
	}, func(s *policy.Subject) string { return "complete" }},
}

// missing are the labels that an image does not have.
func missing(q *policy.Image, img *esclusa.Image) []string {
	var out []string
	for _, l := range q.MissingLabels {
		if strings.TrimSpace(img.Config.Labels[l]) == "" {
			out = append(out, l)
		}
	}
	return out
}

// older says whether a date is longer ago than a span; no date is.
func older(span *policy.Span, t, now time.Time) bool {
	return span == nil || t.IsZero() || now.Sub(t) > time.Duration(*span)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func date(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.DateOnly)
}

func packageName(f *esclusa.Finding) string {
	if f.Package == nil {
		return ""
	}
	return f.Package.Name
}

func packageType(f *esclusa.Finding) string {
	if f.Package == nil {
		return "none"
	}
	return f.Package.Type
}
