// Package cgroup sees cgroups being made and removed. They are no event of
// their own: they tell which container a process is in.
package cgroup

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
		Record: kernel.Cgroup,
		Object: kernel.Object{Name: "cgroup", Spec: loadCgroup},
		Decode: decode,
		Lost:   "the container of processes that live for some milliseconds",
	}
}

// decode tells the path below the root of the hierarchy, and whether it is gone.
func decode(b []byte, e *esclusa.Event) error {
	var r cgroupCgroupRecord
	head := int(unsafe.Offsetof(r.Path))
	if len(b) < head {
		return events.ErrShort
	}
	n := int(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.PathLen):]))
	if n > len(b)-head {
		return events.ErrShort
	}
	e.Fields = append(e.Fields,
		esclusa.Text("path", string(b[head:head+n])),
		esclusa.Bool("gone", binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Gone):]) != 0))
	return nil
}
