// Package capability sees dangerous capabilities being asked for.
package capability

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
		Kind: esclusa.EventCapability, Record: kernel.Capability,
		Object: kernel.Object{Name: "capability", Spec: loadCapability, Optional: true},
		Decode: decode,
		Lost:   "attempts at mounts, modules, ptrace and BPF by way of their capabilities",
	}
}

func decode(b []byte, e *esclusa.Event) error {
	var r capabilityCapabilityRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	u32 := func(off uintptr) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	e.Fields = append(e.Fields,
		esclusa.Text("capability", events.Capability(int(u32(unsafe.Offsetof(r.Cap))))), esclusa.Bool("granted", u32(unsafe.Offsetof(r.Granted)) != 0))
	return nil
}
