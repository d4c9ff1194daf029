package npm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
)

// yarnEntry is one entry of yarn.lock, of Yarn 1 and of Yarn 2 and later:
//
//	"@babel/core@^7.1.0", "@babel/core@^7.2.0":     (1)
//	  version "7.12.3"
//
//	"@babel/core@npm:^7.1.0, @babel/core@npm:^7.2": (2+)
//	  version: 7.12.3
//	  resolution: "@babel/core@npm:7.12.3"
type yarnEntry struct {
	line       int
	key        string
	version    string
	resolution string
}

func readYarn(data []byte, fd *found) error {
	var e yarnEntry
	var bad int // first line that could not be read
	flush := func() error {
		err := e.add(fd)
		e = yarnEntry{}
		return err
	}
	for l := range lines(data) {
		if l.conflict() {
			return errors.Join(fmt.Errorf("line %d: an unfinished merge", l.number), flush())
		}
		switch {
		case l.indent == 0 && l.text == ":":
			// The body of a long key, which stands after "? " in Yarn 2+.
		case l.indent == 0:
			if err := flush(); err != nil {
				return err
			}
			e.line = l.number
			key, isLong := strings.CutPrefix(l.text, "? ")
			if !isLong && !strings.HasSuffix(key, ":") && bad == 0 {
				bad = l.number
			}
			e.key = strings.TrimSuffix(key, ":")
		case l.indent == 2:
			key, value, ok := l.cutKey()
			switch {
			case !ok && bad == 0:
				bad = l.number
			case key == "version":
				e.version = value
			case key == "resolution":
				e.resolution = value
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("line %d is not as Yarn writes it", bad)
	}
	return nil
}

// add notes the entry's package.
func (e *yarnEntry) add(fd *found) error {
	if e.key == "" || e.key == "__metadata" {
		return nil
	}
	p := esclusa.Package{Version: e.version}
	if e.resolution != "" {
		name, source, ok := cutSpec(e.resolution)
		switch {
		case ok && local(source):
			return nil // its version is "0.0.0-use.local"
		case !ok:
			fd.unknown(e.resolution, "", e.line)
			return nil
		}
		p.Name = name
		return fd.add(p, e.line)
	}
	pattern := e.key
	if pattern[0] == '"' {
		var ok bool
		if pattern, _, ok = cutQuoted(pattern); !ok {
			fd.gaps.Add(fd.path, e.line, "name of a package", "its quotes do not end")
			return nil
		}
	} else {
		pattern, _, _ = strings.Cut(pattern, ", ")
	}
	name, source, _ := cutSpec(pattern)
	p.Name, _ = alias(name, source)
	return fd.add(p, e.line)
}
