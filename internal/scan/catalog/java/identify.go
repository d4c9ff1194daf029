package java

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// identify adds what the archive says it is, and what is shaded into it.
//
// Each pom.properties below META-INF/maven is one artifact: the archive's own,
// or a library that was copied into it. Where none is the archive's own, the
// manifest and the file name have to tell.
func (w *walker) identify(where string, z *zipFile, c *content, depth int) {
	base := path.Base(where)
	m := c.readManifest(w, z)
	own := false
	for _, folder := range slices.Sorted(maps.Keys(c.poms)) {
		p, err := w.pom(z, folder, c.poms[folder])
		if err != nil {
			w.items.Add(where, 0, "Maven coordinates in "+clip(inside([]byte(folder))), err.Error())
			continue
		}
		// A single one is the archive's own even in a renamed archive, unless
		// the manifest has another version: then it is a shaded library.
		isOwn := names(base, p.artifact) ||
			len(c.poms) == 1 && (m.version() == "" || agree(m.version(), p.version))
		own = own || isOwn
		if p.version == "" && isOwn {
			if p.version = m.version(); p.version == "" {
				_, p.version = splitFileName(base)
			}
		}
		if p.version == "" {
			w.items.Add(where, 0, "version of "+clip(p.name()), "its pom.properties does not tell it")
			continue
		}
		w.add(p, where, isOwn && c.application && depth == 0, nil)
	}
	if own || !c.classes {
		return
	}
	if m.isRuntime() {
		return // the virtual machine's own library: no Maven artifact
	}
	g, sure := m.coordinates(base)
	switch {
	case sure && g.version != "":
	case c.application, len(c.poms) > 0 && g.version == "":
		// The team's own program, around libraries that are reported.
		return
	default:
		w.items.Add(where, 0, "Maven coordinates of "+clip(base), g.missing())
	}
	if g.version != "" && word(g.artifact) && word(g.version) {
		w.add(g, where, c.application && depth == 0, m.licenses())
	}
}

// missing says which part of the coordinates is not known.
func (c coordinates) missing() string {
	switch {
	case c.version == "" && c.group == "":
		return "neither its content nor its name tells group and version"
	case c.version == "":
		return "neither its content nor its name tells the version"
	case c.group != "":
		return fmt.Sprintf("the group id %s follows from its manifest only loosely", clip(c.group))
	}
	return "nothing in it tells the group id"
}

// names says whether an archive of this file name is artifact's.
func names(base, artifact string) bool {
	rest, ok := strings.CutPrefix(base, artifact)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '-' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9')
}

// pom reads one artifact below META-INF/maven.
func (w *walker) pom(z *zipFile, folder string, p pomEntries) (coordinates, error) {
	// The folder is named after the artifact; what the file says counts more.
	artifact := path.Base(folder)
	group := path.Base(path.Dir(folder))
	if i := strings.LastIndex(folder, mavenFolder); i < 0 || strings.Count(folder[i+len(mavenFolder):], "/") != 1 {
		group, artifact = "", ""
	}
	var c coordinates
	switch {
	case p.properties != nil:
		text, err := w.text(z, p.properties, maxText, false)
		if err != nil {
			return c, err
		}
		c = parseProperties(text)
	default:
		text, err := w.text(z, p.xml, maxText, false)
		if err != nil {
			return c, err
		}
		var project pomProject
		if err := decodeXML(text, &project); err != nil {
			return c, err
		}
		c = project.own()
	}
	if !word(c.group) {
		c.group = group
	}
	if !word(c.artifact) {
		c.artifact = artifact
	}
	if !word(c.version) {
		c.version = ""
	}
	if !word(c.group) || !word(c.artifact) {
		return c, fmt.Errorf("%q and %q are no group and artifact", clip(c.group), clip(c.artifact))
	}
	return c, nil
}

// text reads a small entry, or the start of one.
func (w *walker) text(z *zipFile, e *entry, limit int64, prefix bool) ([]byte, error) {
	if w.left <= 0 {
		return nil, fmt.Errorf("the archive holds too much text")
	}
	text, err := z.read(e, limit, prefix)
	w.left -= int64(len(text))
	return text, err
}

// parseProperties reads the three keys of a pom.properties file.
func parseProperties(text []byte) coordinates {
	var c coordinates
	for raw := range bytes.Lines(text) {
		l := strings.TrimSpace(string(raw))
		if l == "" || l[0] == '#' || l[0] == '!' {
			continue
		}
		i := strings.IndexAny(l, "=: ")
		if i < 0 {
			continue
		}
		value := strings.TrimSpace(strings.TrimLeft(l[i:], "=: "))
		switch l[:i] {
		case "groupId":
			c.group = value
		case "artifactId":
			c.artifact = value
		case "version":
			c.version = value
		}
	}
	return c
}

// decodeXML decodes a file of Maven's, in the encodings that such files have.
func decodeXML(text []byte, into any) error {
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.CharsetReader = charset
	return dec.Decode(into)
}
