package gobinary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/esclusa/esclusa/internal/scan/elffile"
)

// The record of a build begins with a magic, the pointer size and flags. Its
// two strings, version and modules, stand inline behind 32 bytes since Go
// 1.18; before, there were the addresses of two string variables. Source:
// debug/buildinfo and cmd/link/internal/ld/data.go.
const (
	infoHead      = 32
	flagBigEndian = 1
	flagInline    = 2
)

// maxModules bounds the text of the modules; Kubernetes has 20 KB.
const maxModules = 8 << 20

// searchInfo looks for the record in the writable segments, where the linker
// puts it.
func searchInfo(f *elffile.File) (info []byte) {
	f.Segments(func(s *elffile.Segment) bool {
		if s.Flags&elf.PF_W != 0 {
			if i := bytes.Index(s.Data, infoMagic); i >= 0 {
				info = s.Data[i:]
			}
		}
		return info == nil
	})
	return info
}

// readInfo reads the record. Beside an error it returns what it could read.
func readInfo(data []byte) (*debug.BuildInfo, error) {
	none := &debug.BuildInfo{}
	f, ok := elffile.Open(data)
	if !ok {
		return none, errors.New("no ELF file")
	}
	info := f.Named(infoSection)
	if i := bytes.Index(info, infoMagic); i >= 0 {
		info = info[i:]
	} else {
		info = searchInfo(&f)
	}
	if len(info) < infoHead {
		return none, errors.New("not found")
	}
	var version, modules []byte
	if info[15]&flagInline != 0 {
		var rest []byte
		version, rest = inline(info[infoHead:])
		modules, _ = inline(rest)
	} else {
		ptr := int(info[14])
		if ptr != 4 && ptr != 8 {
			return none, fmt.Errorf("pointers of %d bytes", ptr)
		}
		var order binary.ByteOrder = binary.LittleEndian
		if info[15]&flagBigEndian != 0 {
			order = binary.BigEndian
		}
		version = variable(&f, order, ptr, info[16:])
		modules = variable(&f, order, ptr, info[16+ptr:])
	}
	if len(version) == 0 || len(version) > 256 {
		return none, errors.New("no version")
	}
	if len(modules) > maxModules {
		return &debug.BuildInfo{GoVersion: string(version)}, errors.New("too long")
	}
	// A line of its own and 16 bytes on both sides mark it in memory.
	if n := len(modules); n >= 33 && modules[n-17] == '\n' {
		modules = modules[16 : n-16]
	} else {
		modules = nil
	}
	parsed, err := debug.ParseBuildInfo(string(modules))
	if err != nil {
		parsed = none
	}
	parsed.GoVersion = string(version)
	return parsed, err
}

// inline reads a string behind its length.
func inline(b []byte) (s, rest []byte) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil
	}
	return b[size : size+int(n)], b[size+int(n):]
}

// variable follows the address of a string variable: address and length.
func variable(f *elffile.File, order binary.ByteOrder, ptr int, at []byte) []byte {
	word := func(b []byte) uint64 {
		if ptr == 8 {
			return order.Uint64(b)
		}
		return uint64(order.Uint32(b))
	}
	head := f.Memory(word(at), uint64(2*ptr))
	if head == nil {
		return nil
	}
	return f.Memory(word(head), word(head[ptr:]))
}
