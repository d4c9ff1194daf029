// Package cyclonedx writes CycloneDX 1.6 (ECMA-424) as JSON: an inventory
// with its vulnerabilities, for Dependency-Track and its like.
//
// Everything found is in it: what is no vulnerability (a secret, a setting, a
// notice) stands in the same list with the property esclusa:kind, because a
// document without it would read as clean. Gaps are properties of the
// metadata, and make the composition "incomplete".
//
// Start with Write; vulnerabilities.go has the findings.
package cyclonedx

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/purl"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// Format writes CycloneDX.
type Format struct{}

func (Format) Name() string { return "cyclonedx" }

// Limits on texts, in characters.
const (
	maxName = 1000
	maxText = 8000
)

// Write implements report.Format.
func (Format) Write(w io.Writer, r *esclusa.Report, _ report.Options) error {
	b := builder{report: r, refs: map[packageKey]string{}, taken: map[string]int{}}
	d := document{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6",
		Serial: "urn:uuid:" + report.UUID(report.Identity(r)), Version: 1,
	}
	d.Metadata = b.metadata()
	b.components = []component{}
	if sys := b.system(); sys != nil {
		b.components = append(b.components, *sys)
	}
	for i := range r.Packages {
		b.ref(&r.Packages[i])
	}
	d.Vulnerabilities = b.vulnerabilities()
	d.Components = b.components
	root := dependency{Ref: d.Metadata.Component.Ref, DependsOn: []string{}}
	for i := range d.Components {
		root.DependsOn = append(root.DependsOn, d.Components[i].Ref)
	}
	d.Dependencies = []dependency{root}
	aggregate := "complete"
	if len(r.Gaps) > 0 {
		aggregate = "incomplete"
	}
	d.Compositions = []composition{{Aggregate: aggregate, Assemblies: []string{root.Ref}}}
	return report.WriteJSON(w, d)
}

// builder makes the parts, and gives each a name of its own.
type builder struct {
	report     *esclusa.Report
	components []component
	refs       map[packageKey]string
	taken      map[string]int
	root       string
}

// packageKey tells installed packages apart.
type packageKey struct {
	typ, name, version, arch, purl string
	place                          esclusa.Place
}

// ref is the name of the package's component, which is made at its first
// mention: a finding may be about a package that is not listed.
func (b *builder) ref(p *esclusa.Package) string {
	key := packageKey{p.Type, p.Name, p.Version, p.Arch, p.PURL, p.Place}
	if ref, ok := b.refs[key]; ok {
		return ref
	}
	want := report.Text(p.PURL, maxName)
	if want == "" {
		want = report.Text(p.Type+":"+p.Name+"@"+p.Version, maxName)
	}
	ref := b.unique(want)
	b.refs[key] = ref
	b.components = append(b.components, componentOf(p, ref))
	return ref
}

// unique numbers the second and later of one name.
func (b *builder) unique(want string) string {
	for {
		b.taken[want]++
		n := b.taken[want]
		if n == 1 {
			return want
		}
		want = fmt.Sprintf("%s#%d", want, n)
	}
}

func componentOf(p *esclusa.Package, ref string) component {
	c := component{
		Type: "library", Ref: ref, Name: report.Text(p.Name, maxName), Version: report.Text(p.Version, maxName),
		Licenses: licenses(p.Licenses),
	}
	if p.Main {
		c.Type = "application"
	}
	if u, err := purl.Parse(p.PURL); err == nil {
		c.PURL = p.PURL
		switch p.Type {
		case "npm", "maven", "composer": // the ecosystems with groups
			if u.Namespace != "" {
				c.Group, c.Name = u.Namespace, u.Name
			}
		}
	}
	if p.Dev {
		c.Scope = "excluded" // needed to build, and not there at run time
	}
	var ps properties
	ps.add("type", p.Type)
	ps.add("reader", p.Reader)
	ps.add("layer", string(p.Layer))
	ps.add("path", p.Path)
	ps.add("origin", string(p.Origin))
	ps.add("arch", p.Arch)
	ps.add("source", strings.TrimSpace(p.Source.Name+" "+p.Source.Version))
	ps.add("distro", p.Distro)
	ps.add("modular", p.Modular)
	c.Properties = ps
	return c
}

// licenses are ids, or names; an expression stands alone (that is the
// schema's rule), so that of several declared licences each is named.
func licenses(declared []string) []licenseChoice {
	var out []licenseChoice
	for _, s := range declared {
		expression, id, ok := report.License(s)
		switch {
		case id:
			out = append(out, licenseChoice{License: &license{ID: expression}})
		case ok && len(declared) == 1:
			return []licenseChoice{{Expression: expression}}
		case strings.TrimSpace(s) != "":
			out = append(out, licenseChoice{License: &license{Name: report.Text(s, maxName)}})
		}
	}
	return out
}

func (b *builder) metadata() metadata {
	r := b.report
	name, version := report.ToolName(r)
	m := metadata{
		Tools:     tools{Components: []component{{Type: "application", Name: name, Version: version}}},
		Component: b.image(),
	}
	if !r.Start.At.IsZero() {
		m.Timestamp = report.UTC(r.Start.At).Format(time.RFC3339)
	}
	b.root = m.Component.Ref
	var ps properties
	for i := range r.Gaps {
		g := &r.Gaps[i]
		text := g.String()
		if g.Hint != "" {
			text += " (hint: " + g.Hint + ")"
		}
		ps.add("gap:"+report.Text(string(g.Scope), 50), text)
	}
	for _, f := range r.Feeds {
		if !f.Date.IsZero() {
			ps.add("feed:"+report.Text(f.Name, 100), report.UTC(f.Date).Format(time.RFC3339))
		}
	}
	if v := r.Verdict; v != nil {
		ps.add("verdict", v.Decision.String())
		ps.add("policy", v.Policy)
	}
	m.Properties = ps
	return m
}

func (b *builder) image() component {
	img := &b.report.Image
	c := component{Type: "application", Name: report.Text(img.Ref, maxName), Version: report.Text(string(img.Digest), maxName)}
	if img.Kind == esclusa.TargetImage {
		c.Type = "container"
		c.PURL = imagePURL(img)
	}
	c.Ref = b.unique("esclusa:target")
	if hex, ok := strings.CutPrefix(string(img.Digest), "sha256:"); ok && isHex(hex, 64) {
		c.Hashes = []hash{{Alg: "SHA-256", Content: hex}}
	}
	var ps properties
	ps.add("kind", string(img.Kind))
	ps.add("imageID", string(img.ID))
	ps.add("platform", img.Platform)
	for _, t := range img.Tags {
		ps.add("tag", t)
	}
	for _, l := range img.Layers {
		ps.add("layer", string(l.DiffID))
	}
	ps.add("baseName", img.BaseName)
	ps.add("baseDigest", string(img.BaseDigest))
	c.Properties = ps
	return c
}

// imagePURL is "pkg:oci/name@sha256:…?repository_url=…" (purl-spec, type
// oci); without a digest an image has none.
func imagePURL(img *esclusa.Image) string {
	if img.Digest == "" {
		return ""
	}
	repo, _, _ := strings.Cut(img.Ref, "@")
	if i := strings.LastIndexByte(repo, ':'); i > strings.LastIndexByte(repo, '/') {
		repo = repo[:i]
	}
	name := repo[strings.LastIndexByte(repo, '/')+1:]
	u, err := purl.Parse("pkg:oci/" + url.PathEscape(name) + "@" + url.QueryEscape(string(img.Digest)) + "?repository_url=" + url.QueryEscape(repo))
	if err != nil {
		return ""
	}
	return u.String()
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// system is the distribution; scanners of inventories look for it.
func (b *builder) system() *component {
	d := b.report.Image.Distro
	if d.ID == "" {
		return nil
	}
	c := &component{
		Type: "operating-system", Name: report.Text(d.ID, maxName), Version: report.Text(d.Version, maxName),
		Description: report.Text(d.Name, maxName),
	}
	c.Ref = b.unique("esclusa:system")
	if !d.EndOfLife.IsZero() {
		var ps properties
		ps.add("endOfLife", report.UTC(d.EndOfLife).Format(time.DateOnly))
		c.Properties = ps
	}
	return c
}
