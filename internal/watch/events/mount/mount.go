// Package mount sees file systems being mounted, moved and taken away.
package mount

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
		Kind: esclusa.EventMount, Record: kernel.Mount,
		Object: kernel.Object{Name: "mount", Spec: loadMount, Optional: true},
		Decode: decode,
		Lost:   "mounts that are made and taken away",
	}
}

// The calls; mount.bpf.c has the same list.
const (
	callMount = iota + 1
	callMove
	callUmount
	callPivot
	callSetattr
)

func decode(b []byte, e *esclusa.Event) error {
	var r mountMountRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	call, fresh := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Call):]), binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Fresh):])
	flags := binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.Flags):])
	source := events.CString(b[unsafe.Offsetof(r.Source):][:len(r.Source)])
	target := events.CString(b[unsafe.Offsetof(r.Target):][:len(r.Target)])
	e.Fields = append(e.Fields,
		esclusa.Text("op", op(call, fresh != 0, flags)), esclusa.Text("source", source), esclusa.Text("target", target),
		esclusa.Text("type", events.CString(b[unsafe.Offsetof(r.Type):][:len(r.Type)])), esclusa.List("flags", words(flags)))
	for what, cut := range map[string]bool{"source": len(source) == len(r.Source)-1, "target": len(target) == len(r.Target)-1} {
		if cut {
			e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: what + " of a mount", Err: "longer than is kept: cut"})
		}
	}
	return nil
}

// op is the word for a call. A change of how mounts propagate counts as a
// remount: nothing comes and nothing goes.
func op(call uint32, fresh bool, flags uint64) string {
	switch call {
	case callUmount:
		return "umount"
	case callPivot:
		return "pivot_root"
	case callSetattr:
		return "remount"
	case callMove:
		if fresh {
			return "mount"
		}
		return "move"
	}
	switch {
	case flags&(unix.MS_REMOUNT|unix.MS_SHARED|unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_UNBINDABLE) != 0:
		return "remount"
	case flags&unix.MS_BIND != 0:
		return "bind"
	case flags&unix.MS_MOVE != 0:
		return "move"
	}
	return "mount"
}

func words(flags uint64) (list []string) {
	for _, f := range []struct {
		bit  uint64
		name string
	}{
		{unix.MS_RDONLY, "ro"},
		{unix.MS_NOSUID, "nosuid"},
		{unix.MS_NOEXEC, "noexec"},
		{unix.MS_NODEV, "nodev"},
		{unix.MS_REC, "rec"},
		{unix.MS_SHARED, "shared"},
		{unix.MS_SLAVE, "slave"},
		{unix.MS_PRIVATE, "private"},
	} {
		if flags&f.bit != 0 {
			list = append(list, f.name)
		}
	}
	return list
}
