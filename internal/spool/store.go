package spool

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// segment is one file of a lane. Its name says which boot it is of and with
// which number it begins; serial numbers order all files of a folder.
type segment struct {
	lane    lane
	serial  uint64
	boot    Boot
	first   uint64
	last    uint64 // the highest number in it that is durable; first-1 at the start
	records uint64
	size    int64 // durable bytes
}

func (g *segment) suffix() string {
	if g.lane == laneKept {
		return "kept"
	}
	return "events"
}

func (g *segment) name() string {
	return fmt.Sprintf("%012x-%s-%016x.%s", g.serial, g.boot, g.first, g.suffix())
}

// parseSegment reads a name; false for any other file.
func parseSegment(name string) (segment, bool) {
	var g segment
	var boot, suffix string
	if n, err := fmt.Sscanf(name, "%12x-%32s-%16x.%s", &g.serial, &boot, &g.first, &suffix); n != 4 || err != nil {
		return g, false
	}
	if suffix == "events" {
		g.lane = laneEvents
	}
	var err error
	g.boot, err = ParseBoot(boot)
	g.last = g.first - 1
	return g, err == nil && g.boot != (Boot{}) && g.first > 0 && g.first < maxSeq && g.name() == name
}

// listSegments returns the files of a folder, oldest first.
func listSegments(dir string) (segs [lanes][]*segment, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return segs, err
	}
	for _, n := range names {
		if g, ok := parseSegment(n.Name()); ok && n.Type().IsRegular() {
			info, err := n.Info()
			if err != nil {
				continue // removed meanwhile
			}
			g.size = info.Size()
			segs[g.lane] = append(segs[g.lane], &g)
		}
	}
	for l := range segs {
		slices.SortFunc(segs[l], func(a, b *segment) int { return cmp.Compare(a.serial, b.serial) })
	}
	return segs, nil
}

// active is the file that a lane writes to.
type active struct {
	f       *os.File
	seg     *segment
	last    uint64 // as in segment, written and not yet durable
	records uint64
	size    int64
}

// store is the folder. mu guards everything but the atomics.
type store struct {
	dir    string
	opts   Options
	lock   *os.File
	z      *zstd.Encoder
	unpack *zstd.Decoder

	mu     sync.Mutex
	boot   Boot // of the files made now
	serial uint64
	segs   [lanes][]*segment
	active [lanes]*active
	buf    []byte
	saved  Position // what the file of the acknowledgement says

	bytes     atomic.Int64 // of all files, with what is not yet durable
	keptBytes atomic.Int64
	dropped   atomic.Uint64 // event records
	ackMu     sync.Mutex
	acked     Position
}

func (st *store) figures() (acked Position, bytes int64, dropped uint64) {
	st.ackMu.Lock()
	defer st.ackMu.Unlock()
	return st.acked, st.bytes.Load(), st.dropped.Load()
}

func (st *store) path(g *segment) string { return filepath.Join(st.dir, g.name()) }

func (st *store) grow(l lane, n int64) {
	st.bytes.Add(n)
	if l == laneKept {
		st.keptBytes.Add(n)
	}
}

var errBound = errors.New("the bound is reached by records that may not be dropped")

func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, errBound)
}

// write makes batches durable and returns how many are, with the error that
// kept the others from it. A file that failed once is not written again: after
// a failed fsync the kernel may call lost pages clean, so everything since the
// last good one goes into a new file, and the reader tells by the numbers what
// it has already seen.
func (st *store) write(l lane, bs []*batch) (done int, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for failures := 0; ; {
		n, err := st.tryWrite(l, bs[done:])
		done += n
		if err == nil {
			return done, nil
		}
		st.abandon(l)
		if noSpace(err) {
			if !st.dropOldest() {
				return done, err
			}
			continue
		}
		if failures++; failures > 1 {
			return done, err
		}
	}
}

func (st *store) tryWrite(l lane, bs []*batch) (done int, err error) {
	for i, b := range bs {
		if a := st.active[l]; a != nil && a.size >= st.opts.SegmentBytes {
			if err := st.commit(l); err != nil {
				return done, err
			}
			done = i
			st.abandon(l)
		}
		if st.active[l] == nil {
			if err := st.create(l, b.first); err != nil {
				return done, err
			}
		}
		st.buf = b.encode(st.buf[:0], st.z)
		if err := st.room(l, int64(len(st.buf))); err != nil {
			return done, err
		}
		a := st.active[l]
		n, err := a.f.Write(st.buf)
		a.size += int64(n)
		st.grow(l, int64(n))
		if err != nil {
			return done, err
		}
		a.last, a.records = b.next-1, a.records+uint64(b.records)
	}
	if cap(st.buf) > 1<<20 { // one large record is no reason to hold its memory
		st.buf = nil
	}
	if err := st.commit(l); err != nil {
		return done, err
	}
	return len(bs), nil
}

// create begins a file.
func (st *store) create(l lane, first uint64) error {
	st.serial++
	g := &segment{lane: l, serial: st.serial, boot: st.boot, first: first, last: first - 1}
	start := appendStart(nil, st.boot, first)
	if err := st.room(l, int64(len(start))); err != nil {
		return err
	}
	f, err := os.OpenFile(st.path(g), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(start); err == nil {
		err = syncDir(st.dir)
	}
	if err != nil {
		f.Close()
		os.Remove(st.path(g))
		return err
	}
	st.grow(l, int64(len(start)))
	st.segs[l] = append(st.segs[l], g)
	st.active[l] = &active{f: f, seg: g, last: g.last, size: int64(len(start))}
	return nil
}

// room drops the oldest events until n bytes are within the bound. What is kept
// was bounded by Append, but for the heads of frames.
func (st *store) room(l lane, n int64) error {
	for st.bytes.Load()+n > st.opts.MaxBytes {
		oldest := st.oldest()
		if oldest == nil && l == laneKept {
			return nil
		}
		if oldest == nil || l == laneEvents && st.active[l] != nil && st.active[l].seg == oldest || !st.dropOldest() {
			return errBound
		}
	}
	return nil
}

// commit makes what was written durable.
func (st *store) commit(l lane) error {
	a := st.active[l]
	if err := unix.Fdatasync(int(a.f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", a.seg.name(), err)
	}
	a.seg.last, a.seg.records, a.seg.size = a.last, a.records, a.size
	return nil
}

// abandon ends the file in use and cuts off what is not durable.
func (st *store) abandon(l lane) {
	a := st.active[l]
	if a == nil {
		return
	}
	st.active[l] = nil
	if a.seg.size == 0 {
		st.remove(a.seg, a.size)
	} else if a.size > a.seg.size && a.f.Truncate(a.seg.size) == nil {
		st.grow(l, a.seg.size-a.size)
	} else {
		a.seg.size = a.size
	}
	a.f.Close()
}

// stub says that the file holds nothing: it stands for the events of its boot
// that were all dropped, by the number with which it begins.
func (g *segment) stub() bool { return g.records == 0 && g.size <= startSize }

func (st *store) oldest() *segment {
	for _, g := range st.segs[laneEvents] {
		if !g.stub() || st.active[laneEvents] != nil && st.active[laneEvents].seg == g {
			return g
		}
	}
	return nil
}

// dropOldest removes the oldest file of events; false when there is none.
func (st *store) dropOldest() bool {
	g := st.oldest()
	if g == nil {
		return false
	}
	if a := st.active[laneEvents]; a != nil && a.seg == g {
		st.abandon(laneEvents)
		if g.size == 0 {
			return true // nothing of it was durable: it is gone
		}
	}
	st.dropped.Add(st.unacknowledged(g))
	last := !slices.ContainsFunc(st.segs[laneEvents], func(o *segment) bool { return o.boot == g.boot && o.serial > g.serial })
	stubbed := last && st.putStub(g.boot, g.last+1) // before, if there is room for it
	if !st.remove(g, g.size) {
		return false
	}
	for _, older := range slices.Clone(st.segs[laneEvents]) {
		if older.boot == g.boot && older.serial < g.serial {
			st.remove(older, older.size) // a stub that says less
		}
	}
	if last && !stubbed {
		st.putStub(g.boot, g.last+1)
	}
	return true
}

// putStub makes a stub, if it can: without one a reader knows as well what is
// missing, and does not know why.
func (st *store) putStub(b Boot, first uint64) bool {
	st.serial++
	g := &segment{lane: laneEvents, serial: st.serial, boot: b, first: first, last: first - 1, size: startSize}
	if os.WriteFile(st.path(g), appendStart(nil, b, first), 0o600) != nil {
		os.Remove(st.path(g))
		return false
	}
	st.grow(laneEvents, g.size)
	st.segs[laneEvents] = append(st.segs[laneEvents], g)
	return true
}

// remove takes a file of size bytes out of the folder.
func (st *store) remove(g *segment, size int64) bool {
	if err := os.Remove(st.path(g)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	st.grow(g.lane, -size)
	st.segs[g.lane] = slices.DeleteFunc(st.segs[g.lane], func(x *segment) bool { return x == g })
	return true
}

// unacknowledged is how many records of the file the receiver does not have.
func (st *store) unacknowledged(g *segment) (n uint64) {
	acked := st.acknowledged()
	if acked.Boot != g.boot || acked.Seq < g.first {
		return g.records
	}
	if acked.Seq >= g.last {
		return 0
	}
	f, err := os.Open(st.path(g))
	if err != nil {
		return g.records
	}
	defer f.Close()
	lr := laneReader{z: st.unpack, next: acked.Seq + 1, limit: maxSeq, cur: &frames{f: f}}
	for lr.fill() {
		if lr.head.loss.Reason == 0 {
			n++
		}
		lr.has = false
	}
	return n
}

func (st *store) acknowledged() Position {
	st.ackMu.Lock()
	defer st.ackMu.Unlock()
	return st.acked
}

func (st *store) close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for l := range st.active {
		st.abandon(lane(l))
	}
	err := st.saveAck()
	st.unpack.Close()
	return errors.Join(err, st.z.Close(), st.lock.Close())
}
