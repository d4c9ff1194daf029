package rpm

import (
	"bytes"
	"encoding/binary"
)

// makeNDB writes rpm's own format, which no tool of Debian's writes.
func makeNDB(blobs [][]byte) []byte {
	le := binary.LittleEndian
	out := make([]byte, 4096)
	copy(out, ndbMagic)
	le.PutUint32(out[12:], 1) // pages of slots
	le.PutUint32(out[16:], uint32(len(blobs)+1))
	for at := 32; at < len(out); at += 16 {
		copy(out[at:], "Slot")
	}
	for i, b := range blobs {
		index := uint32(i + 1)
		slot := out[32+32*i:] // every other slot stays free
		room := (16 + len(b) + 12 + 15) / 16
		le.PutUint32(slot[4:], index)
		le.PutUint32(slot[8:], uint32(len(out)/16))
		le.PutUint32(slot[12:], uint32(room))
		place := make([]byte, 16*room)
		copy(place, "BlbS")
		le.PutUint32(place[4:], index)
		le.PutUint32(place[12:], uint32(len(b)))
		copy(place[16:], b)
		le.PutUint32(place[len(place)-8:], uint32(len(b)))
		copy(place[len(place)-4:], "BlbE")
		out = append(out, place...)
	}
	return bytes.Clone(out)
}
