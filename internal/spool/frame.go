package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// The bounds of a frame: a reader believes no more than these, whoever wrote it.
const (
	headerSize    = 44
	startSize     = headerSize + 16
	maxFrame      = 16 << 20 // of a payload, stored and decompressed
	maxRatio      = 256      // decompressed to stored; what shrinks more is stored as it is
	minCompress   = 512      // below it compression gains nothing
	entryOverhead = 48       // at most, of one record and a loss before it
	maxSeq        = 1 << 62
	magic         = "ESF1"
)

// Kinds of frames.
const (
	frameStart = 1 // of a file or of a boot within an export: a start
	frameRaw   = 2 // entries
	frameZstd  = 3 // entries, compressed
)

var errDamaged = errors.New("damaged frame")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the library keeps it

// header stands before each payload.
type header struct {
	kind        byte
	length, raw uint32 // of the payload: as stored, decompressed
	count       uint32 // records
	sum         uint32 // CRC32C of the payload as stored
	first, last uint64
}

func (h *header) put(b []byte) {
	le := binary.LittleEndian
	copy(b, magic)
	b[4], b[5], b[6], b[7] = h.kind, 0, 0, 0
	le.PutUint32(b[8:], h.length)
	le.PutUint32(b[12:], h.raw)
	le.PutUint32(b[16:], h.count)
	le.PutUint32(b[20:], h.sum)
	le.PutUint64(b[24:], h.first)
	le.PutUint64(b[32:], h.last)
	le.PutUint32(b[40:], crc32.Checksum(b[:40], castagnoli()))
}

// parseHeader believes a header that sums up and keeps the bounds.
func parseHeader(b []byte) (h header, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerSize || string(b[:4]) != magic || le.Uint32(b[40:]) != crc32.Checksum(b[:40], castagnoli()) {
		return h, false
	}
	h = header{
		kind: b[4], length: le.Uint32(b[8:]), raw: le.Uint32(b[12:]), count: le.Uint32(b[16:]), sum: le.Uint32(b[20:]),
		first: le.Uint64(b[24:]), last: le.Uint64(b[32:]),
	}
	ok = h.kind >= frameStart && h.kind <= frameZstd && h.length <= maxFrame && h.raw <= maxFrame &&
		uint64(h.raw) <= maxRatio*uint64(h.length) && h.first < maxSeq && h.last < maxSeq
	return h, ok
}

// batch is a frame in the making.
type batch struct {
	raw     []byte
	first   uint64
	next    uint64 // above the last entry's numbers
	entries int
	records uint32 // of them, the others are losses
	size    int    // what its records are counted as in memory
}

func (b *batch) at(seq uint64) {
	if b.entries == 0 {
		b.first, b.next = seq, seq
	}
	b.entries++
	b.raw = binary.AppendUvarint(b.raw, seq-b.next)
}

func (b *batch) record(seq uint64, c Class, data []byte) {
	b.at(seq)
	b.raw = append(b.raw, byte(c))
	b.raw = binary.AppendUvarint(b.raw, uint64(len(data)))
	b.raw = append(b.raw, data...)
	b.next = seq + 1
	b.records++
}

// lossTag marks an entry that explains why numbers are missing.
const lossTag = 0x80

func (b *batch) loss(l Loss) {
	b.at(l.From)
	inexact := byte(0)
	if l.Inexact {
		inexact = 1
	}
	b.raw = append(b.raw, lossTag|byte(l.Reason), byte(l.Class), inexact)
	b.raw = binary.AppendUvarint(b.raw, l.Records())
	b.next = l.To + 1
}

// encode appends the batch as a frame.
func (b *batch) encode(dst []byte, z *zstd.Encoder) []byte {
	start := len(dst)
	h := header{kind: frameZstd, raw: uint32(len(b.raw)), count: b.records, first: b.first, last: b.next - 1}
	dst = append(dst, make([]byte, headerSize)...)
	body := len(dst)
	if len(b.raw) >= minCompress {
		dst = z.EncodeAll(b.raw, dst)
	}
	if n := len(dst) - body; n == 0 || n >= len(b.raw) || len(b.raw) > maxRatio*n {
		h.kind = frameRaw
		dst = append(dst[:body], b.raw...)
	}
	return seal(dst, start, h)
}

func seal(dst []byte, start int, h header) []byte {
	payload := dst[start+headerSize:]
	h.length, h.sum = uint32(len(payload)), crc32.Checksum(payload, castagnoli())
	h.put(dst[start:])
	return dst
}

// appendStart appends the frame that begins a file or a boot.
func appendStart(dst []byte, b Boot, first uint64) []byte {
	start := len(dst)
	dst = append(append(dst, make([]byte, headerSize)...), b[:]...)
	return seal(dst, start, header{kind: frameStart, raw: uint32(len(b)), first: first, last: first})
}

// unpack checks a payload and returns its entries, decompressed into buf.
func unpack(h header, payload, buf []byte, z *zstd.Decoder) ([]byte, error) {
	if uint32(len(payload)) != h.length || crc32.Checksum(payload, castagnoli()) != h.sum {
		return nil, fmt.Errorf("%w: checksum", errDamaged)
	}
	raw := payload
	if h.kind == frameZstd {
		if cap(buf) < int(h.raw) {
			buf = make([]byte, h.raw)
		}
		var err error
		if raw, err = z.DecodeAll(payload, buf[:0:h.raw]); err != nil { // the capacity is the limit
			return nil, fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	if uint32(len(raw)) != h.raw {
		return nil, fmt.Errorf("%w: %d bytes where %d were said", errDamaged, len(raw), h.raw)
	}
	return raw, nil
}

// entry is a record or, with a reason, a loss.
type entry struct {
	seq  uint64
	loss Loss // with From == seq, when Reason is set
	Class
	data []byte
}

// last is the highest number that the entry speaks of.
func (e *entry) last() uint64 {
	if e.loss.Reason != 0 {
		return e.loss.To
	}
	return e.seq
}

// entries walks through an unpacked frame; the zero value is at its end.
type entries struct {
	raw  []byte
	next uint64
	h    header
	n    uint32 // records given
}

// read returns the next entry; false at the end. A frame whose entries are not
// what its header says is damaged from there on.
func (s *entries) read() (e entry, ok bool, err error) {
	if len(s.raw) == 0 {
		if s.h.kind != 0 && (s.n != s.h.count || s.next != s.h.last+1) {
			return e, false, fmt.Errorf("%w: entries end before the frame", errDamaged)
		}
		return e, false, nil
	}
	delta, ok := s.uvarint()
	if !ok || delta >= maxSeq || s.next+delta > s.h.last+1 || s.next+delta == 0 || len(s.raw) == 0 {
		return e, false, fmt.Errorf("%w: sequence number", errDamaged)
	}
	e.seq = s.next + delta
	tag := s.raw[0]
	s.raw = s.raw[1:]
	if tag&lossTag != 0 {
		return s.readLoss(e, Reason(tag&^lossTag))
	}
	n, ok := s.uvarint()
	if !ok || n > MaxRecord || n > uint64(len(s.raw)) || tag < byte(Event) || tag > byte(Audit) || s.n == s.h.count || e.seq > s.h.last {
		return e, false, fmt.Errorf("%w: record", errDamaged)
	}
	e.Class, e.data, s.raw = Class(tag), s.raw[:n:n], s.raw[n:]
	s.next = e.seq + 1
	s.n++
	return e, true, nil
}

func (s *entries) readLoss(e entry, r Reason) (entry, bool, error) {
	if len(s.raw) < 2 || r == 0 || r >= reasons || s.raw[0] > byte(Audit) || s.raw[1] > 1 {
		return e, false, fmt.Errorf("%w: loss", errDamaged)
	}
	c, inexact := Class(s.raw[0]), s.raw[1] == 1
	s.raw = s.raw[2:]
	n, ok := s.uvarint()
	if !ok || n > s.h.last+1-e.seq {
		return e, false, fmt.Errorf("%w: loss", errDamaged)
	}
	e.loss = Loss{From: e.seq, To: e.seq + n - 1, Class: c, Reason: r, Inexact: inexact}
	s.next = e.seq + n
	return e, true, nil
}

func (s *entries) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(s.raw)
	if n <= 0 {
		return 0, false
	}
	s.raw = s.raw[n:]
	return v, true
}
