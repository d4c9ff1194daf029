package oci

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/esclusa/esclusa/internal/inflate"
	"github.com/klauspost/compress/zstd"
)

// Stream is a sequence of bytes, read in chunks or with Read.
type Stream interface {
	io.ReadCloser
	// Next returns the next chunk, never empty, without copying it. It is
	// valid until the next call of any method. At the end the error is
	// io.EOF, and only then are the bytes what they claim to be.
	Next() ([]byte, error)
}

const (
	inputSize = 64 << 10
	chunkSize = 256 << 10
	// maxWindow is what the decoder of a zstd frame may ask for; the
	// specification of the format recommends to support 8 MiB, and zstd
	// --long=27 is the most that tools write without being asked twice.
	maxWindow = 128 << 20
)

// A decoder of zstd holds some MB: it is used again.
var (
	inputs = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, inputSize) }}
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	zstds  = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		return d
	}}
)

// Decompress unpacks gzip (several members too, as eStargz has them) and zstd
// (zstd:chunked too), and hands anything else on as it is. The first bytes
// decide: media types are wrong too often, so mediaType only words errors.
// It does not close r.
func Decompress(r io.Reader, mediaType string) (Stream, error) {
	s, err := decompress(r, mediaType)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func decompress(r io.Reader, mediaType string) (*stream, error) {
	in := inputs.Get().(*bufio.Reader)
	in.Reset(r)
	s := &stream{in: in}
	head, err := in.Peek(4)
	if err != nil && err != io.EOF {
		s.release()
		return nil, err
	}
	err = nil
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		s.inf = inflate.NewReader(in, inflate.Gzip)
		return s, nil
	case isZstd(head):
		err = s.unzstd()
	case bytes.HasPrefix(head, []byte("BZh")), bytes.HasPrefix(head, []byte("\xfd7zX")):
		err = errors.New("compression bzip2 or xz is not supported")
	default:
		s.r = in
	}
	if err != nil {
		s.release()
		return nil, fmt.Errorf("decompress %q: %w", mediaType, err)
	}
	s.buf = chunks.Get().(*[chunkSize]byte)
	return s, nil
}

// isZstd also knows skippable frames, which may stand first.
func isZstd(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18})
}

type stream struct {
	in   *bufio.Reader
	r    io.Reader       // what unpacks in, or in itself
	inf  *inflate.Reader // has chunks of its own
	zs   *zstd.Decoder
	buf  *[chunkSize]byte
	rest []byte // of the chunk that Read has begun
	err  error
}

func (s *stream) unzstd() error {
	switch d := zstds.Get().(type) {
	case *zstd.Decoder:
		s.zs, s.r = d, d
		return d.Reset(s.in)
	case error:
		return d
	}
	return nil
}

// Next fills a whole chunk where it can: callers pay per call.
func (s *stream) Next() ([]byte, error) {
	if len(s.rest) > 0 {
		c := s.rest
		s.rest = nil
		return c, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.inf != nil {
		return s.inflated()
	}
	n := 0
	for n < chunkSize && s.err == nil {
		var m int
		m, s.err = s.r.Read(s.buf[n:])
		n += m
	}
	if n == 0 {
		return nil, s.err
	}
	return s.buf[:n], nil
}

// inflated turns a panic of the decoder, which would be a bug, into a doubt
// like any other: somebody else is asked, and the scan goes on.
func (s *stream) inflated() (c []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.inf = nil // its memory is not used again
			s.err = fmt.Errorf("%w: %v", errBroke, p)
			c, err = nil, s.err
		}
	}()
	return s.inf.Next()
}

var errBroke = errors.New("decoder broke")

// doubtful says of an error that it is this program's own opinion of a gzip
// stream: the standard library's decides.
func doubtful(err error) bool {
	return errors.Is(err, inflate.ErrCorrupt) || errors.Is(err, inflate.ErrChecksum) ||
		errors.Is(err, inflate.ErrFormat) || errors.Is(err, errBroke)
}

// standard is a gzip stream as the standard library reads it, from the place
// in its output on.
func standard(r io.Reader, from int64) (Stream, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, z, from); err != nil {
		return nil, err
	}
	return &stream{r: z, buf: chunks.Get().(*[chunkSize]byte)}, nil
}

func (s *stream) Read(p []byte) (int, error) { return readChunks(s.Next, &s.rest, p) }

// readChunks is Read on top of Next; rest is what Next gave and p had no room for.
func readChunks(next func() ([]byte, error), rest *[]byte, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(*rest) == 0 {
		c, err := next()
		if err != nil {
			return 0, err
		}
		*rest = c
	}
	n := copy(p, *rest)
	*rest = (*rest)[n:]
	return n, nil
}

var errClosed = errors.New("stream is closed")

// Close gives the decoder back; it does not close what is underneath.
func (s *stream) Close() error {
	s.release()
	s.rest, s.err = nil, errClosed
	return nil
}

func (s *stream) release() {
	if s.inf != nil {
		_ = s.inf.Close() // only gives its memory back
	}
	if s.zs != nil {
		if s.zs.Reset(nil) == nil { // lets go of the input
			zstds.Put(s.zs)
		}
	}
	if s.in != nil {
		s.in.Reset(nil)
		inputs.Put(s.in)
	}
	if s.buf != nil {
		chunks.Put(s.buf)
	}
	s.inf, s.zs, s.in, s.buf, s.r = nil, nil, nil, nil, nil
}
