package gobinary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

// debug/elf is not used to read files: it makes a string of each section's
// name, and a forged table of names makes that terabytes.

// looks is what the headers of an ELF file tell.
type looks int8

const (
	foreign looks = iota
	golang
	packed
)

var upxMagic = []byte("UPX!")

// look decides by the table of section names, a few hundred bytes. Only a
// file without one (sstrip) has its writable segments searched.
func look(data []byte) looks {
	h, ok := readHeader(data)
	if !ok || h.kind != elf.ET_EXEC && h.kind != elf.ET_DYN {
		return foreign
	}
	if names := h.sectionNames(data); len(names) > 0 {
		for _, n := range goSections {
			if bytes.Contains(names, n) {
				return golang
			}
		}
		return foreign
	}
	if bytes.Contains(data[:min(len(data), layer.MagicSize)], upxMagic) {
		return packed
	}
	if h.searchInfo(data) != nil {
		return golang
	}
	return foreign
}

var (
	infoSection = []byte(".go.buildinfo")
	goSections  = [][]byte{[]byte(".go.buildinfo\x00"), []byte(".gopclntab\x00"), []byte(".note.go.buildid\x00")}
	infoMagic   = []byte("\xff Go buildinf:")
)

// header is the part of the ELF header that leads to sections and segments.
type header struct {
	order              binary.ByteOrder
	wide               bool // 64 bits
	kind               elf.Type
	phoff, shoff       uint64
	phnum, shnum       int
	phentsize, shentsz int
	shstrndx           int
}

func readHeader(data []byte) (h header, ok bool) {
	if len(data) < 64 || string(data[:4]) != elf.ELFMAG {
		return h, false
	}
	switch elf.Data(data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		h.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		h.order = binary.BigEndian
	default:
		return h, false
	}
	var tail []byte // from e_flags on, which is where the classes agree again
	switch elf.Class(data[elf.EI_CLASS]) {
	case elf.ELFCLASS64:
		h.wide = true
		h.phoff, h.shoff = h.order.Uint64(data[32:]), h.order.Uint64(data[40:])
		tail = data[48:64]
	case elf.ELFCLASS32:
		h.phoff, h.shoff = uint64(h.order.Uint32(data[28:])), uint64(h.order.Uint32(data[32:]))
		tail = data[36:52]
	default:
		return h, false
	}
	h.kind = elf.Type(h.order.Uint16(data[16:]))
	half := func(at int) int { return int(h.order.Uint16(tail[at:])) }
	h.phentsize, h.phnum = half(6), half(8)
	h.shentsz, h.shnum, h.shstrndx = half(10), half(12), half(14)
	return h, true
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
func (h *header) section(data []byte, i int) (content []byte, nameAt uint32) {
	if h.wide {
		e := entry(data, h.shoff, h.shentsz, i, 64)
		if e == nil {
			return nil, 0
		}
		return cut(data, h.order.Uint64(e[24:]), h.order.Uint64(e[32:])), h.order.Uint32(e)
	}
	e := entry(data, h.shoff, h.shentsz, i, 40)
	if e == nil {
		return nil, 0
	}
	return cut(data, uint64(h.order.Uint32(e[16:])), uint64(h.order.Uint32(e[20:]))), h.order.Uint32(e)
}

func (h *header) sectionNames(data []byte) []byte {
	if h.shoff == 0 || h.shnum == 0 {
		return nil
	}
	names, _ := h.section(data, h.shstrndx)
	return names
}

// named is the content of the first section whose name ends in suffix.
func (h *header) named(data []byte, suffix []byte) []byte {
	names := h.sectionNames(data)
	for i := range h.shnum {
		content, at := h.section(data, i)
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

// segment is one part of the file that is loaded into memory.
type segment struct {
	data  []byte
	addr  uint64
	flags elf.ProgFlag
}

func (h *header) segment(data []byte, i int) (s segment, ok bool) {
	var kind elf.ProgType
	if h.wide {
		e := entry(data, h.phoff, h.phentsize, i, 56)
		if e == nil {
			return s, false
		}
		kind, s.flags = elf.ProgType(h.order.Uint32(e)), elf.ProgFlag(h.order.Uint32(e[4:]))
		s.addr = h.order.Uint64(e[16:])
		s.data = cut(data, h.order.Uint64(e[8:]), h.order.Uint64(e[32:]))
	} else {
		e := entry(data, h.phoff, h.phentsize, i, 32)
		if e == nil {
			return s, false
		}
		kind, s.flags = elf.ProgType(h.order.Uint32(e)), elf.ProgFlag(h.order.Uint32(e[24:]))
		s.addr = uint64(h.order.Uint32(e[8:]))
		s.data = cut(data, uint64(h.order.Uint32(e[4:])), uint64(h.order.Uint32(e[16:])))
	}
	return s, kind == elf.PT_LOAD && s.data != nil
}

// segments goes over the loaded segments until they sum up to twice the file:
// headers may claim that all of it is loaded 65,535 times.
func (h *header) segments(data []byte, each func(s *segment) (more bool)) {
	budget := 2 * len(data)
	for i := range h.phnum {
		s, ok := h.segment(data, i)
		if !ok {
			continue
		}
		if budget -= len(s.data); budget < 0 || !each(&s) {
			return
		}
	}
}

// memory is n bytes at an address of the running program.
func (h *header) memory(data []byte, addr, n uint64) (mem []byte) {
	h.segments(data, func(s *segment) bool {
		if addr >= s.addr && addr-s.addr < uint64(len(s.data)) {
			mem = cut(s.data, addr-s.addr, n)
		}
		return mem == nil
	})
	return mem
}
