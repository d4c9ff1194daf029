package spool

import (
	"fmt"
	"time"
)

// retry is how long records that could not be written wait, unless Sync asks.
const retry = time.Second

// run is the only writer.
func (s *Spool) run() {
	defer close(s.done)
	timer := time.NewTimer(0)
	<-timer.C
	for stuck := false; ; {
		if stuck {
			timer.Reset(retry)
		} else {
			select {
			case <-s.wake:
				timer.Reset(s.opts.Interval)
			case <-s.stop:
				s.flush(true)
				return
			}
		}
		select {
		case <-s.urgent:
		case <-timer.C:
		case <-s.stop:
			s.flush(true)
			return
		}
		timer.Stop()
		stuck = s.flush(false)
	}
}

// flush writes and syncs all that is pending, and says whether records that may
// not be lost are still in memory. Each lane is settled as soon as it can be:
// events never hold up the rest.
func (s *Spool) flush(last bool) (stuck bool) {
	s.mu.Lock()
	s.takes++
	take, target := s.takes, s.issued
	var work [lanes][]*batch
	for l := range work {
		work[l] = s.queues[l].take(last)
	}
	s.mu.Unlock()
	var failure error
	for l, bs := range work {
		n, err := 0, error(nil)
		if len(bs) > 0 {
			n, err = s.store.write(lane(l), bs)
		}
		s.mu.Lock()
		q := &s.queues[l]
		q.done(bs[:n])
		q.failed, q.failedTake = nil, take
		switch {
		case err == nil:
			q.settled = target
			q.told()
		case lane(l) == laneEvents:
			failure = fmt.Errorf("spool: write events: %w", err)
			s.counts[Event][Unwritten] += q.lose(bs[n:])
			q.settled = target
		default:
			failure, stuck = fmt.Errorf("spool: write: %w", err), true
			q.failed = failure
			q.back(bs[n:])
			q.settled = max(q.settled, bs[n].first-1)
		}
		s.settled = min(s.queues[laneKept].settled, s.queues[laneEvents].settled)
		s.page.settle(s.told())
		if lane(l) == lanes-1 {
			s.err = failure
		}
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
	return stuck
}

// told is up to where the files tell everything: numbers that are lost and not
// yet said to be are, to whoever comes after a kill, what was in memory.
func (s *Spool) told() uint64 {
	told := s.settled
	for _, q := range s.queues {
		if q.untold != 0 {
			told = min(told, q.untold-1)
		}
	}
	return told
}
