package inflate

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// writer makes streams that no compressor would, bit by bit.
type writer struct {
	b []byte
	n uint
}

// put adds the low n bits of v, first the lowest (RFC 1951, 3.1.1).
func (w *writer) put(v uint64, n uint) *writer {
	for i := range n {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
	return w
}

// code adds a Huffman code, first its highest bit.
func (w *writer) code(v uint64, n uint) *writer {
	for i := n; i > 0; i-- {
		w.put(v>>(i-1)&1, 1)
	}
	return w
}

func (w *writer) bytes() []byte { return w.b }

// dynamic begins a block whose codes have these lengths, each written as it
// is: a complete code of code lengths with 16 codes of 4 bits.
func dynamic(last bool, lit, dis []int) *writer {
	w := &writer{}
	final := uint64(0)
	if last {
		final = 1
	}
	w.put(final, 1).put(2, 2).put(uint64(len(lit)-257), 5).put(uint64(len(dis)-1), 5).put(15, 4)
	for _, s := range preOrder {
		if s < 16 {
			w.put(4, 3)
		} else {
			w.put(0, 3)
		}
	}
	for _, l := range append(append([]int{}, lit...), dis...) {
		w.code(uint64(l), 4)
	}
	return w
}

// lens has length l for each symbol of a map, and no code for the others.
func lens(n int, of map[int]int) []int {
	out := make([]int, n)
	for s, l := range of {
		out[s] = l
	}
	return out
}

type stream struct {
	name string
	bits *writer
}

// streams are blocks at the edge of what the format allows.
func streams() []stream {
	fixed := func() *writer { return (&writer{}).put(1, 1).put(1, 2) }
	long := map[int]int{} // codes of 1, 2, … 15, 15 bits
	for i := 1; i <= 15; i++ {
		long[64+i] = i
	}
	long[256] = 15
	return []stream{
		{"empty fixed block", fixed().code(0, 7)},
		{"fixed: literal", fixed().code(0x30+'a', 8).code(0, 7)},
		{"fixed: distance before the beginning", fixed().code(1, 7).code(0, 5).code(0, 7)},
		{"fixed: distance 1", fixed().code(0x30+'a', 8).code(1, 7).code(0, 5).code(0, 7)},
		{"fixed: distance 2 with one byte", fixed().code(0x30+'a', 8).code(1, 7).code(1, 5).code(0, 7)},
		{"fixed: length 258", fixed().code(0x30+'a', 8).code(0xc0+5, 8).code(0, 5).code(0, 7)},
		{"fixed: length symbol 284 with all extra bits", fixed().code(0x30+'a', 8).code(0xc0+4, 8).put(31, 5).code(0, 5).code(0, 7)},
		{"fixed: length symbol 286", fixed().code(0x30+'a', 8).code(0xc0+6, 8).code(0, 5).code(0, 7)},
		{"fixed: length symbol 287", fixed().code(0x30+'a', 8).code(0xc0+7, 8).code(0, 5).code(0, 7)},
		{"fixed: distance symbol 30", fixed().code(0x30+'a', 8).code(1, 7).code(30, 5).code(0, 7)},
		{"fixed: distance symbol 31", fixed().code(0x30+'a', 8).code(1, 7).code(31, 5).code(0, 7)},
		{"block of type 3", (&writer{}).put(7, 3)},
		{"stored, no length", (&writer{}).put(1, 3)},
		{"stored, empty", (&writer{}).put(1, 8).put(0, 16).put(0xffff, 16)},
		{"stored, wrong complement", (&writer{}).put(1, 8).put(1, 16).put(0xffff, 16).put(0, 8)},
		{"stored, one byte", (&writer{}).put(1, 8).put(1, 16).put(0xfffe, 16).put(65, 8)},
		{"stored after a code", (&writer{}).put(2, 3).code(0x30+'a', 8).code(0, 7).put(1, 3).put(0, 3).put(1, 16).put(0xfffe, 16).put(65, 8)},
		{"288 literals", (&writer{}).put(5, 3).put(31, 5).put(0, 5).put(0, 4).put(0, 60)},
		{"287 literals", (&writer{}).put(5, 3).put(30, 5).put(0, 5).put(0, 4).put(0, 60)},
		{"31 distances", (&writer{}).put(5, 3).put(0, 5).put(30, 5).put(0, 4).put(0, 60)},
		{"no code of lengths", (&writer{}).put(5, 3).put(0, 5).put(0, 5).put(0, 4).put(0, 60)},
		{"repeat before the first length", (&writer{}).put(5, 3).put(0, 5).put(0, 5).put(0, 4).put(1, 3).put(0, 9).put(0, 8)},
		{"repeat beyond the last length", (&writer{}).put(5, 3).put(0, 5).put(0, 5).put(0, 4).put(0, 6).put(1, 3).put(0, 3).put(0x7f<<1, 8).put(0xff, 8).put(0xff, 8)},
		{"no codes at all", dynamic(true, lens(257, nil), lens(1, nil)).put(0, 20)},
		{"no end of block", dynamic(true, lens(257, map[int]int{65: 1}), lens(1, nil)).put(0, 20)},
		{"one code: the end", dynamic(true, lens(257, map[int]int{256: 1}), lens(1, nil)).code(0, 1)},
		{"one code: the other bit", dynamic(true, lens(257, map[int]int{256: 1}), lens(1, nil)).code(1, 1).put(0, 40)},
		{"one code of two bits", dynamic(true, lens(257, map[int]int{256: 2}), lens(1, nil)).code(0, 2)},
		{"incomplete", dynamic(true, lens(257, map[int]int{65: 2, 256: 1}), lens(1, nil)).code(0, 1)},
		{"too many codes", dynamic(true, lens(257, map[int]int{65: 1, 66: 1, 256: 1}), lens(1, nil)).code(0, 1)},
		{"codes of all lengths", dynamic(true, lens(257, long), lens(1, nil)).code(0x7ffe, 15).code(0, 1).code(2, 2).code(0x7ffe, 15).code(0x7fff, 15)},
		{"no distance code, unused", dynamic(true, lens(258, map[int]int{65: 2, 256: 1, 257: 2}), lens(1, nil)).code(2, 2).code(0, 1)},
		{"no distance code, used", dynamic(true, lens(258, map[int]int{65: 2, 256: 1, 257: 2}), lens(1, nil)).code(2, 2).code(3, 2).put(0, 30)},
		{"one distance code", dynamic(true, lens(258, map[int]int{65: 2, 256: 1, 257: 2}), lens(1, map[int]int{0: 1})).code(2, 2).code(3, 2).code(0, 1).code(0, 1)},
		{"one distance code, other bit", dynamic(true, lens(258, map[int]int{65: 2, 256: 1, 257: 2}), lens(1, map[int]int{0: 1})).code(2, 2).code(3, 2).code(1, 1).put(0, 30)},
		{"long distance codes", dynamic(true, lens(258, map[int]int{65: 2, 256: 1, 257: 2}), []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15}).code(2, 2).code(3, 2).code(0, 1).code(3, 2).code(0x7ffe, 15).code(0, 1)},
	}
}

// TestHostile: each of them alone, cut off at each byte, and followed by more.
func TestHostile(t *testing.T) {
	for _, s := range streams() {
		t.Run(s.name, func(t *testing.T) {
			z := s.bits.bytes()
			for n := range len(z) + 1 {
				same(t, z[:n], Raw)
			}
			// With enough behind it the fast loop meets the same bits.
			same(t, append(append([]byte{}, z...), make([]byte, 4*fastInput)...), Raw)
			same(t, append(append([]byte{}, z...), strings.Repeat("\xff\x55", 2*fastInput)...), Raw)
		})
	}
	same(t, dynamic(true, lens(257, map[int]int{256: 1}), lens(1, nil)).code(0, 1).bytes(), Raw)
}

// TestMatches writes every distance up to 300 with every length, and far ones,
// at places where a match ends before, at and behind the edge of a chunk.
func TestMatches(t *testing.T) {
	lengthCode := func(w *writer, n int) {
		for s := 28; s >= 0; s-- {
			e := litEntries[257+s]
			base, extra := int(e>>16), uint(e&63)
			if n >= base {
				if s < 23 {
					w.code(uint64(s+1), 7)
				} else {
					w.code(uint64(0xc0+s-23), 8)
				}
				w.put(uint64(n-base), extra)
				return
			}
		}
	}
	distanceCode := func(w *writer, n int) {
		for s := 29; s >= 0; s-- {
			e := disEntries[s]
			if base := int(e >> 16); n >= base {
				w.code(uint64(s), 5).put(uint64(n-base), uint(e&63))
				return
			}
		}
	}
	rnd := rand.New(rand.NewPCG(17, 18))
	w := (&writer{}).put(1, 1).put(1, 2)
	size := 0
	for range windowSize {
		w.code(uint64(0x30+rnd.IntN(144)), 8)
		size++
	}
	match := func(distance, length int) {
		lengthCode(w, length)
		distanceCode(w, distance)
		size += length
	}
	for d := 1; d <= 300; d++ {
		for l := 3; l <= 258; l += 1 + rnd.IntN(9) {
			match(d, l)
			for range rnd.IntN(5) {
				w.code(uint64(0x30+rnd.IntN(144)), 8)
				size++
			}
		}
	}
	for range 50_000 {
		match(1+rnd.IntN(windowSize), 3+rnd.IntN(256))
	}
	match(windowSize, 258)
	w.code(0, 7)
	if got := same(t, w.bytes(), Raw); len(got) != size {
		t.Errorf("%d bytes, want %d", len(got), size)
	}
}
