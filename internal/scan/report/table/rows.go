package table

import (
	"fmt"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// threats are one row each: nothing ends them but a person.
func (p *page) threats(fs []esclusa.Finding) {
	if len(fs) == 0 {
		return
	}
	p.title("Remove (" + fmt.Sprint(len(fs)) + "): malicious, leaked or planted")
	for i := range fs {
		if i == 2*shown && !p.all {
			p.line("  and %d more (--all lists them)", len(fs)-i)
			return
		}
		p.threat(&fs[i])
	}
}

func (p *page) threat(f *esclusa.Finding) {
	what := clean(f.ID)
	if f.Title != "" {
		what += ": " + clean(f.Title)
	}
	if f.Package != nil {
		what = clean(f.Package.Name+" "+f.Package.Version) + ", " + what
	}
	p.wrap("  "+p.severity(f.Severity)+" ", "    ", what)
	p.wrap("    at ", "    ", clean(where(f)))
	if f.Evidence != "" {
		p.wrap("    ", "    ", clean(f.Evidence))
	}
	if f.Advice != "" {
		p.wrap("    ", "    ", clean(f.Advice))
	}
}

func where(f *esclusa.Finding) string {
	s := f.Path
	if s == "" {
		s = "the image configuration"
	}
	if f.Line > 0 {
		s += fmt.Sprintf(":%d", f.Line)
	}
	if f.Layer != "" {
		s += ", layer " + f.Layer.Short()
	}
	if f.Origin != "" {
		s += " (" + string(f.Origin) + ")"
	}
	if f.Deleted {
		s += ", deleted by a later layer: it can still be pulled"
	}
	return s
}

// upgrades are the table of what newer versions end.
func (p *page) upgrades(us []*upgrade) {
	if len(us) == 0 {
		return
	}
	p.title(fmt.Sprintf("Upgrade (%d), what matters most first", len(us)))
	for i, u := range us {
		if i == shown && !p.all {
			n := 0
			for _, r := range us[i:] {
				n += len(r.findings)
			}
			p.line("  and %s that end %d (--all lists them)", plural(len(us)-i, "upgrade"), n)
			return
		}
		p.upgrade(u)
	}
}

func (p *page) upgrade(u *upgrade) {
	right := fmt.Sprintf("ends %d", len(u.findings))
	if n := u.exploited(); n > 0 {
		right += fmt.Sprintf(", %d exploited", n)
	}
	if u.origin != "" {
		right += ", " + string(u.origin)
	}
	left := fmt.Sprintf("%s %s → %s", u.pkg.SourceName(), u.pkg.SourceVersion(), u.fix)
	p.row(u.worst(), clean(left), right)
	p.wrap("           ", "           ", p.ids(u.findings))
	if u.command != "" {
		p.wrap("           $ ", "             ", clean(u.command))
	} else if u.pkg.Path != "" {
		p.wrap("           ", "           ", clean("in "+u.pkg.Path))
	}
}

// row writes a severity, a text and a right-hand remark; the remark goes on a
// line of its own where both do not fit.
func (p *page) row(s esclusa.Severity, left, right string) {
	room := p.width - 11
	if visible(left)+2+visible(right) <= room {
		fmt.Fprintf(p.out, "  %s %s%s%s\n", p.severity(s), left, strings.Repeat(" ", room-visible(left)-visible(right)), right)
		return
	}
	p.wrap("  "+p.severity(s)+" ", "           ", left)
	fmt.Fprintf(p.out, "%s%s\n", strings.Repeat(" ", max(11, p.width-visible(right))), right)
}

// severity is eight columns wide.
func (p *page) severity(s esclusa.Severity) string {
	w := fmt.Sprintf("%-8s", s)
	switch {
	case s >= esclusa.SeverityHigh:
		return p.in(red, w)
	case s == esclusa.SeverityMedium:
		return p.in(yellow, w)
	}
	return w
}

// ids names the first few findings, with what makes them matter today.
func (p *page) ids(fs []esclusa.Finding) string {
	const most = 4
	var parts []string
	for i := range fs {
		if i == most && len(fs) > most+1 {
			parts = append(parts, fmt.Sprintf("and %d more", len(fs)-i))
			break
		}
		f := &fs[i]
		s := clean(f.ID)
		var why []string
		if f.KEV != nil {
			why = append(why, p.in(red, "exploited since "+f.KEV.Added.Format(time.DateOnly)))
		}
		if f.EPSS >= 0.1 {
			why = append(why, fmt.Sprintf("EPSS %.0f%%", 100*f.EPSS))
		}
		switch f.Reach {
		case esclusa.ReachLinked:
			why = append(why, "linked in")
		case esclusa.ReachAbsent:
			why = append(why, "not linked in")
		}
		if len(why) > 0 {
			s += " (" + strings.Join(why, ", ") + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// unfixed are those that wait for a fix: short, because there is nothing to do
// but to guard or to replace.
func (p *page) unfixed(us []*upgrade) {
	if len(us) == 0 {
		return
	}
	p.title(fmt.Sprintf("No fix yet (%s)", plural(len(us), "package")))
	for i, u := range us {
		if i == shown && !p.all {
			p.line("  and %d more (--all lists them)", len(us)-i)
			return
		}
		right := string(u.origin)
		p.row(u.worst(), clean(u.pkg.SourceName()+" "+u.pkg.SourceVersion()), right)
		p.wrap("           ", "           ", p.ids(u.findings))
	}
}

// settings are the misconfigurations.
func (p *page) settings(fs []esclusa.Finding) {
	if len(fs) == 0 {
		return
	}
	p.title(fmt.Sprintf("Change (%d): how the image is built and starts", len(fs)))
	for i := range fs {
		if i == shown && !p.all {
			p.line("  and %d more (--all lists them)", len(fs)-i)
			return
		}
		f := &fs[i]
		text := clean(f.Title)
		if f.Path != "" {
			text += " (" + clean(f.Path)
			if f.Line > 0 {
				text += fmt.Sprintf(":%d", f.Line)
			}
			text += ")"
		}
		p.wrap("  "+p.severity(f.Severity)+" ", "           ", text)
		if f.Advice != "" {
			p.wrap("           ", "           ", clean(f.Advice))
		}
	}
}

// rest counts what needs no action.
func (p *page) rest(g groups) {
	if len(g.notices) == 0 {
		return
	}
	p.title(fmt.Sprintf("Good to know (%d)", len(g.notices)))
	for i := range g.notices {
		if i == 5 && !p.all {
			p.line("  and %d more (--all lists them)", len(g.notices)-i)
			return
		}
		f := &g.notices[i]
		name := ""
		if f.Package != nil {
			name = f.Package.Name + " " + f.Package.Version + ": "
		}
		p.wrap("  ", "    ", clean(name+f.Title+" ("+f.ID+")"))
	}
}
