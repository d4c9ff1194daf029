package spool

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
)

const (
	ackName = "acknowledged"
	ackSize = 28 // boot, number, CRC32C
)

// acknowledge removes whole files that the receiver has. The position is
// written first: a file that is gone must not look like a loss.
func (st *store) acknowledge(p Position) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	boots := st.boots()
	at := slices.Index(boots, p.Boot)
	if at < 0 {
		return nil // removed long ago
	}
	if was := st.acknowledged(); was.Boot == p.Boot && was.Seq >= p.Seq || at < slices.Index(boots, was.Boot) {
		return nil
	}
	st.ackMu.Lock()
	st.acked = p
	st.ackMu.Unlock()
	var gone []*segment
	for l := range st.segs {
		for _, g := range st.segs[l] {
			a := st.active[l]
			if i := slices.Index(boots, g.boot); i < at || i == at && g.last <= p.Seq && (a == nil || a.seg != g) {
				gone = append(gone, g)
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := st.saveAck(); err != nil {
		return err
	}
	for _, g := range gone {
		st.remove(g, g.size)
	}
	return nil
}

// boots are those of which there are files, oldest first, and the one that runs.
func (st *store) boots() []Boot { return bootsOf(st.segs, st.boot) }

// bootsOf are the boots of files, in the order of their first file; the one
// being written, if any, is the last.
func bootsOf(segs [lanes][]*segment, now Boot) []Boot {
	all := slices.Concat(segs[laneKept], segs[laneEvents])
	slices.SortFunc(all, func(a, b *segment) int { return cmp.Compare(a.serial, b.serial) })
	var boots []Boot
	for _, g := range all {
		if !slices.Contains(boots, g.boot) {
			boots = append(boots, g.boot)
		}
	}
	if now != (Boot{}) && !slices.Contains(boots, now) {
		boots = append(boots, now)
	}
	return boots
}

func (st *store) saveAck() error {
	p := st.acknowledged()
	if p == st.saved {
		return nil
	}
	b := binary.LittleEndian.AppendUint64(p.Boot[:len(p.Boot):len(p.Boot)], p.Seq)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	f, err := replaceFile(st.dir, ackName, b)
	if err != nil {
		return err
	}
	st.saved = p
	return f.Close()
}

// readAck returns what was acknowledged; nothing when that cannot be read.
func readAck(dir string) (p Position) {
	f, err := os.Open(filepath.Join(dir, ackName))
	if err != nil {
		return p
	}
	defer f.Close()
	var b [ackSize]byte
	if n, _ := f.ReadAt(b[:], 0); n < ackSize || crc32.Checksum(b[:24], castagnoli()) != binary.LittleEndian.Uint32(b[24:]) {
		return p
	}
	return Position{Boot(b[:16]), binary.LittleEndian.Uint64(b[16:])}
}
