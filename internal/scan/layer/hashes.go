package layer

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Hashes is a set of 64-bit names, sorted and unique. A path or a symbol
// costs eight bytes in it, so that what a layer holds is known for three
// million files in 24 MB.
type Hashes []uint64

// Has says whether h is in the set.
func (s Hashes) Has(h uint64) bool {
	_, ok := slices.BinarySearch(s, h)
	return ok
}

// hasPath says whether the path is in the set, as a file or as a folder: the
// two hashes are neighbours.
func (s Hashes) hasPath(p string) bool {
	h := pathHash(p, false)
	i, ok := slices.BinarySearch(s, h)
	return ok || i < len(s) && s[i] == h|1
}

// MarshalBinary writes eight bytes a member, little-endian.
func (s Hashes) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 8*len(s))
	for _, h := range s {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b, nil
}

// UnmarshalBinary reads what MarshalBinary wrote.
func (s *Hashes) UnmarshalBinary(b []byte) error {
	if len(b)%8 != 0 {
		return errors.New("hashes: length is no multiple of eight")
	}
	out := make(Hashes, len(b)/8)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	*s = out
	return nil
}

// sorted makes a set of what was collected.
func (s Hashes) sorted() Hashes {
	slices.Sort(s)
	return slices.Compact(s)
}

// SymbolHash names a function by 64 bits, so that the 50,000 symbols of a
// large binary cost 400 KB in the cache. The name is as the Go advisories
// write it: import path, dot, function or Type.Method.
func SymbolHash(name string) uint64 { return xxhash.Sum64String(name) }

// pathHash names a path. The lowest bit says whether it is a folder, so that
// a record tells a replaced folder from one that merely got a new time.
func pathHash(path string, dir bool) uint64 {
	h := xxhash.Sum64String(path) &^ 1
	if dir {
		h |= 1
	}
	return h
}
