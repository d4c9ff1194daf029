package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// packageLock is package-lock.json and npm-shrinkwrap.json: version 1 has
// Dependencies only, version 2 both, version 3 Packages only.
// https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json
type packageLock struct {
	Name         string                    `json:"name"`
	Version      string                    `json:"version"`
	LockVersion  json.Number               `json:"lockfileVersion"`
	Packages     map[string]lockPackage    `json:"packages"`
	Dependencies map[string]lockDependency `json:"dependencies"`
}

type lockPackage struct {
	Name    string      `json:"name"` // differs from the key's for an alias
	Version string      `json:"version"`
	Link    bool        `json:"link"`
	Dev     bool        `json:"dev"`
	License looseString `json:"license"`
}

type lockDependency struct {
	Version      string                    `json:"version"`
	Dev          bool                      `json:"dev"`
	Dependencies map[string]lockDependency `json:"dependencies"`
}

// looseString is a string, or nothing where the file has another type: old
// packages write their licence as an object, and npm copies it.
type looseString string

func (s *looseString) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if str, ok := v.(string); ok {
		*s = looseString(str)
	}
	return nil
}

func readPackageLock(data []byte, fd *found) error {
	var lock packageLock
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &lock); err != nil {
		return err
	}
	if lock.Packages != nil {
		return lock.readPackages(fd)
	}
	if lock.Dependencies == nil && lock.LockVersion == "" {
		return fmt.Errorf("neither packages nor dependencies are in it")
	}
	if lock.Name != "" && exactVersion(lock.Version) {
		if err := fd.add(esclusa.Package{Name: lock.Name, Version: lock.Version, Main: true}, 0); err != nil {
			return err
		}
	}
	return readDependencies(lock.Dependencies, fd, 0)
}

func (lock *packageLock) readPackages(fd *found) error {
	for _, key := range slices.Sorted(maps.Keys(lock.Packages)) {
		entry := lock.Packages[key]
		if entry.Link {
			continue // its target has an entry of its own
		}
		p := esclusa.Package{Name: entry.Name, Version: entry.Version, Dev: entry.Dev}
		if entry.License != "" {
			p.Licenses = []string{string(entry.License)}
		}
		if i := strings.LastIndex(key, modules+"/"); i >= 0 {
			if p.Name == "" {
				p.Name = key[i+len(modules)+1:]
			}
		} else {
			// The root and the workspaces: what is built here. They need
			// neither name nor version.
			p.Main = true
			if p.Name == "" || !exactVersion(p.Version) {
				continue
			}
		}
		if err := fd.add(p, 0); err != nil {
			return err
		}
	}
	return nil
}

// maxNesting bounds the trees of version 1: node_modules within node_modules.
const maxNesting = 200

func readDependencies(deps map[string]lockDependency, fd *found, depth int) error {
	if depth > maxNesting {
		return fmt.Errorf("dependencies are nested more than %d deep", maxNesting)
	}
	for _, name := range slices.Sorted(maps.Keys(deps)) {
		dep := deps[name]
		if !local(dep.Version) {
			p := esclusa.Package{Dev: dep.Dev}
			p.Name, p.Version = alias(name, dep.Version)
			if err := fd.add(p, 0); err != nil {
				return err
			}
		}
		if err := readDependencies(dep.Dependencies, fd, depth+1); err != nil {
			return err
		}
	}
	return nil
}
