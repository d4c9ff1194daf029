package sbom

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
)

// Documents are decoded one component at a time: a list of a million empty
// components costs three bytes each there, and hundreds in memory.

// maxDepth bounds components inside components, and documents inside
// attestations: each level is scanned once more.
const maxDepth = 16

// document reads a document of either format.
func (r *reading) document(data []byte, depth int) error {
	data = trim(data)
	if bytes.HasPrefix(data, []byte("SPDXVersion:")) {
		return errors.New("SPDX tag-value is not read (hint: convert it to SPDX JSON)")
	}
	known := false
	err := members(data, func(key string, dec *json.Decoder) error {
		var err error
		switch key {
		case "bomFormat", "spdxVersion":
			var s string
			if err = dec.Decode(&s); err == nil {
				known = s == "CycloneDX" || strings.HasPrefix(s, "SPDX-2.")
				if !known {
					err = fmt.Errorf("format %q is not read", clip(s))
				}
			}
		case "components":
			err = r.list(dec, depth)
		case "metadata":
			var m struct {
				Component *cdxComponent `json:"component"`
			}
			if err = dec.Decode(&m); err == nil && m.Component != nil {
				err = r.cdx(m.Component, depth, true)
			}
		case "packages":
			err = elements(dec, func() error {
				var p spdxPackage
				if err := dec.Decode(&p); err != nil {
					return err
				}
				return r.spdx(&p)
			})
		case "predicate", "payload":
			known = true
			err = r.wrapped(dec, depth)
		case "files", "relationships", "dependencies", "vulnerabilities":
			err = elements(dec, func() error { return dec.Decode(&skipped{}) })
		default:
			err = dec.Decode(&skipped{})
		}
		return err
	})
	if err == nil && !known {
		err = errors.New("neither CycloneDX nor SPDX 2 in JSON")
	}
	return err
}

// skipped is any value.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// wrapped reads the document in an in-toto statement, or in the statement of
// a DSSE envelope (base64).
func (r *reading) wrapped(dec *json.Decoder, depth int) error {
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return err
	}
	if depth >= maxDepth {
		return fmt.Errorf("documents are nested more than %d deep", maxDepth)
	}
	if raw[0] != '"' {
		return r.document(raw, depth+1)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	inner, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	return r.document(inner, depth+1)
}

// members calls visit for each member of the object in data; visit takes the
// value from the decoder.
func members(data []byte, visit func(key string, dec *json.Decoder) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := tok.(string)
		if err := visit(key, dec); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// elements calls visit for each element of an array; null is an empty one.
func elements(dec *json.Decoder, visit func() error) error {
	tok, err := dec.Token()
	if err != nil || tok == nil {
		return err
	}
	if tok != json.Delim('[') {
		return errors.New("a list is expected")
	}
	for dec.More() {
		if err := visit(); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// cdxComponent is a component of CycloneDX 1.2 to 1.7.
// https://cyclonedx.org/docs/1.6/json/
type cdxComponent struct {
	Type       string          `json:"type"`
	Group      string          `json:"group"`
	Name       string          `json:"name"`
	Version    string          `json:"version"`
	PURL       string          `json:"purl"`
	Scope      string          `json:"scope"`
	Licenses   json.RawMessage `json:"licenses"`
	Properties []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"properties"`
	Components json.RawMessage `json:"components"`
}

// list reads one list of components.
func (r *reading) list(dec *json.Decoder, depth int) error {
	return elements(dec, func() error {
		var c cdxComponent
		if err := dec.Decode(&c); err != nil {
			return err
		}
		return r.cdx(&c, depth, false)
	})
}

func (r *reading) cdx(c *cdxComponent, depth int, described bool) error {
	out := component{name: c.Name, version: c.Version, purl: c.PURL, licenses: cdxLicenses(c.Licenses)}
	if c.Group != "" {
		out.name = c.Group + "/" + c.Name
	}
	out.dev = c.Scope == "excluded"
	out.main = described
	for _, p := range c.Properties {
		switch p.Name {
		case "aquasecurity:trivy:SrcName":
			out.source.Name = p.Value
		case "cdx:npm:package:development":
			out.dev = out.dev || p.Value == "true"
		}
	}
	switch c.Type {
	case "operating-system":
		r.system(c.Name, c.Version)
	case "container":
		if described {
			out.purl = "" // the image itself
		}
	case "library", "framework":
		out.needed = !described
	case "application":
		out.needed = !described && c.Version != ""
	}
	if err := r.add(out); err != nil {
		return err
	}
	if len(c.Components) == 0 {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("components are nested more than %d deep", maxDepth)
	}
	return r.list(json.NewDecoder(bytes.NewReader(c.Components)), depth+1)
}

// cdxLicenses are ids, names or an expression; what has another shape is left
// out, as a licence never decides what is reported.
func cdxLicenses(raw json.RawMessage) []string {
	var list []struct {
		Expression string `json:"expression"`
		License    struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var out []string
	for _, l := range list {
		for _, s := range [...]string{l.Expression, l.License.ID, l.License.Name} {
			if s != "" {
				out = append(out, s)
				break
			}
		}
	}
	return out
}

// spdxPackage is a package of SPDX 2.2 and 2.3.
// https://spdx.github.io/spdx-spec/v2.3/package-information/
type spdxPackage struct {
	ID         string `json:"SPDXID"`
	Name       string `json:"name"`
	Version    string `json:"versionInfo"`
	Purpose    string `json:"primaryPackagePurpose"`
	SourceInfo string `json:"sourceInfo"`
	Concluded  string `json:"licenseConcluded"`
	Declared   string `json:"licenseDeclared"`
	References []struct {
		Type    string `json:"referenceType"`
		Locator string `json:"referenceLocator"`
	} `json:"externalRefs"`
}

func (r *reading) spdx(p *spdxPackage) error {
	c := component{name: p.Name, version: p.Version}
	for _, ref := range p.References {
		if ref.Type == "purl" && c.purl == "" {
			c.purl = ref.Locator
		}
	}
	for _, l := range [...]string{p.Concluded, p.Declared} {
		if l != "" && l != "NOASSERTION" && l != "NONE" {
			c.licenses = []string{l}
			break
		}
	}
	// trivy's words for the source package.
	if src, ok := strings.CutPrefix(p.SourceInfo, "built package from: "); ok {
		name, version, _ := strings.Cut(src, " ")
		c.source = esclusa.SourcePackage{Name: name, Version: version}
	}
	switch {
	case p.Purpose == "OPERATING-SYSTEM", strings.HasPrefix(p.ID, "SPDXRef-OperatingSystem"):
		r.system(p.Name, p.Version)
	case p.Purpose == "CONTAINER", strings.HasPrefix(p.ID, "SPDXRef-ContainerImage"):
		c.purl = ""
	case p.Purpose == "", p.Purpose == "LIBRARY", p.Purpose == "FRAMEWORK", p.Purpose == "APPLICATION", p.Purpose == "INSTALL":
		c.needed = p.Version != ""
	}
	return r.add(c)
}
