// Package module sees kernel modules being loaded and unloaded.
package module

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventModule, Record: kernel.Module,
		Object:  kernel.Object{Name: "module", Spec: loadModule, Optional: true},
		Decode:  decode,
		Lost:    "kernel modules being loaded",
		Absent:  func() bool { return unix.DeleteModule("", 0) == unix.ENOSYS },
		Untried: true,
	}
}

func decode(b []byte, e *esclusa.Event) error {
	var r moduleModuleRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	op := "load"
	if binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Gone):]) != 0 {
		op = "unload"
	}
	e.Fields = append(e.Fields, esclusa.Text("op", op), esclusa.Text("name", events.CString(b[unsafe.Offsetof(r.Name):][:len(r.Name)])))
	return nil
}
