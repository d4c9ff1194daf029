package npm

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// bunLock is bun.lock. A package is an array whose first element is
// "name@version" and one of whose others is an object with its dependencies;
// its key is the place in node_modules: "parent/name" where versions differ.
// https://bun.com/docs/pm/lockfile
type bunLock struct {
	LockVersion json.Number             `json:"lockfileVersion"`
	Workspaces  map[string]bunWorkspace `json:"workspaces"`
	Packages    map[string][]bunElement `json:"packages"`
}

type bunWorkspace struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	bunNeeds
}

type bunNeeds struct {
	Dependencies map[string]string `json:"dependencies"`
	Optional     map[string]string `json:"optionalDependencies"`
	Peer         map[string]string `json:"peerDependencies"`
}

// bunElement is a string or an object, told apart by which field is set.
type bunElement struct {
	text  string
	needs bunNeeds
}

func (e *bunElement) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, &e.text)
	case '{':
		return json.Unmarshal(data, &e.needs)
	}
	return nil
}

func readBun(data []byte, fd *found) error {
	var lock bunLock
	if err := json.Unmarshal(plainJSON(data), &lock); err != nil {
		return err
	}
	if lock.LockVersion == "" {
		return fmt.Errorf("it names no lockfileVersion")
	}
	for _, at := range slices.Sorted(maps.Keys(lock.Workspaces)) {
		w := lock.Workspaces[at]
		if w.Name != "" && exactVersion(w.Version) {
			if err := fd.add(esclusa.Package{Name: w.Name, Version: w.Version, Main: true}, 0); err != nil {
				return err
			}
		}
	}
	prod := lock.reach()
	for _, key := range slices.Sorted(maps.Keys(lock.Packages)) {
		elements := lock.Packages[key]
		if len(elements) == 0 || elements[0].text == "" {
			fd.unknown(key, "", 0)
			continue
		}
		name, version, _ := cutSpec(elements[0].text)
		if local(version) || strings.HasPrefix(version, "root:") {
			continue
		}
		if err := fd.add(esclusa.Package{Name: name, Version: version, Dev: !prod[key]}, 0); err != nil {
			return err
		}
	}
	return nil
}

// reach is the set of keys that the workspaces need to run.
func (lock *bunLock) reach() map[string]bool {
	prod := map[string]bool{}
	var work []string
	visit := func(from string, needs *bunNeeds) {
		for _, group := range [...]map[string]string{needs.Dependencies, needs.Optional, needs.Peer} {
			for name := range group {
				if key, ok := lock.resolve(from, name); ok && !prod[key] {
					prod[key] = true
					work = append(work, key)
				}
			}
		}
	}
	for _, w := range lock.Workspaces {
		visit(w.Name, &w.bunNeeds)
	}
	for len(work) > 0 {
		key := work[len(work)-1]
		work = work[:len(work)-1]
		for _, e := range lock.Packages[key] {
			visit(key, &e.needs)
		}
	}
	return prod
}

// maxPlace bounds the keys that are looked up, in bytes.
const maxPlace = 4096

// resolve finds what a dependency of the package at key from means, as Node
// looks upwards through node_modules folders.
func (lock *bunLock) resolve(from, name string) (string, bool) {
	if len(from) > maxPlace {
		return "", false
	}
	for range maxNesting {
		key := name
		if from != "" {
			key = from + "/" + name
		}
		if _, ok := lock.Packages[key]; ok {
			return key, true
		}
		if from == "" {
			return "", false
		}
		from = from[:max(0, strings.LastIndexByte(from, '/'))]
	}
	return "", false
}

// plainJSON blanks out what JSON with comments allows and JSON does not:
// comments, and commas before a closing bracket. Offsets stay as they are.
func plainJSON(data []byte) []byte {
	out := slices.Clone(data)
	comma := -1 // the last comma, while only space followed it
	for i := 0; i < len(out); i++ {
		switch c := out[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			comma = -1
			end := skipString(out, i)
			if end < 0 {
				return out
			}
			i = end - 1
		case ',':
			comma = i
		case '}', ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case '/':
			end := commentEnd(out, i)
			if end == i {
				comma = -1
				continue
			}
			for ; i < end; i++ {
				out[i] = ' '
			}
			i--
		default:
			comma = -1
		}
	}
	return out
}

// commentEnd is the offset behind the comment at i, or i if there is none.
func commentEnd(data []byte, i int) int {
	rest := string(data[i:min(len(data), i+2)])
	end := ""
	switch rest {
	case "//":
		end = "\n"
	case "/*":
		end = "*/"
	default:
		return i
	}
	for j := i + 2; j+len(end) <= len(data); j++ {
		if string(data[j:j+len(end)]) == end {
			return j + len(end)
		}
	}
	return len(data)
}
