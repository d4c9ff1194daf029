// Package exit sees processes end.
package exit

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
		Kind: esclusa.EventExit, Record: kernel.Exit,
		Object: kernel.Object{Name: "exit", Spec: loadExit},
		Decode: decode,
		Lost:   "that a process ended, and how",
	}
}

// decode tells the status of a process that ended by itself, or the signal
// that ended it (wait(2)).
func decode(b []byte, e *esclusa.Event) error {
	if len(b) < int(unsafe.Sizeof(exitExitRecord{})) {
		return events.ErrShort
	}
	code := binary.LittleEndian.Uint32(b[unsafe.Offsetof(exitExitRecord{}.Code):])
	e.Fields = append(e.Fields, esclusa.Number("status", int64(code>>8&0xff)), esclusa.Number("signal", int64(code&0x7f)))
	return events.Facts(b[unsafe.Offsetof(exitExitRecord{}.Facts):], &e.Process)
}
