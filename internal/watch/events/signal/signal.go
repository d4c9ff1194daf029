// Package signal sees signals that leave a container, or go to the sensor.
package signal

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventSignal, Record: kernel.Signal,
		Object: kernel.Object{Name: "signal", Spec: loadSignal, Optional: true},
		Decode: decode,
		Lost:   "signals across containers and to the sensor",
	}
}

func decode(b []byte, e *esclusa.Event) error {
	var r signalSignalRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	name := unix.SignalName(unix.Signal(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Signal):])))
	if name == "" {
		name = strconv.Itoa(int(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Signal):])))
	}
	e.Fields = append(e.Fields,
		esclusa.Text("signal", name),
		esclusa.Number("targetPid", int64(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.TargetPid):]))),
		esclusa.Text("targetName", events.CString(b[unsafe.Offsetof(r.TargetName):][:len(r.TargetName)])),
		esclusa.Bool("outside", binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.TargetCgroup):]) != binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.Head)+unsafe.Offsetof(r.Head.Cgroup):])))
	return nil
}
