// Package gomod reads what a Go project asks for: go.mod, and where that does
// not say everything, vendor/modules.txt or go.sum. Since Go 1.17 go.mod lists
// every module of a build; an older one names the direct ones only, and the
// others are taken from vendor/modules.txt if it is there, else from go.sum.
//
// A go.mod below a folder named testdata or one that begins with an underscore
// is no module of the project: the go command does not look there either. The
// reader never resolves a version and asks no proxy.
//
// Start with Reader.Read; the fallbacks are in Judge.
package gomod

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const name = "gomod"

// devel is what the Go tool says of a module that is a folder.
const devel = "(devel)"

// Reader reads the files of Go modules.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    name,
		Version: 1,
		Where:   layer.Declared,
		Claims: []layer.Claim{
			{Base: "go.mod"},
			{Base: "go.sum"},
			{Dir: "vendor", Base: "modules.txt"},
		},
		MaxSize: 16 << 20,
	}
}

// Keys of facts: what a go.mod is like, and the modules of the other files.
const (
	factMod    = "mod" // complete or partial
	factVendor = "vendor"
	factSum    = "sum"

	complete = "complete"
	partial  = "partial"
)

// Read reads one file. Only go.mod gives packages here.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	if isIgnored(f.Path) {
		return layer.Result{}, nil
	}
	switch path.Base(f.Path) {
	case "go.mod":
		return readMod(f)
	case "go.sum":
		return facts(factSum, sumModules(f.Data))
	}
	return facts(factVendor, vendorModules(f.Data))
}

// isIgnored follows the go command ("go help packages").
func isIgnored(p string) bool {
	for {
		elem, rest, ok := strings.Cut(p, "/")
		if !ok {
			return false
		}
		if elem == "testdata" || strings.HasPrefix(elem, "_") {
			return true
		}
		p = rest
	}
}

func readMod(f *layer.File) (layer.Result, error) {
	var gaps catalog.Gaps
	file, err := modfile.Parse("go.mod", f.Data, nil)
	if err != nil {
		// A newer Go may know more directives. What is required can still be
		// read; what is replaced cannot.
		lax, laxErr := modfile.ParseLax("go.mod", f.Data, nil)
		if laxErr != nil {
			return layer.Result{}, fmt.Errorf("parse go.mod: %w", err)
		}
		gaps.Add(f.Path, 0, "directives of go.mod", err.Error())
		file = lax
	}
	var pkgs []esclusa.Package
	add := func(module, version string, line int, main bool) {
		pkgs = append(pkgs, pkg(f.Path, module, version, line, main))
	}
	if m := file.Module; m != nil {
		add(m.Mod.Path, devel, lineOf(m.Syntax), true)
	}
	if v, line := toolchain(file); v != "" {
		add("stdlib", v, line, false)
	}
	for i, r := range file.Require {
		if i == catalog.MaxPackages {
			gaps.Add(f.Path, 0, "rest of go.mod", "too many requirements")
			break
		}
		if slices.ContainsFunc(file.Exclude, func(e *modfile.Exclude) bool { return e.Mod == r.Mod }) {
			gaps.Add(f.Path, lineOf(r.Syntax), "version of "+r.Mod.Path, "the required version is excluded")
			continue
		}
		m := replaced(file.Replace, r.Mod)
		add(m.Path, m.Version, lineOf(r.Syntax), false)
	}
	state := partial
	if file.Go != nil && semver.Compare("v"+file.Go.Version, "v1.17") >= 0 {
		state = complete
	}
	return layer.Result{
		Packages: pkgs,
		Gaps:     gaps.List(),
		Facts:    []layer.Fact{{Key: factMod, Value: state}},
	}, nil
}

func pkg(path, module, version string, line int, main bool) esclusa.Package {
	module, version = strings.ToValidUTF8(module, "\uFFFD"), strings.ToValidUTF8(version, "\uFFFD")
	return esclusa.Package{
		Type: "golang", Name: module, Version: version, Main: main,
		Reader: name, Place: esclusa.Place{Path: path, Line: line},
	}
}

func lineOf(l *modfile.Line) int {
	if l == nil {
		return 0
	}
	return l.Start.Line
}

// replaced follows a replace directive; the one that names the version wins.
func replaced(rules []*modfile.Replace, m module.Version) module.Version {
	var to *modfile.Replace
	for _, r := range rules {
		if r.Old.Path == m.Path && (r.Old.Version == m.Version || r.Old.Version == "" && to == nil) {
			to = r
		}
	}
	switch {
	case to == nil:
		return m
	case to.New.Version == "": // a folder, whose state no version names
		return module.Version{Path: m.Path, Version: devel}
	}
	return to.New
}

// toolchain is the least release of Go that builds the project. Before 1.21
// the go line named the language only and bound nobody to a release.
func toolchain(file *modfile.File) (version string, line int) {
	if t := file.Toolchain; t != nil {
		v := strings.TrimPrefix(t.Name, "go")
		v, _, _ = strings.Cut(v, "-") // a vendor's suffix
		if modfile.GoVersionRE.MatchString(v) {
			return release(v), lineOf(t.Syntax)
		}
	}
	if g := file.Go; g != nil {
		if v := release(g.Version); semver.Compare("v"+v, "v1.21.0-0") >= 0 {
			return v, lineOf(g.Syntax)
		}
	}
	return "", 0
}

// release writes a Go version as the Go vulnerability database orders it:
// 1.22 is 1.22.0, 1.23rc1 is 1.23.0-rc.1.
func release(v string) string {
	pre := ""
	for _, word := range [...]string{"beta", "rc"} {
		if num, n, ok := strings.Cut(v, word); ok {
			v, pre = num, "-"+word+"."+n
		}
	}
	if strings.Count(v, ".") == 1 {
		v += ".0"
	}
	return v + pre
}

// facts are the modules of a file that may not be needed: Judge knows.
func facts(key string, modules []module.Version) (layer.Result, error) {
	var err error
	if len(modules) > catalog.MaxPackages {
		err = fmt.Errorf("more than %d modules", catalog.MaxPackages)
		modules = modules[:catalog.MaxPackages]
	}
	list := make([]layer.Fact, 0, len(modules))
	for _, m := range modules {
		list = append(list, layer.Fact{Key: key, Value: strings.ToValidUTF8(m.Path+" "+m.Version, "\uFFFD")})
	}
	return layer.Result{Facts: list}, err
}

// sumModules are the modules whose content has a checksum, each in the highest
// version: that is the one which minimal version selection takes. Lines
// with "/go.mod" were read to select it, and were not built.
func sumModules(data []byte) []module.Version {
	best := map[string]string{}
	for line := range bytes.Lines(data) {
		mod, rest, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		version, _, ok := bytes.Cut(rest, []byte{' '})
		if v := string(version); ok && len(mod) > 0 && semver.IsValid(v) {
			if old := best[string(mod)]; old == "" || semver.Compare(v, old) > 0 {
				best[string(mod)] = v
			}
		}
	}
	list := make([]module.Version, 0, len(best))
	for _, m := range slices.Sorted(maps.Keys(best)) {
		list = append(list, module.Version{Path: m, Version: best[m]})
	}
	return list
}

// vendorModules reads "# module version" and "# module version => other".
func vendorModules(data []byte) []module.Version {
	var list []module.Version
	for line := range bytes.Lines(data) {
		rest, ok := bytes.CutPrefix(line, []byte("# "))
		if !ok {
			continue
		}
		left, right, isReplaced := strings.Cut(string(rest), " => ")
		mod, version, _ := strings.Cut(strings.TrimSpace(left), " ")
		if version == "" {
			continue // a replace directive, repeated at the end of the file
		}
		if isReplaced {
			other, v, _ := strings.Cut(strings.TrimSpace(right), " ")
			if version = devel; v != "" {
				mod, version = other, v
			}
		}
		list = append(list, module.Version{Path: mod, Version: version})
	}
	return list
}

// project is what the files of one folder say together.
type project struct {
	mod         string // complete, partial or, without a go.mod, empty
	vendor, sum []layer.PlacedFact
}

// Judge adds the modules that a go.mod does not list.
func (Reader) Judge(v *layer.View) layer.Result {
	projects := map[string]*project{}
	at := func(dir string) *project {
		if projects[dir] == nil {
			projects[dir] = &project{}
		}
		return projects[dir]
	}
	for _, f := range v.Facts {
		dir := path.Dir(f.Place.Path)
		switch f.Key {
		case factMod:
			at(dir).mod = f.Value
		case factSum:
			at(dir).sum = append(at(dir).sum, f)
		case factVendor:
			at(path.Dir(dir)).vendor = append(at(path.Dir(dir)).vendor, f)
		}
	}
	known := map[string]bool{}
	for _, p := range v.Packages {
		if p.Reader == name {
			known[path.Dir(p.Path)+" "+p.Name] = true
		}
	}
	var r layer.Result
	for _, dir := range slices.Sorted(maps.Keys(projects)) {
		p := projects[dir]
		more := p.vendor
		if len(more) == 0 && p.mod != complete {
			more = p.sum
		}
		for _, f := range more {
			module, version, _ := strings.Cut(f.Value, " ")
			if known[dir+" "+module] {
				continue
			}
			add := pkg(f.Place.Path, module, version, 0, false)
			add.Layer, add.Origin = f.Place.Layer, f.Origin
			r.Packages = append(r.Packages, add)
		}
	}
	return r
}
