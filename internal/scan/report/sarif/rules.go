package sarif

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// ruleID is never empty and of printable text.
func ruleID(f *esclusa.Finding) string {
	return cmp.Or(report.Text(f.ID, 255), report.Text(string(f.Kind), 50), "finding")
}

// rulesOf makes one rule of all findings with one ID, in the order of the
// findings. The severity is the worst: it is the rule's in SARIF.
func rulesOf(fs []esclusa.Finding) ([]rule, map[string]int) {
	rules, index := []rule{}, map[string]int{}
	var worst []*esclusa.Finding
	for i := range fs {
		f := &fs[i]
		n, ok := index[ruleID(f)]
		switch {
		case !ok:
			index[ruleID(f)] = len(worst)
			worst = append(worst, f)
		case f.Severity > worst[n].Severity || f.Severity == worst[n].Severity && f.Score > worst[n].Score:
			worst[n] = f
		}
	}
	for _, f := range worst {
		rules = append(rules, ruleOf(f))
	}
	return rules, index
}

func ruleOf(f *esclusa.Finding) rule {
	title := report.Text(f.Title, maxTitle)
	if title == "" {
		title = kindText(f.Kind) + " " + ruleID(f)
	}
	r := rule{
		ID: ruleID(f), Name: ruleName(f.Kind),
		Short: message{Text: title}, Full: message{Text: title},
		Help: help(f), HelpURI: report.Link(f.URL), Default: configuration{Level: level(f)},
		Properties: ruleProperties{
			Tags: []string{"security", report.Text(string(f.Kind), 50), f.Severity.String()}, Precision: precision(f.Kind), Severity: score(f),
		},
	}
	return r
}

// ruleName is the kind as an identifier, as SARIF has it (3.49.7).
func ruleName(k esclusa.FindingKind) string {
	var b strings.Builder
	for part := range strings.SplitSeq(report.Text(string(k), 50), "-") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

func kindText(k esclusa.FindingKind) string {
	return strings.ReplaceAll(report.Text(string(k), 50), "-", " ")
}

func precision(k esclusa.FindingKind) string {
	if k == esclusa.KindSecret || k == esclusa.KindMalware {
		return "high"
	}
	return "very-high"
}

// score is what GitHub derives its word from: over 9.0 is critical, from 7.0
// high, from 4.0 medium. It is the CVSS score only where that says the same
// word as the finding: the word of the distribution counts. None at all says
// that nobody rated it.
func score(f *esclusa.Finding) string {
	if f.Score > 0 && esclusa.SeverityOf(f.Score) == f.Severity && f.Severity != esclusa.SeverityCritical {
		return strconv.FormatFloat(f.Score, 'f', 1, 64)
	}
	switch f.Severity {
	case esclusa.SeverityCritical:
		return strconv.FormatFloat(min(10, max(9.1, f.Score)), 'f', 1, 64)
	case esclusa.SeverityHigh:
		return "8.0"
	case esclusa.SeverityMedium:
		return "5.5"
	case esclusa.SeverityLow:
		return "2.0"
	case esclusa.SeverityNone:
		return "0.0"
	}
	return ""
}

// help is what stands beside an alert: names, what matters today, what to do.
// It is of the rule, so it names no place and no version installed.
func help(f *esclusa.Finding) multiformat {
	var lines []string
	add := func(key, value string) {
		if value != "" {
			lines = append(lines, key+": "+report.Text(value, maxTitle))
		}
	}
	add("Kind", kindText(f.Kind))
	add("Severity", f.Severity.String())
	if f.Vector != "" {
		add("CVSS", fmt.Sprintf("%.1f %s", f.Score, f.Vector))
	}
	add("Also known as", strings.Join(f.Aliases, ", "))
	add("Advisory", f.Advisory)
	if f.KEV != nil {
		add("Exploited", "in CISA's catalogue since "+report.UTC(f.KEV.Added).Format(time.DateOnly))
	}
	if report.HasEPSS(f) {
		add("EPSS", fmt.Sprintf("%.2f %%", 100*f.EPSS))
	}
	if f.Fix != nil {
		add("Fixed in", f.Fix.Version)
	}
	add("What to do", f.Advice)
	add("More", f.URL)
	marked := make([]string, len(lines))
	for i, l := range lines {
		key, value, _ := strings.Cut(l, ": ")
		marked[i] = "**" + key + "**: " + markdown(value)
	}
	return multiformat{Text: strings.Join(lines, "\n"), Markdown: strings.Join(marked, "  \n")}
}

// markdown takes the meaning from what an advisory's author, or an image,
// could mark up: no picture, link or HTML of theirs on the page.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>#|!~&@", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func findingProperties(f *esclusa.Finding) map[string]any {
	p := map[string]any{"kind": f.Kind, "severity": f.Severity.String()}
	set := func(key string, value string) {
		if value != "" {
			p[key] = report.Text(value, maxTitle)
		}
	}
	set("advisory", f.Advisory)
	set("origin", string(f.Origin))
	set("layer", string(f.Layer))
	set("reach", string(f.Reach))
	set("vector", f.Vector)
	if f.Package != nil {
		set("purl", f.Package.PURL)
		set("version", f.Package.Version)
	}
	if f.Fix != nil {
		set("fixedIn", f.Fix.Version)
		set("command", f.Fix.Command)
	}
	if f.KEV != nil {
		p["exploitedSince"] = report.UTC(f.KEV.Added).Format(time.DateOnly)
	}
	if report.HasEPSS(f) {
		p["epss"] = f.EPSS
	}
	if f.Deleted {
		p["deleted"] = true
	}
	if len(f.Aliases) > 0 {
		names := slices.Clone(f.Aliases)
		for i := range names {
			names[i] = report.Text(names[i], 255)
		}
		p["aliases"] = names
	}
	if f.VEX != nil {
		set("vex", string(f.VEX.Status))
	}
	return p
}

func imageProperties(r *esclusa.Report) map[string]any {
	p := map[string]any{"imageName": report.Text(r.Image.Ref, maxTitle), "packages": len(r.Packages)}
	set := func(key, value string) {
		if value != "" {
			p[key] = report.Text(value, maxTitle)
		}
	}
	set("imageDigest", string(r.Image.Digest))
	set("imageID", string(r.Image.ID))
	set("platform", r.Image.Platform)
	set("baseName", r.Image.BaseName)
	set("baseDigest", string(r.Image.BaseDigest))
	if d := r.Image.Distro; d.ID != "" {
		set("distro", strings.TrimSpace(d.ID+" "+d.Version))
	}
	if r.Verdict != nil {
		set("verdict", r.Verdict.Decision.String())
		set("policy", r.Verdict.Policy)
	}
	return p
}
