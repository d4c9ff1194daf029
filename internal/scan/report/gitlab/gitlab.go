// Package gitlab writes GitLab's container scanning report (its schema
// 15.2.4): the artefact container_scanning of a CI job, which GitLab shows in
// merge requests and in its vulnerability report.
//
// The schema knows packages only. A secret or a setting is still in the
// report, with its path in the place of the package: a merge request that
// shows nothing would read as clean. A VEX statement is a flag, a gap is a
// message of the scan.
//
// Start with Write.
package gitlab

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/cvss"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes the report.
type Format struct{}

func (Format) Name() string { return "gitlab" }

// Limits of the schema, in characters; maxText is ours.
const (
	maxName     = 255
	maxSolution = 7000
	maxText     = 8000
)

const schemaVersion = "15.2.4"

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	name, version := report.ToolName(r)
	tool := scanner{ID: name, Name: name, URL: "https://github.com/esclusa/esclusa", Version: version, Vendor: vendor{"esclusa"}}
	d := document{
		Schema:          "https://gitlab.com/gitlab-org/security-products/security-report-schemas/-/raw/v" + schemaVersion + "/dist/container-scanning-report-format.json",
		Version:         schemaVersion,
		Vulnerabilities: []vulnerability{},
		Scan: scan{
			Analyzer: tool, Scanner: tool, Type: "container_scanning", Status: "success",
			Start: stamp(r.Start.At), End: stamp(report.Finished(r)), Messages: messages(r),
		},
	}
	prints := report.Fingerprints(r.Findings)
	for i := range r.Findings {
		d.Vulnerabilities = append(d.Vulnerabilities, vulnerabilityOf(r, &r.Findings[i], prints[i]))
	}
	return report.WriteJSON(w, d)
}

// stamp has no zone: the schema says UTC.
func stamp(t time.Time) string { return report.UTC(t).Format("2006-01-02T15:04:05") }

func messages(r *esclusa.Report) []scanMessage {
	var out []scanMessage
	for i := range r.Gaps {
		g := &r.Gaps[i]
		text := "not examined (" + string(g.Scope) + "): " + g.String()
		if g.Hint != "" {
			text += " (hint: " + g.Hint + ")"
		}
		out = append(out, scanMessage{"warn", report.Text(text, maxText)})
	}
	return out
}

func vulnerabilityOf(r *esclusa.Report, f *esclusa.Finding, print string) vulnerability {
	v := vulnerability{
		ID: report.UUID(print), Name: nameOf(f), Description: description(f), Severity: severity(f.Severity),
		Solution: report.Text(solution(f), maxSolution), Identifiers: identifiers(f), Location: locationOf(r, f),
		Details: details(f), Vectors: vectors(f),
	}
	if u := report.Link(f.URL); u != "" {
		v.Links = []link{{URL: u}}
	}
	if f.Suppressed() {
		v.Flags = []flag{{"flagged-as-likely-false-positive", origin(f.VEX), vexText(f.VEX)}}
	}
	return v
}

func origin(s *esclusa.VEXStatement) string {
	if a := report.Text(s.Author, maxName); a != "" {
		return a
	}
	return "VEX"
}

func vexText(s *esclusa.VEXStatement) string {
	parts := []string{string(s.Status)}
	for _, p := range []string{s.Justification, s.Statement} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return report.Text("VEX: "+strings.Join(parts, ": "), maxText)
}

// nameOf has no version and no path: the schema forbids what is specific.
func nameOf(f *esclusa.Finding) string {
	switch {
	case f.Title != "" && f.Kind != esclusa.KindVulnerability:
		return report.Text(f.Title, maxName)
	case f.Package != nil:
		return report.Text(f.ID+" in "+f.Package.Name, maxName)
	}
	return report.Text(f.ID, maxName)
}

func description(f *esclusa.Finding) string {
	var parts []string
	if f.Title != "" {
		parts = append(parts, report.Text(f.Title, maxText))
	}
	if f.KEV != nil {
		parts = append(parts, "Exploited: in CISA's catalogue since "+report.UTC(f.KEV.Added).Format(time.DateOnly)+".")
	}
	if f.Evidence != "" {
		parts = append(parts, "Seen: "+report.Text(f.Evidence, maxText))
	}
	if f.Deleted {
		parts = append(parts, "A later layer deleted it; whoever pulls the image can still read it.")
	}
	return markdown(strings.Join(parts, " "))
}

// markdown takes the meaning from what an advisory's author, or an image,
// could mark up: GitLab renders the text.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("\\`*_{}[]<>#|!~&@$%^", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func solution(f *esclusa.Finding) string {
	if f.Fix == nil || f.Fix.Version == "" {
		return f.Advice
	}
	s := "Upgrade to " + f.Fix.Version
	if f.Package != nil {
		s = "Upgrade " + f.Package.Name + " from " + f.Package.Version + " to " + f.Fix.Version
	}
	if f.Fix.Command != "" {
		s += ": " + f.Fix.Command
	}
	return s
}

func severity(s esclusa.Severity) string {
	switch s {
	case esclusa.SeverityCritical:
		return "Critical"
	case esclusa.SeverityHigh:
		return "High"
	case esclusa.SeverityMedium:
		return "Medium"
	case esclusa.SeverityLow:
		return "Low"
	case esclusa.SeverityNone:
		return "Info"
	}
	return "Unknown"
}

// identifiers has the primary one first: with the place it is what GitLab
// recognises a vulnerability by.
func identifiers(f *esclusa.Finding) []identifier {
	var out []identifier
	seen := map[string]bool{}
	for i, id := range append([]string{f.ID}, f.Aliases...) {
		id = cmp.Or(report.Text(id, maxName), report.Text(string(f.Kind), maxName), "finding")
		if seen[id] {
			continue
		}
		seen[id] = true
		one := identifier{Type: identifierType(f.Kind, id), Name: id, Value: id}
		if one.Type == "cve" {
			one.URL = report.Link("https://www.cve.org/CVERecord?id=" + id)
		} else if i == 0 {
			one.URL = report.Link(f.URL)
		}
		out = append(out, one)
	}
	return out
}

func identifierType(k esclusa.FindingKind, id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "CVE", "GHSA", "RHSA", "USN", "ELSA", "DSA":
		return strings.ToLower(prefix)
	}
	switch k {
	case esclusa.KindVulnerability, esclusa.KindMaliciousPackage, esclusa.KindNotice:
		return "osv"
	}
	return "esclusa"
}

func locationOf(r *esclusa.Report, f *esclusa.Finding) location {
	l := location{System: "unknown", Image: "unknown"}
	if d := r.Image.Distro; d.ID != "" {
		l.System = report.Text(strings.TrimRight(d.ID+":"+d.Version, ":"), maxName)
	}
	if ref := report.Text(r.Image.Ref, maxText); ref != "" {
		l.Image = ref
	}
	if p := f.Package; p != nil {
		l.Dependency = dependency{pkg{report.Text(p.Name, maxText)}, report.Text(p.Version, maxText)}
		return l
	}
	path := f.Path
	if path == "" {
		path = "image configuration"
	}
	l.Dependency = dependency{Package: pkg{report.Text(path, maxText)}}
	return l
}

// details are shown as a list below the description.
func details(f *esclusa.Finding) map[string]detail {
	d := map[string]detail{}
	add := func(key, name, value string) {
		if value != "" {
			d[key] = detail{Name: name, Type: "value", Value: report.Text(value, maxText)}
		}
	}
	path := f.Path
	if path != "" && f.Line > 0 {
		path += fmt.Sprintf(":%d", f.Line)
	}
	add("kind", "Kind", string(f.Kind))
	add("path", "Path", path)
	add("layer", "Layer", string(f.Layer))
	add("origin", "Comes from", string(f.Origin))
	add("reach", "Vulnerable code", string(f.Reach))
	if f.Package != nil {
		add("purl", "Package URL", f.Package.PURL)
	}
	if f.KEV != nil {
		add("exploited", "Exploited since", report.UTC(f.KEV.Added).Format(time.DateOnly))
	}
	if report.HasEPSS(f) {
		add("epss", "EPSS", fmt.Sprintf("%.2f %%", 100*f.EPSS))
	}
	return d
}

// vectors has the vector only if it is one: the whole report would be refused.
func vectors(f *esclusa.Finding) []vector {
	limit := 128
	if strings.HasPrefix(f.Vector, "CVSS:4.0/") {
		limit = 256
	}
	v := strings.Trim(f.Vector, "()")
	if _, err := cvss.Score(v); err != nil || len(v) < 16 || len(v) > limit {
		return nil
	}
	return []vector{{Vendor: "unknown", Vector: v}}
}
