package elffile_test

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/elffile"
)

// TestAgrees holds the reading of real programs to debug/elf: this test, which
// Go's linker made, and what the system's linker made.
func TestAgrees(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, path := range []string{self, "/bin/sh", "/usr/bin/env", "/usr/bin/git", "/lib64/ld-linux-x86-64.so.2"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		want, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			continue // a script
		}
		read++
		got, ok := elffile.Open(data)
		if !ok || got.Kind != want.Type || got.Order != want.ByteOrder {
			t.Fatalf("%s: ok %v, %v %v", path, ok, got.Kind, got.Order)
		}
		for _, s := range want.Sections {
			if s.Type == elf.SHT_NOBITS || s.Size == 0 || s.Name == "" {
				continue
			}
			content, err := s.Data()
			if err != nil {
				t.Fatal(err)
			}
			// The first section with this ending counts.
			if first := got.Named([]byte(s.Name)); want.Section(s.Name) == s && !bytes.Equal(first, content) && only(want, s.Name) {
				t.Errorf("%s: section %s differs", path, s.Name)
			}
			if !bytes.Contains(got.Names(), append([]byte(s.Name), 0)) {
				t.Errorf("%s: no name %s", path, s.Name)
			}
		}
		var segments []elffile.Segment
		got.Segments(func(s *elffile.Segment) bool { segments = append(segments, *s); return true })
		for _, p := range want.Progs {
			if p.Type != elf.PT_LOAD {
				continue
			}
			if len(segments) == 0 || segments[0].Addr != p.Vaddr || segments[0].Flags != p.Flags || uint64(len(segments[0].Data)) != p.Filesz {
				t.Fatalf("%s: segments %d, want one at %x", path, len(segments), p.Vaddr)
			}
			if n := min(p.Filesz, 64); n > 0 && !bytes.Equal(got.Memory(p.Vaddr, n), segments[0].Data[:n]) {
				t.Errorf("%s: memory at %x differs", path, p.Vaddr)
			}
			segments = segments[1:]
		}
	}
	if read == 0 {
		t.Error("no program was read")
	}
}

// only says whether no other section's name ends in name.
func only(f *elf.File, name string) bool {
	n := 0
	for _, s := range f.Sections {
		if bytes.HasSuffix([]byte(s.Name), []byte(name)) {
			n++
		}
	}
	return n == 1
}

func TestNoELF(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("\x7fELF"), make([]byte, 64), append([]byte("\x7fELF\x03\x01"), make([]byte, 64)...), append([]byte("\x7fELF\x02\x03"), make([]byte, 64)...)} {
		if _, ok := elffile.Open(data); ok {
			t.Errorf("%q is one", data)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, class := range []byte{1, 2} {
		for _, order := range []byte{1, 2} {
			data := make([]byte, 256)
			copy(data, "\x7fELF")
			data[4], data[5] = class, order
			f.Add(data, uint64(64))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, addr uint64) {
		file, ok := elffile.Open(data)
		if !ok {
			return
		}
		total := 0
		file.Segments(func(s *elffile.Segment) bool { total += len(s.Data); return true })
		if total > 2*len(data) || len(file.Names()) > len(data) || len(file.Named([]byte(".text"))) > len(data) {
			t.Errorf("%d bytes of segments from %d", total, len(data))
		}
		if m := file.Memory(addr, 8); m != nil && len(m) != 8 {
			t.Errorf("memory of %d bytes", len(m))
		}
	})
}
