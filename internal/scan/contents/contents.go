// Package contents is what a target holds before any advisory is asked: the
// packages, what the readers found and could not read, and what matching
// needs to know of the binaries. An image whose layers and configuration did
// not change has the same contents, so they are kept whole: decoding them
// costs a tenth of merging the records of its layers again.
//
// It holds nothing that an advisory, a VEX statement or the date decides, and
// it does not know where it is kept (cache does). Bytes that are not exactly
// what Encode wrote are refused, and the caller merges the layers anew.
//
// Start with Contents; code.go shows the form.
package contents

import (
	"encoding/binary"

	"github.com/esclusa/esclusa"
)

// Contents is what a target holds. It is used by one goroutine at a time.
type Contents struct {
	Distro   esclusa.Distro
	Packages []esclusa.Package // in the order of the report
	Findings []esclusa.Finding // of readers and judges, none of advisories
	Gaps     []esclusa.Gap
	binaries map[string]*binaryFile
}

// binaryFile is the functions linked into one file: in the form in which they
// are kept until someone asks, which for most binaries nobody does.
type binaryFile struct {
	kept   []byte // eight bytes each, little-endian
	hashes []uint64
}

// SetSymbols keeps the sorted hashes (layer.SymbolHash) of the functions
// linked into the file at path. The first call for a path counts; an empty
// list is the same as none.
func (c *Contents) SetSymbols(path string, hashes []uint64) {
	if len(hashes) == 0 || c.binaries[path] != nil {
		return
	}
	if c.binaries == nil {
		c.binaries = map[string]*binaryFile{}
	}
	c.binaries[path] = &binaryFile{hashes: hashes}
}

// Symbols are the functions linked into the file at path; nil when not known.
func (c *Contents) Symbols(path string) []uint64 {
	b := c.binaries[path]
	if b == nil {
		return nil
	}
	if b.hashes == nil {
		b.hashes = make([]uint64, len(b.kept)/8)
		for i := range b.hashes {
			b.hashes[i] = binary.LittleEndian.Uint64(b.kept[8*i:])
		}
		b.kept = nil
	}
	return b.hashes
}
