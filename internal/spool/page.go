package spool

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Boot names one boot of one machine: boot_id of random(4). It is never zero.
type Boot [16]byte

// ThisBoot is the boot that runs.
func ThisBoot() (Boot, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Boot{}, fmt.Errorf("boot id: %w", err)
	}
	return ParseBoot(strings.TrimSpace(string(text)))
}

// ParseBoot reads 32 hexadecimal digits, with or without dashes.
func ParseBoot(text string) (b Boot, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != len(b) {
		return b, fmt.Errorf("boot id %q: not 32 hexadecimal digits", text)
	}
	return Boot(raw), nil
}

// String is 32 hexadecimal digits.
func (b Boot) String() string { return hex.EncodeToString(b[:]) }

// Position is one record's place.
type Position struct {
	Boot Boot
	Seq  uint64 // from 1
}

// String is "boot/seq".
func (p Position) String() string { return fmt.Sprintf("%s/%d", p.Boot, p.Seq) }

const (
	pageName  = "state"
	pageMagic = "ESP1"
	pageSize  = 4096
)

// page is what survives the process by a store to memory alone: a shared
// mapping keeps it when the process is killed, so that the numbers given are
// known exactly. When the machine ends it is an older truth, and says so by
// its boot.
type page struct {
	mem    []byte
	broken bool // it faulted: the next Open does not know the numbers
}

// Offsets of the page's fields: magic, boot, then these.
const (
	pageClean   = 24
	pageIssued  = 32
	pageSettled = 40
)

type pageState struct {
	boot            Boot
	clean           bool
	issued, settled uint64
}

// readPage reads the state that an earlier process left; false without one.
func readPage(dir string) (p pageState, ok bool) {
	f, err := os.Open(filepath.Join(dir, pageName))
	if err != nil {
		return p, false
	}
	defer f.Close()
	var b [48]byte
	if n, _ := f.ReadAt(b[:], 0); n < len(b) || string(b[:4]) != pageMagic {
		return p, false
	}
	copy(p.boot[:], b[4:])
	p.clean = b[pageClean] == 1
	p.issued, p.settled = binary.LittleEndian.Uint64(b[pageIssued:]), binary.LittleEndian.Uint64(b[pageSettled:])
	return p, p.boot != (Boot{}) && p.issued < maxSeq/2 && p.settled <= p.issued
}

// newPage replaces the state.
func newPage(dir string, p pageState) (*page, error) {
	b := make([]byte, pageSize)
	copy(b, pageMagic)
	copy(b[4:], p.boot[:])
	binary.LittleEndian.PutUint64(b[pageIssued:], p.issued)
	binary.LittleEndian.PutUint64(b[pageSettled:], p.settled)
	f, err := replaceFile(dir, pageName, b)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem, err := unix.Mmap(int(f.Fd()), 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", pageName, err)
	}
	return &page{mem: mem}, nil
}

func (p *page) issue(seq uint64)  { p.put(pageIssued, seq) }
func (p *page) settle(seq uint64) { p.put(pageSettled, seq) }

// put is one store. A mapping can fault (SIGBUS): the file was cut short, or
// the file system copies on write and is full. That must not end a sensor.
func (p *page) put(at int, v uint64) {
	if p.broken {
		return
	}
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	defer func() {
		if recover() != nil {
			p.broken = true
		}
	}()
	binary.LittleEndian.PutUint64(p.mem[at:], v)
}

// clean says that nothing was in memory at the end.
func (p *page) clean() error {
	p.put(pageClean, 1)
	if p.broken {
		return nil
	}
	return unix.Msync(p.mem, unix.MS_SYNC)
}

func (p *page) close() error { return unix.Munmap(p.mem) }

// replaceFile writes a file whole, durably, and returns it open.
func replaceFile(dir, name string, content []byte) (*os.File, error) {
	tmp := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, name))
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return nil, err
	}
	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
