// Package spool is the one durable record: the same file on a node, on a server
// and in an export. Records share one sequence per boot, and what is missing
// from it the reader tells as a Loss: emitted = stored + counted, also after
// kill -9. It never blocks an Append on the disk and never drops a detection,
// incident or audit record that it took: events go first, oldest first. Start at
// Open, Append, Sync and Reader; FORMAT.md says what is on disk. A server opens
// with KeepEvents (its nodes hold what it refuses) and acknowledges after Sync.
//
// Journal is for responses: Put(id, action and inverse) before the act, Put
// again when it is verified, Delete when it is undone or final and its audit
// record is synced; after a restart, finish or revert all that Open lists.
package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Class says what a record is, and whether it may be dropped.
type Class uint8

// The classes. Unclassed is said of lost records of which nothing is known.
const (
	Unclassed Class = iota
	Event           // may be dropped, oldest first; it is counted
	Detection       // this and the following are never dropped
	Incident
	Audit
)

// String names the class as people and metrics read it.
func (c Class) String() string {
	switch c {
	case Event:
		return "event"
	case Detection:
		return "detection"
	case Incident:
		return "incident"
	case Audit:
		return "audit"
	}
	return "unclassed"
}

// MaxRecord is the largest record in bytes.
const MaxRecord = 8 << 20

// Options of a spool. The zero value is one node's.
type Options struct {
	// Boot is part of every position; zero is this machine's boot.
	Boot Boot
	// MaxBytes bounds all files together, 512 MiB unless said.
	MaxBytes int64
	// SegmentBytes is when a file is closed and the next begun, 4 MiB unless
	// said and never more than a sixteenth of MaxBytes.
	SegmentBytes int64
	// MaxPending bounds what waits in memory, for events and for the rest
	// each, 8 MiB unless said and never less than MaxRecord needs.
	MaxPending int
	// Interval and BatchBytes say when a batch is written and synced, whichever
	// is first: 100 ms, 256 KiB of records before compression.
	Interval   time.Duration
	BatchBytes int
	// KeepEvents treats events like the other classes: refused when there is no
	// room, never dropped once accepted.
	KeepEvents bool
}

func (o *Options) fill() error {
	if o.Boot == (Boot{}) {
		b, err := ThisBoot()
		if err != nil {
			return err
		}
		o.Boot = b
	}
	or(&o.MaxBytes, 512<<20)
	or(&o.SegmentBytes, 4<<20)
	or(&o.MaxPending, 8<<20)
	or(&o.Interval, 100*time.Millisecond)
	or(&o.BatchBytes, 256<<10)
	o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/16)
	o.BatchBytes = min(o.BatchBytes, maxFrame-MaxRecord-entryOverhead)
	if o.MaxBytes < 64<<10 {
		return fmt.Errorf("a spool of %d bytes: at least 64 KiB are needed", o.MaxBytes)
	}
	return nil
}

func or[T int | int64 | time.Duration](v *T, standard T) {
	if *v <= 0 {
		*v = standard
	}
}

var (
	// ErrFull is returned by Append for a record that was not taken: for an
	// event because memory or disk is full, for the other classes because
	// records that may not be dropped fill the bound. The record is counted.
	ErrFull = errors.New("spool: full, record not taken (hint: the receiver is away or slow; raise the spool's size or free its disk)")
	// ErrLost is returned by Sync for an event that was taken and could not be
	// written. It is counted.
	ErrLost = errors.New("spool: the event could not be written and is lost")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("spool: closed")
	// ErrInUse is returned by Open when a writer holds the folder.
	ErrInUse = errors.New("spool: in use by another process")
)

// Spool is the writing side. Its methods may be called from any goroutine.
type Spool struct {
	opts  Options
	store *store // the files; its own lock
	page  *page

	wake   chan struct{} // something is pending
	urgent chan struct{} // and must not wait for the interval
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and renewed when settled or closed change
	issued  uint64        // the last sequence number given
	settled uint64        // up to here everything is stored durably or lost for good
	takes   uint64        // flushes begun
	queues  [lanes]queue
	counts  [Audit + 1][reasons]uint64
	err     error // of the last flush; nil when it went well
	closed  bool  // nothing more is taken
	ended   bool  // and nothing more is written
}

// Append takes a record and returns its sequence number; the data is copied.
// It does not wait for the disk. With ErrFull the number is the lost record's;
// the caller must show the error unless the record is an event.
func (s *Spool) Append(c Class, data []byte) (uint64, error) {
	if c < Event || c > Audit {
		return 0, fmt.Errorf("spool: append: class %d", c)
	}
	if len(data) > MaxRecord {
		return 0, fmt.Errorf("spool: append %s of %d bytes: more than %d", c, len(data), MaxRecord)
	}
	kept := s.opts.KeepEvents || c != Event
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	s.issued++
	seq := s.issued
	s.page.issue(seq)
	q := &s.queues[laneEvents]
	if kept {
		q = &s.queues[laneKept]
	}
	size := len(data) + entryOverhead
	full := q.pending+size > s.opts.MaxPending && q.pending > 0
	if kept && s.store.keptBytes.Load()+int64(q.pending+size) > s.opts.MaxBytes {
		full = true
	}
	if full {
		q.refuse(seq, c)
		s.counts[c][Refused]++
		s.signal(s.wake)
		return seq, ErrFull
	}
	began, filled := q.add(seq, c, data, s.opts.BatchBytes)
	if began {
		s.signal(s.wake)
	}
	if filled {
		s.signal(s.urgent)
	}
	return seq, nil
}

func (*Spool) signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Sync waits until the record that Append returned is on the disk, whatever
// happens to the process or the machine. An error means that it may not be:
// ErrLost for good, any other until a later flush, which Sync may wait for again.
func (s *Spool) Sync(ctx context.Context, c Class, seq uint64) error {
	q := &s.queues[laneEvents]
	if s.opts.KeepEvents || c != Event {
		q = &s.queues[laneKept]
	}
	s.mu.Lock()
	before := s.takes
	s.mu.Unlock()
	s.signal(s.wake)
	s.signal(s.urgent)
	for {
		s.mu.Lock()
		changed, last, err := s.changed, s.issued, q.outcome(seq, before)
		pending, closed := q.settled < seq && err == nil, s.closed
		s.mu.Unlock()
		switch {
		case seq > last:
			return fmt.Errorf("spool: sync %d: only %d were appended", seq, last)
		case !pending:
			return err
		case closed:
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Acknowledge says that the receiver has everything up to p: whole files of it
// are removed. What is acknowledged may be read once more after a crash.
func (s *Spool) Acknowledge(p Position) error {
	s.mu.Lock()
	tooFar := p.Boot == s.opts.Boot && p.Seq > s.issued
	s.mu.Unlock()
	if tooFar {
		return fmt.Errorf("spool: acknowledge %s: not written yet", p)
	}
	return s.store.acknowledge(p)
}

// Boot is the boot of which the records written now are.
func (s *Spool) Boot() Boot { return s.opts.Boot }

// Stats are a moment's figures.
type Stats struct {
	Issued       uint64 // the last sequence number given in this boot
	Settled      uint64 // up to here all is on the disk, or lost and counted
	Acknowledged Position
	Bytes        int64 // all files
	Pending      int   // bytes in memory
	// Lost are records lost since Open, by class and reason.
	Lost []Count
	// Err is why the last flush left records in memory or lost events; nil when
	// it went well.
	Err error
}

// Count is how many records were lost.
type Count struct {
	Class   Class
	Reason  Reason
	Records uint64
}

// Stats returns the figures of now.
func (s *Spool) Stats() Stats {
	acked, bytes, dropped := s.store.figures()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Issued: s.issued, Settled: s.settled, Acknowledged: acked, Bytes: bytes, Err: s.err}
	for i := range s.queues {
		st.Pending += s.queues[i].pending
	}
	counts := s.counts
	counts[Event][Dropped] += dropped
	for c := range counts {
		for r, n := range counts[c] {
			if n > 0 {
				st.Lost = append(st.Lost, Count{Class(c), Reason(r), n})
			}
		}
	}
	return st
}

// Close writes and syncs what is pending. An error means that records which
// may not be dropped could not be written.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	<-s.done

	s.mu.Lock()
	var err error
	if s.queues[laneKept].pending > 0 {
		err = fmt.Errorf("spool: close: records were not written: %w", s.err)
	}
	if s.queues[laneKept].pending+s.queues[laneEvents].pending == 0 {
		err = s.page.clean()
	}
	s.ended = true
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	return errors.Join(err, s.page.close(), s.store.close())
}

// Open makes or continues the spool in dir, which only its owner may read.
// What an earlier process or boot left is kept; what it lost becomes a Loss.
func Open(dir string, o Options) (*Spool, error) {
	if err := o.fill(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	st, err := openStore(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s := &Spool{
		opts: o, store: st, changed: make(chan struct{}),
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", dir, err), st.close())
	}
	go s.run()
	return s, nil
}
