package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// Journal is a small map that survives everything: what is open, by key. A
// change is on the disk when Put or Delete returns, or it is an error. After an
// error the change may or may not be found at the next OpenJournal, so an act
// must not follow a failed Put, and the act's inverse must be harmless where the
// act was never done.
type Journal struct {
	s    *Spool
	mu   sync.Mutex
	open map[string][]byte
	from uint64 // numbers below hold nothing that is open
}

// journalBytes bounds a journal's files.
const journalBytes = 64 << 20

// Journal operations, the first byte of a record.
const (
	journalPut    = 'P'
	journalDelete = 'D'
)

// compactAfter is how many records may be there for nothing before those that
// are open are written anew and the others let go.
const compactAfter = 1000

// OpenJournal makes or continues the journal in dir. The losses are changes
// that returned without an error and cannot be read back: open actions may be
// among them, and a person has to look.
func OpenJournal(dir string) (*Journal, []Loss, error) {
	s, err := Open(dir, Options{MaxBytes: journalBytes, SegmentBytes: 256 << 10, KeepEvents: true})
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{s: s, open: map[string][]byte{}, from: s.Stats().Issued + 1}
	if st := s.Stats(); st.Settled < st.Issued {
		return nil, nil, errors.Join(fmt.Errorf("open journal: %w", st.Err), s.Close())
	}
	losses, err := j.load(dir)
	if err == nil {
		err = j.compact()
	}
	if err != nil {
		return nil, losses, errors.Join(fmt.Errorf("open journal: %w", err), s.Close())
	}
	return j, losses, nil
}

func (j *Journal) load(dir string) (losses []Loss, err error) {
	r, err := OpenReader(dir, Position{})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		e, err := r.Next(context.Background())
		switch {
		case errors.Is(err, io.EOF):
			return losses, nil
		case err != nil:
			return losses, err
		case e.Loss != nil:
			// What crashed was never said to be durable.
			if e.Loss.Reason != Crashed && e.Loss.Reason != Released && e.Loss.Reason != Refused {
				losses = append(losses, *e.Loss)
			}
			continue
		}
		op, key, value, ok := parseChange(e.Data)
		switch {
		case !ok:
			losses = append(losses, Loss{From: e.Seq, To: e.Seq, Class: e.Class, Reason: Damaged})
		case op == journalPut:
			j.open[key] = slices.Clone(value)
		default:
			delete(j.open, key)
		}
	}
}

func appendChange(op byte, key string, value []byte) []byte {
	b := binary.AppendUvarint([]byte{op}, uint64(len(key)))
	return append(append(b, key...), value...)
}

func parseChange(b []byte) (op byte, key string, value []byte, ok bool) {
	if len(b) == 0 || b[0] != journalPut && b[0] != journalDelete {
		return 0, "", nil, false
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return 0, "", nil, false
	}
	rest := b[1+size:]
	return b[0], string(rest[:n]), rest[n:], true
}

// Put opens the key or changes what it holds.
func (j *Journal) Put(key string, value []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.change(journalPut, key, value); err != nil {
		return err
	}
	j.open[key] = slices.Clone(value)
	return j.tidy()
}

// Delete closes the key.
func (j *Journal) Delete(key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.open[key]; !ok {
		return nil
	}
	if err := j.change(journalDelete, key, nil); err != nil {
		return err
	}
	delete(j.open, key)
	return j.tidy()
}

func (j *Journal) change(op byte, key string, value []byte) error {
	seq, err := j.s.Append(Audit, appendChange(op, key, value))
	if err == nil {
		err = j.s.Sync(context.Background(), Audit, seq)
	}
	if err != nil {
		return fmt.Errorf("journal %q: %w", key, err)
	}
	return nil
}

// Open returns what is open.
func (j *Journal) Open() map[string][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.open)
}

// tidy compacts when most records are there for nothing.
func (j *Journal) tidy() error {
	if j.s.Stats().Issued+1-j.from < uint64(compactAfter+2*len(j.open)) {
		return nil
	}
	return j.compact()
}

// compact writes what is open anew and lets everything before it go.
func (j *Journal) compact() error {
	first := j.s.Stats().Issued + 1
	last := first - 1
	for key, value := range j.open {
		seq, err := j.s.Append(Audit, appendChange(journalPut, key, value))
		if err != nil {
			return fmt.Errorf("compact journal: %w", err)
		}
		last = seq
		if j.s.Stats().Pending > j.s.opts.MaxPending/2 {
			if err := j.s.Sync(context.Background(), Audit, seq); err != nil {
				return fmt.Errorf("compact journal: %w", err)
			}
		}
	}
	if last >= first {
		if err := j.s.Sync(context.Background(), Audit, last); err != nil {
			return fmt.Errorf("compact journal: %w", err)
		}
	}
	j.from = first
	return j.s.Acknowledge(Position{j.s.Boot(), first - 1})
}

// Close closes the journal.
func (j *Journal) Close() error { return j.s.Close() }
