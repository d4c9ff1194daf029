package events

import (
	"context"
	"slices"
	"strings"

	"github.com/esclusa/esclusa/internal/kernel"
)

// Source sees what no program in the kernel does. Run posts records until ctx
// ends.
type Source interface {
	Run(ctx context.Context, to Posts) error
}

// Posts takes records of what a process did just now, and counts those that
// could not be made: *kernel.Posts.
type Posts interface {
	Add(k kernel.Kind, pid int32, body []byte)
	Lose(k kernel.Kind)
}

// Scope is what a source looks for.
type Scope struct {
	Files Files
	Host  bool // what processes of the host do, too
}

// Match is how a text names files.
type Match uint8

// The matches.
const (
	Whole  Match = iota // the path
	Prefix              // its beginning
	Suffix              // its end
)

// File is files that somebody asks for.
type File struct {
	Match Match
	Text  string
	Ops   []string // the words of file.op that matter; nil for all
}

// Files are all that somebody asks for.
type Files []File

// Wants says whether somebody asks for that to be told.
func (fs Files) Wants(path, op string) bool {
	for i := range fs {
		f := &fs[i]
		var is bool
		switch f.Match {
		case Whole:
			is = path == f.Text
		case Prefix:
			is = strings.HasPrefix(path, f.Text)
		case Suffix:
			is = strings.HasSuffix(path, f.Text)
		}
		if is && (f.Ops == nil || slices.Contains(f.Ops, op)) {
			return true
		}
	}
	return false
}

// Objects are the programs of families that have one.
func Objects(families []Family) (list []kernel.Object) {
	for i := range families {
		if families[i].Source == nil {
			list = append(list, families[i].Object)
		}
	}
	return list
}
