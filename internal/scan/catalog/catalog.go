// Package catalog is the parent of the readers of packages: one folder for
// each package system, each a layer.Reader that turns one file (a database,
// a lock file, a binary) into packages. A reader never runs what it reads,
// never asks the network and never guesses a version: what it cannot read is
// a Gap.
//
// Here stands only what the readers share. The list of them is in catalog/all;
// to add a reader, add its folder and one line there. Start with catalog/apk,
// which is the smallest.
package catalog

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
)

// MaxPackages bounds the packages of one file: the largest distributions have
// some 70,000 in all, and a Package costs many times the bytes that name it.
const MaxPackages = 200_000

// maxGaps bounds the gaps of one file; a last one counts the others.
const maxGaps = 50

// Gaps collects the entries of one file that could not be read. The zero
// value is ready.
type Gaps struct {
	list []esclusa.Gap
	more int
}

// Add notes that what (at line, if positive) could not be read, and why.
func (g *Gaps) Add(path string, line int, what, why string) {
	if len(g.list) == maxGaps {
		g.more++
		return
	}
	g.list = append(g.list, esclusa.Gap{
		Scope: esclusa.GapItem,
		Place: esclusa.Place{Path: path, Line: line},
		What:  what,
		Err:   why,
	})
}

// List is what was added; nil when nothing was.
func (g *Gaps) List() []esclusa.Gap {
	if g.more == 0 {
		return g.list
	}
	rest := g.list[0]
	rest.Line = 0
	rest.What = strconv.Itoa(g.more) + " more entries"
	rest.Err = "the file has too many unreadable entries to list"
	return append(g.list[:len(g.list):len(g.list)], rest)
}

// AppendOwned adds a path that a package database lists, in the form of
// layer.Result.Owned. Since distributions merged /bin, /sbin and /lib* into
// /usr (Debian 12, Fedora 17), a database may say /bin/sh where the layer
// holds usr/bin/sh: such a path is added under both names.
func AppendOwned(dst []string, path string) []string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "./"), "/")
	if path == "" || path == "." {
		return dst
	}
	dst = append(dst, path)
	if merged(path) {
		dst = append(dst, "usr/"+path)
	}
	return dst
}

func merged(path string) bool {
	switch path[0] {
	case 'b':
		return strings.HasPrefix(path, "bin/")
	case 's':
		return strings.HasPrefix(path, "sbin/")
	case 'l':
		return strings.HasPrefix(path, "lib/") || strings.HasPrefix(path, "lib64/") ||
			strings.HasPrefix(path, "lib32/") || strings.HasPrefix(path, "libx32/")
	}
	return false
}

// Token says whether b can stand as a name, a version or an architecture:
// 1 to 256 bytes of UTF-8 without spaces and control characters. What is not
// a token must not reach reports, terminals and package URLs.
func Token[T ~string | ~[]byte](b T) bool {
	if len(b) == 0 || len(b) > 256 {
		return false
	}
	ascii := true
	for i := 0; i < len(b); i++ {
		if c := b[i]; c <= ' ' || c == 0x7f {
			return false
		} else if c >= 0x80 {
			ascii = false
		}
	}
	return ascii || utf8.ValidString(string(b))
}
