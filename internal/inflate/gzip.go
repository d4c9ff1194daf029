package inflate

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// RFC 1952, 2.3.1.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
)

// maxString bounds a name or a comment, as the standard library does.
const maxString = 512

// gzipHeader reads the header of a member. The end of the source in the place
// of a further member is the end of the stream.
func (d *decoder) gzipHeader() error {
	d.fill(10)
	if d.state == inHeader && d.ip == d.iend && d.srcErr == io.EOF {
		return io.EOF
	}
	d.headCRC = 0
	h, err := d.headerBytes(10)
	if err != nil {
		return err
	}
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 {
		return ErrFormat
	}
	flags := h[3]
	if flags&flagExtra != 0 {
		h, err = d.headerBytes(2)
		if err != nil {
			return err
		}
		if _, err = d.headerBytes(uint(binary.LittleEndian.Uint16(h))); err != nil {
			return err
		}
	}
	for _, f := range []byte{flagName, flagComment} {
		if flags&f != 0 {
			if err := d.headerString(); err != nil {
				return err
			}
		}
	}
	if flags&flagHeaderCRC != 0 {
		sum := uint16(d.headCRC)
		h, err := d.headerBytes(2)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(h) != sum {
			return ErrFormat
		}
	}
	d.begin, d.crc, d.size = d.op, 0, 0
	d.state = atBlock
	return nil
}

func (d *decoder) headerBytes(n uint) ([]byte, error) {
	if d.fill(n); d.iend-d.ip < n {
		return nil, d.short()
	}
	b := d.in[d.ip : d.ip+n]
	d.ip += n
	d.headCRC = crc32.Update(d.headCRC, crc32.IEEETable, b)
	return b, nil
}

func (d *decoder) headerString() error {
	for range maxString {
		b, err := d.headerBytes(1)
		if err != nil {
			return err
		}
		if b[0] == 0 {
			return nil
		}
	}
	return ErrFormat
}

// trailer checks the member and goes on to the next.
func (d *decoder) trailer() error {
	if d.format == Raw {
		return io.EOF
	}
	d.bits, d.nbits = 0, 0 // the rest of the last byte
	d.sum()
	if d.fill(8); d.iend-d.ip < 8 {
		return d.short()
	}
	t := d.in[d.ip : d.ip+8]
	d.ip += 8
	if !d.partial && (binary.LittleEndian.Uint32(t) != d.crc || binary.LittleEndian.Uint32(t[4:]) != d.size) {
		return ErrChecksum
	}
	d.state, d.partial = inHeader, false
	return nil
}
