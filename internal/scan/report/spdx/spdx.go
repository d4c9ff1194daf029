// Package spdx writes SPDX 2.3 (ISO/IEC 5962) as JSON: the inventory of a
// target, for exchange and for the record.
//
// SPDX has no place for findings but a reference from a package to an
// advisory; what has no package or no address, and every gap, is an
// annotation. A licence that is no SPDX expression is NOASSERTION, with the
// declared words in a comment.
//
// Start with Write.
package spdx

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/purl"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes SPDX.
type Format struct{}

func (Format) Name() string { return "spdx" }

// Limits on texts, in characters.
const (
	maxName = 1000
	maxText = 8000
)

const none = "NOASSERTION"

// The names of the parts that are always there.
const (
	documentID = "SPDXRef-DOCUMENT"
	targetID   = "SPDXRef-Target"
)

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	tool, version := report.ToolName(r)
	b := builder{report: r, at: stamp(r.Start.At), annotator: "Tool: " + tool + "-" + version, index: map[packageKey]int{}}
	b.packages = []spdxPackage{b.target()}
	b.relations = []relationship{{documentID, "DESCRIBES", targetID}}
	for i := range r.Packages {
		b.add(&r.Packages[i])
	}
	b.findings()
	name := report.Text(r.Image.Ref, maxName)
	if name == "" {
		name = "target"
	}
	return report.WriteJSON(w, document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: name,
		Namespace:   "https://github.com/esclusa/esclusa/spdx/" + url.PathEscape(name) + "-" + report.UUID(report.Identity(r)),
		Creation:    creation{Created: b.at, Creators: []string{b.annotator}},
		Packages:    b.packages,
		Relations:   b.relations,
		Annotations: b.gaps(),
	})
}

// stamp has no fraction and no zone (6.9). A report without a time says so.
func stamp(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return report.UTC(t).Format("2006-01-02T15:04:05Z")
}

type builder struct {
	report    *esclusa.Report
	at        string
	annotator string
	packages  []spdxPackage
	relations []relationship
	index     map[packageKey]int
}

// packageKey tells installed packages apart.
type packageKey struct {
	typ, name, version, arch, purl string
	place                          esclusa.Place
}

func (b *builder) note(text string) annotation {
	return annotation{Date: b.at, Type: "OTHER", By: b.annotator, Comment: report.Text(text, maxText)}
}

func (b *builder) target() spdxPackage {
	img := &b.report.Image
	p := spdxPackage{
		ID: targetID, Name: report.Text(img.Ref, maxName), Version: report.Text(string(img.Digest), maxName), Purpose: "APPLICATION",
		Download: none, Concluded: none, Declared: none, Copyright: none, Supplier: none,
	}
	if p.Name == "" {
		p.Name = "target"
	}
	if img.Kind == esclusa.TargetImage {
		p.Purpose = "CONTAINER"
	}
	if hex, ok := strings.CutPrefix(string(img.Digest), "sha256:"); ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == "" {
		p.Checksums = []checksum{{"SHA256", hex}}
	}
	if d := img.Distro; d.ID != "" {
		p.Notes = append(p.Notes, b.note("distribution: "+strings.TrimSpace(d.ID+" "+d.Version)))
	}
	return p
}

// add makes the package at its first mention and gives its index: a finding
// may be about a package that is not listed.
func (b *builder) add(p *esclusa.Package) int {
	key := packageKey{p.Type, p.Name, p.Version, p.Arch, p.PURL, p.Place}
	if n, ok := b.index[key]; ok {
		return n
	}
	n := len(b.packages)
	b.index[key] = n
	s := spdxPackage{
		ID: fmt.Sprintf("SPDXRef-Package-%d-%s", n, idText(p.Type+"-"+p.Name)), Name: report.Text(p.Name, maxName),
		Version: report.Text(p.Version, maxName), File: report.Text(p.Path, maxName), Purpose: "LIBRARY",
		Download: none, Concluded: none, Declared: none, Copyright: none, Supplier: none, Source: sourceInfo(p),
	}
	if s.Name == "" {
		s.Name = "unnamed"
	}
	if p.Main {
		s.Purpose = "APPLICATION"
	}
	s.Declared, s.LicenseNote = license(p.Licenses)
	if _, err := purl.Parse(p.PURL); err == nil {
		s.Refs = append(s.Refs, reference{"PACKAGE-MANAGER", "purl", p.PURL, ""})
	}
	b.packages = append(b.packages, s)
	b.relations = append(b.relations, relationship{targetID, "CONTAINS", s.ID})
	return n
}

// idText keeps letters, digits, "." and "-", all that an id may hold (3.2).
func idText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-') {
			return r
		}
		return '-'
	}, report.Text(s, 100))
}

func sourceInfo(p *esclusa.Package) string {
	var parts []string
	if p.Source.Name != "" {
		parts = append(parts, "built from "+strings.TrimSpace(p.Source.Name+" "+p.Source.Version))
	}
	if p.Layer != "" {
		parts = append(parts, "in layer "+string(p.Layer))
	}
	if p.Origin != "" {
		parts = append(parts, "origin "+string(p.Origin))
	}
	if p.Dev {
		parts = append(parts, "for development only")
	}
	return report.Text(strings.Join(parts, ", "), maxText)
}

// license joins what was declared: each of several applies, for all that is
// known.
func license(declared []string) (expression, note string) {
	var parts []string
	for _, s := range declared {
		e, _, ok := report.License(s)
		if !ok {
			return none, "declared: " + report.Text(strings.Join(declared, ", "), maxText)
		}
		if len(declared) > 1 && strings.Contains(e, " OR ") {
			e = "(" + e + ")"
		}
		parts = append(parts, e)
	}
	if len(parts) == 0 {
		return none, ""
	}
	return strings.Join(parts, " AND "), ""
}

// findings are references to advisories where there is a package and an
// address (annex K), else annotations of the target.
func (b *builder) findings() {
	for i := range b.report.Findings {
		f := &b.report.Findings[i]
		at := 0
		if f.Package != nil {
			at = b.add(f.Package)
		}
		p := &b.packages[at]
		text := describe(f)
		if link := report.Link(f.URL); f.Package != nil && link != "" {
			ref := reference{"SECURITY", "advisory", link, report.Text(text, maxText)}
			if !slices.Contains(p.Refs, ref) {
				p.Refs = append(p.Refs, ref)
			}
			continue
		}
		p.Notes = append(p.Notes, b.note(text))
	}
}

func describe(f *esclusa.Finding) string {
	s := string(f.Kind) + " " + f.ID + " (" + f.Severity.String() + ")"
	if f.Title != "" {
		s += ": " + report.Text(f.Title, maxName)
	}
	if f.Path != "" && f.Package == nil {
		s += ", at " + f.Path
		if f.Line > 0 {
			s += fmt.Sprintf(":%d", f.Line)
		}
	}
	if f.Fix != nil && f.Fix.Version != "" {
		s += ", fixed in " + f.Fix.Version
	}
	if f.VEX != nil {
		s += ", VEX: " + string(f.VEX.Status)
	}
	return s
}

func (b *builder) gaps() []annotation {
	var notes []annotation
	for i := range b.report.Gaps {
		g := &b.report.Gaps[i]
		notes = append(notes, b.note("not examined ("+string(g.Scope)+"): "+g.String()))
	}
	return notes
}
