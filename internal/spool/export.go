package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Writer writes entries to one file, as a recording or an export: in the format
// of a spool's own files, with losses in their places and as many boots as there
// are. It syncs nothing.
type Writer struct {
	w    io.Writer
	z    *zstd.Encoder
	boot Boot
	b    batch
	buf  []byte
}

// exportBatch is the size of a frame before compression.
const exportBatch = 256 << 10

// NewWriter begins a file.
func NewWriter(w io.Writer) (*Writer, error) {
	z, err := newEncoder()
	if err != nil {
		return nil, fmt.Errorf("write export: %w", err)
	}
	return &Writer{w: w, z: z}, nil
}

// Add appends an entry as a Reader gives it: in the order of positions.
func (w *Writer) Add(e Entry) error {
	if e.Boot != w.boot {
		if err := w.Flush(); err != nil {
			return err
		}
		w.boot, w.b = e.Boot, batch{raw: w.b.raw[:0], next: e.Seq}
		if _, err := w.w.Write(appendStart(nil, e.Boot, e.Seq)); err != nil {
			return fmt.Errorf("write export: %w", err)
		}
	}
	bad := e.Seq == 0 || e.Seq >= maxSeq || e.Seq < w.b.next || len(e.Data) > MaxRecord
	if l := e.Loss; l != nil {
		bad = bad || l.From != e.Seq || l.To+1 < l.From || l.To >= maxSeq || l.Reason == 0 || l.Reason >= reasons || l.Class > Audit
	} else {
		bad = bad || e.Class < Event || e.Class > Audit
	}
	if bad {
		return fmt.Errorf("write export: entry %s is out of order or no entry", e.Position)
	}
	if e.Loss != nil {
		w.b.loss(*e.Loss)
	} else {
		w.b.record(e.Seq, e.Class, e.Data)
	}
	if len(w.b.raw) < exportBatch {
		return nil
	}
	return w.Flush()
}

// Flush hands what was added to the file.
func (w *Writer) Flush() error {
	if w.b.entries == 0 {
		return nil
	}
	w.buf = w.b.encode(w.buf[:0], w.z)
	w.b = batch{raw: w.b.raw[:0], next: w.b.next}
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	return nil
}

// Close flushes; the file is the caller's to close.
func (w *Writer) Close() error { return errors.Join(w.Flush(), w.z.Close()) }

// ErrNoSpool is returned for a file that does not begin like a spool's.
var ErrNoSpool = errors.New("not a recording or a spool's file")

// ReadFile reads one file that a Writer wrote, an export or a recording. It may
// be an attacker's: what cannot be read is a Loss, memory is bounded and time
// grows with the size of the file.
func ReadFile(f io.ReaderAt) (*Reader, error) {
	var head [len(magic)]byte
	if n, err := f.ReadAt(head[:], 0); n < len(head) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read spool file: %w", err)
	}
	if !bytes.Equal(head[:], []byte(magic)) {
		return nil, ErrNoSpool
	}
	z, err := newDecoder()
	if err != nil {
		return nil, fmt.Errorf("read spool file: %w", err)
	}
	r := &Reader{next: 1, limit: maxSeq, ended: true}
	r.lanes[0] = laneReader{z: z, single: true, limit: maxSeq, cur: &frames{f: f}}
	return r, nil
}
