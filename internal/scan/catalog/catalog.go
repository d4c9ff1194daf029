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
	"bytes"
	"strconv"
	"strings"
	"unicode"
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

// maxPath is Linux's PATH_MAX.
const maxPath = 4096

// MaxPaths is how many bytes of paths are made of a package database of size
// bytes. A folder stands there once and a file costs few bytes, so that a
// made-up database could grow a thousandfold; the paths of real ones are
// smaller than the database.
func MaxPaths(size int) int { return 4*size + 64<<10 }

// Owned joins the folders and names of a package database to paths, at most
// MaxPaths.
type Owned struct {
	Paths []string
	// Cut says that at least one path was left out.
	Cut  bool
	left int // bytes
	// buf is where the next paths are made: one allocation for a thousand.
	buf strings.Builder
}

// NewOwned is for a database of size bytes.
func NewOwned(size int) *Owned { return &Owned{left: MaxPaths(size)} }

// Add adds the file name in folder, under both names if it lies in a merged
// folder. The folder may be empty; a file without a name is none.
func (o *Owned) Add(folder, name []byte) {
	n := len("usr/") + len(folder) + len("/") + len(name)
	switch {
	case len(name) == 0:
		return
	case n > maxPath || n > o.left:
		o.Cut = true
		return
	case n > o.buf.Cap()-o.buf.Len():
		o.buf.Reset() // the paths keep the full one
		o.buf.Grow(64 << 10)
	}
	o.left -= n
	start := o.buf.Len()
	o.buf.WriteString("usr/")
	folder = bytes.TrimPrefix(bytes.TrimPrefix(folder, []byte("./")), []byte("/"))
	if len(folder) > 0 {
		o.buf.Write(folder)
		if folder[len(folder)-1] != '/' {
			o.buf.WriteByte('/')
		}
		o.buf.Write(name)
	} else {
		o.buf.Write(bytes.TrimPrefix(name, []byte("/")))
	}
	both := o.buf.String()[start:]
	path := both[len("usr/"):]
	if path == "" {
		return
	}
	o.Paths = append(o.Paths, path)
	if merged(path) {
		o.Paths = append(o.Paths, both)
	}
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

// maxText bounds free text that is kept of a package, in bytes.
const maxText = 1024

// Text is a value that people read, such as a licence, or "" where it is too
// long or no printable UTF-8.
func Text[T ~string | ~[]byte](b T) string {
	if len(b) > maxText {
		return ""
	}
	s := strings.TrimSpace(string(b))
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return s
}
