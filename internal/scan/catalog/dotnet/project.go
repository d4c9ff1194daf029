package dotnet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// readXML calls open for every start tag with the text of the element, which
// counts only for the smallest ones, and the line it stands in. It keeps no
// tree: nothing here needs one, and depth costs nothing.
func readXML(data []byte, open func(n node), shut func(name, text string)) error {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, utf8BOM)))
	var text []byte
	elements := 0
	for {
		line, _ := d.InputPos()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if elements == 0 {
				return errors.New("no XML element")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			elements++
			text = text[:0]
			open(node{name: t.Name.Local, attrs: t.Attr, line: line})
		case xml.EndElement:
			shut(t.Name.Local, strings.TrimSpace(string(text)))
			text = text[:0]
		case xml.CharData:
			if len(text) < 1<<10 {
				text = append(text, t...)
			}
		}
	}
}

type node struct {
	name  string
	attrs []xml.Attr
	line  int
}

// attr finds an attribute; MSBuild does not mind the case.
func (n *node) attr(name string) string {
	for _, a := range n.attrs {
		if strings.EqualFold(a.Name.Local, name) {
			return strings.TrimSpace(a.Value)
		}
	}
	return ""
}

func (l *list) readConfig(data []byte) error {
	return readXML(data, func(n node) {
		if n.name == "package" {
			dev := strings.EqualFold(n.attr("developmentDependency"), "true")
			l.add(n.attr("id"), n.attr("version"), n.line, dev, false)
		}
	}, func(string, string) {})
}

// reference is a PackageReference, PackageVersion or GlobalPackageReference.
type reference struct {
	element, include, version, assets string
	line                              int
}

// readProject reads references and the properties that their versions use.
// MSBuild evaluates properties first, so a version waits for the end.
func (l *list) readProject(data []byte) error {
	var (
		refs       []reference
		current    *reference
		properties = map[string]string{}
		inGroup    bool
	)
	err := readXML(data, func(n node) {
		switch n.name {
		case "PropertyGroup":
			inGroup = true
		case "PackageReference", "PackageVersion", "GlobalPackageReference":
			current = &reference{element: n.name, include: n.attr("Include"), line: n.line}
			current.version = n.attr("VersionOverride")
			if current.version == "" {
				current.version = n.attr("Version")
			}
			current.assets = n.attr("PrivateAssets")
		}
	}, func(name, text string) {
		switch {
		case name == "PropertyGroup":
			inGroup = false
		case inGroup && text != "":
			properties[strings.ToLower(name)] = text
		case current == nil:
		case name == "Version" && current.version == "" || name == "VersionOverride":
			current.version = text
		case name == "PrivateAssets":
			current.assets = text
		case name == current.element:
			refs = append(refs, *current)
			current = nil
		}
	})
	for _, r := range refs {
		if r.include == "" || r.version == "" {
			continue // Update, Remove, or a version that Directory.Packages.props sets
		}
		version := exact(expand(r.version, properties))
		if version == "" {
			l.unpinned++
			continue
		}
		dev := strings.EqualFold(r.assets, "all") || r.element == "GlobalPackageReference"
		l.add(r.include, version, r.line, dev, false)
	}
	return err
}

// expand puts the properties of the same file in place, one level deep.
func expand(version string, properties map[string]string) string {
	name, ok := strings.CutPrefix(version, "$(")
	if !ok || !strings.HasSuffix(name, ")") {
		return version
	}
	if v := properties[strings.ToLower(strings.TrimSuffix(name, ")"))]; v != "" {
		return v
	}
	return version
}

// exact is the version that NuGet takes: "1.2.3" and "[1.2.3]". The first is
// "at least" by the letter, and NuGet takes the lowest version that it finds.
func exact(version string) string {
	if inner, ok := strings.CutPrefix(version, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			version = strings.TrimSpace(inner)
		}
	}
	if version == "" || version[0] < '0' || version[0] > '9' || strings.ContainsAny(version, "*,[]()$ ") {
		return ""
	}
	return version
}
