// Package sysctl sees writes to files below /proc/sys.
package sysctl

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventSysctl, Record: kernel.Sysctl,
		Object: kernel.Object{Name: "sysctl", Spec: loadSysctl, Optional: true},
		Decode: decode,
		Lost:   "changes of the kernel's settings",
	}
}

// decode tells the key with dots, as sysctl(8) writes it, and the value.
func decode(b []byte, e *esclusa.Event) error {
	var r sysctlSysctlRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	value := events.CString(b[unsafe.Offsetof(r.Value):unsafe.Offsetof(r.ValueLen)])
	n := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.ValueLen):])
	name := events.CString(b[unsafe.Offsetof(r.Name):unsafe.Offsetof(r.Value)])
	e.Fields = append(e.Fields,
		esclusa.Text("name", strings.ReplaceAll(name, "/", ".")),
		esclusa.Text("value", strings.TrimRight(value, "\n")))
	if int(n) >= len(r.Value) {
		e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: "value of " + name, Err: "longer than 255 bytes: cut"})
	}
	return nil
}
