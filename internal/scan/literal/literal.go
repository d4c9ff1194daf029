// Package literal searches a file once for the literals of all readers: some
// hundred short byte strings over every text of an image, so its speed is the
// speed of inspect.
//
// A filter looks at every second position only, at the low five bits of four
// bytes, in a table that stays in the first-level cache; what passes is
// compared in full. The work per byte is bounded by the literals, which are
// ours, and never by the file, which is not. No state, no allocation, no
// regular expression.
//
// Start with Compile and Find.
package literal

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	// minLen is what a filter at every second position needs: two windows of
	// four bytes at neighbouring offsets, each with at most one byte outside
	// of the literal.
	minLen = 3

	bucketBits = 14

	// fold is OR-ed onto eight bytes at once: it folds ASCII letters and
	// merges some other bytes, which the comparison afterwards tells apart.
	fold   = 0x2020202020202020
	spread = 0x9e3779b1 // 2^32 / golden ratio

	// A byte's class is its low five bits: they tell letters apart, and not
	// their case.
	classes = 0x1f1f1f1f1f1f1f1f
	evens   = 0x001f001f001f001f
	odds    = 0x03e003e003e003e0
)

// Set is a compiled list of literals. It is read-only: share it.
type Set struct {
	lits    []layer.Literal
	filter  [1 << 10]pair             // by the classes of two bytes
	starts  [1<<bucketBits + 1]uint32 // into entries
	entries []entry
	any     bool
}

// pair is what two neighbouring bytes may belong to. Each window of each
// literal is in one of 64 groups: a window of a file passes when a group has
// windows that begin with its first pair, and windows that end with its
// second. Two loads and an AND tell, and each pair is looked up once.
type pair struct {
	begins, ends uint64 // a bit for each group
}

// entry is one literal at one of its two window offsets.
type entry struct {
	val, mask uint64 // the first bytes of the literal, folded
	lit       int32
	off       int32 // where the window stands in the literal; -1 is before it
}

// Compile prepares the literals for Find. Hit.Literal will be the index into
// lits, which is kept and must not change. Literals shorter than three bytes
// are a mistake of the reader that declares them: Compile panics, as
// regexp.MustCompile does, for they are constants.
func Compile(lits []layer.Literal) *Set {
	s := &Set{lits: lits, any: len(lits) > 0}
	var all []placed
	for i, l := range lits {
		if len(l.Bytes) < minLen {
			panic(fmt.Sprintf("literal %q is shorter than %d bytes", l.Bytes, minLen))
		}
		e := entry{lit: int32(i)}
		e.val, e.mask = prefix(l.Bytes)
		k := rarest(l.Bytes)
		for off := k; off <= k+1; off++ {
			e.off = int32(off)
			all = append(all, placed{windows(l.Bytes, off), e})
		}
	}
	s.group(all)
	s.index(all)
	return s
}

// placed is an entry and the windows of the file that lead to it.
type placed struct {
	windows []uint32
	entry
}

// group fills the filter. A group lets every combination of its first and
// second pairs pass, so each window joins the one to which it adds least.
func (s *Set) group(all []placed) {
	var first, second [64]float64 // how likely a pair of the group is
	for i := range all {
		begins, ends := sides(all[i].windows)
		with, and := first, second
		for _, p := range begins {
			widen(&with, s.filter[p].begins, p)
		}
		for _, p := range ends {
			widen(&and, s.filter[p].ends, p)
		}
		best, least := 0, math.Inf(1)
		for g := range first {
			if more := with[g]*and[g] - first[g]*second[g]; more < least {
				best, least = g, more
			}
		}
		first[best], second[best] = with[best], and[best]
		for _, p := range begins {
			s.filter[p].begins |= 1 << best
		}
		for _, p := range ends {
			s.filter[p].ends |= 1 << best
		}
	}
}

// widen adds a pair to the groups that have it not.
func widen(sums *[64]float64, have uint64, p uint32) {
	l := likely(p)
	for g := range sums {
		if have>>g&1 == 0 {
			sums[g] += l
		}
	}
}

// sides are the first and the second pairs of windows, each once.
func sides(windows []uint32) (begins, ends []uint32) {
	for _, w := range windows {
		begins, ends = append(begins, w&0x3ff), append(ends, w>>10)
	}
	slices.Sort(begins)
	slices.Sort(ends)
	return slices.Compact(begins), slices.Compact(ends)
}

// likely is how often a pair of classes is to be expected.
func likely(p uint32) float64 {
	return float64(classFrequency[p&31]) * float64(classFrequency[p>>5]) / 1e6
}

// index puts the entries where the hash of a window finds them.
func (s *Set) index(all []placed) {
	type kept struct {
		bucket uint32
		entry
	}
	var list []kept
	for i := range all {
		for _, w := range all[i].windows {
			list = append(list, kept{bucketHash(w), all[i].entry})
		}
	}
	slices.SortStableFunc(list, func(a, b kept) int { return cmp.Compare(a.bucket, b.bucket) })
	s.entries = make([]entry, 0, len(list))
	next := uint32(0)
	for _, k := range list {
		// Two wildcard windows of one literal may share a bucket: the
		// second would report the literal twice.
		if n := len(s.entries); n > 0 && next > k.bucket && s.entries[n-1] == k.entry {
			continue
		}
		for ; next <= k.bucket; next++ {
			s.starts[next] = uint32(len(s.entries))
		}
		s.entries = append(s.entries, k.entry)
	}
	for ; int(next) < len(s.starts); next++ {
		s.starts[next] = uint32(len(s.entries))
	}
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
	// A window may begin with the last pair of the eight bytes before. One
	// branch for four windows makes the common case, nothing, cheap.
	before := uint64(0)
	for ; i+8 <= len(data); i += 8 {
		p := pairs(binary.LittleEndian.Uint64(data[i:]) & classes)
		a, b, c, d := &s.filter[p&0x3ff], &s.filter[p>>16&0x3ff], &s.filter[p>>32&0x3ff], &s.filter[p>>48&0x3ff]
		first, second, third, fourth := before&a.ends, a.begins&b.ends, b.begins&c.ends, c.begins&d.ends
		before = d.begins
		if first|second|third|fourth == 0 {
			continue
		}
		for j, groups := range [...]uint64{first, second, third, fourth} {
			if groups != 0 {
				if dst, full = s.verify(data, i+2*j-2, dst); full {
					return sorted(dst, from)
				}
			}
		}
	}
	for i = max(0, i-2); i < len(data)-2; i += 2 {
		if dst, full = s.verify(data, i, dst); full {
			break
		}
	}
	return sorted(dst, from)
}

// pairs packs the classes of two bytes into ten bits, four times: those of the
// bytes 0 and 1, 2 and 3, 4 and 5, 6 and 7.
func pairs(y uint64) uint64 { return y&evens | y>>3&odds }

// verify compares the literals that have a window at pos. full says that dst
// has no room left.
func (s *Set) verify(data []byte, pos int, dst []layer.Hit) (hits []layer.Hit, full bool) {
	p := pairs(word(data, pos) & classes)
	h := bucketHash(uint32(p&0x3ff | p>>6&0xffc00))
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
// they are least likely. Windows with a byte outside of the literal are for
// those that are too short for others.
func rarest(lit string) int {
	at := func(i int) int {
		if i < 0 || i >= len(lit) {
			return 1000
		}
		return classFrequency[lit[i]&31]
	}
	best, cost := 0, -1
	for k := -1; k+1+4 <= len(lit)+1; k++ {
		c := 0
		for off := k; off <= k+1; off++ {
			c += at(off) * at(off+1) * at(off+2) * at(off+3)
		}
		if cost < 0 || c < cost {
			best, cost = k, c
		}
	}
	return best
}

// classFrequency is how many of a thousand bytes of text and source are of a
// class. Only the speed depends on it.
var classFrequency = [32]int{
	180, 54, 25, 30, 22, 69, 17, 17, 22, 58, 32, 7, 43, 21, 51, 44, 31, 10, 46, 42, 55, 22, 10, 8, 13, 12, 11, 13, 6, 15, 2, 9,
}

// windows are the classes of the four bytes at off, five bits each. Where one
// of them lies outside of the literal stands anything, so all are listed.
func windows(lit string, off int) []uint32 {
	out := []uint32{0}
	for i := range 4 {
		shift := 5 * i
		if at := off + i; at >= 0 && at < len(lit) {
			for k := range out {
				out[k] |= uint32(lit[at]&31) << shift
			}
			continue
		}
		all := make([]uint32, 0, 32*len(out))
		for _, w := range out {
			for class := range uint32(32) {
				all = append(all, w|class<<shift)
			}
		}
		out = all
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

func bucketHash(w uint32) uint32 { return w * spread >> (32 - bucketBits) }

// sorted orders what this call appended: the filter finds a literal by its
// rarest bytes, not by its end.
func sorted(hits []layer.Hit, from int) []layer.Hit {
	slices.SortFunc(hits[from:], func(a, b layer.Hit) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.Literal, b.Literal))
	})
	return hits
}
