package tarwalk

import (
	"bytes"
	"encoding/binary"
)

const blockSize = 512

// block is a header as it stands in the tar.
type block [blockSize]byte

// format says how the second half of a header is to be read.
type format int8

const (
	v7 format = iota // no second half
	ustar
	star
	gnu
)

// head is what a header says by itself.
type head struct {
	format    format
	typ       byte
	mode, uid int64
	size      int64 // not negative, if there is content
}

// parse reads a header; what is broken in it, or nothing. Numbers that nobody
// asks for are held to their form nonetheless: where they are nonsense, so is
// the rest.
func parse(b *block) (h head, what string) {
	if !b.checksum() {
		return h, "checksum differs"
	}
	h.format, h.typ = b.format(), b[156]
	ok := true
	field := func(from, to int) (n int64) {
		if ok {
			n, ok = number(b[from:to])
		}
		return n
	}
	h.mode, h.uid = field(100, 108), field(108, 116)
	field(116, 124) // gid
	h.size = field(124, 136)
	field(136, 148) // modified
	if h.format != v7 {
		field(329, 337) // device
		field(337, 345)
	}
	if h.format == star {
		field(476, 488) // accessed
		field(488, 500) // changed
	}
	switch {
	case !ok:
		return h, "a number that is none"
	case h.size < 0 && hasContent(h.typ):
		return h, "negative size"
	}
	return h, ""
}

func (b *block) format() format {
	switch string(b[257:263]) {
	case "ustar\x00":
		if string(b[508:512]) == "tar\x00" {
			return star
		}
		return ustar
	case "ustar ":
		if string(b[263:265]) == " \x00" {
			return gnu
		}
	}
	return v7
}

func (b *block) zero() bool { return b[0] == 0 && *b == block{} }

// checksum sums the bytes, the checksum itself as spaces. Old systems summed
// signed bytes.
func (b *block) checksum() bool {
	want, ok := octal(b[148:156])
	if !ok {
		return false
	}
	// Four lanes of 16 bits hold 128 bytes each.
	const even = 0x00ff00ff00ff00ff
	var lanes uint64
	for i := 0; i < blockSize; i += 32 {
		w := (*[32]byte)(b[i:])
		v0, v1 := binary.LittleEndian.Uint64(w[:]), binary.LittleEndian.Uint64(w[8:])
		v2, v3 := binary.LittleEndian.Uint64(w[16:]), binary.LittleEndian.Uint64(w[24:])
		lanes += v0&even + v0>>8&even + v1&even + v1>>8&even
		lanes += v2&even + v2>>8&even + v3&even + v3>>8&even
	}
	sum := int64(lanes&0xffff + lanes>>16&0xffff + lanes>>32&0xffff + lanes>>48)
	for _, c := range b[148:156] {
		sum += ' ' - int64(c)
	}
	return sum == want || sum-256*b.high() == want
}

// high counts the bytes outside ASCII, those of the checksum left out.
func (b *block) high() (n int64) {
	for i, c := range b {
		if c >= 0x80 && (i < 148 || i >= 156) {
			n++
		}
	}
	return n
}

// appendName adds the name, with what stands before it in the prefix.
func (b *block) appendName(dst []byte, f format) []byte {
	var prefix []byte
	switch f {
	case ustar:
		prefix = cstring(b[345:500])
	case star:
		prefix = cstring(b[345:476])
	case gnu:
		prefix = b.oldGoPrefix()
	}
	if len(prefix) > 0 {
		dst = append(append(dst, prefix...), '/')
	}
	return append(dst, cstring(b[:100])...)
}

// oldGoPrefix is the prefix that Go before 1.8 wrote into GNU headers, which
// have none: where the times of access and change stand (golang/go#12594). It
// is one if those are no times and it is text.
func (b *block) oldGoPrefix() []byte {
	ok := true
	for _, f := range [...][]byte{b[345:357], b[357:369]} {
		if f[0] != 0 && ok {
			_, ok = number(f)
		}
	}
	if ok {
		return nil
	}
	prefix := cstring(b[345:500])
	if bytes.ContainsFunc(prefix, func(r rune) bool { return r >= 0x80 }) {
		return nil
	}
	return prefix
}

func (b *block) link() []byte { return cstring(b[157:257]) }

// sparseSize is the size with holes in an old GNU header.
func (b *block) sparseSize() (int64, bool) {
	n, ok := number(b[483:495])
	return n, ok && n >= 0
}

func cstring(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// number reads a field: octal, or GNU's base 256 for what is too large for it
// or negative.
func number(b []byte) (int64, bool) {
	if b[0]&0x80 == 0 {
		return octal(b)
	}
	var invert byte // a negative number is read as its complement
	if b[0]&0x40 != 0 {
		invert = 0xff
	}
	x := uint64((b[0] ^ invert) & 0x7f)
	for _, c := range b[1:] {
		if x>>56 != 0 {
			return 0, false
		}
		x = x<<8 | uint64(c^invert)
	}
	if x>>63 != 0 {
		return 0, false
	}
	if invert != 0 {
		return ^int64(x), true
	}
	return int64(x), true
}

// octal reads a field of 8 or 12 bytes. Nearly all are digits to the last
// byte but one.
func octal(b []byte) (int64, bool) {
	if end := b[len(b)-1]; end != 0 && end != ' ' {
		return octalSlow(b)
	}
	v := binary.BigEndian.Uint64(b)
	switch len(b) {
	case 8:
		if v == 0 { // a device's number, of what is none
			return 0, true
		}
		if b[6] == 0 || b[6] == ' ' { // the checksum ends twice
			v = v>>8 | '0'<<56
		}
		if n, ok := octal8(v>>8 | '0'<<56); ok {
			return n, true
		}
	case 12:
		high, ok := octal8(v)
		low, ok2 := octal8(uint64(binary.BigEndian.Uint32(b[8:])>>8) | 0x3030303030<<24)
		if ok && ok2 {
			return high<<9 | low, true
		}
	}
	return octalSlow(b)
}

// octal8 reads eight digits at once.
func octal8(v uint64) (int64, bool) {
	if v&0xf8f8f8f8f8f8f8f8 != 0x3030303030303030 {
		return 0, false
	}
	v = v&0x0007000700070007 | v>>5&0x0038003800380038
	v = v&0x0000003f0000003f | v>>10&0x00000fc000000fc0
	return int64(v&0xfff | v>>20&0xfff000), true
}

// octalSlow reads digits with spaces and NULs around; what stands behind an
// inner NUL does not count, and nothing at all is zero.
func octalSlow(b []byte) (n int64, ok bool) {
	for _, c := range cstring(bytes.Trim(b, " \x00")) {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n<<3 | int64(c-'0')
	}
	return n, true
}
