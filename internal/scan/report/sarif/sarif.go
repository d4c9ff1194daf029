// Package sarif writes SARIF 2.1.0, the form that code scanning pages read
// (GitHub, Azure DevOps, editors). A finding is a result, a flaw or check is
// a rule, a VEX statement is a suppression, and a gap is a notification of the
// invocation: what hides a whole layer or package system makes the
// invocation unsuccessful.
//
// Names of results stay the same from build to build, so that an alert is
// closed when it is fixed and not when a line moves.
//
// Start with Write; rules.go has what a rule says.
package sarif

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes SARIF.
type Format struct{}

func (Format) Name() string { return "sarif" }

// Limits on texts, in characters; GitHub shows no more of a title.
const (
	maxTitle = 1000
	maxText  = 4000
)

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	name, version := report.ToolName(r)
	rules, index := rulesOf(r.Findings)
	d := document{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs: []run{{
			Tool: tool{driver{
				Name: name, Version: version, InformationURI: "https://github.com/esclusa/esclusa", Rules: rules,
			}},
			Automation:  automation{ID: "esclusa/" + category(r.Image.Ref) + "/"},
			Invocations: []invocation{invocationOf(r)},
			Bases:       map[string]location0{base(r): {Description: &message{Text: "the root of " + report.Text(r.Image.Ref, maxTitle)}}},
			Results:     results(r, index),
			Properties:  imageProperties(r),
		}},
	}
	return report.WriteJSON(w, d)
}

// base names the root that paths are relative to. Only a source folder is
// what the repository's pages show.
func base(r *esclusa.Report) string {
	if r.Image.Kind == esclusa.TargetSource {
		return "%SRCROOT%"
	}
	return "IMAGE"
}

// category keeps the results of one image apart from another's. It has no tag
// and no digest: the next build replaces the results of the last.
func category(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	if ref = strings.Trim(report.Text(ref, 200), "/"); ref == "" {
		return "image"
	}
	return ref
}

func results(r *esclusa.Report, index map[string]int) []result {
	prints := report.Fingerprints(r.Findings)
	out := make([]result, len(r.Findings))
	for i := range r.Findings {
		f := &r.Findings[i]
		out[i] = result{
			RuleID: ruleID(f), RuleIndex: index[ruleID(f)], Level: level(f), Message: message{Text: text(f)},
			Locations: []place{placeOf(r, f)},
			// GitHub compares primaryLocationLineHash alone, and makes one
			// of the file's lines where it is absent: there is no such file.
			Fingerprints: map[string]string{"primaryLocationLineHash": prints[i][:32] + ":1", "esclusa/v1": prints[i]},
			Suppressions: suppressions(f),
			Properties:   findingProperties(f),
		}
	}
	return out
}

// level is what the result's mark on a page is.
func level(f *esclusa.Finding) string {
	if f.Kind == esclusa.KindNotice {
		return "note"
	}
	switch f.Severity {
	case esclusa.SeverityCritical, esclusa.SeverityHigh:
		return "error"
	case esclusa.SeverityLow, esclusa.SeverityNone:
		return "note"
	}
	return "warning" // what nobody rated is not harmless
}

// text is the whole message: pages show it without the rule.
func text(f *esclusa.Finding) string {
	var b strings.Builder
	if p := f.Package; p != nil {
		fmt.Fprintf(&b, "%s %s: ", p.Name, p.Version)
	}
	b.WriteString(f.ID)
	if f.Title != "" {
		b.WriteString(": " + report.Text(f.Title, maxTitle))
	}
	say := func(format string, args ...any) { fmt.Fprintf(&b, ". "+format, args...) }
	if f.KEV != nil {
		say("Exploited (in CISA's catalogue since %s)", report.UTC(f.KEV.Added).Format(time.DateOnly))
	}
	if f.Evidence != "" {
		say("Seen: %s", report.Text(f.Evidence, maxTitle))
	}
	if f.Deleted {
		say("A later layer deleted it; whoever pulls the image can still read it")
	}
	switch {
	case f.Fix != nil && f.Fix.Version != "":
		say("Upgrade to %s", f.Fix.Version)
		if f.Fix.Command != "" {
			b.WriteString(": " + f.Fix.Command)
		}
	case f.Advice != "":
		say("%s", report.Text(f.Advice, maxTitle))
	case f.Package != nil && f.Kind == esclusa.KindVulnerability:
		say("No fixed version yet")
	}
	return report.Text(b.String(), maxText)
}

func placeOf(r *esclusa.Report, f *esclusa.Finding) place {
	p := physical(r, f.Place)
	if pkg := f.Package; pkg != nil {
		l := logical{Name: report.Text(pkg.Name, maxTitle), Kind: "package"}
		if pkg.PURL != "" {
			l.Full = report.Text(pkg.PURL, maxTitle)
		}
		p.Logical = append(p.Logical, l)
	}
	if f.Layer != "" {
		p.Logical = append(p.Logical, logical{Name: report.Text(string(f.Layer), maxTitle), Kind: "layer"})
	}
	return p
}

// physical is never empty: GitHub refuses a result without a file and a line.
// What is in no file is in the image.
func physical(r *esclusa.Report, at esclusa.Place) place {
	path, root := at.Path, base(r)
	if path == "" {
		path, root = category(r.Image.Ref), ""
	}
	return place{Physical: &physicalLocation{
		Artifact: artifact{URI: uri(path), Base: root},
		Region:   region{StartLine: max(1, at.Line)},
	}}
}

// uri is a relative reference (RFC 3986); url.URL keeps a colon in the first
// segment from being read as a scheme.
func uri(path string) string {
	u := url.URL{Path: strings.TrimLeft(report.Text(path, maxText), "/")}
	if u.Path == "" {
		return "."
	}
	return u.String()
}

// suppressions is never nil: an absent list says "not known" (3.27.23).
func suppressions(f *esclusa.Finding) []suppression {
	if !f.Suppressed() {
		return []suppression{}
	}
	var parts []string
	for _, s := range []string{string(f.VEX.Status), f.VEX.Justification, f.VEX.Statement} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	text := "VEX: " + strings.Join(parts, ": ")
	if f.VEX.Author != "" {
		text += " (" + f.VEX.Author + ")"
	}
	return []suppression{{Kind: "external", Status: "accepted", Justification: report.Text(text, maxText)}}
}

func invocationOf(r *esclusa.Report) invocation {
	inv := invocation{Successful: true, Notifications: []notification{}}
	if !r.Start.At.IsZero() {
		inv.Start = stamp(r.Start.At)
		inv.End = stamp(report.Finished(r))
	}
	for i := range r.Gaps {
		g := &r.Gaps[i]
		n := notification{Descriptor: descriptor{ID: "gap/" + report.Text(string(g.Scope), 50)}, Level: "warning"}
		switch g.Scope {
		case esclusa.GapSystem, esclusa.GapLayer:
			n.Level, inv.Successful = "error", false
		case esclusa.GapItem:
			n.Level = "note"
		}
		text := g.String()
		if g.Hint != "" {
			text += " (hint: " + g.Hint + ")"
		}
		n.Message.Text = report.Text(text, maxText)
		if g.Path != "" {
			n.Locations = []place{physical(r, g.Place)}
		}
		inv.Notifications = append(inv.Notifications, n)
	}
	return inv
}

func stamp(t time.Time) string { return report.UTC(t).Format("2006-01-02T15:04:05.000Z") }
