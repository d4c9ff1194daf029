// Package table writes the report for a person at a terminal: grouped by what
// to do, in the order in which to do it, 80 columns wide. A command is never
// cut: it can be copied as it stands.
//
// Start with Write.
package table

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes the table.
type Format struct{}

func (Format) Name() string { return "table" }

// shown is how many rows a section has before it ends in a count.
const shown = 15

// minWidth is the narrowest page that is still read.
const minWidth = 40

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, o report.Options) error {
	if o.Width <= 0 {
		o.Width = 80
	}
	p := &page{out: bufio.NewWriter(w), width: max(minWidth, o.Width), color: o.Color, all: o.All}
	steps := report.Plan(r.Findings)
	p.head(r)
	p.threats(steps.Threats)
	p.upgrades(steps.Upgrades)
	p.settings(steps.Settings)
	p.unfixed(steps.Unfixed)
	p.notices(steps.Notices)
	p.suppressed(steps.Suppressed)
	p.gaps(r.Gaps)
	p.foot(r, len(steps.Suppressed))
	return p.out.Flush()
}

// head says what was looked at.
func (p *page) head(r *esclusa.Report) {
	img := &r.Image
	name := clean(img.Ref)
	if columns(name) <= p.width {
		name = p.in(bold, name)
	}
	p.wrap("", "", name)
	var facts []string
	add := func(s string) {
		if s != "" {
			facts = append(facts, clean(s))
		}
	}
	if img.Distro.ID != "" {
		add(strings.TrimSpace(img.Distro.ID + " " + img.Distro.Version))
	}
	add(img.Platform)
	if img.Digest != "" {
		add("sha256:" + img.Digest.Short())
	}
	if len(img.Layers) > 0 {
		add(layers(img.Layers))
	}
	add(plural(len(r.Packages), "package"))
	p.wrap("", "", strings.Join(facts, ", "))
	if img.BaseName != "" {
		base := "base: " + img.BaseName
		if img.BaseBy != "" {
			base += " (" + img.BaseBy + ")"
		}
		p.wrap("", "", clean(base))
	}
}

func layers(ls []esclusa.Layer) string {
	base := 0
	for i := range ls {
		if ls[i].Origin == esclusa.OriginBase {
			base++
		}
	}
	s := plural(len(ls), "layer")
	if base > 0 {
		s += fmt.Sprintf(" (%d base)", base)
	}
	return s
}

// gaps lists what could not be looked at: never left out, wide ones first.
func (p *page) gaps(gs []esclusa.Gap) {
	p.section("Not examined", len(gs), "unknown is not clean", shown, func(i int) {
		g := &gs[i]
		text := clean(g.String())
		if g.Scope == esclusa.GapSystem || g.Scope == esclusa.GapLayer {
			text = p.in(red, "a whole "+string(g.Scope)+":") + " " + text
		}
		p.wrap("  ", "    ", text)
		// What ten feeds need is said once.
		again := i+1 < len(gs) && gs[i+1].Hint == g.Hint && (p.all || i+1 != shown)
		if g.Hint != "" && !again {
			p.wrap("    hint: ", "    ", clean(g.Hint))
		}
	})
}

// foot says how much it is in all, and how old the knowledge is.
func (p *page) foot(r *esclusa.Report, suppressed int) {
	fmt.Fprintln(p.out)
	p.wrap("", "  ", total(r, suppressed))
	if newest, oldest := dates(r.Feeds); !newest.IsZero() {
		span := "dated " + oldest.Format(time.DateOnly)
		if to := newest.Format(time.DateOnly); to != oldest.Format(time.DateOnly) {
			span += " to " + to
		}
		p.wrap("", "  ", fmt.Sprintf("advisories of %s, %s", plural(len(r.Feeds), "source"), span))
	}
	if v := r.Verdict; v != nil {
		p.wrap("", "  ", clean("verdict: "+v.Decision.String()+", by policy "+v.Policy))
	}
	p.wrap("", "  ", p.in(faint, took(r)))
}

// total is one sentence. Nothing found is good news only where all was
// examined.
func total(r *esclusa.Report, suppressed int) string {
	n, by, exploited, base, fixable := 0, map[esclusa.Severity]int{}, 0, 0, 0
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Suppressed() || f.Kind == esclusa.KindNotice {
			continue
		}
		n++
		by[f.Severity]++
		if f.KEV != nil {
			exploited++
		}
		if f.Origin == esclusa.OriginBase {
			base++
		}
		if f.Fix != nil && f.Fix.Version != "" {
			fixable++
		}
	}
	s := plural(n, "finding")
	switch {
	case n == 0 && len(r.Gaps) == 0:
		s = "nothing found"
	case n == 0:
		s = "nothing found in what could be examined"
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{exploited, "exploited"},
		{by[esclusa.SeverityCritical], "critical"},
		{by[esclusa.SeverityHigh], "high"},
		{by[esclusa.SeverityMedium], "medium"},
		{by[esclusa.SeverityLow], "low"},
		{by[esclusa.SeverityNone], "without effect"},
		{by[esclusa.SeverityUnknown], "not rated"},
		{base, "from the base image"},
		{fixable, "end by upgrading"},
		{suppressed, "ruled out by VEX"},
	} {
		if c.n > 0 {
			parts = append(parts, thousands(c.n)+" "+c.what)
		}
	}
	if len(parts) > 0 {
		s += ": " + strings.Join(parts, ", ")
	}
	return s
}

func took(r *esclusa.Report) string {
	s := "took " + r.End.Took.Round(time.Millisecond).String()
	if n := r.End.LayersRead + r.End.LayersCached; n > 1 {
		s += fmt.Sprintf(", %d of %d layers from the cache", r.End.LayersCached, n)
	}
	return s
}

func dates(fs []esclusa.Feed) (newest, oldest time.Time) {
	for i := range fs {
		d := fs[i].Date
		if d.IsZero() {
			continue
		}
		if d.After(newest) {
			newest = d
		}
		if oldest.IsZero() || d.Before(oldest) {
			oldest = d
		}
	}
	return newest, oldest
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
