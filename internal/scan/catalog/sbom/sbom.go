// Package sbom reads software bills of materials: CycloneDX and SPDX in JSON,
// alone or as the predicate of an in-toto attestation. A component with a
// purl becomes a package; one without is a Gap, because no advisory can be
// looked up for it.
//
// It verifies no signature, and believes what a document says: that is what
// the person who scans it asks for. Inside an image it reads only the folders
// where vendors put their own documents.
//
// Start with Readers, Is and Read.
package sbom

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/purl"
)

// Readers are the readers of this package: one for documents that vendors
// install in images, one for documents in source folders and as a target.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

const (
	installedName = "sbom"
	declaredName  = "sbom/file"
)

// installed reads what vendors put into images.
type installed struct{}

func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		Claims: []layer.Claim{
			{Under: "opt/bitnami/", Prefix: ".spdx-", Suffix: ".spdx"},
			{Under: "usr/share/sbom/", Suffix: ".json"},
			{Under: "usr/local/share/sbom/", Suffix: ".json"},
			// Wolfi and Chainguard: one document for each apk.
			{Under: "var/lib/db/sbom/", Suffix: ".json"},
		},
	}
}

func (installed) Read(f *layer.File) (layer.Result, error) {
	r := reading{path: f.Path, reader: installedName, keep: inImage}
	return r.finish(r.document(f.Data, 0))
}

// declared reads documents that are scanned themselves.
type declared struct{}

// maxDocument is above the documents of the largest images (60 MiB).
const maxDocument = 256 << 20

func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		MaxSize: maxDocument,
		Claims: []layer.Claim{
			{Suffix: ".cdx.json"},
			{Base: "bom.json"},
			{Suffix: ".spdx.json"},
			{Suffix: ".spdx"},
		},
	}
}

func (declared) Read(f *layer.File) (layer.Result, error) { return Read(f.Path, f.Data) }

// Read reads a document of any name.
func Read(path string, data []byte) (layer.Result, error) {
	r := reading{path: path, reader: declaredName}
	return r.finish(r.document(data, 0))
}

// Is says whether data looks like a document that Read reads. It is a quick
// look, for telling targets apart: keys may stand in any order.
func Is(data []byte) bool {
	data = trim(data)
	if len(data) == 0 || data[0] != '{' {
		return false
	}
	has := func(s string) bool { return bytes.Contains(data, []byte(s)) }
	return has(`"bomFormat"`) && has(`"CycloneDX"`) || has(`"spdxVersion"`) ||
		has(`"predicateType"`) && (has(`cyclonedx`) || has(`spdx.dev`)) ||
		has(`"payloadType"`) && has(`application/vnd.in-toto+json`)
}

func trim(data []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
}

// inImage says whether a document inside an image adds something: packages
// of the distribution are in its database, and a source repository or a
// download is no package that runs.
func inImage(p *esclusa.Package) bool {
	switch p.Type {
	case "apk", "deb", "rpm", "alpm", "generic", "github", "gitlab", "bitbucket", "oci", "docker":
		return false
	}
	return true
}

// reading is one document being read.
type reading struct {
	path, reader string
	keep         func(*esclusa.Package) bool // nil keeps all
	packages     []esclusa.Package
	gaps         catalog.Gaps
	distro       *esclusa.Distro
	components   int
	seen         map[string]bool
}

// component is what both formats say of one thing.
type component struct {
	name, version, purl string
	licenses            []string
	source              esclusa.SourcePackage
	dev, main           bool
	// needed says that the thing is software: without a purl it is a Gap.
	needed bool
}

var errTooMany = fmt.Errorf("more than %d components: the rest was not read", catalog.MaxPackages)

// add notes a component. The error is errTooMany.
func (r *reading) add(c component) error {
	if r.components++; r.components > catalog.MaxPackages {
		return errTooMany
	}
	if c.purl == "" {
		if c.needed {
			r.gaps.Add(r.path, 0, strings.TrimSpace("component "+clip(c.name)+" "+clip(c.version)), "it has no purl")
		}
		return nil
	}
	p, err := purl.Package(c.purl)
	if err != nil {
		r.gaps.Add(r.path, 0, "component "+clip(c.name), err.Error())
		return nil
	}
	if r.keep != nil && !r.keep(&p) {
		return nil
	}
	if p.Version == "" {
		p.Version = c.version
	}
	if p.Version == "" {
		r.gaps.Add(r.path, 0, "version of "+clip(p.Name), "the document does not tell it")
		return nil
	}
	if p.Source.Name == "" {
		p.Source = c.source
	}
	p.PURL = "" // made again from the parts, for all packages alike
	p.Reader, p.Path = r.reader, r.path
	p.Licenses, p.Dev, p.Main = c.licenses, c.dev, c.main
	key := c.purl + "\x00" + p.Version
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	if !r.seen[key] {
		r.seen[key] = true
		r.packages = append(r.packages, p)
	}
	return nil
}

// system notes the operating system; the first one counts.
func (r *reading) system(name, version string) {
	if r.distro == nil && name != "" && r.keep == nil {
		r.distro = &esclusa.Distro{ID: strings.ToLower(name), Version: version}
	}
}

// finish makes the result.
func (r *reading) finish(err error) (layer.Result, error) {
	if err != nil {
		err = fmt.Errorf("read SBOM: %w", err)
	}
	return layer.Result{Packages: r.packages, Gaps: r.gaps.List(), Distro: r.distro}, err
}

// clip shortens outside text for a message.
func clip(s string) string { return s[:min(len(s), 120)] }
