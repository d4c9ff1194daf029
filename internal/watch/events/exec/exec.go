// Package exec sees programs being executed.
package exec

import (
	"bytes"
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
		Kind: esclusa.EventExec, Record: kernel.Exec,
		Object: kernel.Object{Name: "exec", Spec: loadExec},
		Decode: decode,
		Lost:   "which programs run",
	}
}

// Flags of a path; bpf/path.h has the same list.
const (
	pathCut     = 1
	pathDeleted = 2
)

const recordSize = int(unsafe.Sizeof(execExecRecord{}))

// decode reads struct exec_record and what follows it.
func decode(b []byte, e *esclusa.Event) error {
	if len(b) < recordSize {
		return events.ErrShort
	}
	var r execExecRecord
	if _, err := binary.Decode(b, binary.LittleEndian, &r); err != nil {
		return err
	}
	tail := b[recordSize:]
	if int(r.ExeLen)+int(r.FilenameLen)+int(r.InterpLen)+int(r.ArgsLen) > len(tail) {
		return events.ErrShort
	}
	take := func(n int) []byte { v := tail[:n]; tail = tail[n:]; return v }
	p := &e.Process
	if err := events.Facts(b[unsafe.Offsetof(r.Facts):], p); err != nil {
		return err
	}
	p.Exe = string(take(int(r.ExeLen)))
	filename, interp := string(take(int(r.FilenameLen))), string(take(int(r.InterpLen)))
	p.Args, p.ArgsCut = split(take(int(r.ArgsLen))), r.ArgsCut != 0
	p.ExeSource, p.ExeDeleted = kernel.Source(r.Source), r.PathFlags&pathDeleted != 0
	if p.ExeSource == esclusa.SourceMemory && !strings.HasPrefix(p.Exe, "/memfd:") {
		p.ExeSource = esclusa.SourceTmpfs // a deleted file
	}
	e.Fields = append(e.Fields, esclusa.Text("file", filename), esclusa.Bool("stdinSocket", r.StdinSocket != 0))
	if r.StdinSocket != 0 {
		e.Fields = append(e.Fields, esclusa.Text("stdinFamily", events.AddressFamily(uint32(r.StdinFamily))))
	}
	if interp != filename {
		e.Fields = append(e.Fields, esclusa.Text("script", filename), esclusa.Text("interpreter", interp))
	}
	unknown := func(what, why string) {
		e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: why})
	}
	if r.ArgsUnread != 0 {
		unknown("arguments of "+p.Name, "the new stack could not be read")
	}
	if r.ArgsCut != 0 {
		unknown("arguments of "+p.Name, "longer than 64 KiB: cut")
	}
	if r.ExeLen == 0 || r.PathFlags&pathCut != 0 {
		unknown("path of the executable of "+p.Name, "deeper than 64 folders, or not readable")
	}
	return nil
}

// split parts argv at its NULs; the text is shared by all parts.
func split(b []byte) []string {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(b), "\x00")
}
