package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Entry is a record or, where Loss is set, a hole. Position is the record's, or
// the first missing number's.
type Entry struct {
	Position
	Class Class
	// Data is valid until the next call of Next.
	Data []byte
	Loss *Loss
}

// Reader gives the records of a spool in order, each once, and a Loss wherever
// numbers are missing: the entries of a boot account for every number given in
// it. It is used by one goroutine.
type Reader struct {
	view  func() (view, error)
	from  Position
	boot  Boot
	next  uint64 // the number that comes next
	limit uint64 // numbers up to here are settled
	ended bool   // nobody writes to the boot any more
	tail  uint64 // the highest number of an ended boot
	fresh bool   // view was asked since the last entry
	lanes [lanes]laneReader
	taken uint64 // serial of the newest file handed to a lane

	floor  uint64 // events below it were dropped
	acked  uint64 // of this boot
	why    []why  // explanations that reach next
	told   bool   // that the loss at this boot's end is not exact
	notice *Entry // what stands before everything else
	last   view
}

// why is a lane's explanation.
type why struct {
	Loss
	lane lane
}

// maxWhy bounds the explanations that are remembered; a writer makes a few.
const maxWhy = 256

// view is the state of a folder at one moment.
type view struct {
	segs    [lanes][]*segment
	boot    Boot   // that is being written
	limit   uint64 // up to here its numbers are settled
	final   bool   // no writer: everything there is, is there
	crashed Loss   // what the last writer had in memory, if it did not end well
	acked   Position
	changed <-chan struct{} // closed when there may be more; nil without a writer
}

// Reader follows the spool from a position on: Next waits for more. The zero
// position is the first record that is not acknowledged; a number of 0 is the
// boot's first. Only what is durable is given.
func (s *Spool) Reader(from Position) (*Reader, error) {
	return newReader(from, s.store.dir, func() (v view, err error) {
		s.mu.Lock()
		v.limit, v.changed, v.final = s.settled, s.changed, s.ended
		if s.ended {
			v.limit, v.crashed = s.issued, Loss{From: s.settled + 1, To: s.issued, Reason: Crashed}
		}
		s.mu.Unlock()
		s.store.mu.Lock() // after the limit was taken: the files hold all up to it
		defer s.store.mu.Unlock()
		for l := range s.store.segs {
			for _, g := range s.store.segs[l] {
				now := *g
				v.segs[l] = append(v.segs[l], &now)
			}
		}
		v.boot, v.acked = s.opts.Boot, s.store.acknowledged()
		return v, nil
	})
}

// OpenReader reads a folder as it is; Next ends with io.EOF. Where a writer is
// at work, it ends before the first number that is not durable and not yet said
// to be lost.
func OpenReader(dir string, from Position) (*Reader, error) {
	return newReader(from, dir, func() (v view, err error) {
		v.final = !inUse(dir)
		if p, ok := readPage(dir); ok {
			v.boot, v.limit = p.boot, p.settled
			if v.final {
				v.limit = p.issued
				v.crashed = Loss{From: p.settled + 1, To: p.issued, Reason: Crashed}
			}
		} else {
			v.final = true
		}
		v.acked = readAck(dir)
		v.segs, err = listSegments(dir)
		return v, err
	})
}

// inUse says whether a writer holds the folder.
func inUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

func newReader(from Position, dir string, v func() (view, error)) (*Reader, error) {
	r := &Reader{view: v, from: from}
	for l := range r.lanes {
		z, err := newDecoder()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read spool: %w", err), r.Close())
		}
		r.lanes[l] = laneReader{z: z, open: func(g *segment) (io.ReaderAt, error) { return os.Open(filepath.Join(dir, g.name())) }}
	}
	if err := r.refresh(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) Close() error {
	for l := range r.lanes {
		r.lanes[l].close()
		if r.lanes[l].z != nil {
			r.lanes[l].z.Close()
		}
	}
	return nil
}

// Next returns the next entry. It ends with io.EOF when everything was read
// and nobody writes, or with the context's error.
func (r *Reader) Next(ctx context.Context) (Entry, error) {
	for {
		if e, ok := r.step(); ok {
			r.fresh = false
			return e, nil
		}
		for l := range r.lanes {
			if err := r.lanes[l].err; err != nil {
				r.lanes[l].err = nil
				return Entry{}, fmt.Errorf("read spool: %w", err)
			}
		}
		switch {
		case !r.fresh:
			if err := r.refresh(); err != nil {
				return Entry{}, err
			}
		case r.ended && r.advance():
		case r.ended || r.last.changed == nil:
			return Entry{}, io.EOF
		default:
			select {
			case <-r.last.changed:
				r.fresh = false
			case <-ctx.Done():
				return Entry{}, ctx.Err()
			}
		}
	}
}

// step gives the next entry of what is settled and was seen by the last view.
func (r *Reader) step() (Entry, bool) {
	if n := r.notice; n != nil {
		r.notice = nil
		return *n, true
	}
	for {
		var at *laneReader
		var of lane
		for l := range r.lanes {
			lr := &r.lanes[l]
			if lr.fill() && lr.head.seq <= r.limit && (at == nil || lr.head.seq < at.head.seq) {
				at, of = lr, lane(l)
			}
			if lr.err != nil {
				return Entry{}, false
			}
		}
		if at == nil {
			end := r.limit
			if r.ended {
				end = r.tail
			}
			if r.boot != (Boot{}) && r.next <= end && r.fresh {
				return r.missing(end), true
			}
			return Entry{}, false
		}
		h := &at.head
		switch {
		case h.loss.Reason != 0:
			at.has = false
			if e, ok := r.explanation(h.loss, of); ok {
				return e, true
			}
		case h.seq < r.next:
			at.has = false
		case h.seq > r.next:
			return r.missing(h.seq - 1), true
		default:
			at.has = false
			r.next++
			return Entry{Position: Position{r.boot, h.seq}, Class: h.Class, Data: h.data}, true
		}
	}
}

// explanation remembers why numbers are missing. It does not count: what is
// missing is counted by the numbers alone. Only where it knows of more than
// numbers does it become an entry itself.
func (r *Reader) explanation(l Loss, of lane) (Entry, bool) {
	r.tail = max(r.tail, l.To)
	if l.To >= r.next && l.To >= l.From {
		r.why = slices.DeleteFunc(r.why, func(w why) bool { return w.To < r.next })
		if len(r.why) < maxWhy {
			r.why = append(r.why, why{l, of})
		}
		return Entry{}, false
	}
	if !l.Inexact || r.told {
		return Entry{}, false
	}
	r.told = true
	l.From, l.To = r.next, r.next-1
	return Entry{Position: Position{r.boot, l.From}, Class: l.Class, Loss: &l}, true
}

// missing tells of the missing numbers from next to end, or the first of them
// that have one reason.
func (r *Reader) missing(end uint64) Entry {
	l := Loss{From: r.next, To: end, Reason: Damaged}
	r.why = slices.DeleteFunc(r.why, func(w why) bool { return w.To < r.next })
	switch {
	case r.next <= r.acked:
		l.To, l.Reason = min(end, r.acked), Released
	default:
		r.explain(&l)
	}
	r.told = r.told || l.Inexact
	r.next = l.To + 1
	return Entry{Position: Position{r.boot, l.From}, Class: l.Class, Loss: &l}
}

// explain finds the reason of the first missing number, and how far it goes.
// Each lane explains its own losses, over ranges in which the other lane may
// have some too: where both speak the class is not known, and the reason is
// that of what may not be dropped.
func (r *Reader) explain(l *Loss) {
	var said [lanes]Loss
	for _, w := range r.why {
		switch {
		case w.From > l.From:
			l.To = min(l.To, w.From-1)
		case said[w.lane].Reason == 0:
			said[w.lane] = w.Loss
		}
	}
	best, events := said[laneKept], said[laneEvents]
	switch {
	case best.Reason == 0:
		best = events
	case events.Reason != 0:
		best.Class, best.To, best.Inexact = Unclassed, min(best.To, events.To), best.Inexact || events.Inexact
	}
	if best.Reason != 0 {
		l.To, l.Reason, l.Class, l.Inexact = min(l.To, best.To), best.Reason, best.Class, best.Inexact
		return
	}
	if floor := max(r.floor, r.lanes[laneEvents].floor); l.From < floor {
		l.To, l.Reason, l.Class = min(l.To, floor-1), Dropped, Event
	}
}

// refresh looks at the folder again.
func (r *Reader) refresh() error {
	if r.fresh = true; r.view == nil { // one file, as it is
		return nil
	}
	v, err := r.view()
	if err != nil {
		return fmt.Errorf("read spool: %w", err)
	}
	r.last = v
	if r.boot == (Boot{}) && !r.begin(v) {
		r.ended = v.final
		return nil
	}
	r.limit, r.ended = v.limit, false
	if v.final || r.boot != v.boot {
		r.limit, r.ended = maxSeq, true
	}
	if v.final && r.boot == v.boot {
		r.tail = max(r.tail, v.limit)
		if v.crashed.Reason != 0 {
			r.explanation(v.crashed, laneKept)
		}
	}
	r.acked, r.floor = 0, 0
	if v.acked.Boot == r.boot {
		r.acked = v.acked.Seq
	}
	r.feed(v)
	return nil
}

// feed hands files that are new to the lanes.
func (r *Reader) feed(v view) {
	taken, dropped := r.taken, true
	for l := range r.lanes {
		lr := &r.lanes[l]
		lr.dry, lr.limit = false, r.limit
		for _, g := range v.segs[l] {
			if g.boot != r.boot {
				continue
			}
			if lane(l) == laneEvents && dropped { // up to the first file that is no stub
				r.floor, dropped = g.first, g.stub()
			}
			if g.serial > r.taken {
				lr.segs = append(lr.segs, g)
				taken = max(taken, g.serial)
			}
		}
	}
	r.taken = taken
}

// begin finds the boot to begin with; false when there is none yet.
func (r *Reader) begin(v view) bool {
	boots := bootsOf(v.segs, v.boot)
	if len(boots) == 0 {
		return false
	}
	from := r.from
	if from == (Position{}) && slices.Contains(boots, v.acked.Boot) {
		from = Position{v.acked.Boot, v.acked.Seq + 1}
	}
	r.start(boots[0], 1)
	switch {
	case slices.Contains(boots, from.Boot):
		r.start(from.Boot, max(from.Seq, 1))
	case from.Boot != (Boot{}) && (from.Boot != v.acked.Boot || from.Seq > v.acked.Seq+1):
		// The boot asked for is not here: what was in it is unknown.
		from.Seq = max(from.Seq, 1)
		r.notice = &Entry{Position: from, Loss: &Loss{From: from.Seq, To: from.Seq - 1, Reason: Damaged, Inexact: true}}
		if v.acked.Boot != (Boot{}) {
			r.notice.Loss.Reason = Released
		}
	}
	return true
}

func (r *Reader) start(b Boot, next uint64) {
	r.boot, r.next, r.tail, r.told, r.why = b, next, 0, false, nil
	for l := range r.lanes {
		r.lanes[l].next, r.lanes[l].floor = next, 0
	}
}

// advance goes on to the boot after this one; false when there is none.
func (r *Reader) advance() bool {
	if f := &r.lanes[0]; f.single {
		if f.pending == nil {
			return false
		}
		f.boot = f.pending.boot
		r.start(f.boot, max(f.pending.first, 1))
		f.pending, f.dry, r.fresh = nil, false, false
		return true
	}
	boots := bootsOf(r.last.segs, r.last.boot)
	at := slices.Index(boots, r.boot)
	// A boot that was removed meanwhile has no place: then the oldest that is
	// left comes after it.
	if at+1 >= len(boots) {
		return false
	}
	r.start(boots[at+1], 1)
	r.fresh = false
	return true
}
