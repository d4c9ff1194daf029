package java

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// pomProject is the part of pom.xml that names artifacts.
// https://maven.apache.org/ref/current/maven-model/maven.html
type pomProject struct {
	XMLName    xml.Name        `xml:"project"`
	GroupID    string          `xml:"groupId"`
	ArtifactID string          `xml:"artifactId"`
	Version    string          `xml:"version"`
	Packaging  string          `xml:"packaging"`
	Parent     pomParent       `xml:"parent"`
	Properties pomProperties   `xml:"properties"`
	Depends    []pomDependency `xml:"dependencies>dependency"`
	Managed    []pomDependency `xml:"dependencyManagement>dependencies>dependency"`
	Licenses   []string        `xml:"licenses>license>name"`
	Profiles   []pomProfile    `xml:"profiles>profile"`
}

// pomProfile is a part that holds under conditions. One that is active by
// default counts; the others are for machines and flags that are not known.
type pomProfile struct {
	Active     string          `xml:"activation>activeByDefault"`
	Properties pomProperties   `xml:"properties"`
	Depends    []pomDependency `xml:"dependencies>dependency"`
	Managed    []pomDependency `xml:"dependencyManagement>dependencies>dependency"`
}

type pomParent struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
}

type pomDependency struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
	Scope      string `xml:"scope"`
}

// pomProperties are elements of any name.
type pomProperties map[string]string

func (p *pomProperties) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*p = pomProperties{}
	for {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch t := tok.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			var value string
			if err := d.DecodeElement(&value, &t); err != nil {
				return err
			}
			(*p)[t.Name.Local] = strings.TrimSpace(value)
		}
	}
}

// charset reads the encodings of pom files beside UTF-8.
func charset(label string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "latin1", "windows-1252", "iso-8859-15":
		return latin1{r}, nil
	}
	return nil, fmt.Errorf("encoding %q is not supported", clip(label))
}

// latin1 turns bytes into the runes of the same number. What Windows-1252
// has elsewhere stands in the names of authors only.
type latin1 struct{ r io.Reader }

func (l latin1) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	in := make([]byte, len(p)/2)
	n, err := l.r.Read(in)
	out := p[:0]
	for _, b := range in[:n] {
		if b < 0x80 {
			out = append(out, b)
		} else {
			out = append(out, 0xc0|b>>6, 0x80|b&0x3f)
		}
	}
	return len(out), err
}

// own are the project's coordinates; what is not written is the parent's.
func (p *pomProject) own() coordinates {
	c := coordinates{p.GroupID, p.ArtifactID, p.Version}
	if strings.TrimSpace(c.group) == "" {
		c.group = p.Parent.GroupID
	}
	if strings.TrimSpace(c.version) == "" {
		c.version = p.Parent.Version
	}
	return coordinates{p.resolve(c.group), p.resolve(c.artifact), p.resolve(c.version)}
}

// The limits of ${…}: properties may name each other.
const (
	maxReferences = 64
	maxResolved   = 1024
)

// resolve replaces ${…} by what this file says; what it does not say stays.
func (p *pomProject) resolve(s string) string {
	s = strings.TrimSpace(s)
	for range maxReferences {
		start := strings.Index(s, "${")
		if start < 0 || len(s) > maxResolved {
			return s
		}
		end := strings.IndexByte(s[start:], '}')
		if end < 0 {
			return s
		}
		value, ok := p.property(s[start+2 : start+end])
		if !ok {
			return s
		}
		s = s[:start] + value + s[start+end+1:]
	}
	return s
}

// property is the value of a name: what the project says of itself stands
// before a property that is called so, as in Maven.
func (p *pomProject) property(name string) (string, bool) {
	short, ofProject := strings.CutPrefix(name, "project.")
	if v, ok := p.Properties[name]; ok && !ofProject {
		return v, true
	}
	if v, ok := p.itself(strings.TrimPrefix(short, "pom.")); ok {
		return v, true
	}
	v, ok := p.Properties[name]
	return v, ok
}

// itself is what the project says of itself.
func (p *pomProject) itself(name string) (string, bool) {
	first := func(values ...string) (string, bool) {
		for _, v := range values {
			if v = strings.TrimSpace(v); v != "" {
				return v, true
			}
		}
		return "", false
	}
	switch name {
	case "version":
		return first(p.Version, p.Parent.Version)
	case "groupId":
		return first(p.GroupID, p.Parent.GroupID)
	case "artifactId":
		return first(p.ArtifactID)
	case "parent.version":
		return first(p.Parent.Version)
	case "parent.groupId":
		return first(p.Parent.GroupID)
	case "parent.artifactId":
		return first(p.Parent.ArtifactID)
	}
	return "", false
}

// addProfiles adds what the profiles say that are active by default.
func (p *pomProject) addProfiles() {
	for _, f := range p.Profiles {
		if strings.TrimSpace(f.Active) != "true" {
			continue
		}
		p.Depends = append(p.Depends, f.Depends...)
		p.Managed = append(p.Managed, f.Managed...)
		if p.Properties == nil {
			p.Properties = pomProperties{}
		}
		maps.Copy(p.Properties, f.Properties)
	}
}

// readPom reads the direct dependencies of a pom.xml. Versions that a parent
// or an imported list sets, and the dependencies of dependencies, are in no
// file that it could see: one Gap says so.
func readPom(f *layer.File) (layer.Result, error) {
	var res layer.Result
	var p pomProject
	if err := decodeXML(f.Data, &p); err != nil {
		return res, err
	}
	p.addProfiles()
	if own := p.own(); word(own.group) && word(own.artifact) && word(own.version) {
		pkg := own.pkg(declaredName, f.Path)
		pkg.Main = true
		pkg.Licenses = p.Licenses
		res.Packages = append(res.Packages, pkg)
	}
	managed := map[string]pomDependency{}
	for _, d := range p.Managed {
		managed[p.resolve(d.GroupID)+":"+p.resolve(d.ArtifactID)] = d
	}
	seen := map[string]int{}
	var unknown []string
	for _, d := range p.Depends {
		c := coordinates{p.resolve(d.GroupID), p.resolve(d.ArtifactID), p.resolve(d.Version)}
		m := managed[c.name()]
		if d.Version == "" {
			c.version = p.resolve(m.Version)
		}
		if d.Scope == "" {
			d.Scope = m.Scope
		}
		c.version = exactRange(c.version)
		if !word(c.group) || !word(c.artifact) || !word(c.version) {
			unknown = append(unknown, clip(c.group)+":"+clip(c.artifact))
			continue
		}
		pkg := c.pkg(declaredName, f.Path)
		pkg.Dev = strings.TrimSpace(d.Scope) == "test"
		if i, ok := seen[c.String()]; ok {
			res.Packages[i].Dev = res.Packages[i].Dev && pkg.Dev
			continue
		}
		if len(res.Packages) == catalog.MaxPackages {
			return res, tooMany()
		}
		seen[c.String()] = len(res.Packages)
		res.Packages = append(res.Packages, pkg)
	}
	if len(p.Depends) > 0 || p.Parent.ArtifactID != "" {
		res.Gaps = []esclusa.Gap{pomGap(f.Path, unknown)}
	}
	return res, nil
}

// exactRange turns "[1.0]", Maven's way to ask for one version and no other,
// into "1.0". Other ranges stay, and are no word.
func exactRange(v string) string {
	if inner, ok := strings.CutPrefix(v, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && !strings.Contains(inner, ",") {
			return strings.TrimSpace(inner)
		}
	}
	return v
}

func pomGap(path string, unknown []string) esclusa.Gap {
	g := esclusa.Gap{
		Scope: esclusa.GapItem,
		Place: esclusa.Place{Path: path},
		What:  "dependencies of dependencies",
		Err:   "pom.xml lists direct dependencies only, and not those of its parent",
		Hint:  "scan the built archive or image",
	}
	if n := len(unknown); n > 0 {
		g.What = fmt.Sprintf("versions of %d Maven dependencies", n)
		g.Err = "set outside of this file: " + strings.Join(unknown[:min(n, 5)], ", ")
		if n > 5 {
			g.Err += ", …"
		}
	}
	return g
}
