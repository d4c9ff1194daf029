package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// plugAndPlay reads the table by which Yarn's Plug'n'Play loads packages
// (yarnpkg.com/advanced/pnp-spec): there is no node_modules folder then, and
// packages lie as zip files in a cache, which may hold more than is used. What
// the table names is what a program gets.
type plugAndPlay struct{}

const (
	pnpName   = "npm/pnp"
	pnpScript = ".pnp.cjs"
	pnpOld    = ".pnp.js" // Yarn 1 and 2
	pnpData   = ".pnp.data.json"
)

func (plugAndPlay) Spec() layer.Spec {
	return layer.Spec{
		Name:    pnpName,
		Version: 1,
		Where:   layer.Installed,
		MaxSize: maxLock,
		Claims:  []layer.Claim{{Base: pnpScript}, {Base: pnpOld}, {Base: pnpData}},
	}
}

func (plugAndPlay) Read(f *layer.File) (layer.Result, error) {
	// A package that handles such tables ships some to test itself.
	if _, _, inside := cutModules(f.Path); inside {
		return layer.Result{}, nil
	}
	base := path.Base(f.Path)
	table := f.Data
	var err error
	if base != pnpData {
		table, err = cutTable(f.Data)
	}
	fd := found{path: f.Path, reader: pnpName, seen: map[string]int{}}
	if err == nil && table != nil {
		err = fd.readTable(table)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", base, err)
	}
	return layer.Result{Packages: fd.packages, Gaps: fd.gaps.List()}, err
}

// cutTable finds the JSON in the loader, which is JavaScript. Nil without an
// error says that it stands elsewhere.
func cutTable(script []byte) ([]byte, error) {
	// Yarn 3 and 4: a string of many lines.
	if _, rest, ok := bytes.Cut(script, []byte("'{\\\n")); ok {
		return unquoteJS(rest, '{')
	}
	// Yarn 2: an object that is JSON too, with code behind it.
	if _, rest, ok := bytes.Cut(script, []byte("return hydrateRuntimeState({")); ok {
		return append([]byte{'{'}, rest...), nil
	}
	switch {
	case bytes.Contains(script, []byte(`"`+pnpData+`"`)):
		return nil, nil // pnpEnableInlining: false
	case bytes.Contains(script, []byte("packageInformationStores = new Map(")):
		return nil, nil // Yarn 1 loads from folders, which are read as installed
	}
	return nil, errors.New("no table as Yarn writes it")
}

// unquoteJS is the text of a string of JavaScript up to its closing single
// quote, behind a first byte that was cut off.
func unquoteJS(s []byte, first byte) ([]byte, error) {
	out := make([]byte, 1, 1+len(s))
	out[0] = first
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\'':
			return out, nil
		case '\\':
			if i++; i == len(s) {
				break
			}
			// Yarn escapes nothing but these, and JSON's own stay escaped.
			if s[i] != '\n' {
				out = append(out, s[i])
			}
		default:
			out = append(out, s[i])
		}
	}
	return nil, errors.New("its table has no end")
}

// pair is a list of two in JSON.
type pair[A, B any] struct {
	first  A
	second B
}

func (p *pair[A, B]) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[2]any{&p.first, &p.second})
}

// located is what the table says of one package.
type located struct {
	Location string `json:"packageLocation"`
	Link     string `json:"linkType"`
}

func (fd *found) readTable(table []byte) error {
	var state struct {
		Packages []pair[string, []pair[string, located]] `json:"packageRegistryData"`
	}
	// One value is read: behind it may stand code.
	if err := json.NewDecoder(bytes.NewReader(table)).Decode(&state); err != nil {
		return err
	}
	if state.Packages == nil {
		return errors.New("its table lists no packages")
	}
	for _, named := range state.Packages {
		for _, p := range named.second {
			if p.second.Link == "SOFT" || !strings.Contains(p.second.Location, ".zip/") {
				continue // the project's own, or unplugged: files that are read as installed
			}
			if err := fd.add(esclusa.Package{Name: named.first, Version: pnpVersion(p.first)}, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// pnpVersion is the version in a reference: "npm:1.2.3",
// "virtual:HASH#npm:1.2.3", "npm:1.2.3::__archiveUrl=…",
// "patch:name@npm%3A1.2.3#changes::version=1.2.3&hash=…".
func pnpVersion(reference string) string {
	if rest, ok := strings.CutPrefix(reference, "virtual:"); ok {
		_, reference, _ = strings.Cut(rest, "#")
	}
	source, parameters, _ := strings.Cut(reference, "::")
	if version, ok := strings.CutPrefix(source, "npm:"); ok {
		return version
	}
	if values, err := url.ParseQuery(parameters); err == nil && values.Has("version") {
		return values.Get("version")
	}
	return source
}
