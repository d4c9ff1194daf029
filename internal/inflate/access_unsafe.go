//go:build inflate_unsafe

package inflate

import (
	"encoding/binary"
	"unsafe"
)

// What access.go has the compiler check, this twin has from the invariants of
// the loop in fast.go: ip stays fastMargin below iend, op below the end of a
// chunk plus slack, and from not before the beginning of the member.
const (
	inMask  = inputSize - 1
	outMask = 512<<10 - 1
)

func (d *decoder) load(ip uint) uint64 {
	p := (*[8]byte)(unsafe.Add(unsafe.Pointer(&d.in), ip))
	return binary.LittleEndian.Uint64(p[:])
}

func (d *decoder) put(op uint, v byte) {
	*(*byte)(unsafe.Add(unsafe.Pointer(&d.out), op)) = v
}

func (d *decoder) copy32(op, from uint) {
	to := (*[32]byte)(unsafe.Add(unsafe.Pointer(&d.out), op))
	at := (*[32]byte)(unsafe.Add(unsafe.Pointer(&d.out), from))
	*(*[16]byte)(to[:16]) = *(*[16]byte)(at[:16])
	*(*[16]byte)(to[16:]) = *(*[16]byte)(at[16:])
}

func (d *decoder) copy8(op, from uint) {
	*(*[8]byte)(unsafe.Add(unsafe.Pointer(&d.out), op)) = *(*[8]byte)(unsafe.Add(unsafe.Pointer(&d.out), from))
}

func (d *decoder) set8(op uint, v byte) {
	p := (*[8]byte)(unsafe.Add(unsafe.Pointer(&d.out), op))
	binary.LittleEndian.PutUint64(p[:], uint64(v)*0x0101010101010101)
}
