// Package npm reads JavaScript packages: those installed in node_modules
// folders or by Yarn's Plug'n'Play, and those that lock files of npm, Yarn,
// pnpm and Bun name.
//
// It never follows links, never runs JavaScript and never asks a registry. A
// package.json alone is not proof of a package: packages ship test fixtures
// and {"type":"module"} markers under that name; place says which ones count.
//
// Start with Readers, then the Read of each.
package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers are the readers of this package: two for what is installed, one for
// what lock files declare.
func Readers() []layer.Reader { return []layer.Reader{installed{}, plugAndPlay{}, declared{}} }

const purlType = "npm"

// installed reads the package.json of packages in node_modules.
type installed struct{}

// maxManifest is far above any real package.json (the largest published ones
// are below 1 MiB).
const maxManifest = 8 << 20

func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    "npm",
		Version: 1,
		Where:   layer.Installed,
		MaxSize: maxManifest,
		Claims: []layer.Claim{
			{Dir: modules, Base: manifestName},
			// Yarn 1 as the official Node.js images unpack it.
			{Under: yarnHome, Base: manifestName},
		},
	}
}

const (
	modules      = "node_modules"
	manifestName = "package.json"
	yarnHome     = "opt/yarn-v"
)

func (r installed) Read(f *layer.File) (layer.Result, error) {
	var res layer.Result
	if !place(f.Path) {
		return res, nil
	}
	m, err := readManifest(f.Data)
	if err != nil {
		return res, fmt.Errorf("read package.json: %w", err)
	}
	if m.name == "" || m.version == "" {
		return res, nil
	}
	if !validName(m.name) {
		return res, fmt.Errorf("read package.json: %q is no package name", clip(m.name))
	}
	p := esclusa.Package{
		Type:    purlType,
		Name:    m.name,
		Version: m.version,
		Reader:  "npm",
		Place:   esclusa.Place{Path: f.Path},
	}
	if m.license != "" {
		p.Licenses = []string{m.license}
	}
	res.Packages = []esclusa.Package{p}
	return res, nil
}

// place says whether a package.json at path is that of an installed package:
// between the last node_modules folder and the file stands exactly NAME or
// @SCOPE/NAME. What lies deeper (dist/package.json, test/fixtures/x/…) is a
// package's own content; so is a node_modules folder inside a package's tests
// or examples, which no program loads.
func place(path string) bool {
	path = strings.TrimSuffix(path, "/"+manifestName)
	if rest, ok := strings.CutPrefix(path, yarnHome); ok && !strings.Contains(rest, "/") {
		return true
	}
	_, last, ok := cutModules(path)
	if !ok {
		return false
	}
	for {
		inner, rest, ok := cutModules(last)
		if !ok {
			break
		}
		if !live(inner) {
			return false
		}
		last = rest
	}
	// Yarn's pnpm linker keeps real folders only here, and links to them.
	if store, ok := strings.CutPrefix(last, ".store/"); ok {
		slug, rest, _ := strings.Cut(store, "/")
		return slug != "" && rest == "package"
	}
	return validName(last)
}

// cutModules cuts path around its first node_modules folder.
func cutModules(path string) (before, after string, ok bool) {
	for i := 0; ; {
		j := strings.Index(path[i:], modules+"/")
		if j < 0 {
			return path, "", false
		}
		i += j
		if i == 0 || path[i-1] == '/' {
			return path[:max(0, i-1)], path[i+len(modules)+1:], true
		}
		i += len(modules)
	}
}

// live says whether programs load from a node_modules folder that lies at
// this place inside another one.
func live(inner string) bool {
	_, below, _ := strings.Cut(inner, "/")
	if strings.HasPrefix(inner, "@") {
		_, below, _ = strings.Cut(below, "/")
	}
	for seg := range strings.SplitSeq(below, "/") {
		switch seg {
		case "test", "tests", "__tests__", "__mocks__", "testdata",
			"fixture", "fixtures", "__fixtures__", "example", "examples":
			return false
		}
	}
	return true
}

// validName says whether s can be a package's name: NAME or @SCOPE/NAME. It
// is wider than npm's own rule, which old and private packages break.
func validName(s string) bool {
	if scope, rest, ok := strings.Cut(s, "/"); ok {
		if len(scope) < 2 || scope[0] != '@' {
			return false
		}
		s = rest
	} else if strings.HasPrefix(s, "@") {
		return false
	}
	if s == "" || len(s) > 256 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '/' || c == '\\' || c == ':' || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// clip shortens outside text for a message.
func clip(s string) string { return s[:min(len(s), 80)] }

// manifest is what a package.json says of itself.
type manifest struct{ name, version, license string }

// readManifest finds three strings without decoding the rest, which is nine
// tenths of the bytes. Whatever the scanner is not sure of goes to
// encoding/json.
func readManifest(data []byte) (manifest, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var m manifest
	plain := true
	ok := members(data, func(key, value []byte) bool {
		var to *string
		switch string(key) {
		case "name":
			to = &m.name
		case "version":
			to = &m.version
		case "license":
			to = &m.license
		default:
			return true
		}
		if len(value) < 2 || value[0] != '"' {
			plain = to == &m.license && plain
			return plain
		}
		s := value[1 : len(value)-1]
		if !plainText(s) {
			plain = false
			return false
		}
		*to = string(s)
		return m.name == "" || m.version == "" || m.license == ""
	})
	if !ok || !plain {
		var err error
		if m, err = decodeManifest(data); err != nil {
			return m, err
		}
	}
	m.version = cleanVersion(m.version)
	return m, nil
}

// decodeManifest is the slow, exact way. Fields of another type than string
// are as good as absent: npm refuses them too.
func decodeManifest(data []byte) (manifest, error) {
	var m manifest
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return m, err
	}
	for key, to := range map[string]*string{"name": &m.name, "version": &m.version, "license": &m.license} {
		// The value is valid JSON; a wrong type leaves the field empty.
		_ = json.Unmarshal(all[key], to)
	}
	return m, nil
}

// cleanVersion drops what npm drops before it compares.
func cleanVersion(v string) string {
	return strings.TrimLeft(strings.TrimSpace(v), "=v ")
}
