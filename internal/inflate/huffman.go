package inflate

import "math/bits"

// An entry of a decoding table is one uint32, made so that one shift of the
// bit buffer takes the code and its extra bits at once:
//
//	bit 31      a literal
//	bits 16–30  the literal; the smallest length or distance; where the
//	            second table begins
//	bit 15      none of these: look at bits 13 and 14 (neither: invalid)
//	bit 14      a second table
//	bit 13      the end of the block
//	bits 8–12   how many of the bits are the code; of a second table, how
//	            many bits choose in it
//	bits 0–5    how many bits to take
const (
	entryLiteral = 1 << 31
	entryOther   = 1 << 15
	entrySecond  = 1 << 14
	entryEnd     = 1 << 13
	entryInvalid = entryOther
)

const (
	maxCode = 15 // RFC 1951, 3.2.7
	litBits = 11
	disBits = 8
	preBits = 7
	numLit  = 288
	numDis  = 32
	numPre  = 19
	// With 288 codes of up to 15 bits, a first table of 11 bits and its
	// second tables have at most 2,342 entries; with 32 codes and 8 bits,
	// 402 (zlib's examples/enough.c computes such bounds).
	litSize = 2342
	disSize = 402
)

// What each symbol decodes to, before the length of its code is known.
var (
	litEntries = literalEntries()
	disEntries = distanceEntries()
	preEntries = prefixEntries()
)

// RFC 1951, 3.2.5: the extra bits of length and distance codes.
func literalEntries() (t [numLit]uint32) {
	for i := range 256 {
		t[i] = entryLiteral | uint32(i)<<16
	}
	t[256] = entryOther | entryEnd
	base := uint32(3)
	for i := uint32(0); i < 28; i++ {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		t[257+i] = base<<16 | extra
		base += 1 << extra
	}
	t[285] = 258 << 16
	t[286], t[287] = entryInvalid, entryInvalid
	return t
}

func distanceEntries() (t [numDis]uint32) {
	base := uint32(1)
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		t[i] = base<<16 | extra
		base += 1 << extra
	}
	t[30], t[31] = entryInvalid, entryInvalid
	return t
}

func prefixEntries() (t [numPre]uint32) {
	for i := range t {
		t[i] = uint32(i) << 16
	}
	return t
}

// build fills a table of 1<<first entries, and second tables behind it, for
// the codes of these lengths. It accepts what the standard library accepts:
// complete codes, no code at all, and a single code of one bit.
func build(table []uint32, lens []uint8, symbols []uint32, first uint) bool {
	var count [maxCode + 1]int
	for _, l := range lens {
		count[l&maxCode]++
	}
	longest := maxCode
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	main := table[:1<<first]
	if longest == 0 || longest == 1 && count[1] == 1 {
		fill(main, entryInvalid)
		if longest == 0 {
			return true
		}
	}
	var next [maxCode + 2]int // where the symbols of each length begin
	code := 0
	for l := 1; l <= longest; l++ {
		code = code<<1 + count[l]
		next[l+1] = next[l] + count[l]
	}
	if code != 1<<longest && (code != 1 || longest != 1) {
		return false
	}
	var sorted [numLit]uint16
	at := next
	for s, l := range lens {
		if l != 0 {
			sorted[at[l&maxCode]] = uint16(s)
			at[l&maxCode]++
		}
	}
	code = 0
	for l := 1; l <= min(longest, int(first)); l++ {
		code <<= 1
		for _, s := range sorted[next[l]:next[l+1]] {
			e := sized(symbols[s], uint32(l))
			for i := reverse(code, l); i < len(main); i += 1 << l {
				main[i] = e
			}
			code++
		}
	}
	if longest > int(first) {
		seconds(table, code, count[:longest+1], sorted[next[first+1]:next[longest+1]], symbols, first)
	}
	return true
}

// seconds makes the tables for codes longer than first bits; code is the one
// that follows the last code of first bits.
func seconds(table []uint32, code int, count []int, sorted []uint16, symbols []uint32, first uint) {
	end := 1 << first     // of the tables so far
	prefix, wide := -1, 0 // the first bits of the current second table; its width
	start := 0
	l := int(first)
	for left := 0; len(sorted) > 0; left-- {
		for left == 0 {
			l++
			code <<= 1
			left = count[l]
		}
		rev := reverse(code, l)
		if p := rev & (1<<first - 1); p != prefix {
			prefix, start = p, end
			// As wide as the codes with these first bits ask for.
			wide = l - int(first)
			for room := 1<<wide - left; room > 0 && int(first)+wide+1 < len(count); {
				wide++
				room = room<<1 - count[int(first)+wide]
			}
			end = start + 1<<wide
			table[p] = entryOther | entrySecond | uint32(start)<<16 | uint32(wide)<<8 | uint32(first)
		}
		e := sized(symbols[sorted[0]], uint32(l)-uint32(first))
		for i := rev >> first; i < 1<<wide; i += 1 << (l - int(first)) {
			table[start+i] = e
		}
		sorted = sorted[1:]
		code++
	}
}

// sized adds the length of the code. Invalid symbols take no bits.
func sized(e, length uint32) uint32 {
	if e&^(0xffff<<16) == entryInvalid {
		return e
	}
	return e + length<<8 + length
}

func reverse(code, length int) int {
	return int(bits.Reverse16(uint16(code)) >> (16 - length))
}

func fill(t []uint32, e uint32) {
	for i := range t {
		t[i] = e
	}
}
