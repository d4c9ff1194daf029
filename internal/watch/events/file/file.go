// Package file sees what is done to files that rules name, without a program
// in the kernel: by fanotify.
//
// A container's root is an overlay, and what it writes goes to a folder of the
// host, the upper layer. The file system that holds upper layers is marked as
// a whole for names that come and change, so that no container and no folder
// is too young to be seen; only who makes or renames a file pays. Reading, and
// writing what lies in the upper layer already, is seen by a mark on each file
// that a rule names; other files cost nothing.
//
// source.go runs it, overlay.go knows the mounts, fanotify.go reads the
// kernel's messages.
package file

import (
	"encoding/binary"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventFile, Record: kernel.File,
		Object: kernel.Object{Name: "fanotify"},
		Source: newSource,
		Decode: decode,
		Lost:   "files being written and read that rules name",
	}
}

// ops are the words, by the number that a record has.
var ops = [...]string{"read", "create", "write", "rename", "chmod", "link"}

const (
	opRead = iota
	opCreate
	opWrite
	opRename
	opChmod
	opLink
)

// change is one thing that was done, the body of a record: the operation, the
// length of the path, the mode, then the path and the old path.
type change struct {
	op        byte
	mode      uint32
	path, old string
}

const bodySize = 8

func (c *change) body() []byte {
	b := make([]byte, bodySize, bodySize+len(c.path)+len(c.old))
	b[0] = c.op
	binary.LittleEndian.PutUint16(b[2:], uint16(len(c.path)))
	binary.LittleEndian.PutUint32(b[4:], c.mode)
	return append(append(b, c.path...), c.old...)
}

func decode(b []byte, e *esclusa.Event) error {
	if len(b) < kernel.HeadSize+bodySize {
		return events.ErrShort
	}
	b = b[kernel.HeadSize:]
	n, rest := int(binary.LittleEndian.Uint16(b[2:])), b[bodySize:]
	if int(b[0]) >= len(ops) || n > len(rest) {
		return events.ErrShort
	}
	e.Fields = append(e.Fields,
		esclusa.Text("path", string(rest[:n])), esclusa.Text("op", ops[b[0]]), esclusa.Text("oldPath", string(rest[n:])),
		esclusa.Number("mode", int64(binary.LittleEndian.Uint32(b[4:]))))
	return nil
}
