package spool

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// frames finds the frames of a file, also behind a damaged part.
type frames struct {
	f    io.ReaderAt
	off  int64
	head [headerSize]byte
}

// header returns the next frame's header; io.EOF when there is none yet.
func (f *frames) header() (header, error) {
	for {
		if n, err := f.f.ReadAt(f.head[:], f.off); n < headerSize {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return header{}, err
		}
		if h, ok := parseHeader(f.head[:]); ok {
			return h, nil
		}
		if !f.resync() {
			return header{}, io.EOF
		}
	}
}

// skip goes on to the next frame.
func (f *frames) skip(h header) { f.off += headerSize + int64(h.length) }

// payload reads the frame's payload into buf.
func (f *frames) payload(h header, buf []byte) ([]byte, error) {
	if cap(buf) < int(h.length) {
		// Grow as the file proves to be that long: a header alone reserves nothing.
		var last [1]byte
		if n, err := f.f.ReadAt(last[:], f.off+headerSize+int64(h.length)-1); n == 0 {
			return nil, err
		}
		buf = make([]byte, h.length)
	}
	buf = buf[:h.length]
	if n, err := f.f.ReadAt(buf, f.off+headerSize); n < len(buf) {
		return nil, err
	}
	return buf, nil
}

// resync goes on to the next header that sums up; false, and stays, if the
// file has none.
func (f *frames) resync() bool {
	buf := make([]byte, 64<<10)
	for off := f.off + 1; ; off += int64(len(buf) - headerSize + 1) {
		n, err := f.f.ReadAt(buf, off)
		for i := 0; ; i++ {
			at := bytes.Index(buf[i:n], []byte(magic))
			if at < 0 || i+at+headerSize > n {
				break
			}
			i += at
			if _, ok := parseHeader(buf[i:n]); ok {
				f.off = off + int64(i)
				return true
			}
		}
		if err != nil {
			return false
		}
	}
}

// start is what a start frame says: whose boot follows, and from which number.
type start struct {
	boot  Boot
	first uint64
}

// laneReader gives the entries of a lane in order, each number once.
type laneReader struct {
	z     *zstd.Decoder
	open  func(*segment) (io.ReaderAt, error)
	segs  []*segment // not yet begun
	cur   *frames
	it    entries
	err   error // a file that is there and cannot be opened
	head  entry
	has   bool // head is the next entry
	gone  bool // files before floor were removed
	floor uint64
	dry   bool // nothing more until segs or the file grow

	next         uint64 // lower numbers were seen
	limit        uint64 // frames that begin above it are not settled
	payload, raw []byte
	// A start frame of another boot ends what a single file's reader gives; it
	// goes on when boot is set to pending.
	single  bool
	boot    Boot
	pending *start
}

// fill makes head the next entry; false when there is none now.
func (r *laneReader) fill() bool {
	for !r.has && !r.dry {
		e, ok, err := r.it.read()
		switch {
		case ok:
			if r.has = e.last() >= r.next || e.loss.Inexact; r.has {
				r.head, r.next = e, max(r.next, e.last()+1)
			}
		case err != nil:
			r.it = entries{} // the rest of the frame cannot be read
		default:
			r.frame()
		}
	}
	return r.has
}

// frame goes on to the next frame, or the next file.
func (r *laneReader) frame() {
	r.it = entries{}
	if r.cur == nil {
		r.file()
		return
	}
	h, err := r.cur.header()
	if err != nil {
		r.file()
		return
	}
	if h.kind == frameStart {
		r.start(h)
		return
	}
	if h.first > r.limit {
		r.dry = true
		return
	}
	if h.last+1 < r.next { // not <=: an inexact loss may have no number of its own
		r.cur.skip(h)
		return
	}
	payload, err := r.cur.payload(h, r.payload)
	if err != nil { // not all there yet, or ever
		r.file()
		return
	}
	r.payload = payload
	r.cur.skip(h)
	raw, err := unpack(h, payload, r.raw, r.z)
	if err != nil {
		return
	}
	if h.kind == frameZstd {
		r.raw = raw
	}
	r.it = entries{raw: raw, next: h.first, h: h}
}

func (r *laneReader) start(h header) {
	payload, err := r.cur.payload(h, r.payload)
	if err != nil {
		r.file()
		return
	}
	r.payload = payload
	if r.single && len(payload) == len(r.boot) && Boot(payload) != r.boot {
		r.pending, r.dry = &start{Boot(payload), h.first}, true
		return
	}
	r.cur.skip(h)
}

// file goes on to the next file, if there is one.
func (r *laneReader) file() {
	if len(r.segs) == 0 {
		r.dry = true
		return
	}
	g := r.segs[0]
	r.segs = r.segs[1:]
	r.close()
	f, err := r.open(g)
	switch {
	case err == nil:
		r.cur = &frames{f: f}
		if r.gone {
			r.floor, r.gone = g.first, false
		}
	case errors.Is(err, os.ErrNotExist): // dropped or acknowledged meanwhile
		r.gone = true
	default:
		r.err, r.dry = err, true
		r.segs = append([]*segment{g}, r.segs...)
	}
}

func (r *laneReader) close() {
	if r.cur != nil {
		if c, ok := r.cur.f.(io.Closer); ok && !r.single {
			c.Close()
		}
		r.cur = nil
	}
}
