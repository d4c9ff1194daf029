package oci

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"sort"

	"github.com/klauspost/compress/s2"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/inflate"
)

const (
	// markEvery is how far apart the places of a SeekTable are at least, in
	// bytes of the tar. Each costs its window, 32 KiB before it is packed.
	markEvery = 8 << 20
	// maxMarks is how many there are at most: every other one goes when there
	// are more, and they stand twice as far apart from then on.
	maxMarks   = 1024
	windowSize = 32 << 10
	// segmentSize is how much of a blob is checked at once when a part of it
	// is read.
	segmentSize = 1 << 20
)

// ErrNotSeekable says that a layer must be read from its start.
var ErrNotSeekable = errors.New("layer cannot be read in parts")

// SeekTable says where a layer's blob can be entered, and what vouches for its
// parts: the states of the blob's hash between segments. A part that was
// changed since leads from a state to another state than the next one, so
// that parts are as well checked as the whole was.
type SeekTable struct {
	// Whole says that the blob was read to its end, and was what its digest
	// says. Only then is the rest of use.
	Whole  bool           `cbor:"1,keyasint"`
	Size   int64          `cbor:"2,keyasint"`
	Gzip   bool           `cbor:"3,keyasint"` // else it is the tar itself
	Marks  []Mark         `cbor:"4,keyasint,omitempty"`
	Digest esclusa.Digest `cbor:"6,keyasint"`
	// Sums are the hash's states behind each whole segment.
	Sums [][]byte `cbor:"5,keyasint,omitempty"`
}

// Mark is inflate.Checkpoint, kept: its window is packed (S2).
type Mark struct {
	In     int64  `cbor:"1,keyasint"`
	Skip   uint8  `cbor:"2,keyasint"`
	Out    int64  `cbor:"3,keyasint"`
	Window []byte `cbor:"4,keyasint"`
}

// Part is a part of a tar, in bytes.
type Part struct{ From, To int64 }

// Cost is how many bytes of the blob a TarSeeker reads for these parts, which
// are in rising order.
func (t *SeekTable) Cost(parts []Part) int64 {
	var sum, end int64
	for _, p := range parts {
		from, to := t.around(p)
		if from = max(from, end); to > from {
			sum, end = sum+to-from, to
		}
	}
	return sum
}

// around is the part of the blob that has to be read for a part of the tar:
// whole segments.
func (t *SeekTable) around(p Part) (from, to int64) {
	from, to = p.From, p.To
	if t.Gzip {
		i, j := t.before(p.From), t.before(p.To)+1
		from, to = 0, t.Size
		if i >= 0 {
			from = t.Marks[i].In
		}
		if j < len(t.Marks) {
			to = t.Marks[j].In
		}
	}
	return from / segmentSize * segmentSize, min(t.Size, (to+segmentSize-1)/segmentSize*segmentSize)
}

// before is the last mark at or before a place of the tar; -1: there is none.
func (t *SeekTable) before(offset int64) int {
	return sort.Search(len(t.Marks), func(i int) bool { return t.Marks[i].Out > offset }) - 1
}

// OpenTarMarked is OpenTar, and fills the table on the way. The table stays
// empty where the layer cannot be read in parts.
func (l *Layer) OpenTarMarked(ctx context.Context, table *SeekTable) (Stream, error) {
	*table = SeekTable{}
	return l.openTar(ctx, table)
}

// watch has the table filled by what reads the blob.
func (t *SeekTable) watch(v *verifier, s *stream) {
	state, ok := v.sum.(encoding.BinaryMarshaler)
	if !ok || s.inf == nil && s.r != io.Reader(s.in) {
		return // zstd, or gzip by a decoder that tells no checkpoints
	}
	t.Size, t.Gzip, t.Digest = v.size, s.inf != nil, v.want
	v.segment = func() {
		if b, err := state.MarshalBinary(); err == nil {
			t.Sums = append(t.Sums, b)
		}
	}
	if s.inf != nil {
		t.mark(s.inf, markEvery)
	}
}

// mark has the places told from now on.
func (t *SeekTable) mark(r *inflate.Reader, every int64) {
	r.Checkpoints(every, func(c inflate.Checkpoint) {
		t.Marks = append(t.Marks, Mark{In: c.In, Skip: c.Skip, Out: c.Out, Window: s2.EncodeBetter(nil, c.Window)})
		if len(t.Marks) < maxMarks {
			return
		}
		for i := range maxMarks / 2 {
			t.Marks[i] = t.Marks[2*i+1]
		}
		clear(t.Marks[maxMarks/2:])
		t.Marks = t.Marks[:maxMarks/2]
		t.mark(r, 2*every)
	})
}

// TarSeeker reads a layer's tar in parts. What it gives is checked, but for
// the tar's size: a caller knows from the first pass what stands where.
type TarSeeker struct {
	table *SeekTable
	blob  io.ReadSeekCloser
	parts *segments
	src   interface { // what reads the tar from pos on
		Next() ([]byte, error)
	}
	inf  *inflate.Reader // src, if it is one
	rest []byte
	pos  int64
}

// OpenSeeker opens a layer to read parts of its tar, by the table that a
// whole read of the same blob has filled. It is ErrNotSeekable where the
// table or the store does not allow it.
func (l *Layer) OpenSeeker(ctx context.Context, table *SeekTable) (*TarSeeker, error) {
	sum := newHash(l.Digest)
	if !table.Whole || sum == nil || table.Digest != l.Digest || table.Size != l.Size || int64(len(table.Sums)) != table.Size/segmentSize {
		return nil, ErrNotSeekable
	}
	r, err := l.open(ctx)
	if err != nil {
		return nil, advise(fmt.Errorf("open layer %s: %w", l.name().Short(), err))
	}
	blob, ok := r.(io.ReadSeekCloser)
	if !ok {
		r.Close()
		return nil, ErrNotSeekable
	}
	return &TarSeeker{
		table: table, blob: blob, pos: -1,
		parts: &segments{r: blob, table: table, layer: l, sum: sum, at: -1},
	}, nil
}

// MoveTo goes to a place of the tar; the next Read begins there.
func (s *TarSeeker) MoveTo(offset int64) error {
	i, entry := s.table.before(offset), int64(0)
	if i >= 0 {
		entry = s.table.Marks[i].Out
	}
	if !s.table.Gzip {
		entry = offset
	}
	if s.pos < 0 || s.pos > offset || s.pos < entry {
		if err := s.enter(i, entry); err != nil {
			return err
		}
	}
	for s.pos < offset {
		if err := s.fill(); err != nil {
			return noEOF(err)
		}
		s.pass(int(min(offset-s.pos, int64(len(s.rest)))))
	}
	return nil
}

// enter begins at a mark, or at the start of the blob.
func (s *TarSeeker) enter(i int, pos int64) error {
	s.release()
	s.pos, s.rest = pos, nil
	if !s.table.Gzip {
		s.src = s.parts
		return s.parts.seek(pos)
	}
	if i < 0 {
		s.inf = inflate.NewReader(s.parts, inflate.Gzip)
		s.src = s.inf
		return s.parts.seek(0)
	}
	m := inflate.Checkpoint(s.table.Marks[i])
	if n, err := s2.DecodedLen(m.Window); err != nil || n > windowSize {
		return fmt.Errorf("%w: broken mark", ErrNotSeekable)
	}
	var err error
	if m.Window, err = s2.Decode(nil, m.Window); err != nil {
		return fmt.Errorf("%w: broken mark: %w", ErrNotSeekable, err)
	}
	if err := s.parts.seek(m.In); err != nil {
		return err
	}
	s.inf = inflate.Resume(s.parts, inflate.Gzip, m)
	s.src = s.inf
	return nil
}

func (s *TarSeeker) fill() (err error) {
	if len(s.rest) == 0 {
		s.rest, err = s.src.Next()
	}
	return err
}

func (s *TarSeeker) pass(n int) {
	s.rest = s.rest[n:]
	s.pos += int64(n)
}

func (s *TarSeeker) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.src == nil {
		return 0, errClosed
	}
	if err := s.fill(); err != nil {
		return 0, err
	}
	n := copy(p, s.rest)
	s.pass(n)
	return n, nil
}

// Fetched is how many bytes of the blob were read.
func (s *TarSeeker) Fetched() int64 { return s.parts.fetched }

func (s *TarSeeker) release() {
	if s.inf != nil {
		_ = s.inf.Close() // only gives its memory back
	}
	s.inf, s.src = nil, nil
}

// Close closes the blob.
func (s *TarSeeker) Close() error {
	s.release()
	return s.blob.Close()
}

// segments reads a blob from a place on, a checked segment at a time.
type segments struct {
	r       io.ReadSeeker
	table   *SeekTable
	layer   *Layer
	sum     hash.Hash
	at      int64 // of the next segment in the source; -1: not known
	next    int64 // the segment that is read next
	skip    int64 // bytes of it before the place that was sought
	buf     []byte
	rest    []byte
	fetched int64
}

func (g *segments) seek(offset int64) error {
	if offset < 0 || offset > g.table.Size {
		return fmt.Errorf("layer %s: place %d of %d bytes", g.layer.name().Short(), offset, g.table.Size)
	}
	g.next, g.skip, g.rest = offset/segmentSize, offset%segmentSize, nil
	return nil
}

// Next reads the next segment whole, before it gives any of it.
func (g *segments) Next() ([]byte, error) {
	if len(g.rest) > 0 {
		c := g.rest
		g.rest = nil
		return c, nil
	}
	from := g.next * segmentSize
	size := min(segmentSize, g.table.Size-from)
	if size <= g.skip {
		return nil, io.EOF
	}
	if g.at != g.next {
		if _, err := g.r.Seek(from, io.SeekStart); err != nil {
			return nil, fmt.Errorf("layer %s: %w", g.layer.name().Short(), err)
		}
	}
	if g.buf == nil {
		g.buf = make([]byte, segmentSize)
	}
	g.at = -1
	n, err := io.ReadFull(g.r, g.buf[:size])
	g.fetched += int64(n)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", g.layer.name().Short(), noEOF(err))
	}
	if err := g.check(g.buf[:size]); err != nil {
		return nil, err
	}
	c := g.buf[g.skip:size]
	g.next, g.at, g.skip = g.next+1, g.next+1, 0
	return c, nil
}

// check hashes a segment on top of the state before it.
func (g *segments) check(b []byte) error {
	differs := fmt.Errorf("layer %s: %w: other content than was read before", g.layer.name().Short(), ErrDigest)
	g.sum.Reset()
	if g.next > 0 {
		u, ok := g.sum.(encoding.BinaryUnmarshaler)
		if !ok || u.UnmarshalBinary(g.table.Sums[g.next-1]) != nil {
			return differs
		}
	}
	g.sum.Write(b)
	if len(b) < segmentSize {
		if err := compare("layer "+g.layer.name().Short(), g.layer.Digest, g.sum); err != io.EOF {
			return err
		}
		return nil
	}
	m, ok := g.sum.(encoding.BinaryMarshaler)
	if !ok {
		return differs
	}
	if state, err := m.MarshalBinary(); err != nil || !bytes.Equal(state, g.table.Sums[g.next]) {
		return differs
	}
	return nil
}

func (g *segments) Read(p []byte) (int, error) { return readChunks(g.Next, &g.rest, p) }
