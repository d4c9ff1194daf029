// Package ptrace sees processes taking hold of others.
package ptrace

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventPtrace, Record: kernel.Ptrace,
		Object: kernel.Object{Name: "ptrace", Spec: loadPtrace, Optional: true},
		Decode: decode,
		Lost:   "processes taking hold of others by ptrace",
	}
}

// ops are the words for what ptrace.bpf.c tells.
var ops = [...]string{1: "attach", 2: "seize", 3: "read", 4: "write"}

func decode(b []byte, e *esclusa.Event) error {
	var r ptracePtraceRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	op := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Op):])
	if op == 0 || int64(op) >= int64(len(ops)) {
		return fmt.Errorf("nobody knows operation %d of ptrace", op)
	}
	e.Fields = append(e.Fields,
		esclusa.Text("op", ops[op]),
		esclusa.Number("targetPid", int64(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.TargetPid):]))),
		esclusa.Text("targetName", events.CString(b[unsafe.Offsetof(r.TargetName):][:len(r.TargetName)])),
		esclusa.Bool("outside", binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.TargetCgroup):]) != binary.LittleEndian.Uint64(b[unsafe.Offsetof(r.Head)+unsafe.Offsetof(r.Head.Cgroup):])))
	return nil
}
