package rpm

import (
	"encoding/binary"

	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Flags of files (rpmfi.h, rpmvf.h): what a package leaves to others has no
// sum that would have to hold.
const (
	flagConfig   = 1 << 0
	flagGhost    = 1 << 6
	verifyDigest = 1 << 0
)

// Sums yields what each file should hold: its path, the sum in hex (MD5 or a
// SHA), and the package. Settings, ghosts and what the package exempts from
// "rpm --verify" are left out. What cannot be read is skipped: it vouches for
// nothing, and Read says what is wrong with it.
func (Reader) Sums(f *layer.File, yield func(path, sum, pkg string)) {
	left := catalog.MaxPaths(len(f.Data))
	_ = walk(f.Data, func(blob []byte, err error) bool {
		if err != nil {
			return true
		}
		if h, err := parseHeader(blob); err == nil {
			h.sums(&left, yield)
		}
		return left > 0
	})
}

// sums is for one package; left is how many bytes of paths may still be made.
func (h *header) sums(left *int, yield func(path, sum, pkg string)) {
	name := h.text(h.name)
	flags, err1 := h.array(h.flags, typeInt32, 4)
	verify, err2 := h.array(h.verify, typeInt32, 4)
	digests, err3 := h.strings(h.digests)
	if err1 != nil || err2 != nil || err3 != nil || digests == nil || !catalog.Token(name) {
		return
	}
	pkg := string(name)
	_ = h.each(func(i int, dir, base []byte) {
		var digest []byte
		if i < int(h.digests.count) {
			var err error
			if digest, digests, err = cutString(digests); err != nil {
				digests = nil
				return
			}
		}
		// Folders and links have an empty one.
		if len(digest) == 0 || bits(flags, i)&(flagConfig|flagGhost) != 0 ||
			len(verify) > 0 && bits(verify, i)&verifyDigest == 0 {
			return
		}
		if len(dir) > 0 && dir[0] == '/' {
			dir = dir[1:]
		}
		if *left -= len(dir) + len(base); *left < 0 {
			return
		}
		yield(string(dir)+string(base), string(digest), pkg)
	})
}

// bits is the i-th number of an array, 0 where it is shorter.
func bits(array []byte, i int) uint32 {
	if len(array) < 4*(i+1) {
		return 0
	}
	return binary.BigEndian.Uint32(array[4*i:])
}
