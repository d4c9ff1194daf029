// Package github writes workflow commands (::error …::), which a GitHub run
// shows as annotations without a token, a permission or a further step. The
// alerts of the Security tab are sarif's; the dependency graph's are
// cyclonedx's.
//
// GitHub shows ten errors, ten warnings and ten notices of a step. So a
// package is one annotation with all that its upgrade ends, and the order is
// the order in which to fix. The rest is in the log.
//
// It never writes the job summary: that is a file of the runner, and a format
// writes where it is told to.
//
// Start with Write.
package github

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes workflow commands.
type Format struct{}

func (Format) Name() string { return "github" }

const (
	maxTitle = 200
	maxText  = 2000
	// maxIDs is how many ids stand in one annotation; 64 KB of text are
	// shown.
	maxIDs = 500
)

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	p := page{out: bufio.NewWriter(w), source: r.Image.Kind == esclusa.TargetSource}
	steps := report.Plan(r.Findings)
	p.summary(r, &steps)
	for _, f := range steps.Threats {
		p.finding(f)
	}
	p.gaps(r.Gaps, true)
	for _, u := range steps.Upgrades {
		p.upgrade(u)
	}
	for _, f := range steps.Settings {
		p.finding(f)
	}
	p.gaps(r.Gaps, false)
	for _, u := range steps.Unfixed {
		p.upgrade(u)
	}
	for _, f := range steps.Notices {
		p.finding(f)
	}
	p.suppressed(steps.Suppressed)
	return p.out.Flush()
}

type page struct {
	out    *bufio.Writer
	source bool // the paths are the repository's
}

// command writes one. A path is named only where the repository has it:
// GitHub takes an annotation to the file that it names.
func (p *page) command(level string, at esclusa.Place, title, text string) {
	var props []string
	if file, _, _ := strings.Cut(at.Path, "!/"); p.source && file != "" {
		props = append(props, "file="+property(report.Text(file, maxText)))
		if at.Line > 0 {
			props = append(props, fmt.Sprintf("line=%d", at.Line))
		}
	}
	props = append(props, "title="+property(report.Text(title, maxTitle)))
	fmt.Fprintf(p.out, "::%s %s::%s\n", level, strings.Join(props, ","), data(text))
}

// data and property escape as the runner unescapes. "##[" is the runner's old
// form of a command, and it looks for it anywhere in a line.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", "##[", "## [").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C", "##[", "## [").Replace(s)
}

func level(s esclusa.Severity) string {
	switch s {
	case esclusa.SeverityCritical, esclusa.SeverityHigh:
		return "error"
	case esclusa.SeverityLow, esclusa.SeverityNone:
		return "notice"
	}
	return "warning" // what nobody rated is not harmless
}

// summary is the first line: what was looked at, how much was found and how
// much was not looked at.
func (p *page) summary(r *esclusa.Report, s *report.Steps) {
	level, title := "notice", "esclusa: "+r.Image.Ref
	if v := r.Verdict; v != nil {
		title = "esclusa: " + v.Decision.String() + " " + r.Image.Ref
		switch v.Decision {
		case esclusa.Warn:
			level = "warning"
		case esclusa.Deny, esclusa.Undecided:
			level = "error"
		}
	}
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{len(s.Threats), "to remove"},
		{len(s.Upgrades), "to upgrade"},
		{len(s.Settings), "to change"},
		{len(s.Unfixed), "without a fix"},
		{len(s.Notices), "good to know"},
		{len(s.Suppressed), "ruled out by VEX"},
		{len(r.Gaps), "not examined"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	text := strings.Join(parts, ", ")
	if text == "" {
		text = "nothing found, everything examined"
	}
	if r.Verdict != nil {
		for _, reason := range r.Verdict.Reasons {
			if reason.Decision >= esclusa.Warn {
				text += "\n" + report.Text(reason.Message, maxText)
			}
		}
	}
	p.command(level, esclusa.Place{}, title, text)
}

// upgrade is one annotation, or several where the ids are many.
func (p *page) upgrade(u *report.Upgrade) {
	name := u.Package.SourceName() + " " + u.Package.SourceVersion()
	title := fmt.Sprintf("%s: %s", u.Worst(), report.Text(name, maxTitle/2))
	if u.Fix != "" {
		title += fmt.Sprintf(" → %s ends %d", report.Text(u.Fix, 60), len(u.Findings))
	} else {
		title += fmt.Sprintf(" has %d without a fix", len(u.Findings))
	}
	if n := u.Exploited(); n > 0 {
		title += fmt.Sprintf(", %d exploited", n)
	}
	var tail []string
	if u.Command != "" {
		tail = append(tail, "$ "+report.Text(u.Command, maxText))
	}
	if names := u.Binaries(); len(names) > 0 {
		tail = append(tail, "installed as "+report.Text(strings.Join(names, ", "), maxText))
	}
	if len(u.Paths) > 0 {
		tail = append(tail, "in "+report.Text(strings.Join(u.Paths[:min(3, len(u.Paths))], ", "), maxText))
		if n := len(u.Paths) - 3; n > 0 {
			tail[len(tail)-1] += fmt.Sprintf(" and %d more", n)
		}
	}
	if u.Origin != "" {
		tail = append(tail, "from "+layers(u.Origin))
	}
	first := esclusa.Place{}
	if len(u.Paths) > 0 {
		first.Path = u.Paths[0]
	}
	for at := 0; at < len(u.Findings); at += maxIDs {
		ids := make([]string, 0, maxIDs)
		for _, f := range u.Findings[at:min(at+maxIDs, len(u.Findings))] {
			ids = append(ids, id(f))
		}
		p.command(level(u.Worst()), first, title, strings.Join(append([]string{strings.Join(ids, ", ")}, tail...), "\n"))
	}
}

func layers(o esclusa.Origin) string {
	if o == esclusa.OriginBase {
		return "the base image"
	}
	return "your own layers"
}

// id has what makes it matter today.
func id(f *esclusa.Finding) string {
	s := report.Text(f.ID, maxTitle)
	var why []string
	if f.KEV != nil {
		why = append(why, "exploited")
	}
	if f.Reach == esclusa.ReachAbsent {
		why = append(why, "not linked in")
	}
	if len(why) > 0 {
		s += " (" + strings.Join(why, ", ") + ")"
	}
	return s
}

func (p *page) finding(f *esclusa.Finding) {
	title := f.Severity.String() + ": "
	if f.Kind == esclusa.KindNotice {
		title = ""
	}
	if f.Package != nil {
		title += report.Text(f.Package.Name+" "+f.Package.Version, maxTitle/2) + ", "
	}
	switch {
	case f.Title != "":
		title += f.Title
	default:
		title += f.ID
	}
	lines := []string{report.Text(f.ID, maxTitle) + where(f)}
	for _, s := range []string{f.Evidence, f.Advice} {
		if s != "" {
			lines = append(lines, report.Text(s, maxText))
		}
	}
	mark := level(f.Severity)
	if f.Kind == esclusa.KindNotice {
		mark = "notice"
	}
	p.command(mark, f.Place, title, strings.Join(lines, "\n"))
}

func where(f *esclusa.Finding) string {
	if f.Path == "" {
		return ""
	}
	s := " in " + report.Text(f.Path, maxText)
	if f.Line > 0 {
		s += fmt.Sprintf(":%d", f.Line)
	}
	if f.Layer != "" {
		s += ", layer " + report.Text(f.Layer.Short(), 20)
	}
	if f.Deleted {
		s += ", deleted by a later layer: it can still be pulled"
	}
	return s
}

// gaps that hide a layer or a package system come early, the others late.
func (p *page) gaps(gs []esclusa.Gap, wide bool) {
	for i := range gs {
		g := &gs[i]
		if wide != (g.Scope == esclusa.GapSystem || g.Scope == esclusa.GapLayer) {
			continue
		}
		text := report.Text(g.String(), maxText)
		if g.Hint != "" {
			text += "\nhint: " + report.Text(g.Hint, maxText)
		}
		level := "warning"
		if wide {
			level = "error"
		}
		p.command(level, g.Place, "not examined: "+g.What, text)
	}
}

// suppressed stand in the log, folded. No line begins with what is not ours.
func (p *page) suppressed(fs []*esclusa.Finding) {
	if len(fs) == 0 {
		return
	}
	fmt.Fprintf(p.out, "::group::%d ruled out by VEX\n", len(fs))
	for _, f := range fs {
		line := "- " + report.Text(f.ID, maxTitle)
		if f.Package != nil {
			line += " in " + report.Text(f.Package.Name+" "+f.Package.Version, maxTitle)
		}
		line += ": " + report.Text(string(f.VEX.Status)+" "+f.VEX.Justification, maxTitle)
		if !f.VEX.At.IsZero() {
			line += ", " + report.UTC(f.VEX.At).Format(time.DateOnly)
		}
		fmt.Fprintln(p.out, strings.ReplaceAll(line, "##[", "## ["))
	}
	fmt.Fprintln(p.out, "::endgroup::")
}
