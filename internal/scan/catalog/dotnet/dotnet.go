// Package dotnet reads NuGet packages: Installed the *.deps.json that lies
// beside each program, from which the host itself learns what to load;
// Declared lock files, packages.config and the references of projects.
//
// Packages that a program needs to be compiled only leave nothing to run and
// are not reported. A version that is a range, a wildcard or a property set
// elsewhere is counted in a Gap, never resolved.
//
// Start with Readers.
package dotnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	installedName = "dotnet"
	declaredName  = "dotnet/lock"
)

var utf8BOM = []byte("\xef\xbb\xbf")

// Readers are those of images and of projects.
func Readers() []layer.Reader { return []layer.Reader{installed{}, declared{}} }

// installed reads *.deps.json.
type installed struct{}

// Spec says which files are read.
func (installed) Spec() layer.Spec {
	return layer.Spec{
		Name:    installedName,
		Version: 1,
		Where:   layer.Installed,
		Claims:  []layer.Claim{{Suffix: ".deps.json"}},
		MaxSize: 32 << 20,
	}
}

// asset is a library of one target: the files that the host may load.
type asset struct {
	Runtime        map[string]json.RawMessage `json:"runtime"`
	Native         map[string]json.RawMessage `json:"native"`
	RuntimeTargets map[string]json.RawMessage `json:"runtimeTargets"`
	Resources      map[string]json.RawMessage `json:"resources"`
}

func (a *asset) runs() bool {
	return len(a.Runtime)+len(a.Native)+len(a.RuntimeTargets)+len(a.Resources) > 0
}

// Read reads one *.deps.json.
func (installed) Read(f *layer.File) (layer.Result, error) {
	var file struct {
		RuntimeTarget json.RawMessage             `json:"runtimeTarget"`
		Targets       map[string]map[string]asset `json:"targets"`
		Libraries     map[string]struct {
			Type string `json:"type"`
		} `json:"libraries"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(f.Data, utf8BOM), &file); err != nil {
		return layer.Result{}, fmt.Errorf("read deps.json: %w", err)
	}
	target := file.Targets[targetName(file.RuntimeTarget)]
	l := newList(f.Path, installedName)
	for _, key := range slices.Sorted(maps.Keys(file.Libraries)) {
		name, version, _ := strings.Cut(key, "/")
		switch file.Libraries[key].Type {
		case "project":
			l.add(name, version, 0, false, true)
		case "package":
			if a, ok := target[key]; ok && !a.runs() {
				continue
			}
			l.add(name, version, 0, false, false)
		case "runtimepack":
			// The runtime itself, in a self-contained program.
			l.add(strings.TrimPrefix(name, "runtimepack."), version, 0, false, false)
		}
	}
	return l.result(), nil
}

// targetName is a string in the first releases, and an object since.
func targetName(raw json.RawMessage) string {
	var object struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return object.Name
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return ""
}

// declared reads what projects ask for.
type declared struct{}

// Spec says which files are read.
func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		Claims: []layer.Claim{
			{Base: "packages.lock.json"},
			{Base: "packages.config"},
			{Base: "Directory.Packages.props"},
			{Base: "Directory.Build.props"},
			{Suffix: ".csproj"},
			{Suffix: ".fsproj"},
			{Suffix: ".vbproj"},
		},
		MaxSize: 32 << 20,
	}
}

// Read reads one file.
func (declared) Read(f *layer.File) (layer.Result, error) {
	l := newList(f.Path, declaredName)
	var err error
	switch path.Base(f.Path) {
	case "packages.lock.json":
		err = l.readLock(f.Data)
	case "packages.config":
		err = l.readConfig(f.Data)
	default:
		err = l.readProject(f.Data)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", path.Base(f.Path), err)
	}
	return l.result(), err
}

// readLock reads the packages of each target framework; most are in all.
func (l *list) readLock(data []byte) error {
	var file struct {
		Dependencies map[string]map[string]struct {
			Type     string `json:"type"`
			Resolved string `json:"resolved"`
		} `json:"dependencies"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(data, utf8BOM), &file); err != nil {
		return err
	}
	for _, framework := range slices.Sorted(maps.Keys(file.Dependencies)) {
		packages := file.Dependencies[framework]
		for _, name := range slices.Sorted(maps.Keys(packages)) {
			if p := packages[name]; p.Type != "Project" {
				l.add(name, p.Resolved, 0, false, false)
			}
		}
	}
	return nil
}

// list gathers the packages of one file, each name and version once.
type list struct {
	catalog.List
	seen     map[string]bool
	unpinned int
}

func newList(path, reader string) *list {
	return &list{List: catalog.List{Type: "nuget", Reader: reader, Path: path}, seen: map[string]bool{}}
}

func (l *list) add(name, version string, line int, dev, main bool) {
	key := strings.ToLower(name) + "/" + version
	if version != "" && l.seen[key] {
		return
	}
	l.seen[key] = true
	l.Add(esclusa.Package{Name: name, Version: version, Dev: dev, Main: main, Place: esclusa.Place{Line: line}})
}

func (l *list) result() layer.Result {
	l.Count(l.unpinned, "unpinned references", "no exact version is named")
	return l.Result()
}
