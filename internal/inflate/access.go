//go:build !inflate_unsafe

package inflate

import "encoding/binary"

// The masks change nothing: no index reaches them. They tell the compiler so,
// which then needs one instruction where a check of a slice takes five.
const (
	inMask  = inputSize - 1
	outMask = 512<<10 - 1
)

func (d *decoder) load(ip uint) uint64 {
	return binary.LittleEndian.Uint64(d.in[ip&inMask:])
}

func (d *decoder) put(op uint, v byte) {
	d.out[op] = v
}

// copy32 is right for overlapping bytes at a distance of 16 or more.
func (d *decoder) copy32(op, from uint) {
	to, at := (*[32]byte)(d.out[op&outMask:]), (*[32]byte)(d.out[from&outMask:])
	*(*[16]byte)(to[:16]) = *(*[16]byte)(at[:16])
	*(*[16]byte)(to[16:]) = *(*[16]byte)(at[16:])
}

// copy8 is right at a distance of 8 or more.
func (d *decoder) copy8(op, from uint) {
	*(*[8]byte)(d.out[op&outMask:]) = *(*[8]byte)(d.out[from&outMask:])
}

func (d *decoder) set8(op uint, v byte) {
	binary.LittleEndian.PutUint64(d.out[op&outMask:], uint64(v)*0x0101010101010101)
}
