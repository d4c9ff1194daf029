package layer

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Finder searches for many literals in one pass; Hit.Literal is the index in
// the list that it was compiled from. It appends to dst within its capacity:
// a full slice says that hits were cut.
type Finder interface {
	Find(data []byte, dst []Hit) []Hit
}

// mask holds a bit for each reader of a Set.
type mask uint64

// maxReaders is what a mask holds.
const maxReaders = 64

// Set is a choice of readers, indexed by what they claim, so that the cost of
// an entry that nobody wants does not grow with the number of readers.
type Set struct {
	readers []Reader
	specs   []Spec
	byPath  map[string][]claimRef
	byBase  map[string][]claimRef
	byExt   map[string][]claimRef // last extension, with its dot
	rest    []claimRef

	searchers mask
	compile   func([]Literal) Finder
	mu        sync.Mutex
	finders   map[choices]*search // compiled at the first file that needs it
}

type claimRef struct {
	reader int
	claim  Claim
}

// NewSet indexes the readers that read in targets of the given kind.
func NewSet(readers []Reader, where Where, compile func([]Literal) Finder) (*Set, error) {
	s := &Set{
		byPath: map[string][]claimRef{}, byBase: map[string][]claimRef{}, byExt: map[string][]claimRef{},
		compile: compile, finders: map[choices]*search{},
	}
	for _, r := range readers {
		spec := r.Spec()
		if where != Everywhere && spec.Where != Everywhere && spec.Where != where {
			continue
		}
		i := len(s.readers)
		if i == maxReaders {
			return nil, fmt.Errorf("more than %d readers", maxReaders)
		}
		s.readers, s.specs = append(s.readers, r), append(s.specs, spec)
		for _, c := range spec.Claims {
			s.index(claimRef{i, c})
		}
		if _, ok := r.(Searcher); ok {
			s.searchers |= 1 << i
		}
	}
	return s, nil
}

func (s *Set) index(c claimRef) {
	switch ext := path.Ext(c.claim.Suffix); {
	case c.claim.Path != "":
		s.byPath[c.claim.Path] = append(s.byPath[c.claim.Path], c)
	case c.claim.Base != "":
		s.byBase[c.claim.Base] = append(s.byBase[c.claim.Base], c)
	case ext != "":
		s.byExt[ext] = append(s.byExt[ext], c)
	default:
		s.rest = append(s.rest, c)
	}
}

// Key names the set: readers that give the same results have the same key. It
// is part of the cache's key.
func (s *Set) Key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "record %d\n", recordVersion)
	for _, spec := range s.specs {
		fmt.Fprintf(&b, "%s %d\n", spec.Name, spec.Version)
	}
	return fmt.Sprintf("%016x", xxhash.Sum64String(b.String()))
}

// wants is what readers ask of a file, by path and mode alone.
type wants struct {
	sure  mask       // whatever the content
	maybe []claimRef // if the first bytes match
	over  []claimRef // claimed, but larger than the reader takes
}

func (w *wants) none() bool { return w.sure == 0 && len(w.maybe) == 0 && len(w.over) == 0 }

// limit leaves what these readers want.
func (w *wants) limit(to mask) {
	if to == ^mask(0) {
		return
	}
	others := func(c claimRef) bool { return to&(1<<c.reader) == 0 }
	w.sure, w.maybe, w.over = w.sure&to, slices.DeleteFunc(w.maybe, others), slices.DeleteFunc(w.over, others)
}

// claims fills w; its slice is used again.
func (s *Set) claims(p string, mode fs.FileMode, size int64, w *wants) {
	w.sure, w.maybe, w.over = 0, w.maybe[:0], w.over[:0]
	add := func(refs []claimRef) {
		for i := range refs {
			c := &refs[i]
			bit := mask(1) << c.reader
			if w.sure&bit != 0 || !c.claim.MatchPath(p, mode) {
				continue
			}
			switch {
			case size > s.specs[c.reader].Limit():
				if !s.specs[c.reader].Skim {
					w.over = append(w.over, *c)
				}
			case c.claim.NeedsHead():
				w.maybe = append(w.maybe, *c)
			default:
				w.sure |= bit
			}
		}
	}
	if len(s.byPath) > 0 {
		add(s.byPath[p])
	}
	base := path.Base(p)
	add(s.byBase[base])
	if ext := path.Ext(base); ext != "" {
		add(s.byExt[ext])
	}
	add(s.rest)
}

// decide adds what the first bytes of the file decide: who reads it, and whom
// it is too large for.
func (w *wants) decide(head []byte) (read, tooLarge mask) {
	read = w.sure
	for i := range w.maybe {
		if w.maybe[i].claim.MatchHead(head) {
			read |= 1 << w.maybe[i].reader
		}
	}
	for i := range w.over {
		if w.over[i].claim.MatchHead(head) {
			tooLarge |= 1 << w.over[i].reader
		}
	}
	return read, tooLarge
}
