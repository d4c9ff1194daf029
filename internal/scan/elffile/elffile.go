// Package elffile reads from ELF files what the readers of executables need:
// sections by name and loaded segments. debug/elf is not used: it makes a
// string of each section's name, which a forged table of names makes
// terabytes, and reads all sections of each C program of an image.
//
// It believes no offset, size or count: what lies outside the file is nil, and
// no walk costs more than a small multiple of the file.
//
// Start with Open.
package elffile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// File is an ELF file in memory, and the part of its header that leads to
// sections and segments.
type File struct {
	Order binary.ByteOrder
	Kind  elf.Type

	data               []byte
	wide               bool // 64 bits
	phoff, shoff       uint64
	phnum, shnum       int
	phentsize, shentsz int
	shstrndx           int
}

// Open reads the header; ok says whether it is one.
func Open(data []byte) (f File, ok bool) {
	f.data = data
	if len(data) < 64 || string(data[:4]) != elf.ELFMAG {
		return f, false
	}
	switch elf.Data(data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		f.Order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		f.Order = binary.BigEndian
	default:
		return f, false
	}
	var tail []byte // from e_flags on, which is where the classes agree again
	switch elf.Class(data[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		f.wide = true
		f.phoff, f.shoff = f.Order.Uint64(data[32:]), f.Order.Uint64(data[40:])
		tail = data[48:64]
	case elf.ELFCLASS32:
		f.phoff, f.shoff = uint64(f.Order.Uint32(data[28:])), uint64(f.Order.Uint32(data[32:]))
		tail = data[36:52]
	default:
		return f, false
	}
	f.Kind = elf.Type(f.Order.Uint16(data[16:]))
	half := func(at int) int { return int(f.Order.Uint16(tail[at:])) }
	f.phentsize, f.phnum = half(6), half(8)
	f.shentsz, f.shnum, f.shstrndx = half(10), half(12), half(14)
	return f, true
}

// entry is the i-th record of a table, nil when it is not in the file.
func entry(data []byte, off uint64, size, i, least int) []byte {
	if size < least || off > uint64(len(data)) {
		return nil
	}
	at := off + uint64(i)*uint64(size)
	if at > uint64(len(data)) || uint64(len(data))-at < uint64(size) {
		return nil
	}
	return data[at : at+uint64(size)]
}

// cut is data[off:off+size], nil when the file does not hold all of it.
func cut(data []byte, off, size uint64) []byte {
	if off > uint64(len(data)) || size > uint64(len(data))-off {
		return nil
	}
	return data[off : off+size]
}

// section is the content of the i-th section and the offset of its name.
func (f *File) section(i int) (content []byte, nameAt uint32) {
	if f.wide {
		e := entry(f.data, f.shoff, f.shentsz, i, 64)
		if e == nil {
			return nil, 0
		}
		return cut(f.data, f.Order.Uint64(e[24:]), f.Order.Uint64(e[32:])), f.Order.Uint32(e)
	}
	e := entry(f.data, f.shoff, f.shentsz, i, 40)
	if e == nil {
		return nil, 0
	}
	return cut(f.data, uint64(f.Order.Uint32(e[16:])), uint64(f.Order.Uint32(e[20:]))), f.Order.Uint32(e)
}

// Names is the table of section names, each with a NUL behind it.
func (f *File) Names() []byte {
	if f.shoff == 0 || f.shnum == 0 {
		return nil
	}
	names, _ := f.section(f.shstrndx)
	return names
}

// Named is the content of the first section whose name ends in suffix.
func (f *File) Named(suffix []byte) []byte {
	names := f.Names()
	for i := range f.shnum {
		content, at := f.section(i)
		if uint64(at) >= uint64(len(names)) {
			continue
		}
		n := names[at:min(uint64(at)+maxName, uint64(len(names)))]
		if end := bytes.IndexByte(n, 0); end >= 0 && bytes.HasSuffix(n[:end], suffix) && len(content) > 0 {
			return content
		}
	}
	return nil
}

// maxName keeps 65,535 headers that all name one endless string from costing
// more than the file has bytes.
const maxName = 64

// Segment is one part of the file that is loaded into memory.
type Segment struct {
	Data  []byte
	Addr  uint64
	Flags elf.ProgFlag
}

func (f *File) segment(i int) (s Segment, ok bool) {
	var kind elf.ProgType
	if f.wide {
		e := entry(f.data, f.phoff, f.phentsize, i, 56)
		if e == nil {
			return s, false
		}
		kind, s.Flags = elf.ProgType(f.Order.Uint32(e)), elf.ProgFlag(f.Order.Uint32(e[4:]))
		s.Addr = f.Order.Uint64(e[16:])
		s.Data = cut(f.data, f.Order.Uint64(e[8:]), f.Order.Uint64(e[32:]))
	} else {
		e := entry(f.data, f.phoff, f.phentsize, i, 32)
		if e == nil {
			return s, false
		}
		kind, s.Flags = elf.ProgType(f.Order.Uint32(e)), elf.ProgFlag(f.Order.Uint32(e[24:]))
		s.Addr = uint64(f.Order.Uint32(e[8:]))
		s.Data = cut(f.data, uint64(f.Order.Uint32(e[4:])), uint64(f.Order.Uint32(e[16:])))
	}
	return s, kind == elf.PT_LOAD && s.Data != nil
}

// Segments goes over the loaded segments until they sum up to twice the file:
// headers may claim that all of it is loaded 65,535 times.
func (f *File) Segments(each func(s *Segment) (more bool)) {
	budget := 2 * len(f.data)
	for i := range f.phnum {
		s, ok := f.segment(i)
		if !ok {
			continue
		}
		if budget -= len(s.Data); budget < 0 || !each(&s) {
			return
		}
	}
}

// Memory is n bytes at an address of the running program.
func (f *File) Memory(addr, n uint64) (mem []byte) {
	f.Segments(func(s *Segment) bool {
		if addr >= s.Addr && addr-s.Addr < uint64(len(s.Data)) {
			mem = cut(s.Data, addr-s.Addr, n)
		}
		return mem == nil
	})
	return mem
}
