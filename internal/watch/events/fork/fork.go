// Package fork sees processes being made.
package fork

import (
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
		Decode: decode,
		Lost:   "whose child a process is",
	}
}

func decode(b []byte, e *esclusa.Event) error {
	off := unsafe.Offsetof(forkForkRecord{}.Facts)
	if len(b) < int(off) {
		return events.ErrShort
	}
	return events.Facts(b[off:], &e.Process)
}
