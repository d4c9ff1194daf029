package java

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// The central directory is read here rather than by archive/zip because that
// allocates some 300 bytes for each entry before anyone can count them: an
// archive of 256 MiB may hold five million. A fuzz target holds this reader to
// archive/zip. The format is PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.

const (
	endSize       = 22
	end64Size     = 56
	locatorSize   = 20
	centralSize   = 46
	localSize     = 30
	methodStored  = 0
	methodDeflate = 8
	flagEncrypted = 1
)

var (
	errNoDirectory  = errors.New("no central directory: not a zip archive, or cut")
	errBadDirectory = errors.New("broken central directory")
)

var le = binary.LittleEndian

// zipFile is an archive in memory.
type zipFile struct {
	data  []byte
	base  uint64 // where the archive begins: behind a launcher script
	dir   []byte // the central directory
	count uint64 // how many entries it claims to have
}

// entry is one member of an archive; name lies in the archive's memory.
type entry struct {
	name   []byte
	method uint16
	flags  uint16
	packed uint64
	size   uint64
	offset uint64
}

// openZip finds the central directory.
func openZip(data []byte) (*zipFile, error) {
	end := findEnd(data)
	if end < 0 {
		return nil, errNoDirectory
	}
	count := uint64(le.Uint16(data[end+10:]))
	size := uint64(le.Uint32(data[end+12:]))
	offset := uint64(le.Uint32(data[end+16:]))
	stop := uint64(end)
	if count == 0xffff || size == 0xffffffff || offset == 0xffffffff {
		if at, ok := findEnd64(data, end); ok {
			count = le.Uint64(data[at+32:])
			size = le.Uint64(data[at+40:])
			offset = le.Uint64(data[at+48:])
			stop = uint64(at)
		}
	}
	if size > stop || offset > stop {
		return nil, errBadDirectory
	}
	z := &zipFile{data: data, count: count}
	// Where offset and size do not meet the end, something stands before the
	// archive; unless a directory is just where offset says.
	if start := stop - size; start >= offset {
		z.base = start - offset
	} else {
		return nil, errBadDirectory
	}
	if z.base > 0 && bytes.HasPrefix(data[offset:], []byte("PK\x01\x02")) {
		z.base = 0
	}
	z.dir = data[z.base+offset : stop]
	return z, nil
}

// findEnd is the offset of the end record: the last one whose comment fits.
func findEnd(data []byte) int {
	low := max(0, len(data)-endSize-0xffff)
	tail := data[low:]
	for {
		i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
		if i < 0 {
			return -1
		}
		if at := low + i; at+endSize <= len(data) && at+endSize+int(le.Uint16(data[at+20:])) <= len(data) {
			return at
		}
		tail = tail[:i+3]
	}
}

// findEnd64 is the offset of the Zip64 end record, before the locator.
func findEnd64(data []byte, end int) (int, bool) {
	loc := end - locatorSize
	if loc < 0 || string(data[loc:loc+4]) != "PK\x06\x07" {
		return 0, false
	}
	at := le.Uint64(data[loc+8:])
	if at > uint64(loc) || uint64(loc)-at < end64Size {
		// Behind a launcher script the record is still just before.
		at = uint64(max(0, loc-end64Size))
	}
	if at+end64Size > uint64(loc) || string(data[at:at+4]) != "PK\x06\x06" {
		return 0, false
	}
	return int(at), true
}

// each calls visit with every entry until it returns false. The error says
// that the directory is not whole.
func (z *zipFile) each(visit func(e *entry) bool) error {
	var e entry
	dir, n := z.dir, uint64(0)
	for len(dir) >= centralSize && string(dir[:4]) == "PK\x01\x02" {
		nameLen, extraLen, noteLen := int(le.Uint16(dir[28:])), int(le.Uint16(dir[30:])), int(le.Uint16(dir[32:]))
		total := centralSize + nameLen + extraLen + noteLen
		if total > len(dir) {
			return fmt.Errorf("%w: entry %d is cut", errBadDirectory, n+1)
		}
		e = entry{
			name:   dir[centralSize : centralSize+nameLen],
			flags:  le.Uint16(dir[8:]),
			method: le.Uint16(dir[10:]),
			packed: uint64(le.Uint32(dir[20:])),
			size:   uint64(le.Uint32(dir[24:])),
			offset: uint64(le.Uint32(dir[42:])),
		}
		if e.size == 0xffffffff || e.packed == 0xffffffff || e.offset == 0xffffffff {
			e.widen(dir[centralSize+nameLen:][:extraLen])
		}
		n++
		if !visit(&e) {
			return nil
		}
		dir = dir[total:]
	}
	// The count of the end record is 16 bits wide, and some writers let it
	// wrap instead of using Zip64.
	if uint16(n) != uint16(z.count) {
		return fmt.Errorf("%w: %d entries of %d", errBadDirectory, n, z.count)
	}
	return nil
}

// widen takes the 64-bit sizes from the extra field 0x0001.
func (e *entry) widen(extra []byte) {
	for len(extra) >= 4 {
		tag, size := le.Uint16(extra), int(le.Uint16(extra[2:]))
		extra = extra[4:]
		if size > len(extra) {
			return
		}
		if tag == 1 {
			field := extra[:size]
			for _, v := range [...]*uint64{&e.size, &e.packed, &e.offset} {
				if *v == 0xffffffff && len(field) >= 8 {
					*v, field = le.Uint64(field), field[8:]
				}
			}
			return
		}
		extra = extra[size:]
	}
}

// raw is the entry's content as it is stored.
func (z *zipFile) raw(e *entry) ([]byte, error) {
	at := z.base + e.offset
	size := uint64(len(z.data))
	if e.flags&flagEncrypted != 0 {
		return nil, errors.New("encrypted")
	}
	if at < e.offset || at > size || size-at < localSize || string(z.data[at:at+4]) != "PK\x03\x04" {
		return nil, errors.New("no entry where the central directory says")
	}
	at += localSize + uint64(le.Uint16(z.data[at+26:])) + uint64(le.Uint16(z.data[at+28:]))
	if at > size || size-at < e.packed {
		return nil, errors.New("cut")
	}
	return z.data[at : at+e.packed], nil
}

// maxRatio is beyond what programs compress to; the most that deflate can
// write is 1,032 bytes for one.
const maxRatio = 200

// smallEntry is a size up to which no ratio is asked about.
const smallEntry = 1 << 20

// read returns at most limit bytes of the entry. With prefix it stops there,
// without it a longer entry is an error.
func (z *zipFile) read(e *entry, limit int64, prefix bool) ([]byte, error) {
	raw, err := z.raw(e)
	if err != nil {
		return nil, err
	}
	if !prefix && e.size > uint64(limit) {
		return nil, fmt.Errorf("%d bytes, more than %d", e.size, limit)
	}
	switch e.method {
	case methodStored:
		if int64(len(raw)) > limit {
			if !prefix {
				return nil, fmt.Errorf("%d bytes, more than %d", len(raw), limit)
			}
			raw = raw[:limit]
		}
		return raw, nil
	case methodDeflate:
		if e.size > smallEntry && e.size/maxRatio > uint64(len(raw)) {
			return nil, fmt.Errorf("%d bytes would become %d", len(raw), e.size)
		}
		return inflate(raw, e.size, limit, prefix)
	}
	return nil, fmt.Errorf("compression method %d is not supported", e.method)
}

// inflate unpacks raw, which claims to become size bytes.
func inflate(raw []byte, size uint64, limit int64, prefix bool) ([]byte, error) {
	src := sources.Get().(*source)
	defer sources.Put(src)
	src.packed.Reset(raw)
	if err := src.inflater.(flate.Resetter).Reset(&src.packed, nil); err != nil {
		return nil, err
	}
	// A claim is believed as far as the input can make it true.
	claim := min(size, uint64(limit), uint64(len(raw))*maxRatio+smallEntry)
	var out bytes.Buffer
	out.Grow(int(claim) + bytes.MinRead)
	most := limit
	if !prefix {
		most = int64(claim)
	}
	n, err := io.Copy(&out, io.LimitReader(src.inflater, most+1))
	switch {
	case n > most && prefix:
		return out.Bytes()[:most], nil
	case n > most:
		return nil, fmt.Errorf("more than the %d bytes that it claims", claim)
	case err != nil && (!prefix || n == 0):
		return nil, fmt.Errorf("inflate: %w", err)
	}
	return out.Bytes(), nil
}

// source is an inflater with its input, kept between entries: its tables are
// larger than most of what it unpacks here.
type source struct {
	packed   bytes.Reader
	inflater io.ReadCloser
}

var sources = sync.Pool{New: func() any { return &source{inflater: flate.NewReader(bytes.NewReader(nil))} }}
