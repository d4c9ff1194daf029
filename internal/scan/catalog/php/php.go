// Package php reads Composer's files: Installed what it writes beside the
// packages that it put in the vendor folder, Declared the lock file.
//
// An installed.json below a folder for tests of a vendored package is a
// fixture of that package and says nothing of the image; one in a project
// that itself lies in such a folder is read.
//
// Start with Readers.
package php

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	installedName = "php"
	declaredName  = "php/lock"
)

// Readers are those of images and of projects.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

// installed reads vendor/composer/installed.json.
type installed struct{}

// Spec says which files are read. The vendor folder can have another name.
func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		Claims:  []layer.Claim{{Dir: "composer", Base: "installed.json"}},
		MaxSize: 32 << 20,
	}
}

// Read reads one installed.json: an object since Composer 2, a list before.
func (installed) Read(f *layer.File) (layer.Result, error) {
	if !strings.HasSuffix("/"+f.Path, "/composer/installed.json") || isFixture(f.Path) {
		return layer.Result{}, nil
	}
	var file struct {
		Packages []entry  `json:"packages"`
		Dev      []string `json:"dev-package-names"`
	}
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(f.Data), []byte("[")) {
		err = json.Unmarshal(f.Data, &file.Packages)
	} else {
		err = json.Unmarshal(f.Data, &file)
	}
	if err != nil {
		return layer.Result{}, fmt.Errorf("read installed.json: %w", err)
	}
	dev := make(map[string]bool, len(file.Dev))
	for _, n := range file.Dev {
		dev[strings.ToLower(n)] = true
	}
	l := newList(f.Path, installedName)
	for i := range file.Packages {
		add(l, &file.Packages[i], dev[strings.ToLower(file.Packages[i].Name)])
	}
	return l.Result(), nil
}

// isFixture looks at the folders between the outermost vendor and the file.
func isFixture(p string) bool {
	_, p, ok := strings.Cut("/"+p, "/vendor/")
	for ok {
		var elem string
		if elem, p, ok = strings.Cut(p, "/"); !ok {
			break
		}
		switch strings.ToLower(elem) {
		case "test", "tests", "fixtures", "testdata":
			return true
		}
	}
	return false
}

// declared reads composer.lock.
type declared struct{}

// Spec says which files are read.
func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		Claims:  []layer.Claim{{Base: "composer.lock"}},
		MaxSize: 32 << 20,
	}
}

// Read reads one lock file.
func (declared) Read(f *layer.File) (layer.Result, error) {
	var file struct {
		Packages []entry `json:"packages"`
		Dev      []entry `json:"packages-dev"`
	}
	if err := json.Unmarshal(f.Data, &file); err != nil {
		return layer.Result{}, fmt.Errorf("read composer.lock: %w", err)
	}
	l := newList(f.Path, declaredName)
	for i := range file.Packages {
		add(l, &file.Packages[i], false)
	}
	for i := range file.Dev {
		add(l, &file.Dev[i], true)
	}
	return l.Result(), nil
}

// entry is a package as both files have it.
type entry struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Type    string   `json:"type"`
	License licenses `json:"license"`
}

// licenses is a list, and in old files a string.
type licenses []string

func (l *licenses) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		if one != "" {
			*l = []string{one}
		}
		return nil
	}
	var many []string
	if json.Unmarshal(b, &many) == nil {
		*l = many
	}
	return nil // a licence in a form of its own must not hide the package
}

// add adds a package; nothing is installed for a metapackage, and what it asks
// for is listed by itself.
func add(l *catalog.List, e *entry, dev bool) {
	if e.Type != "metapackage" {
		l.Add(esclusa.Package{Name: strings.ToLower(e.Name), Version: e.Version, Dev: dev, Licenses: e.License})
	}
}

func newList(path, reader string) *catalog.List {
	return &catalog.List{Type: "composer", Reader: reader, Path: path}
}
