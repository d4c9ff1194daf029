// Package literal searches a file once for the literals of all readers: some
// hundred short byte strings over every text of an image, so its speed is the
// speed of inspect.
//
// A filter looks at every second position only, at three bytes folded and
// hashed into a bitmap that stays in the first-level cache; what passes is
// compared in full. The work per byte is bounded by the literals, which are
// ours, and never by the file, which is not. No state, no allocation, no
// regular expression.
//
// Start with Compile and Find.
package literal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	// minLen is what a filter at every second position needs: a literal of
	// three bytes holds one whole window at one of two neighbouring offsets.
	minLen = 3

	filterBits = 17 // 16 KiB
	bucketBits = 12

	// fold is OR-ed onto eight bytes at once: it folds ASCII letters and
	// merges some other bytes, which the comparison afterwards tells apart.
	fold   = 0x2020202020202020
	window = 0xffffff
	spread = 0x9e3779b1 // 2^32 / golden ratio
)

// Set is a compiled list of literals. It is read-only: share it.
type Set struct {
	lits    []layer.Literal
	filter  [1 << (filterBits - 6)]uint64
	starts  [1<<bucketBits + 1]uint32 // into entries
	entries []entry
	any     bool
}

// entry is one literal at one of its two window offsets.
type entry struct {
	val, mask uint64 // the first bytes of the literal, folded
	lit       int32
	off       int32 // where the window stands in the literal
}

// Compile prepares the literals for Find. Hit.Literal will be the index into
// lits, which is kept and must not change. Literals shorter than three bytes
// are a mistake of the reader that declares them: Compile panics, as
// regexp.MustCompile does, for they are constants.
func Compile(lits []layer.Literal) *Set {
	s := &Set{lits: lits, any: len(lits) > 0}
	type placed struct {
		bucket uint32
		entry
	}
	all := make([]placed, 0, 2*len(lits))
	var load [1 << bucketBits]int
	for i, l := range lits {
		if len(l.Bytes) < minLen {
			panic(fmt.Sprintf("literal %q is shorter than %d bytes", l.Bytes, minLen))
		}
		e := entry{lit: int32(i)}
		e.val, e.mask = prefix(l.Bytes)
		k := s.rarest(l.Bytes, &load)
		for off := k; off <= k+1; off++ {
			e.off = int32(off)
			for _, w := range windows(l.Bytes, off) {
				s.filter[filterHash(w)>>6] |= 1 << (filterHash(w) & 63)
				load[bucketHash(w)]++
				all = append(all, placed{bucketHash(w), e})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.bucket, b.bucket) })
	s.entries = make([]entry, 0, len(all))
	next := uint32(0)
	for _, p := range all {
		// Two wildcard windows of one literal may share a bucket: the
		// second would report the literal twice.
		if n := len(s.entries); n > 0 && next > p.bucket && s.entries[n-1] == p.entry {
			continue
		}
		for ; next <= p.bucket; next++ {
			s.starts[next] = uint32(len(s.entries))
		}
		s.entries = append(s.entries, p.entry)
	}
	for ; int(next) < len(s.starts); next++ {
		s.starts[next] = uint32(len(s.entries))
	}
	return s
}

// Find appends to dst where the literals stand in data, in rising order of
// End, then of Literal. It never grows dst: the capacity is the caller's
// limit, so that a hostile file cannot make millions of hits, and a result
// that fills it (len == cap) is cut. Which hits a cut leaves out is not said;
// the caller reports a Gap.
func (s *Set) Find(data []byte, dst []layer.Hit) []layer.Hit {
	if !s.any || len(data) < minLen || len(dst) == cap(dst) {
		return dst
	}
	from := len(dst)
	i, full := 0, false
	// Eight bytes hold three windows two bytes apart; one branch for all
	// three is what makes the common case, nothing, cheap.
	for ; i+8 <= len(data); i += 6 {
		x := binary.LittleEndian.Uint64(data[i:]) | fold
		a, b, c := filterHash(uint32(x&window)), filterHash(uint32(x>>16&window)), filterHash(uint32(x>>32&window))
		if (s.filter[a>>6]>>(a&63)|s.filter[b>>6]>>(b&63)|s.filter[c>>6]>>(c&63))&1 == 0 {
			continue
		}
		for j := range 3 {
			w := uint32(x >> (16 * j) & window)
			if h := filterHash(w); s.filter[h>>6]>>(h&63)&1 != 0 {
				if dst, full = s.verify(data, i+2*j, w, dst); full {
					return sorted(dst, from)
				}
			}
		}
	}
	for ; i < len(data)-1; i += 2 {
		if dst, full = s.verify(data, i, uint32(word(data, i)&window), dst); full {
			break
		}
	}
	return sorted(dst, from)
}

// verify compares the literals whose window is w at pos. full says that dst
// has no room left.
func (s *Set) verify(data []byte, pos int, w uint32, dst []layer.Hit) (hits []layer.Hit, full bool) {
	h := bucketHash(w)
	for _, e := range s.entries[s.starts[h]:s.starts[h+1]] {
		start := pos - int(e.off)
		if start < 0 || word(data, start)&e.mask != e.val {
			continue
		}
		l := &s.lits[e.lit]
		end := start + len(l.Bytes)
		if end > len(data) || !equal(data[start:end], l) {
			continue
		}
		if len(dst) == cap(dst) {
			return dst, true
		}
		dst = append(dst, layer.Hit{Literal: int(e.lit), End: end})
	}
	return dst, len(dst) == cap(dst)
}

// rarest chooses the offset of the first of a literal's two windows: where
// they are least likely in text, and their buckets least full.
func (s *Set) rarest(lit string, load *[1 << bucketBits]int) int {
	if len(lit) == minLen {
		return 0
	}
	best, cost := 0, -1
	for k := 0; k+4 <= len(lit); k++ {
		c := 0
		for off := k; off <= k+1; off++ {
			w := windows(lit, off)[0]
			c += common(lit[off]) * common(lit[off+1]) * common(lit[off+2])
			c += 50 * load[bucketHash(w)]
		}
		if cost < 0 || c < cost {
			best, cost = k, c
		}
	}
	return best
}

// common is a rough weight of how often a byte stands in text and source,
// 1 to 12. Only its order matters.
func common(b byte) int {
	const letters = "etaoinsrlcdpumhgfbyvkwxjqz" // by falling frequency in source
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	switch i := bytes.IndexByte([]byte(letters), b); {
	case i >= 0:
		return max(2, 12-i/2)
	case b == ' ':
		return 12
	case '0' <= b && b <= '9', bytes.IndexByte([]byte("-_./\"='(),;:"), b) >= 0:
		return 4
	}
	return 1
}

// windows are the folded three bytes at off. Behind the end of a literal of
// three bytes stands anything, so all values are listed.
func windows(lit string, off int) []uint32 {
	if off+3 <= len(lit) {
		return []uint32{uint32(word([]byte(lit), off) & window)}
	}
	base := uint32(word([]byte(lit), off) & 0xffff)
	out := make([]uint32, 0, 128)
	for b := range uint32(256) {
		if b&0x20 != 0 {
			out = append(out, base|b<<16)
		}
	}
	return out
}

// prefix is the folded first bytes of a literal and the mask that covers
// them.
func prefix(lit string) (val, mask uint64) {
	mask = ^uint64(0)
	if len(lit) < 8 {
		mask = 1<<(8*len(lit)) - 1
	}
	return word([]byte(lit), 0) & mask, mask
}

// word is the eight bytes at pos, folded; behind the end of data stand zeros.
func word(data []byte, pos int) uint64 {
	if pos+8 <= len(data) {
		return binary.LittleEndian.Uint64(data[pos:]) | fold
	}
	var x uint64
	for i := min(len(data), pos+8) - 1; i >= pos; i-- {
		x = x<<8 | uint64(data[i])
	}
	return x | fold
}

// equal compares in full; the lengths are equal.
func equal(b []byte, l *layer.Literal) bool {
	if !l.Fold {
		return string(b) == l.Bytes
	}
	for i, c := range b {
		if lower(c) != lower(l.Bytes[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func filterHash(w uint32) uint32 { return w * spread >> (32 - filterBits) }

func bucketHash(w uint32) uint32 { return w * spread >> (32 - bucketBits) }

// sorted orders what this call appended: the filter finds a literal by its
// rarest bytes, not by its end.
func sorted(hits []layer.Hit, from int) []layer.Hit {
	slices.SortFunc(hits[from:], func(a, b layer.Hit) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Literal, b.Literal))
	})
	return hits
}
