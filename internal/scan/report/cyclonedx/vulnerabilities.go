package cyclonedx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// sameFlaw is what findings share that are one entry with several components:
// the binary packages of one source.
type sameFlaw struct {
	kind       esclusa.FindingKind
	id, vector string
	severity   esclusa.Severity
	score      float64
	fix, vex   string
	reach      esclusa.Reachability
	source     string
	origin     esclusa.Origin
	layer      esclusa.Digest
}

// vulnerabilities are the findings in their order; those of one flaw in the
// packages of one source are one entry.
func (b *builder) vulnerabilities() []vulnerability {
	out := []vulnerability{}
	at := map[sameFlaw]int{}
	for i := range b.report.Findings {
		f := &b.report.Findings[i]
		ref := b.root
		if f.Package != nil {
			ref = b.ref(f.Package)
			key := sameFlaw{
				kind: f.Kind, id: f.ID, vector: f.Vector, severity: f.Severity, score: f.Score, reach: f.Reach,
				source: f.Package.SourceName() + " " + f.Package.SourceVersion(), origin: f.Origin, layer: f.Layer,
			}
			if f.Fix != nil {
				key.fix = f.Fix.Version + "\n" + f.Fix.Command
			}
			if f.VEX != nil {
				key.vex = strings.Join([]string{string(f.VEX.Status), f.VEX.Justification, f.VEX.Statement, f.VEX.Author}, "\n")
			}
			if n, ok := at[key]; ok {
				out[n].affect(f, ref)
				continue
			}
			at[key] = len(out)
		}
		v := b.vulnerability(f)
		v.affect(f, ref)
		out = append(out, v)
	}
	return out
}

func (v *vulnerability) affect(f *esclusa.Finding, ref string) {
	if slices.ContainsFunc(v.Affects, func(a affected) bool { return a.Ref == ref }) {
		return
	}
	a := affected{Ref: ref}
	if f.Package != nil && f.Package.Version != "" {
		status := "affected"
		if f.Suppressed() {
			status = "unaffected"
		}
		a.Versions = []affectedVersion{{Version: report.Text(f.Package.Version, 1024), Status: status}}
	}
	v.Affects = append(v.Affects, a)
}

func (b *builder) vulnerability(f *esclusa.Finding) vulnerability {
	id := report.Text(f.ID, maxName)
	v := vulnerability{
		Ref: b.unique("esclusa:finding:" + id), ID: id, Source: sourceOf(f.ID, f.URL),
		Description: report.Text(f.Title, maxText), Detail: report.Text(f.Evidence, maxText),
		Ratings: ratings(f), Analysis: analysisOf(f), Affects: []affected{},
	}
	for _, a := range f.Aliases {
		if a != "" {
			v.References = append(v.References, reference{ID: report.Text(a, maxName), Source: *sourceOf(a, "")})
		}
	}
	v.References = unique(v.References)
	if u := report.Link(f.URL); u != "" {
		v.Advisories = []advisory{{URL: u}}
	}
	if !f.Published.IsZero() {
		v.Published = report.UTC(f.Published).Format(time.RFC3339)
	}
	v.Recommendation = report.Text(recommendation(f), maxText)
	v.Properties = findingProperties(f)
	return v
}

func unique(rs []reference) []reference {
	var out []reference
	for _, r := range rs {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

func recommendation(f *esclusa.Finding) string {
	if f.Fix == nil || f.Fix.Version == "" {
		return f.Advice
	}
	s := "upgrade to " + f.Fix.Version
	if f.Package != nil {
		s = "upgrade " + f.Package.Name + " to " + f.Fix.Version
	}
	if f.Fix.Command != "" {
		s += ": " + f.Fix.Command
	}
	if f.Advice != "" {
		s += "\n" + f.Advice
	}
	return s
}

// sourceOf names who gives out ids of this form.
func sourceOf(id, url string) *source {
	name := "esclusa"
	for _, s := range [...][2]string{
		{"CVE-", "CVE Program"},
		{"GHSA-", "GitHub Advisory Database"},
		{"GO-", "Go Vulnerability Database"},
		{"RUSTSEC-", "RustSec"},
		{"PYSEC-", "PyPA"},
		{"MAL-", "OpenSSF Malicious Packages"},
		{"OSV-", "OSV"},
		{"DSA-", "Debian"},
		{"DLA-", "Debian"},
		{"DEBIAN-", "Debian"},
		{"USN-", "Ubuntu"},
		{"UBUNTU-", "Ubuntu"},
		{"RHSA-", "Red Hat"},
		{"ALSA-", "AlmaLinux"},
		{"RLSA-", "Rocky Linux"},
		{"ALPINE-", "Alpine Linux"},
		{"SUSE-", "SUSE"},
		{"openSUSE-", "openSUSE"},
		{"BIT-", "Bitnami"},
		{"CGA-", "Chainguard"},
	} {
		if strings.HasPrefix(id, s[0]) {
			name = s[1]
		}
	}
	return &source{Name: name, URL: report.Link(url)}
}

// ratings are the word that counts first, then the CVSS score; one entry
// where they say the same.
func ratings(f *esclusa.Finding) []rating {
	word := rating{Severity: f.Severity.String(), Method: "other"}
	if f.Vector == "" || !(f.Score >= 0 && f.Score <= 10) {
		return []rating{word}
	}
	score := f.Score
	scored := rating{
		Score: &score, Severity: esclusa.SeverityOf(score).String(), Method: method(f.Vector), Vector: report.Text(f.Vector, 500),
	}
	if scored.Severity == word.Severity {
		return []rating{scored}
	}
	return []rating{word, scored}
}

func method(vector string) string {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		return "CVSSv4"
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		return "CVSSv31"
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		return "CVSSv3"
	}
	return "CVSSv2"
}

// analysisOf is the VEX statement. Only the justifications that mean the same
// in both vocabularies are translated; the supplier's own word is in the
// detail.
func analysisOf(f *esclusa.Finding) *analysis {
	if f.VEX == nil {
		return nil
	}
	a := &analysis{}
	switch f.VEX.Status {
	case esclusa.VEXNotAffected:
		a.State = "not_affected"
	case esclusa.VEXFixed:
		a.State = "resolved"
	case esclusa.VEXAffected:
		a.State = "exploitable"
	default:
		a.State = "in_triage"
	}
	switch f.VEX.Justification {
	case "component_not_present", "vulnerable_code_not_present":
		a.Justification = "code_not_present"
	case "vulnerable_code_not_in_execute_path":
		a.Justification = "code_not_reachable"
	case "inline_mitigations_already_exist":
		a.Justification = "protected_by_mitigating_control"
	}
	var parts []string
	for _, s := range []string{f.VEX.Justification, f.VEX.Statement, f.VEX.Author, f.VEX.Document} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	a.Detail = report.Text(strings.Join(parts, "; "), maxText)
	if !f.VEX.At.IsZero() {
		a.Updated = report.UTC(f.VEX.At).Format(time.RFC3339)
	}
	return a
}

func findingProperties(f *esclusa.Finding) properties {
	var ps properties
	ps.add("kind", string(f.Kind))
	ps.add("advisory", f.Advisory)
	ps.add("origin", string(f.Origin))
	ps.add("layer", string(f.Layer))
	if f.Path != "" {
		path := f.Path
		if f.Line > 0 {
			path += ":" + strconv.Itoa(f.Line)
		}
		ps.add("path", path)
	}
	ps.add("reach", string(f.Reach))
	if f.Deleted {
		ps.add("deleted", "true")
	}
	if report.HasEPSS(f) {
		ps.add("epss", strconv.FormatFloat(f.EPSS, 'f', -1, 64))
	}
	if k := f.KEV; k != nil {
		ps.add("kev", fmt.Sprintf("added %s", report.UTC(k.Added).Format(time.DateOnly)))
		if !k.Due.IsZero() {
			ps.add("kevDue", report.UTC(k.Due).Format(time.DateOnly))
		}
		if k.Ransomware {
			ps.add("kevRansomware", "true")
		}
	}
	if f.Fix != nil {
		ps.add("fixedIn", f.Fix.Version)
	}
	return ps
}
