package npm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
)

// pnpmLock is what pnpm-lock.yaml says, collected line by line. Keys of
// packages changed with the version of the format:
//
//	5    /@babel/core/7.12.3_peer@1.0.0
//	6    /@babel/core@7.12.3(peer@1.0.0)
//	9    @babel/core@7.12.3       (packages; with peers in snapshots)
//
// Up to 6 a package says itself whether it is for development only; since 9
// that follows from the importers and the graph of snapshots.
type pnpmLock struct {
	format   float64
	packages []pnpmPackage
	prod     []string            // keys that the importers need to run
	needs    map[string][]string // key of a snapshot → keys it may need

	path [4]string // keys of the lines around, by indentation / 2
	bad  int       // first line that could not be read
}

type pnpmPackage struct {
	line          int
	key           string
	name, version string // written where the key does not tell them
	dev           bool
}

func readPnpm(data []byte, fd *found) error {
	lock := pnpmLock{needs: map[string][]string{}}
	skip := -1       // lines deeper than this belong to a text of several lines
	var quote string // the quote that ends a text of several lines
	for l := range lines(data) {
		if l.conflict() {
			return errors.Join(fmt.Errorf("line %d: an unfinished merge", l.number), lock.report(fd))
		}
		if quote != "" {
			if strings.HasSuffix(strings.TrimRight(l.text, " "), quote) {
				quote = ""
			}
			continue
		}
		if skip >= 0 && l.indent > skip {
			continue
		}
		skip = -1
		if l.indent%2 != 0 || l.text[0] == '-' {
			continue // of a list or of a text, or "---" between two documents
		}
		// A key above 1,024 characters: "? key", and ": " before its body.
		if body, ok := strings.CutPrefix(l.text, ": "); ok {
			l.text, l.indent = body, l.indent+2
		}
		text, long := strings.CutPrefix(l.text, "? ")
		if l.text = text; long {
			l.text += ":"
		}
		key, value, ok := l.cutKey()
		if !ok {
			lock.note(l)
			continue
		}
		switch {
		case strings.HasPrefix(value, "|"), strings.HasPrefix(value, ">"):
			skip = l.indent
		case strings.HasPrefix(value, `"`), strings.HasPrefix(value, "'"):
			quote = value[:1] // scalar found no end
		}
		lock.line(l, key, value)
	}
	err := lock.report(fd)
	switch {
	case err != nil:
		return err
	case lock.format == 0:
		return errors.New("it names no lockfileVersion")
	case lock.bad > 0:
		return fmt.Errorf("line %d is not as pnpm writes it", lock.bad)
	}
	return nil
}

// note remembers a line that is no member of a mapping, where that matters.
func (lock *pnpmLock) note(l line) {
	matters := l.indent <= 2 || lock.path[0] != "packages"
	if matters && lock.bad == 0 {
		lock.bad = l.number
	}
}

// line takes one member of a mapping.
func (lock *pnpmLock) line(l line, key, value string) {
	depth := l.indent / 2
	if depth < len(lock.path) {
		lock.path[depth] = key
	}
	switch section := lock.path[0]; {
	case depth == 0 && key == "lockfileVersion":
		lock.format, _ = strconv.ParseFloat(strings.TrimSuffix(value, "-inlineSpecifiers"), 64)
	case section == "packages" && depth == 1:
		lock.packages = append(lock.packages, pnpmPackage{line: l.number, key: key})
	case section == "packages" && depth == 2 && len(lock.packages) > 0:
		p := &lock.packages[len(lock.packages)-1]
		switch key {
		case "name":
			p.name = value
		case "version":
			p.version = value
		case "dev":
			p.dev = value == "true"
		}
	case section == "snapshots" && depth == 3 && runs(lock.path[2]):
		from := lock.path[1]
		lock.needs[from] = append(lock.needs[from], key+"@"+value, value)
	case section == "importers" && depth == 4 && key == "version" && runs(lock.path[2]):
		lock.prod = append(lock.prod, lock.path[3]+"@"+value, value)
	}
}

// runs says whether a group of dependencies is needed to run.
func runs(group string) bool { return group == "dependencies" || group == "optionalDependencies" }

// report hands the packages over.
func (lock *pnpmLock) report(fd *found) error {
	var prod map[string]bool
	if lock.format >= 9 {
		prod = lock.reach()
	}
	for _, pkg := range lock.packages {
		name, version := lock.cutKey(pkg.key)
		if pkg.version == "" && local(version) {
			continue
		}
		p := esclusa.Package{Name: name, Version: version, Dev: pkg.dev}
		if pkg.name != "" {
			p.Name = pkg.name
		}
		if pkg.version != "" {
			p.Version = pkg.version
		}
		if prod != nil {
			p.Dev = !prod[pkg.key]
		}
		if p.Name == "" || !exactVersion(p.Version) {
			fd.unknown(pkg.key, "", pkg.line)
			continue
		}
		if err := fd.add(p, pkg.line); err != nil {
			return err
		}
	}
	return nil
}

// reach is the set of packages (keys without peers) that production reaches.
// An edge has two spellings, of which one is a key: "name@1.0.0", or
// "real@1.0.0" alone for an alias.
func (lock *pnpmLock) reach() map[string]bool {
	seen := map[string]bool{}
	prod := map[string]bool{}
	work := lock.prod
	for len(work) > 0 {
		key := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[key] {
			continue
		}
		seen[key] = true
		base, _, _ := strings.Cut(key, "(")
		prod[base] = true
		work = append(work, lock.needs[key]...)
	}
	return prod
}

// cutKey splits the key of a package. Both are empty where the key is an
// address.
func (lock *pnpmLock) cutKey(key string) (name, version string) {
	if lock.format >= 6 {
		key, _, _ = strings.Cut(strings.TrimPrefix(key, "/"), "(")
		if local(key) {
			return "", key
		}
		name, version, _ = cutSpec(key)
		return name, version
	}
	parts := strings.Split(strings.TrimPrefix(key, "/"), "/")
	for i := 1; i < len(parts); i++ {
		version, _, _ = strings.Cut(parts[i], "_")
		if !exactVersion(version) {
			continue
		}
		name = parts[i-1]
		if i > 1 && strings.HasPrefix(parts[i-2], "@") {
			name = parts[i-2] + "/" + name
		}
		return name, version
	}
	return "", key
}
