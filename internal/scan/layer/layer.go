// Package layer reads one layer of an image (or one folder) once: every
// regular file that a reader claims is handed to it from memory, and what the
// readers say is kept in a Record that can be cached, merged with the layers
// above it, and read again without the layer.
//
// It never writes a file, never follows a link on the way and never trusts a
// size, a count or a path that the layer states. What it could not examine is
// a Gap in the Record.
//
// Start with Reader: all of catalog and inspect implement it.
package layer

import (
	"io/fs"

	"github.com/esclusa/esclusa"
)

// File is one regular file, whole, in memory.
type File struct {
	// Path is clean, slash-separated and relative to the root.
	Path string
	// Mode holds type, permission, set-uid, set-gid and sticky bits.
	Mode fs.FileMode
	// UID owns it.
	UID int
	// Data is the content. It is valid until Read returns, and must not be
	// written to: copy what you keep (strings made from it are copies).
	Data []byte
	// Hits are the places of the reader's own literals (see Searcher), in
	// rising order of End. Empty for readers that are no Searcher.
	Hits []Hit
}

// Hit is one literal found in a file.
type Hit struct {
	Literal int // index into the reader's Literals()
	End     int // offset just behind the last byte
}

// Reader turns file contents into packages, findings and facts. It is called
// from several goroutines at once and keeps no state between files.
//
// An error from Read becomes a Gap with layer and path; what Read returned
// beside the error is kept. Read must not panic on any content, and bounds
// its own memory and time by len(f.Data) times a small constant.
type Reader interface {
	Spec() Spec
	Read(f *File) (Result, error)
}

// Searcher is a Reader that wants to know where its literals stand in a file.
// The literals of all readers are searched in one pass. A Searcher whose
// claims match is called only if at least one literal was found or one of its
// claims has Always set.
type Searcher interface {
	Reader
	Literals() []Literal
}

// Literal is a byte string to search for, at least three bytes long.
type Literal struct {
	Bytes string
	Fold  bool // ASCII case does not matter
	Wide  bool // looked for in files of the choice WideOnly, too
}

// Chooser is a Searcher that would make nothing of most of its literals in
// some files. What is not looked for costs nothing; a Chooser says of a file
// what it would say if all were looked for.
type Chooser interface {
	Searcher
	Choose(path string, size int) Choice
}

// Choice is which of its literals a Searcher wants to know of in a file.
type Choice int8

// The choices.
const (
	Every Choice = iota
	WideOnly
	None // the reader is called for an Always claim only
)

// Judge is a Reader that has something to say once the layers are merged:
// what needs facts of several files or layers, or the configuration alone.
type Judge interface {
	Reader
	Judge(v *View) Result
}

// View is a merged image, as a Judge sees it.
type View struct {
	Image    *esclusa.Image
	Packages []esclusa.Package
	// Facts are those of the files that are still there, of this reader only.
	Facts []PlacedFact
	// Owned says whether a package of the distribution put the file there:
	// its database lists the path, in the same layer or a higher one.
	Owned func(esclusa.Place) bool
}

// Spec says what a reader is and which files it reads. It is constant.
type Spec struct {
	// Name is the name of the reader's folder.
	Name string
	// Version is raised whenever the same bytes give a different result: it
	// is part of the cache's key.
	Version int
	// Where limits the targets that the reader is for.
	Where Where
	// System names the package system whose only witness this reader's file
	// is ("dpkg"): a file that cannot be read hides the whole system, and the
	// Gap says so. Empty for readers of one package a file.
	System string
	Claims []Claim
	// MaxSize is the largest file to be read, in bytes; 0 is 64 MiB. A larger
	// claimed file is a Gap, unless Skim is set.
	MaxSize int64
	// Skim says that a file above MaxSize is left alone without a Gap.
	Skim bool
}

// Where says in which kinds of target a reader reads.
type Where int8

// Installed readers see what is there to run: in images and root folders.
// Declared readers see what a project asks for (lock files, manifests): in
// source folders and single files only, because a lock file that lies in an
// image proves no installation. Everywhere readers see both.
const (
	Everywhere Where = iota
	Installed
	Declared
)

// Claim describes files. All fields that are set must match.
type Claim struct {
	Path   string // the whole path
	Under  string // a folder at the start of the path: "var/lib/dpkg/info/"
	Dir    string // a folder name anywhere in the path: "node_modules"
	Base   string // the base name
	Prefix string // the base name begins so
	Suffix string // the base name ends so: ".jar"
	Magic  string // the content begins so: "\x7fELF"
	Exec   bool   // any execute bit is set
	// Mode asks for at least one of these bits, for example ModeSetuid.
	Mode fs.FileMode
	// Text asks that the first 512 bytes hold no NUL.
	Text bool
	// Always calls a Searcher even if none of its literals was found.
	Always bool
}

// Result is what a reader says about one file.
type Result struct {
	Packages []esclusa.Package `cbor:"1,keyasint,omitempty"`
	Findings []esclusa.Finding `cbor:"2,keyasint,omitempty"`
	Gaps     []esclusa.Gap     `cbor:"3,keyasint,omitempty"`
	// Owned are paths (relative to the root) that a package database of the
	// distribution lists as its own.
	Owned []string `cbor:"-"`
	// Distro is set by the reader of os-release.
	Distro *esclusa.Distro `cbor:"5,keyasint,omitempty"`
	// Facts are for this reader's own Judge.
	Facts []Fact `cbor:"6,keyasint,omitempty"`
	// Symbols are the sorted SymbolHash values of the functions linked into
	// a binary; nil when not known.
	Symbols Hashes `cbor:"7,keyasint,omitempty"`
}

// Fact is a small observation that means something only with others.
type Fact struct {
	Key   string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint,omitempty"`
}

// PlacedFact is a Fact with the file that it was seen in.
type PlacedFact struct {
	Fact
	Place  esclusa.Place
	Origin esclusa.Origin
}
