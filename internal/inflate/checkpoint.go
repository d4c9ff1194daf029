package inflate

import "io"

// Checkpoint is a place between two blocks, from which on a stream can be
// decoded without what stands before it.
type Checkpoint struct {
	In     int64  // offset in the compressed stream of the first byte to read
	Skip   uint8  // bits of that byte that belong to what came before
	Out    int64  // offset in what comes out
	Window []byte // up to 32 KiB that came out before; valid during the call
}

// Checkpoints asks for a call of mark at the first place between two blocks
// after every so many bytes came out. A block that never ends has none.
func (r *Reader) Checkpoints(every int64, mark func(Checkpoint)) {
	r.d.every, r.d.mark = every, mark
}

func (d *decoder) checkpoint() {
	if d.mark == nil {
		return
	}
	at := d.given + int64(d.op-d.handed)
	if at-d.marked < d.every {
		return
	}
	d.marked = at
	in, skip := d.consumed(), uint8(0)
	if d.nbits > 0 {
		in, skip = in-1, uint8(8-d.nbits)
	}
	from := max(d.begin, d.op-min(d.op, windowSize))
	d.mark(Checkpoint{In: in, Skip: skip, Out: at, Window: d.out[from:d.op]})
}

// Resume decodes from a checkpoint on; src begins at c.In. The checksum of the
// member in which the checkpoint lies is not checked.
func Resume(src io.Reader, format Format, c Checkpoint) *Reader {
	r := NewReader(src, format)
	d := r.d
	d.read = c.In
	d.state = atBlock
	d.op = uint(copy(d.out[:], c.Window[max(0, len(c.Window)-windowSize):]))
	d.handed, d.summed = d.op, d.op
	d.given, d.marked = c.Out, c.Out
	d.partial = true
	if c.Skip > 0 && d.need(8) {
		d.take(uint(c.Skip & 7))
	}
	return r
}
