// Package fork sees processes being made.
package fork

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
		Kind: esclusa.EventFork, Record: kernel.Fork,
		Object: kernel.Object{Name: "fork", Spec: loadFork},
		Decode: decode, Creator: creator,
		Lost: "whose child a process is",
	}
}

// creator is who called clone, as it was then. It is not the parent of a child
// that was made with CLONE_PARENT.
func creator(b []byte, p *esclusa.Process) error {
	r := forkForkRecord{}
	if err := events.Facts(b[unsafe.Offsetof(r.Creator):], p); err != nil {
		return err
	}
	start := binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.CreatorStart):])
	p.ProcessKey = esclusa.ProcessKey{
		PID: int32(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.CreatorPid):])), Start: start - start%esclusa.ClockTick,
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	if len(b) < int(unsafe.Sizeof(forkForkRecord{})) {
		return events.ErrShort
	}
	return events.Facts(b[unsafe.Offsetof(forkForkRecord{}.Facts):], &e.Process)
}
