package table

import (
	"fmt"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// threats are never cut short: nothing ends them but a person. What is the
// same in many places, and ends in the same way, is one row.
func (p *page) threats(fs []*esclusa.Finding) {
	rows := alike(fs)
	p.section("Remove", len(rows), "malicious, planted or leaked", 2*shown, func(i int) {
		same := rows[i]
		f := same[0]
		text := what(f)
		if len(same) > 1 {
			text += ", in " + thousands(len(same)) + " places"
		}
		p.wrap("  "+p.severity(f.Severity)+" ", indent, text)
		for j, f := range same {
			if j == fewPlaces && len(same) > fewPlaces+1 && !p.all {
				p.wrap(indent, indent, fmt.Sprintf("and %s more (--all lists them)", thousands(len(same)-j)))
				break
			}
			p.wrap(indent, indent+"  ", where(f))
			if f.Evidence != "" {
				p.wrap(indent+"  ", indent+"  ", clean(f.Evidence))
			}
		}
		if f.Advice != "" {
			p.wrap(indent, indent, clean(f.Advice))
		}
	})
}

// fewPlaces is how many places of one threat are shown.
const fewPlaces = 3

// alike joins findings that differ in nothing but their place, in the order
// of the first of each.
func alike(fs []*esclusa.Finding) [][]*esclusa.Finding {
	type key struct {
		severity             esclusa.Severity
		id, title, pkg, what string
	}
	at := map[key]int{}
	var rows [][]*esclusa.Finding
	for _, f := range fs {
		k := key{severity: f.Severity, id: f.ID, title: f.Title, what: f.Advice}
		if f.Package != nil {
			k.pkg = f.Package.Name + " " + f.Package.Version
		}
		i, ok := at[k]
		if !ok {
			i = len(rows)
			at[k] = i
			rows = append(rows, nil)
		}
		rows[i] = append(rows[i], f)
	}
	return rows
}

// what is the trouble in words, with the name to look it up or except it.
func what(f *esclusa.Finding) string {
	s := clean(f.ID)
	if f.Title != "" {
		s = clean(f.Title) + " (" + s + ")"
	}
	if f.Package != nil {
		s = clean(f.Package.Name+" "+f.Package.Version) + ": " + s
	}
	return s
}

func where(f *esclusa.Finding) string {
	s := "in the image configuration"
	if f.Path != "" {
		s = "at " + f.Path
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
	return clean(s)
}

// upgrades are the table of what newer versions end.
func (p *page) upgrades(us []*report.Upgrade) {
	p.section("Upgrade", len(us), "the first matter most", shown, func(i int) {
		u := us[i]
		right := fmt.Sprintf("ends %s", thousands(len(u.Findings)))
		if n := u.Exploited(); n > 0 {
			right += fmt.Sprintf(", %d exploited", n)
		}
		p.row(u.Worst(), clean(fmt.Sprintf("%s %s → %s", u.Package.SourceName(), u.Package.SourceVersion(), u.Fix)), remark(right, u))
		p.wrap(indent, indent, p.ids(u.Findings))
		p.installed(u)
		p.command(u.Command)
	})
}

func remark(s string, u *report.Upgrade) string {
	if u.Origin == "" {
		return s
	}
	return strings.TrimPrefix(s+", "+report.Text(string(u.Origin), 20), ", ")
}

// installed says where the package is. The database of a distribution's
// packages is no place to look; the names of what the source was built into
// are.
func (p *page) installed(u *report.Upgrade) {
	switch u.Package.Type {
	case "deb", "apk", "rpm":
		if names := u.Binaries(); len(names) > 0 {
			p.wrap(indent, indent, "installed as "+p.some(names))
		}
	default:
		if len(u.Paths) > 0 {
			p.wrap(indent, indent, "in "+p.some(u.Paths))
		}
	}
}

// some is the first few of a list, or all.
func (p *page) some(list []string) string {
	const most = 3
	n := len(list)
	if !p.all && n > most+1 {
		list = list[:most]
	}
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = clean(s)
	}
	if more := n - len(list); more > 0 {
		parts = append(parts, fmt.Sprintf("and %s more", thousands(more)))
	}
	return strings.Join(parts, ", ")
}

// ids names the first few findings, with what makes them matter today.
func (p *page) ids(fs []*esclusa.Finding) string {
	const most = 3
	var parts []string
	for i, f := range fs {
		if i == most && len(fs) > most+1 && !p.all {
			parts = append(parts, fmt.Sprintf("and %s more", thousands(len(fs)-i)))
			break
		}
		s := clean(f.ID)
		var why []string
		if f.KEV != nil {
			why = append(why, p.in(red, "exploited since "+f.KEV.Added.Format(time.DateOnly)))
		}
		if f.EPSS >= 0.1 && report.HasEPSS(f) {
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
func (p *page) unfixed(us []*report.Upgrade) {
	p.section("No fix yet", len(us), "guard or replace", shown, func(i int) {
		u := us[i]
		p.row(u.Worst(), clean(u.Package.SourceName()+" "+u.Package.SourceVersion()), remark("", u))
		p.wrap(indent, indent, p.ids(u.Findings))
		p.installed(u)
	})
}

// settings are the misconfigurations.
func (p *page) settings(fs []*esclusa.Finding) {
	p.section("Change", len(fs), "how the image is built and starts", shown, func(i int) {
		f := fs[i]
		text := what(f)
		if f.Path != "" {
			text += clean(" at " + f.Path)
			if f.Line > 0 {
				text += fmt.Sprintf(":%d", f.Line)
			}
		}
		p.wrap("  "+p.severity(f.Severity)+" ", indent, text)
		if f.Advice != "" {
			p.wrap(indent, indent, clean(f.Advice))
		}
	})
}

// notices need no action today.
func (p *page) notices(fs []*esclusa.Finding) {
	p.section("Good to know", len(fs), "no flaws", 5, func(i int) {
		p.wrap("  ", "    ", what(fs[i]))
	})
}

// suppressed are counted in the last lines, and listed on demand.
func (p *page) suppressed(fs []*esclusa.Finding) {
	if !p.all {
		return
	}
	p.section("Ruled out by VEX", len(fs), "the supplier's word", shown, func(i int) {
		f := fs[i]
		text := what(f) + ": " + strings.ReplaceAll(string(f.VEX.Status), "_", " ")
		if f.VEX.Author != "" {
			text += ", says " + f.VEX.Author
		}
		p.wrap("  ", "    ", clean(text))
	})
}
