// Package tarwalk goes through a tar entry by entry, as archive/tar does, at
// a tenth of its cost: headers are read where they lie in the stream's own
// chunks, and content that nobody reads is passed over without a copy.
//
// It accepts and refuses what archive/tar does (V7, ustar, STAR, PAX, GNU, its
// rules for the end), with one difference: files with holes (GNU, PAX 0.0, 0.1
// and 1.0) are told by Entry.Sparse; they are not expanded, and their maps are
// not checked. As there, a PAX global header is an entry of its own and
// changes no other.
//
// It holds a few MiB at most, and never believes a size: what a header
// promises and the stream does not hold is an error. Start with New.
package tarwalk

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// maxMeta is the largest PAX header or GNU name; libarchive and
	// archive/tar draw the same line.
	maxMeta = 1 << 20
	// maxSparseBlocks bounds the headers that continue an old GNU sparse map.
	maxSparseBlocks = maxMeta/blockSize - 1
	// maxEmpty is how many chunks without a byte are no progress.
	maxEmpty = 100
)

// ErrHeader says that the bytes are no tar, or a broken one. Nothing behind
// the place can be trusted.
var ErrHeader = errors.New("invalid tar header")

// Source hands out a stream in chunks.
type Source interface {
	// Next returns the next bytes, which stay as they are until it is called
	// again. At the end the error is io.EOF; there are no bytes beside an
	// error.
	Next() ([]byte, error)
}

// Walker goes through one tar.
type Walker struct {
	src  Source
	rest []byte // of the chunk
	at   int64  // where rest begins in the stream
	from int64  // where the last header began
	left int64  // bytes of the entry that were not read
	pad  int64  // bytes behind them up to the next header
	err  error  // final

	block      block // a header that lies in two chunks
	name, link []byte
	long       longNames
	pax        records
}

// longNames are GNU's names for the next entry; empty is none.
type longNames struct{ name, link []byte }

// New walks the tar that begins at the source's next byte.
func New(src Source) *Walker { return &Walker{src: src} }

// Next goes on to the next entry, past what was not read of the last. At the
// end of the tar the error is io.EOF; the source may hold more. An error is
// final, and what e holds then means nothing.
func (w *Walker) Next(e *Entry) error {
	if w.err == nil {
		w.err = w.next(e)
	}
	return w.err
}

func (w *Walker) next(e *Entry) error {
	w.long.name, w.long.link, w.pax.set = w.long.name[:0], w.long.link[:0], false
	for {
		if err := w.skip(); err != nil {
			return err
		}
		b, err := w.header()
		if err != nil {
			return err
		}
		h, what := parse(b)
		if what != "" {
			return w.broken(what)
		}
		switch h.typ {
		case typePAX:
			err = w.readPAX(&h)
		case typeGNUName:
			w.long.name, err = w.readMeta(&h, w.long.name)
			w.long.name = cstring(w.long.name)
		case typeGNULink:
			w.long.link, err = w.readMeta(&h, w.long.link)
			w.long.link = cstring(w.long.link)
		case TypePAXGlobal:
			return w.global(e, &h, b)
		default:
			return w.entry(e, &h, b)
		}
		if err != nil {
			return err
		}
	}
}

func (w *Walker) broken(what string) error {
	return fmt.Errorf("%w at byte %d: %s", ErrHeader, w.from, what)
}

// header is the next header that is no end mark. It is valid until the source
// is asked for more. The end is two zero blocks, or one and nothing behind it,
// or none at all.
func (w *Walker) header() (*block, error) {
	w.from = w.at
	b, err := w.nextBlock()
	if err != nil || !b.zero() {
		return b, err
	}
	if b, err = w.nextBlock(); err != nil {
		return nil, err
	}
	if !b.zero() {
		return nil, w.broken("half an end mark")
	}
	return nil, io.EOF
}

// nextBlock is io.EOF only if there is not one byte.
func (w *Walker) nextBlock() (*block, error) {
	if len(w.rest) >= blockSize {
		b := (*block)(w.rest)
		w.advance(blockSize)
		return b, nil
	}
	for n := 0; n < blockSize; {
		if err := w.fill(); err != nil {
			if n > 0 {
				err = noEOF(err)
			}
			return nil, err
		}
		n += w.take(w.block[n:])
	}
	return &w.block, nil
}

// entry finishes a header that stands for itself, with what the ones before
// it say of it.
func (w *Walker) entry(e *Entry, h *head, b *block) error {
	w.name, w.link = b.appendName(w.name[:0], h.format), append(w.link[:0], b.link()...)
	*e = Entry{Name: w.name, Link: w.link, Type: h.typ, Mode: h.mode, UID: int(h.uid), Size: h.size}
	if w.pax.set {
		if what := w.pax.merge(e); what != "" {
			return w.broken(what)
		}
	}
	if len(w.long.name) > 0 {
		e.Name = w.long.name
	}
	if len(w.long.link) > 0 {
		e.Link = w.long.link
	}
	if e.Type == typeOldFile {
		e.Type = TypeFile
		if n := len(e.Name); n > 0 && e.Name[n-1] == '/' {
			e.Type = TypeDir
		}
	}
	switch {
	case !hasContent(e.Type):
		e.Size = 0
	case e.Size < 0:
		return w.broken("negative size")
	}
	e.Stored = e.Size
	w.open(e.Stored)
	if err := w.sparse(e, h, b); err != nil {
		return err
	}
	e.Offset = w.at
	return nil
}

// sparse finds out whether the file has holes, and how large it is with them.
func (w *Walker) sparse(e *Entry, h *head, b *block) error {
	switch {
	case e.Type == TypeGNUSparse && h.format != gnu:
		// STAR uses the same letter for another layout.
		return w.broken("a sparse file of no known format")
	case e.Type == TypeGNUSparse:
		size, ok := b.sparseSize()
		if !ok {
			return w.broken("size of a sparse file")
		}
		e.Sparse, e.Size = true, size
		return w.skipMap(b)
	case w.pax.set && w.pax.sparse():
		if what := w.pax.mergeSparse(e); what != "" {
			return w.broken(what)
		}
	}
	return nil
}

// skipMap passes over the blocks that continue the map of an old GNU sparse
// file; they are not counted in its size.
func (w *Walker) skipMap(b *block) (err error) {
	more := b[482] != 0
	for n := 0; more; n++ {
		if n == maxSparseBlocks {
			return w.broken("sparse map too long")
		}
		if b, err = w.nextBlock(); err != nil {
			return noEOF(err)
		}
		more = b[504] != 0
	}
	return nil
}

func (w *Walker) global(e *Entry, h *head, b *block) error {
	w.name = b.appendName(w.name[:0], h.format) // while the block is there
	if err := w.readPAX(h); err != nil {
		return err
	}
	*e = Entry{Name: w.name, Type: h.typ, Offset: w.at}
	if path := w.pax.value[paxPath]; len(path) > 0 {
		e.Name = path
	}
	return nil
}

func (w *Walker) readPAX(h *head) (err error) {
	if w.pax.raw, err = w.readMeta(h, w.pax.raw); err != nil {
		return err
	}
	if what := w.pax.parse(); what != "" {
		return w.broken(what)
	}
	return nil
}

// readMeta reads, into buf, the content of a header that is about the next.
func (w *Walker) readMeta(h *head, buf []byte) ([]byte, error) {
	if h.size > maxMeta {
		return nil, w.broken("more than 1 MiB of names or attributes")
	}
	w.open(h.size)
	buf = slices.Grow(buf[:0], int(h.size))[:h.size]
	if _, err := io.ReadFull(w, buf); err != nil {
		return nil, err
	}
	return buf, nil
}

// open begins the content behind a header.
func (w *Walker) open(stored int64) {
	w.left, w.pad = stored, -stored&(blockSize-1)
}

// Read reads the entry's stored content; at its end the error is io.EOF, and
// io.ErrUnexpectedEOF if the stream ends before.
func (w *Walker) Read(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if err := w.fill(); err != nil {
		w.err = noEOF(err)
		return 0, w.err
	}
	n := w.take(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	return n, nil
}

// skip passes over what is left of the entry. Padding that is missing at the
// end of the stream is not missed: some writers leave it out.
func (w *Walker) skip() error {
	if err := w.pass(&w.left); err != nil {
		return noEOF(err)
	}
	return w.pass(&w.pad)
}

func (w *Walker) pass(n *int64) error {
	for *n > 0 {
		if err := w.fill(); err != nil {
			return err
		}
		m := min(*n, int64(len(w.rest)))
		w.advance(int(m))
		*n -= m
	}
	return nil
}

// fill sees to it that rest is not empty.
func (w *Walker) fill() (err error) {
	for range maxEmpty {
		if len(w.rest) > 0 {
			return nil
		}
		if w.rest, err = w.src.Next(); err != nil {
			w.rest = nil
			return err
		}
	}
	return io.ErrNoProgress
}

func (w *Walker) take(p []byte) int {
	n := copy(p, w.rest)
	w.advance(n)
	return n
}

func (w *Walker) advance(n int) {
	w.rest = w.rest[n:]
	w.at += int64(n)
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Chunks reads r in chunks of 64 KiB.
func Chunks(r io.Reader) Source { return &chunks{r: r} }

type chunks struct {
	r   io.Reader
	buf []byte
	err error
}

func (c *chunks) Next() ([]byte, error) {
	if c.buf == nil {
		c.buf = make([]byte, 64<<10)
	}
	for range maxEmpty {
		if c.err != nil {
			return nil, c.err
		}
		var n int
		if n, c.err = c.r.Read(c.buf); n > 0 {
			return c.buf[:n], nil
		}
	}
	return nil, io.ErrNoProgress
}
