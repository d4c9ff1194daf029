// Package userfaultfd sees programs taking over the faults of the kernel.
package userfaultfd

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
		Kind: esclusa.EventUserfault, Record: kernel.Userfaultfd,
		Object: kernel.Object{Name: "userfaultfd", Spec: loadUserfaultfd, Optional: true},
		Decode: decode,
		Lost:   "programs that handle the kernel's faults (userfaultfd)",
	}
}

// userModeOnly is UFFD_USER_MODE_ONLY.
const userModeOnly = 1

func decode(b []byte, e *esclusa.Event) error {
	var r userfaultfdUserfaultfdRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	e.Fields = append(e.Fields, esclusa.Bool("kernelFaults", binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.Flags):])&userModeOnly == 0))
	return nil
}
