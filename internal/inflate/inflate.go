// Package inflate decompresses gzip (RFC 1952) and DEFLATE (RFC 1951) streams
// at more than twice the speed of the standard library, and accepts exactly
// the streams that the standard library accepts.
//
// It hands out chunks of its own window, so that nobody pays for a copy, and
// can tell a Checkpoint every so many bytes, at which decoding can begin
// again. It never bounds how much comes out: a caller that reads what it does
// not trust counts (Reader.Offsets) and stops.
//
// Start with Reader.Next; fast.go is where the time goes.
package inflate

import (
	"errors"
	"hash/crc32"
	"io"
	"sync"
)

// Errors of a stream. A stream that ends too early is io.ErrUnexpectedEOF.
var (
	// ErrFormat: it does not begin like gzip, or what follows a member does not.
	ErrFormat = errors.New("inflate: not a gzip header")
	// ErrCorrupt: no encoder makes such bits.
	ErrCorrupt = errors.New("inflate: corrupt block")
	// ErrChecksum: what came out is not what went in. It came out already.
	ErrChecksum = errors.New("inflate: wrong checksum or size")
	errClosed   = errors.New("inflate: reader is closed")
)

// Format is what the stream looks like from outside.
type Format uint8

const (
	// Gzip is one member or several in a row (RFC 1952, 2.2).
	Gzip Format = iota
	// Raw is DEFLATE without a frame, as in zip; what follows it is not read
	// from the stream's point of view, but may have been taken from the source.
	Raw
)

const (
	inputSize  = 64 << 10
	windowSize = 32 << 10  // RFC 1951, 3.2.5: the largest distance
	chunkSize  = 256 << 10 // smaller ones cost more: the window is moved for each
	maxMatch   = 258
	// slack is what a match and its copies of 32 bytes at once may write
	// beyond the last place at which a symbol may begin.
	slack = maxMatch + 2*32
	// loadSize is what one load of the bit buffer reads.
	loadSize = 8
)

// Reader decompresses one stream. It is not for several goroutines at once.
type Reader struct {
	d    *decoder // nil when closed
	rest []byte   // of the chunk that Read has begun
}

// decoder is the state of a Reader, which is used again.
type decoder struct {
	src    io.Reader
	srcErr error
	read   int64 // bytes taken from src
	format Format
	state  state
	final  bool // the block is the member's last

	bits  uint64 // the next bits of the stream, from below
	nbits uint   // how many of them; fewer than 8 between calls
	ip    uint   // next byte of in
	iend  uint   // end of the bytes in in

	op     uint // end of the bytes in out
	begin  uint // of the member in out, or before it: no distance goes beyond
	handed uint // end of what Next gave
	summed uint // end of what is in crc
	given  int64
	crc    uint32
	size   uint32 // of the member, modulo 1<<32

	stored uint // bytes left of a stored block
	err    error
	// partial: decoding began inside of the member, whose checksum says nothing.
	partial bool
	headCRC uint32 // of the header so far

	every  int64 // between checkpoints
	mark   func(Checkpoint)
	marked int64

	fixed bool // the tables are those of RFC 1951, 3.2.6
	lit   [litSize]uint32
	dis   [disSize]uint32
	in    [inMask + 1 + loadSize]byte
	out   [outMask + 1 + slack]byte
}

type state uint8

const (
	atHeader state = iota
	inHeader
	atBlock
	inStored
	inCodes
	atTrailer
)

// A decoder is 0.6 MB.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// NewReader reads a stream from src, of which it may take more than it needs.
// Close it, so that its memory is used again.
func NewReader(src io.Reader, format Format) *Reader {
	d := decoders.Get().(*decoder)
	d.reset(src, format)
	return &Reader{d: d}
}

func (d *decoder) reset(src io.Reader, format Format) {
	d.src, d.srcErr, d.read, d.format = src, nil, 0, format
	d.state, d.final, d.partial = atHeader, false, false
	d.bits, d.nbits, d.ip, d.iend = 0, 0, 0, 0
	d.op, d.begin, d.handed, d.summed = 0, 0, 0, 0
	d.given, d.crc, d.size, d.stored = 0, 0, 0, 0
	d.err = nil
	d.every, d.mark, d.marked = 0, nil, 0
	if format == Raw {
		d.state = atBlock
	}
}

// Close gives the memory back. It does not close the source.
func (r *Reader) Close() error {
	if r.d != nil {
		r.d.src, r.d.mark = nil, nil
		decoders.Put(r.d)
		r.d, r.rest = nil, nil
	}
	return nil
}

// Offsets are how many bytes were taken from the stream, and how many came out.
func (r *Reader) Offsets() (in, out int64) {
	if r.d == nil {
		return 0, 0
	}
	return r.d.consumed(), r.d.given
}

// Next is the next chunk, never empty; it must not be used after the next
// call. It waits for as much input as fills a chunk. At the end the error is
// io.EOF, and only then are the bytes what their checksum says.
func (r *Reader) Next() ([]byte, error) {
	if r.d == nil {
		return nil, errClosed
	}
	if len(r.rest) > 0 {
		c := r.rest
		r.rest = nil
		return c, nil
	}
	return r.d.next()
}

// Read copies; Next does not.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 {
		c, err := r.Next()
		if err != nil {
			return 0, err
		}
		r.rest = c
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (d *decoder) next() ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	d.slide()
	for d.err == nil && d.op < windowSize+chunkSize {
		d.err = d.step()
	}
	if d.handed == d.op {
		return nil, d.err
	}
	c := d.out[d.handed:d.op]
	d.sum()
	d.given += int64(len(c))
	d.handed = d.op
	return c, nil
}

// consumed is the offset of the next byte of the stream. It is inside of it
// while bits of it are left.
func (d *decoder) consumed() int64 {
	return d.read - int64(d.iend-d.ip)
}

// slide moves the window to the front when what is behind it was handed out.
func (d *decoder) slide() {
	if d.op <= windowSize {
		return
	}
	by := d.op - windowSize
	copy(d.out[:windowSize], d.out[by:d.op])
	d.op = windowSize
	d.handed, d.summed = windowSize, windowSize
	d.begin -= min(d.begin, by)
}

// sum adds what came out to the member's checksum.
func (d *decoder) sum() {
	if d.format == Gzip {
		b := d.out[d.summed:d.op]
		d.crc = crc32.Update(d.crc, crc32.IEEETable, b)
		d.size += uint32(len(b))
	}
	d.summed = d.op
}

// step goes on until the chunk is full or the state changes. Between steps no
// whole byte is in the bit buffer.
func (d *decoder) step() error {
	switch d.state {
	case atHeader, inHeader:
		return d.gzipHeader()
	case atBlock:
		return d.block()
	case inStored:
		return d.copyStored()
	case inCodes:
		return d.codes()
	default:
		return d.trailer()
	}
}

// fill reads until n bytes are there. At the end of the source there are
// fewer, and srcErr says why.
func (d *decoder) fill(n uint) {
	if d.iend-d.ip >= n || d.srcErr != nil {
		return
	}
	// Whole bytes in the bit buffer may be given back: they stay.
	if from := d.ip - d.nbits>>3; from > 0 {
		copy(d.in[:], d.in[from:d.iend])
		d.ip, d.iend = d.ip-from, d.iend-from
	}
	for idle := 0; d.iend-d.ip < n && d.srcErr == nil; {
		m, err := d.src.Read(d.in[d.iend:inputSize])
		d.iend += uint(m)
		d.read += int64(m)
		d.srcErr = err
		if idle++; m > 0 {
			idle = 0
		} else if idle >= 100 && err == nil {
			d.srcErr = io.ErrNoProgress
		}
	}
}

// short is the error of a source that ended where it must not.
func (d *decoder) short() error {
	if d.srcErr == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return d.srcErr
}

// need loads bits until there are n, at most 48.
func (d *decoder) need(n uint) bool {
	for d.nbits < n {
		if d.ip == d.iend {
			if d.fill(1); d.ip == d.iend {
				return false
			}
		}
		d.bits |= uint64(d.in[d.ip]) << (d.nbits & 63)
		d.ip++
		d.nbits += 8
	}
	return true
}

// take is the next n bits, which need has seen.
func (d *decoder) take(n uint) uint {
	v := uint(d.bits & (1<<(n&63) - 1))
	d.bits >>= n & 63
	d.nbits -= n
	return v
}

// giveBack returns whole bytes to the input.
func (d *decoder) giveBack() {
	d.ip -= d.nbits >> 3
	d.nbits &= 7
	d.bits &= 1<<d.nbits - 1
}
