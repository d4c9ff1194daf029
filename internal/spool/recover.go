package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// skipped is how far the numbers jump when a process was killed and what it had
// given out cannot be known: a number is never given twice in a boot.
const skipped = 1 << 20

// openStore locks the folder and learns what its files hold.
func openStore(dir string, o Options) (*store, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (hint: only one sensor or server may write to a folder)", ErrInUse)
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	st := &store{dir: dir, opts: o, lock: lock, acked: readAck(dir)}
	st.saved = st.acked
	if st.z, err = newEncoder(); err == nil {
		st.unpack, err = newDecoder()
	}
	if err == nil {
		st.segs, err = listSegments(dir)
	}
	if err == nil {
		err = st.survey()
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return st, nil
}

// newEncoder compresses batch by batch: the checksum is the frame's own.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(64<<10), zstd.WithLowerEncoderMem(true))
}

func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxFrame),
		zstd.WithDecodeAllCapLimit(true))
}

// survey reads the headers of all files, and the contents of each lane's last.
func (st *store) survey() error {
	for l := range st.segs {
		for i, g := range st.segs[l] {
			if err := st.surveyFile(g, i == len(st.segs[l])-1); err != nil {
				return err
			}
			st.serial = max(st.serial, g.serial)
			st.grow(g.lane, g.size)
		}
	}
	return nil
}

func (st *store) surveyFile(g *segment, whole bool) error {
	f, err := os.Open(st.path(g))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	g.size = info.Size()
	lr := laneReader{z: st.unpack, limit: maxSeq, cur: &frames{f: f}}
	if whole {
		for lr.fill() {
			lr.has = false
			g.last = max(g.last, lr.head.last())
			if lr.head.loss.Reason == 0 {
				g.records++
			}
		}
		return nil
	}
	for {
		h, err := lr.cur.header()
		if err != nil {
			return nil // the end, or what cannot be read: the reader tells it by the numbers
		}
		lr.cur.skip(h)
		if h.kind != frameStart {
			g.last = max(g.last, h.last)
			g.records += uint64(h.count)
		}
	}
}

// recover finds the number to go on with and says what the last writer lost.
func (s *Spool) recover() error {
	state, known := readPage(s.store.dir)
	now, last := s.opts.Boot, Boot{}
	if boots := bootsOf(s.store.segs, Boot{}); len(boots) > 0 {
		last = boots[len(boots)-1]
	}
	// The state is replaced after an earlier boot was ended, so a state of
	// another boot than the last file's says that this was done.
	var err error
	switch {
	case last != now && last != (Boot{}) && (!known || state.boot == last):
		err = s.endBoot(last, state, known)
	case known && state.boot != now && state.boot != last && state.issued > 0 && !state.clean:
		err = s.endBoot(state.boot, state, known)
	}
	if err != nil {
		return err
	}
	s.store.boot = now
	s.resume(now, state, known && state.boot == now)
	if err := s.withRoom(func() (err error) {
		s.page, err = newPage(s.store.dir, pageState{boot: now, issued: s.issued, settled: s.settled})
		return err
	}); err != nil {
		return err
	}
	// What the last process lost is written before anything is settled above
	// it. Should that fail, it is tried again like any flush.
	if s.flush(true) {
		s.signal(s.wake)
	}
	return nil
}

// resume goes on in a boot in which there may have been a writer before.
func (s *Spool) resume(now Boot, state pageState, known bool) {
	acked := s.store.acknowledged()
	top := s.top(now)
	stored := max(top[laneKept], top[laneEvents])
	lost := Loss{Reason: Crashed}
	if acked.Boot == now {
		stored = max(stored, acked.Seq)
	}
	switch s.issued = stored; {
	case known:
		s.issued = max(stored, state.issued)
	case stored > 0:
		s.issued, lost.Inexact = stored+skipped, true
	}
	if s.settled = stored; known {
		s.settled = min(stored, state.settled)
	}
	for l := range s.queues {
		s.queues[l].settled = s.settled
		if lane(l) == laneEvents {
			lost.Class = Event
		}
		if lost.From, lost.To = crashedFrom(top, lane(l), state, known), s.issued; lost.From <= lost.To && !(known && state.clean) {
			s.queues[l].run = lost
			s.queues[l].lower(lost.From)
		}
	}
}

// top is the highest number of the boot in each lane's files.
func (s *Spool) top(b Boot) (top [lanes]uint64) {
	for l, segs := range s.store.segs {
		for _, g := range segs {
			if g.boot == b {
				top[l] = max(top[l], g.last)
			}
		}
	}
	return top
}

// crashedFrom is the first number that a crash may explain in a lane: above
// what the lane's files hold, and above what was settled and told.
func crashedFrom(top [lanes]uint64, l lane, state pageState, known bool) uint64 {
	if !known {
		return max(top[laneKept], top[laneEvents]) + 1
	}
	return max(top[l], state.settled) + 1
}

// endBoot writes the last files of an earlier boot: how far its numbers went.
func (s *Spool) endBoot(b Boot, state pageState, known bool) error {
	s.store.boot = b
	top := s.top(b)
	issued := max(top[laneKept], top[laneEvents])
	if known {
		issued = max(issued, state.issued)
	}
	clean := known && state.clean
	for l := range top {
		lost := Loss{From: crashedFrom(top, lane(l), state, known), To: issued, Reason: Crashed, Inexact: !clean}
		if clean {
			lost.From = issued + 1
		}
		if lane(l) == laneEvents {
			if lost.Class = Event; clean || lost.From > issued {
				continue // the kept lane says how far the numbers went
			}
		}
		end := &batch{}
		end.loss(lost)
		if err := s.withRoom(func() error {
			_, err := s.store.write(lane(l), []*batch{end})
			return err
		}); err != nil && lane(l) == laneKept {
			return err // of events it is said in the kept lane too, less well
		}
		s.store.mu.Lock()
		s.store.abandon(lane(l))
		s.store.mu.Unlock()
	}
	return nil
}

// withRoom does it again with fewer events while the disk is full.
func (s *Spool) withRoom(do func() error) error {
	for {
		err := do()
		if err == nil || !noSpace(err) {
			return err
		}
		s.store.mu.Lock()
		more := s.store.dropOldest()
		s.store.mu.Unlock()
		if !more {
			return err
		}
	}
}
