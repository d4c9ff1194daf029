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
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
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
	lits []layer.Literal
	// filter is by the classes of two neighbouring bytes. The low half of a
	// word says which third byte may follow them, the high half which one may
	// stand before them: a window of four bytes passes when both of its pairs
	// agree.
	filter  [1 << 10]uint64
	starts  [1<<bucketBits + 1]uint32 // into entries
	entries []entry
	any     bool
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
				s.filter[w&0x3ff] |= 1 << (w >> 10 & 31)
				s.filter[w>>10] |= 1 << 32 << (w >> 5 & 31)
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
		y := binary.LittleEndian.Uint64(data[i:]) & classes
		p := pairs(y)
		a, b, c, d := s.filter[p&0x3ff], s.filter[p>>16&0x3ff], s.filter[p>>32&0x3ff], s.filter[p>>48&0x3ff]
		first := a >> (y >> 16 & 63) & (b >> 32 >> (y >> 8 & 63))
		second := b >> (y >> 32 & 63) & (c >> 32 >> (y >> 24 & 63))
		third := c >> (y >> 48 & 63) & (d >> 32 >> (y >> 40 & 63))
		if (first|second|third)&1 == 0 {
			continue
		}
		for j, passed := range [...]uint64{first, second, third} {
			if passed&1 != 0 {
				if dst, full = s.verify(data, i+2*j, p>>(16*j), dst); full {
					return sorted(dst, from)
				}
			}
		}
	}
	for ; i < len(data)-2; i += 2 {
		if dst, full = s.verify(data, i, pairs(word(data, i)&classes), dst); full {
			break
		}
	}
	return sorted(dst, from)
}

// pairs packs the classes of two bytes into ten bits, four times: those of the
// bytes 0 and 1, 2 and 3, 4 and 5, 6 and 7.
func pairs(y uint64) uint64 { return y&evens | y>>3&odds }

// verify compares the literals whose window, the first two of pairs, is at
// pos. full says that dst has no room left.
func (s *Set) verify(data []byte, pos int, pairs uint64, dst []layer.Hit) (hits []layer.Hit, full bool) {
	h := bucketHash(uint32(pairs&0x3ff | pairs>>6&0xffc00))
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
// they are least likely in text, and their buckets least full. Windows with a
// byte outside of the literal are for those that are too short for others.
func (s *Set) rarest(lit string, load *[1 << bucketBits]int) int {
	at := func(i int) int {
		if i < 0 || i >= len(lit) {
			return 40
		}
		return common(lit[i])
	}
	best, cost := 0, -1
	for k := -1; k+1+4 <= len(lit)+1; k++ {
		c := 0
		for off := k; off <= k+1; off++ {
			c += at(off) * at(off+1) * at(off+2) * at(off+3)
			c += 50 * load[bucketHash(windows(lit, off)[0])]
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
