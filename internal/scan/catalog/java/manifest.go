package java

import (
	"bytes"
	"strings"
)

// manifest is the main section of META-INF/MANIFEST.MF, reduced to the
// headers that name the archive. Keys are in lower case.
type manifest map[string]string

// manifestKeys are Java's own headers, OSGi's (bundle-) and Jenkins' (the
// last line).
var manifestKeys = map[string]bool{
	"implementation-title": true, "implementation-version": true, "implementation-vendor-id": true,
	"specification-title": true, "specification-version": true,
	"bundle-symbolicname": true, "bundle-version": true, "bundle-license": true,
	"group-id": true, "artifact-id": true, "short-name": true, "plugin-version": true,
}

// readManifest reads the manifest; it is empty when there is none or it
// cannot be read, which leaves the file name to tell.
func (c *content) readManifest(w *walker, z *zipFile) manifest {
	if c.manifest == nil {
		return nil
	}
	text, err := w.text(z, c.manifest, maxManifest, true)
	if err != nil {
		return nil
	}
	return parseManifest(text)
}

func parseManifest(text []byte) manifest {
	m := manifest{}
	var key string
	for raw := range bytes.Lines(text) {
		l := strings.TrimRight(string(raw), "\r\n")
		if l == "" {
			if len(m) > 0 {
				break // the sections of single files begin
			}
			continue
		}
		if l[0] == ' ' {
			if key != "" {
				m[key] += l[1:]
			}
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		key = strings.ToLower(name)
		if !ok || !manifestKeys[key] {
			key = ""
			continue
		}
		m[key] = strings.TrimSpace(value)
	}
	return m
}

// isRuntime says whether the archive belongs to a Java runtime.
func (m manifest) isRuntime() bool {
	return m["specification-title"] == "Java Platform API Specification" ||
		m["implementation-title"] == "Java Runtime Environment"
}

// version is what the manifest says of the archive's own version. Versions
// of a specification are no version of the archive.
func (m manifest) version() string {
	for _, key := range [...]string{"implementation-version", "plugin-version", "bundle-version"} {
		v, _, _ := strings.Cut(m[key], " ")
		if _, after, ok := strings.Cut(v, ";"); ok {
			v = after
		}
		if startsWithDigit(v) && word(v) {
			return v
		}
	}
	return ""
}

// licenses is the licence header of OSGi: a name, or the address of a text.
func (m manifest) licenses() []string {
	l, _, _ := strings.Cut(m["bundle-license"], ";")
	if l = strings.Trim(l, `" `); l == "" || len(l) > 200 {
		return nil
	}
	return []string{l}
}

// coordinates puts together what manifest and file name say. Sure says that
// the group id is known rather than likely.
func (m manifest) coordinates(base string) (c coordinates, sure bool) {
	c.artifact, c.version = splitFileName(base)
	title := m["implementation-title"]
	// Nebula (Gradle) writes all three: "io.micrometer#micrometer-core;1.9.0".
	if group, rest, ok := strings.Cut(title, "#"); ok {
		artifact, _, _ := strings.Cut(rest, ";")
		if word(group) && word(artifact) {
			c.group, title, sure = group, artifact, true
		}
	}
	symbolic, _, _ := strings.Cut(m["bundle-symbolicname"], ";")
	symbolic = strings.TrimSpace(symbolic)
	said := m["artifact-id"]
	if said == "" {
		said = m["short-name"]
	}
	if said == "" && isArtifact(title) {
		said = title
	}
	switch {
	case word(said) && names(base, said):
		// "netty-all-4.1.jar" of netty-all: the rest of the name is the version.
		c.artifact = said
		if v := strings.TrimSuffix(strings.TrimPrefix(base, said+"-"), path4(base)); c.version == "" && startsWithDigit(v) {
			c.version = v
		}
	case word(said) && c.version == "":
		c.artifact = said
	}
	if v := m.version(); v != "" && !agree(v, c.version) {
		c.version = v
	}
	if c.group == "" {
		c.group, sure = m.group(c, symbolic)
	}
	return c, sure
}

// path4 is the ending of an archive's name: all have four bytes.
func path4(base string) string { return base[max(0, len(base)-4):] }

// agree says whether the version of the file name, which is Maven's, is the
// manifest's: equal, or with a qualifier that only one of them has.
func agree(manifest, file string) bool {
	return file != "" && (strings.HasPrefix(manifest, file) || strings.HasPrefix(file, manifest))
}

// group finds the group id of an artifact, or "".
func (m manifest) group(c coordinates, symbolic string) (group string, sure bool) {
	if g := m["group-id"]; word(g) {
		return g, true
	}
	if g := knownGroup(c.artifact, c.version); g != "" {
		return g, true
	}
	// Maven writes the group id here. Projects that fill it by hand write the
	// organisation's name: "com.sun", "org.apache".
	if g := m["implementation-vendor-id"]; word(g) && strings.Contains(g, ".") {
		return g, strings.Count(g, ".") > 1
	}
	// Maven's bundle plug-in writes group.artifact; others write a package.
	if g, ok := strings.CutSuffix(symbolic, "."+c.artifact); ok && c.artifact != "" && strings.Contains(g, ".") && word(g) {
		return g, false
	}
	return "", false
}

// isArtifact says whether a title is an artifact id rather than prose.
func isArtifact(s string) bool {
	if !word(s) || !strings.Contains(s, "-") {
		return false
	}
	return s == strings.ToLower(s)
}

// splitFileName splits "artifact-1.2.3.jar". The version begins at the first
// part with a digit behind which stand only further parts with digits and
// qualifiers; a classifier at the end ("linux-x86_64") is dropped. Both may
// be empty.
func splitFileName(base string) (artifact, version string) {
	stem := strings.TrimSuffix(base, path4(base))
	parts := strings.Split(stem, "-")
	for i := 1; i < len(parts); i++ {
		if !startsWithDigit(parts[i]) {
			continue
		}
		end := i + 1
		for end < len(parts) && (startsWithDigit(parts[end]) || isQualifier(parts[end])) {
			end++
		}
		// A part with a digit behind a word that is no qualifier: the digits
		// before it belong to the name, as in log4j-1.2-api-2.17.1.
		if laterVersion(parts[end:]) {
			continue
		}
		version = strings.Join(parts[i:end], "-")
		if !word(version) {
			return stem, ""
		}
		return strings.Join(parts[:i], "-"), version
	}
	return stem, ""
}

// laterVersion says whether a part looks like a version of its own.
func laterVersion(parts []string) bool {
	for _, p := range parts {
		if startsWithDigit(p) && strings.Contains(p, ".") {
			return true
		}
	}
	return false
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

// isQualifier says whether a part of a file name is a version's qualifier.
func isQualifier(s string) bool {
	s = strings.ToLower(strings.TrimRight(s, "0123456789."))
	switch s {
	case "snapshot", "release", "final", "ga", "jre", "android", "alpha", "beta", "rc", "cr", "m", "b",
		"sp", "milestone", "incubating", "preview", "pre", "ea", "jenkins", "redhat", "java", "jdk", "v":
		return true
	}
	return false
}
