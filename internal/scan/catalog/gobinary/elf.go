package gobinary

import (
	"bytes"
	"debug/elf"

	"github.com/esclusa/esclusa/internal/scan/elffile"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

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
	f, ok := elffile.Open(data)
	if !ok || f.Kind != elf.ET_EXEC && f.Kind != elf.ET_DYN {
		return foreign
	}
	if names := f.Names(); len(names) > 0 {
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
	if searchInfo(&f) != nil {
		return golang
	}
	return foreign
}

var (
	infoSection = []byte(".go.buildinfo")
	goSections  = [][]byte{[]byte(".go.buildinfo\x00"), []byte(".gopclntab\x00"), []byte(".note.go.buildid\x00")}
	infoMagic   = []byte("\xff Go buildinf:")
)
