package layer

import (
	"fmt"
	"math/bits"

	"github.com/esclusa/esclusa"
)

// choices are the searchers that look for all of their literals in a file, and
// those that look for the wide ones only.
type choices struct{ every, wide mask }

// search is the literals of some searchers, compiled.
type search struct {
	finder Finder
	refs   []literalRef // by index of the finder's list
}

// literalRef leads from the finder's list back to the reader's own.
type literalRef struct{ reader, index int }

// choose asks the searchers among the readers of a file.
func (s *Set) choose(f *File, read mask) choices {
	var c choices
	for left := read & s.searchers; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(uint64(left))
		choice := Every
		if r, ok := s.readers[i].(Chooser); ok {
			choice = r.Choose(f.Path, len(f.Data))
		}
		switch choice {
		case Every:
			c.every |= 1 << i
		case WideOnly:
			c.wide |= 1 << i
		}
	}
	return c
}

// search compiles the literals that are chosen, once. Asking for them makes
// readers parse their rules, which a scan that reads no file has no use for.
func (s *Set) search(c choices) *search {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.finders[c]
	if found != nil {
		return found
	}
	found = &search{}
	var all []Literal
	for i, r := range s.readers {
		if (c.every|c.wide)&(1<<i) == 0 {
			continue
		}
		for j, l := range r.(Searcher).Literals() {
			if l.Wide || c.every&(1<<i) != 0 {
				all = append(all, l)
				found.refs = append(found.refs, literalRef{i, j})
			}
		}
	}
	found.finder = s.compile(all)
	s.finders[c] = found
	return found
}

// search finds the literals of all searchers in one pass and deals them out.
func (w *worker) search(f *File, read mask, into *collector) {
	s := w.pool.set
	if w.own == nil {
		w.own = make([][]Hit, len(s.readers))
		w.hits = make([]Hit, 0, w.pool.limits.Hits)
	}
	for i := range w.own {
		w.own[i] = w.own[i][:0]
	}
	c := s.choose(f, read)
	if c == (choices{}) {
		return
	}
	search := s.search(c)
	w.hits = search.finder.Find(f.Data, w.hits[:0])
	if len(w.hits) == cap(w.hits) {
		into.whole()
		into.gap(bySet, esclusa.Gap{
			Scope: esclusa.GapFile, Place: esclusa.Place{Path: f.Path}, What: "rest of the file's suspicious words",
			Err: fmt.Sprintf("more than %d of them", w.pool.limits.Hits),
		})
	}
	for _, h := range w.hits {
		ref := search.refs[h.Literal]
		w.own[ref.reader] = append(w.own[ref.reader], Hit{Literal: ref.index, End: h.End})
	}
}
