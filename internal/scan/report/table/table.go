// Package table writes the report for a person at a terminal: grouped by what
// to do, in the order in which to do it, 80 columns wide.
//
// Start with Write.
package table

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes the table.
type Format struct{}

func (Format) Name() string { return "table" }

// shown is how many rows a section has before it ends in a count.
const shown = 15

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, o report.Options) error {
	if o.Width <= 0 {
		o.Width = 80
	}
	p := &page{out: bufio.NewWriter(w), width: o.Width, color: o.Color, all: o.All}
	p.head(r)
	g := group(r.Findings)
	p.threats(g.threats)
	p.upgrades(g.upgrades)
	p.unfixed(g.unfixed)
	p.settings(g.settings)
	p.rest(g)
	p.gaps(r.Gaps)
	p.foot(r, g)
	return p.out.Flush()
}

// page is the sheet that is written on.
type page struct {
	out   *bufio.Writer
	width int
	color bool
	all   bool
}

// paint is an ANSI colour.
type paint string

const (
	red    paint = "31"
	yellow paint = "33"
	bold   paint = "1"
	faint  paint = "2"
)

func (p *page) in(c paint, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// line writes one line, cut to the page.
func (p *page) line(format string, args ...any) {
	fmt.Fprintln(p.out, clip(fmt.Sprintf(format, args...), p.width))
}

func (p *page) title(s string) {
	fmt.Fprintln(p.out)
	fmt.Fprintln(p.out, p.in(bold, s))
}

// head says what was looked at.
func (p *page) head(r *esclusa.Report) {
	fmt.Fprintln(p.out, p.in(bold, clip(clean(r.Image.Ref), p.width)))
	var facts []string
	add := func(s string) {
		if s != "" {
			facts = append(facts, clean(s))
		}
	}
	if d := r.Image.Distro; d.ID != "" {
		add(strings.TrimSpace(d.ID + " " + d.Version))
	}
	add(r.Image.Platform)
	add(string(shortDigest(r.Image.Digest)))
	if n := len(r.Image.Layers); n > 0 {
		add(layers(r.Image.Layers))
	}
	add(plural(len(r.Packages), "package"))
	p.wrap("", "", strings.Join(facts, ", "))
	if r.Image.BaseName != "" {
		p.wrap("", "", clean("base: "+r.Image.BaseName+" (told by "+r.Image.BaseBy+")"))
	}
}

func layers(ls []esclusa.Layer) string {
	base := 0
	for _, l := range ls {
		if l.Origin == esclusa.OriginBase {
			base++
		}
	}
	s := plural(len(ls), "layer")
	if base > 0 {
		s += fmt.Sprintf(" (%d base)", base)
	}
	return s
}

func shortDigest(d esclusa.Digest) string {
	if d == "" {
		return ""
	}
	return "sha256:" + d.Short()
}

// gaps lists what could not be looked at: never left out, wide ones first.
func (p *page) gaps(gs []esclusa.Gap) {
	if len(gs) == 0 {
		return
	}
	p.title(fmt.Sprintf("Not examined (%d): unknown is not clean", len(gs)))
	for i, g := range gs {
		if i == shown && !p.all {
			p.line("  and %d more (--all lists them)", len(gs)-i)
			return
		}
		text := clean(g.String())
		if g.Scope == esclusa.GapSystem || g.Scope == esclusa.GapLayer {
			text = p.in(red, string(g.Scope)) + " " + text
		}
		p.wrap("  ", "    ", text)
		if g.Hint != "" {
			p.wrap("    hint: ", "    ", clean(g.Hint))
		}
	}
}

// foot says how much it is in all, and how old the knowledge is.
func (p *page) foot(r *esclusa.Report, g groups) {
	fmt.Fprintln(p.out)
	counts := count(r.Findings)
	s := plural(counts.total, "finding")
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{counts.exploited, "exploited"},
		{counts.by[esclusa.SeverityCritical], "critical"}, {counts.by[esclusa.SeverityHigh], "high"},
		{counts.by[esclusa.SeverityMedium], "medium"}, {counts.by[esclusa.SeverityLow], "low"},
		{counts.base, "from the base image"}, {counts.fixable, "end by upgrading"},
		{g.suppressed, "ruled out by VEX"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(parts) > 0 {
		s += ": " + strings.Join(parts, ", ")
	}
	p.wrap("", "  ", s)
	if newest, oldest := dates(r.Feeds); !newest.IsZero() {
		p.wrap("", "  ", fmt.Sprintf("advisories of %s sources, dated %s to %s", fmt.Sprint(len(r.Feeds)), oldest.Format(time.DateOnly), newest.Format(time.DateOnly)))
	}
	p.line("%s", p.in(faint, took(r)))
}

func took(r *esclusa.Report) string {
	s := "took " + r.End.Took.Round(time.Millisecond).String()
	if n := r.End.LayersRead + r.End.LayersCached; n > 1 {
		s += fmt.Sprintf(", %d of %d layers from the cache", r.End.LayersCached, n)
	}
	return s
}

func dates(fs []esclusa.Feed) (newest, oldest time.Time) {
	for _, f := range fs {
		if f.Date.IsZero() {
			continue
		}
		if f.Date.After(newest) {
			newest = f.Date
		}
		if oldest.IsZero() || f.Date.Before(oldest) {
			oldest = f.Date
		}
	}
	return newest, oldest
}

// wrap writes words with a first and a further indent.
func (p *page) wrap(first, further, text string) {
	line := first
	empty := true
	for _, w := range strings.Fields(text) {
		if !empty && visible(line)+1+visible(w) > p.width {
			fmt.Fprintln(p.out, line)
			line, empty = further, true
		}
		if !empty {
			line += " "
		}
		line += w
		empty = false
	}
	fmt.Fprintln(p.out, line)
}

// visible is how many columns a string takes, without colours.
func visible(s string) int {
	n, esc := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			esc = true
		case esc:
			esc = r != 'm'
		default:
			n++
		}
	}
	return n
}

// clip cuts a line that has no colours to a number of columns.
func clip(s string, width int) string {
	if strings.ContainsRune(s, '\x1b') || utf8.RuneCountInString(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, width-1)]) + "…"
}

// clean takes what a terminal would obey out of outside text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", thousands(n), what)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
