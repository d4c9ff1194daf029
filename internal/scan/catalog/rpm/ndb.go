package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ndbMagic begins rpm's own format (lib/backend/ndb/rpmpkg.c).
const ndbMagic = "RpmP"

// readNDB calls entry for each slot in use. A file is pages of slots, which
// say where in the rest the blob of a package is, in blocks of 16 bytes.
func readNDB(data []byte, entry entryFunc) error {
	const (
		pageSize = 4096
		slotSize = 16
		headSize = 2 * slotSize // takes the place of two slots
	)
	le := binary.LittleEndian
	if len(data) < headSize {
		return errors.New("the database is cut")
	}
	if v := le.Uint32(data[4:]); v != 0 {
		return fmt.Errorf("version %d of the ndb format", v)
	}
	end := uint64(le.Uint32(data[12:])) * pageSize
	cut := end > uint64(len(data))
	if cut {
		end = uint64(len(data))
	}
	// Slots of a made-up file may share one blob: what is read in all is
	// bounded by the size of the file.
	left := len(data)
	for slots := data[min(headSize, end):end]; len(slots) >= slotSize; slots = slots[slotSize:] {
		if string(slots[:4]) != "Slot" {
			return errors.New("a page of slots is broken")
		}
		index := le.Uint32(slots[4:])
		if index == 0 {
			continue // free
		}
		blob, err := ndbBlob(data, index, le.Uint32(slots[8:]), le.Uint32(slots[12:]))
		if left -= len(blob); left < 0 {
			return errors.New("slots share their blobs")
		}
		if !entry(blob, err) {
			return nil
		}
	}
	if cut {
		return errors.New("the database is cut")
	}
	return nil
}

// ndbBlob is the blob of package index: a head that repeats the index and
// states the size, the header, and a tail.
func ndbBlob(data []byte, index, block, blocks uint32) ([]byte, error) {
	const blockSize, headSize, tailSize = 16, 16, 12
	start, room := uint64(block)*blockSize, uint64(blocks)*blockSize
	if start+room > uint64(len(data)) || room < headSize+tailSize {
		return nil, errors.New("its blob is not in the file")
	}
	b := data[start : start+room]
	le := binary.LittleEndian
	if string(b[:4]) != "BlbS" || le.Uint32(b[4:]) != index {
		return nil, errors.New("its blob is another's")
	}
	size := uint64(le.Uint32(b[12:]))
	if size > room-headSize-tailSize {
		return nil, errors.New("its blob is larger than its place")
	}
	return b[headSize : headSize+size], nil
}
