// Package iouring sees io_urings being made.
package iouring

import (
	"encoding/binary"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventIOUring, Record: kernel.IOUring,
		Object: kernel.Object{Name: "iouring", Spec: loadIouring, Optional: true},
		Decode: decode,
		Lost:   "work through io_uring",
	}
}

func decode(b []byte, e *esclusa.Event) error {
	var r iouringIouringRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	u32 := func(off uintptr) int64 { return int64(binary.LittleEndian.Uint32(b[off:])) }
	e.Fields = append(e.Fields,
		esclusa.Text("op", "create"), esclusa.Number("entries", u32(unsafe.Offsetof(r.Entries))), esclusa.Number("flags", u32(unsafe.Offsetof(r.Flags))))
	return nil
}
