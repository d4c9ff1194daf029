package python

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// source says where a package of a lock file comes from.
type source struct {
	Type      string `toml:"type"`      // poetry
	Virtual   string `toml:"virtual"`   // uv
	Editable  string `toml:"editable"`  // uv
	Directory string `toml:"directory"` // uv
}

func (s source) own() bool {
	return s.Type == "directory" || s.Virtual != "" || s.Editable != "" || s.Directory != ""
}

func (l *lock) readPoetry(data []byte) error {
	var file struct {
		Package []struct {
			Name     string   `toml:"name"`
			Version  string   `toml:"version"`
			Category string   `toml:"category"` // until Poetry 1.4
			Groups   []string `toml:"groups"`   // since Poetry 2.0
			Source   source   `toml:"source"`
		} `toml:"package"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return err
	}
	for _, p := range file.Package {
		dev := p.Category == "dev" || len(p.Groups) > 0 && !slices.Contains(p.Groups, "main")
		l.add(p.Name, p.Version, 0, dev, p.Source.own())
	}
	return nil
}

func (l *lock) readPDM(data []byte) error {
	var file struct {
		Package []struct {
			Name    string   `toml:"name"`
			Version string   `toml:"version"`
			Groups  []string `toml:"groups"`
			Path    string   `toml:"path"`
		} `toml:"package"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return err
	}
	for i, p := range file.Package {
		// One entry for each set of extras repeats the package itself.
		if i > 0 && normal(file.Package[i-1].Name) == normal(p.Name) && file.Package[i-1].Version == p.Version {
			continue
		}
		dev := len(p.Groups) > 0 && !slices.Contains(p.Groups, "default")
		l.add(p.Name, p.Version, 0, dev, p.Path != "")
	}
	return nil
}

// readPylock reads the lock file of PEP 751. A version is optional there.
func (l *lock) readPylock(data []byte) error {
	var file struct {
		Packages []struct {
			Name      string         `toml:"name"`
			Version   string         `toml:"version"`
			Directory map[string]any `toml:"directory"`
		} `toml:"packages"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return err
	}
	for _, p := range file.Packages {
		if p.Version == "" && p.Directory != nil {
			continue // a folder of the project itself
		}
		l.add(p.Name, p.Version, 0, false, p.Directory != nil)
	}
	return nil
}

func (l *lock) readPipfile(data []byte) error {
	type entry struct {
		Version string `json:"version"`
	}
	var file struct {
		Default map[string]entry `json:"default"`
		Develop map[string]entry `json:"develop"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return err
	}
	add := func(section map[string]entry, dev bool) {
		for _, name := range slices.Sorted(maps.Keys(section)) {
			version := pin(section[name].Version)
			if version == "" {
				l.unpinned++ // a folder, or a commit
				continue
			}
			l.add(name, version, 0, dev, false)
		}
	}
	add(file.Default, false)
	for name := range file.Default {
		delete(file.Develop, name) // what both need is no development matter
	}
	add(file.Develop, true)
	return nil
}

type uvDependency struct {
	Name string `toml:"name"`
}

type uvPackage struct {
	Name         string                    `toml:"name"`
	Version      string                    `toml:"version"`
	Source       source                    `toml:"source"`
	Dependencies []uvDependency            `toml:"dependencies"`
	Optional     map[string][]uvDependency `toml:"optional-dependencies"`
}

func (l *lock) readUV(data []byte) error {
	var file struct {
		Package []uvPackage `toml:"package"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return err
	}
	used := usedByUV(file.Package)
	for _, p := range file.Package {
		own := p.Source.own()
		if own && p.Version == "" {
			continue // the project's own version is computed at build time
		}
		l.add(p.Name, p.Version, 0, used != nil && !used[p.Name], own)
	}
	return nil
}

// usedByUV are the packages that the project needs outside development. The
// lock marks none: what cannot be reached from a root without its
// development dependencies is for development. Nil when there is no root.
func usedByUV(packages []uvPackage) map[string]bool {
	byName := make(map[string][]*uvPackage, len(packages))
	var todo []string
	for i := range packages {
		p := &packages[i]
		byName[p.Name] = append(byName[p.Name], p)
		if p.Source.own() {
			todo = append(todo, p.Name)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	used := make(map[string]bool, len(packages))
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if used[name] {
			continue
		}
		used[name] = true
		for _, p := range byName[name] {
			for _, d := range p.Dependencies {
				todo = append(todo, d.Name)
			}
			for _, extra := range p.Optional {
				for _, d := range extra {
					todo = append(todo, strings.TrimSpace(d.Name))
				}
			}
		}
	}
	return used
}
