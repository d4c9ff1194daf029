package match

import (
	"fmt"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/purl"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// Statement is one statement of a VEX document (OpenVEX, CSAF): these flaws
// in these products have this status.
type Statement struct {
	esclusa.VEXStatement
	// Vulnerabilities are ids of the flaw; one that names the finding is enough.
	Vulnerabilities []string
	Products        []Product
}

// Product is what a statement is about.
type Product struct {
	// ID is a purl of a package or of an image (pkg:oci, pkg:docker), the
	// digest of an image, or the reference under which it was scanned.
	ID string
	// Subcomponents narrow a product that is an image to packages (purls) in
	// it; none is all of it. Beside a package they do not narrow.
	Subcomponents []string
}

// statement is a Statement with its purls read.
type statement struct {
	*Statement
	products []product
}

type product struct {
	ref string
	pattern
	subs []pattern
}

// pattern is a purl that names packages: one version, those of a range, all.
type pattern struct {
	purl   purl.PURL // zero: it names none
	within *version.Range
}

// vers is the qualifier of a purl that holds a range, where its version would
// be one.
const vers = "vers"

func patternOf(u purl.PURL) (pattern, error) {
	text := u.Qualifier(vers)
	if text == "" {
		return pattern{purl: u}, nil
	}
	if u.Version != "" {
		return pattern{}, fmt.Errorf("%s has both a version and a range", u)
	}
	scheme, ok := version.ForPURL(u.Type)
	if !ok {
		return pattern{}, fmt.Errorf("%s: versions of type %s have no known order", u, u.Type)
	}
	r, err := scheme.ParseRange(text)
	if err != nil {
		return pattern{}, err
	}
	return pattern{u, &r}, nil
}

// applyVEX sets the statement that applies to each finding: of several the
// latest, and of equally late ones the last given. A product whose range
// cannot be read is left out, and said.
func (m *matcher) applyVEX() {
	statements, image, findings := m.in.VEX, &m.in.Image, m.out.Findings
	if len(statements) == 0 {
		return
	}
	byID := map[string][]*statement{}
	for i := range statements {
		s := m.read(&statements[i])
		for _, id := range s.Vulnerabilities {
			byID[id] = append(byID[id], s)
		}
	}
	for i := range findings {
		f := &findings[i]
		for _, id := range append([]string{f.ID, f.Advisory}, f.Aliases...) {
			for _, s := range byID[id] {
				if s.appliesTo(f, image) && (f.VEX == nil || !s.At.Before(f.VEX.At)) {
					f.VEX = &s.VEXStatement
				}
			}
		}
	}
}

func (m *matcher) read(s *Statement) *statement {
	out := &statement{Statement: s}
	unread := func(err error) {
		m.once(esclusa.Gap{
			Scope: esclusa.GapItem, Place: esclusa.Place{Path: s.Document},
			What: "VEX statement on " + strings.Join(s.Vulnerabilities, ", "), Err: err.Error(),
		})
	}
	for _, p := range s.Products {
		q := product{ref: p.ID}
		u, _ := purl.Parse(p.ID) // what is no purl is a digest or a name
		var err error
		if q.pattern, err = patternOf(u); err != nil {
			unread(err)
			continue
		}
		for _, sub := range p.Subcomponents {
			u, err := purl.Parse(sub)
			if err != nil {
				continue
			}
			sp, err := patternOf(u)
			if err != nil {
				unread(err)
				continue
			}
			q.subs = append(q.subs, sp)
		}
		if len(p.Subcomponents) > 0 && len(q.subs) == 0 {
			continue // narrowed to nothing that can be found
		}
		out.products = append(out.products, q)
	}
	return out
}

func (s *statement) appliesTo(f *esclusa.Finding, image *esclusa.Image) bool {
	return slices.ContainsFunc(s.products, func(p product) bool {
		if p.isImage(image) {
			return len(p.subs) == 0 || slices.ContainsFunc(p.subs, func(u pattern) bool { return u.names(f.Package) })
		}
		return p.purl.Type != "" && p.purl.Type != "oci" && p.purl.Type != "docker" && p.pattern.names(f.Package)
	})
}

// isImage: a digest names one image; a name without digest all of that name.
func (p *product) isImage(image *esclusa.Image) bool {
	switch p.purl.Type {
	case "":
		if p.ref == "" {
			return false
		}
		if p.ref == string(image.Digest) || p.ref == string(image.ID) || p.ref == image.Ref || slices.Contains(image.Tags, p.ref) {
			return true
		}
		_, digest, ok := strings.Cut(p.ref, "@")
		return ok && digest != "" && digest == string(image.Digest)
	case "oci", "docker":
	default:
		return false
	}
	if v := p.purl.Version; strings.Contains(v, ":") {
		return v == string(image.Digest) || v == string(image.ID)
	}
	tag := firstOf(p.purl.Qualifier("tag"), p.purl.Version)
	return slices.ContainsFunc(append([]string{image.Ref}, image.Tags...), func(ref string) bool {
		return p.namesImage(ref, tag)
	})
}

// namesImage says whether the purl names the repository (and tag) of a
// reference.
func (p *product) namesImage(ref, tag string) bool {
	ref, _, _ = strings.Cut(ref, "@")
	repo, have := ref, ""
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		repo, have = ref[:i], ref[i+1:]
	}
	if repo == "" || tag != "" && tag != have {
		return false
	}
	want := p.purl.Qualifier("repository_url")
	name := p.purl.Name
	if p.purl.Namespace != "" {
		name = p.purl.Namespace + "/" + name
	}
	switch {
	case want == "":
		return lastSegments(repo, name)
	case lastSegments(want, name): // oci: the whole repository
		return canonical(repo) == canonical(want)
	}
	return canonical(repo) == canonical(want+"/"+name) // docker: the registry
}

func lastSegments(repo, name string) bool {
	return strings.EqualFold(repo, name) || len(repo) > len(name) && strings.EqualFold(repo[len(repo)-len(name)-1:], "/"+name)
}

// canonical spells Docker Hub's short names out.
func canonical(repo string) string {
	repo = strings.TrimPrefix(strings.TrimPrefix(repo, "https://"), "index.")
	host, _, ok := strings.Cut(repo, "/")
	switch {
	case !ok:
		return "docker.io/library/" + repo
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return "docker.io/" + repo
	}
	return repo
}

// names: type and name are equal; version, range and qualifiers that the
// statement gives must be the package's. "arch=source" names the source.
func (u *pattern) names(p *esclusa.Package) bool {
	if p == nil || u.purl.Type != p.Type {
		return false
	}
	have, err := purl.Parse(firstOf(p.PURL, purl.Of(p)))
	if err != nil {
		return false
	}
	name, ver, full := have.Name, have.Version, p.Version
	if arch := u.purl.Qualifier("arch"); arch == "source" || arch == "src" {
		name, ver, full = p.SourceName(), p.SourceVersion(), p.SourceVersion()
	}
	if u.purl.Namespace != have.Namespace || u.purl.Name != name || u.purl.Version != "" && u.purl.Version != ver {
		return false
	}
	for _, q := range u.purl.Qualifiers {
		v := have.Qualifier(q.Key)
		if v == q.Value || q.Key == vers || q.Key == "arch" && (q.Value == "source" || q.Value == "src" || v == "all" || v == "noarch") {
			continue
		}
		return false
	}
	return u.within == nil || holds(u.within, p.Type, full)
}

// holds: the epoch of an rpm stands beside the version in a purl, and in it
// here. A version that cannot be read is in no range.
func holds(r *version.Range, typ, text string) bool {
	scheme, _ := version.ForPURL(typ)
	v, err := scheme.Parse(text)
	return err == nil && r.Contains(v)
}
