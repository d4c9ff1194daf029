package layer

import (
	"errors"
	"io"
)

var errSeek = errors.New("a stream goes forward only")

// chunked is a stream that hands out its chunks without copying them
// (oci.Stream).
type chunked interface {
	// Next returns the next bytes, never none; at the end the error is io.EOF.
	Next() ([]byte, error)
}

// skipper lets archive/tar pass over what nobody reads without copying it:
// nine bytes of ten. It seeks forward only.
type skipper struct {
	src  chunked
	rest []byte
	at   int64
}

func (s *skipper) Read(p []byte) (int, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p, s.rest)
	s.pass(n)
	return n, nil
}

// Seek knows the two calls that archive/tar makes: where are we, and go on by
// so much. At the end of the stream it stays there, and the Read that follows
// says so.
func (s *skipper) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, errSeek
	}
	for offset > 0 {
		switch err := s.fill(); err {
		case nil:
		case io.EOF:
			return s.at, nil
		default:
			return 0, err
		}
		n := int(min(offset, int64(len(s.rest))))
		s.pass(n)
		offset -= int64(n)
	}
	return s.at, nil
}

func (s *skipper) fill() (err error) {
	if len(s.rest) == 0 {
		s.rest, err = s.src.Next()
	}
	return err
}

func (s *skipper) pass(n int) {
	s.rest = s.rest[n:]
	s.at += int64(n)
}
