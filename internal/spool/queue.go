package spool

// lane is what has files of its own: events can be dropped without touching
// the rest.
type lane int

// The lanes, in the order in which they are written.
const (
	laneKept lane = iota
	laneEvents
	lanes
)

// spares is how many buffers of written batches a queue keeps for reuse.
const spares = 8

// queue is what of a lane waits in memory. Spool.mu guards it.
type queue struct {
	full    []*batch // oldest first
	open    *batch   // takes records
	run     Loss     // refused numbers above all batches, if it has a reason
	debt    Loss     // lost numbers below all batches, not yet said in a file
	pending int      // bytes of records here and at the writer
	spare   []*batch

	untold     uint64 // the lowest number that is lost and not said to be in a file; 0 for none
	settled    uint64 // up to here everything is durable, or lost
	lost       []span // accepted, and lost before they were durable
	failed     error  // of the last flush, nil when it went well
	failedTake uint64 // which flush that was
}

type span struct{ from, to uint64 }

// batch is the one that takes records, new with room for size bytes.
func (q *queue) batch(size int) *batch {
	if q.open == nil {
		if n := len(q.spare); n > 0 {
			q.open, q.spare = q.spare[n-1], q.spare[:n-1]
		} else {
			q.open = &batch{raw: make([]byte, 0, size)}
		}
	}
	return q.open
}

// add takes a record and says whether a batch began or became full by it.
func (q *queue) add(seq uint64, c Class, data []byte, batchBytes int) (began, full bool) {
	began = q.open == nil
	q.endRun()
	b := q.batch(batchBytes + batchBytes/8)
	b.record(seq, c, data)
	b.size += len(data) + entryOverhead
	q.pending += len(data) + entryOverhead
	if len(b.raw) < batchBytes {
		return began, false
	}
	q.full = append(q.full, b)
	q.open = nil
	return began, true
}

// refuse notes a number whose record was not taken.
func (q *queue) refuse(seq uint64, c Class) {
	switch {
	case q.run.Reason == 0:
		q.run = Loss{From: seq, Class: c, Reason: Refused}
	case q.run.Reason != Refused:
		q.endRun()
		q.run = Loss{From: seq, Class: c, Reason: Refused}
	case q.run.Class != c:
		q.run.Class = Unclassed
	}
	q.run.To = seq
	q.lower(seq)
}

// lower notes that a number is lost and that no file says so yet.
func (q *queue) lower(seq uint64) {
	if q.untold == 0 || seq < q.untold {
		q.untold = seq
	}
}

// told notes that the files say all that was taken for them.
func (q *queue) told() {
	q.debt, q.untold = Loss{}, 0
	if q.run.Reason != 0 {
		q.lower(q.run.From)
	}
}

func (q *queue) endRun() {
	if q.run.Reason != 0 {
		q.batch(0).loss(q.run)
		q.run = Loss{}
	}
}

// take hands everything to the writer. Refused numbers alone are no reason to
// write, unless it is the last time: a full spool must not grow by saying so.
func (q *queue) take(last bool) []*batch {
	if last || q.open != nil || len(q.full) > 0 {
		q.endRun()
	}
	bs := q.full
	if q.open != nil && q.open.entries > 0 {
		bs = append(bs, q.open)
	}
	if q.debt.Reason != 0 {
		first := &batch{}
		first.loss(q.debt)
		bs = append([]*batch{first}, bs...)
	}
	q.full, q.open = nil, nil
	return bs
}

// done forgets batches that are durable.
func (q *queue) done(bs []*batch) {
	for _, b := range bs {
		q.pending -= b.size
		if len(q.spare) < spares && cap(b.raw) > 0 && cap(b.raw) <= 1<<20 {
			*b = batch{raw: b.raw[:0]}
			q.spare = append(q.spare, b)
		}
	}
}

// back keeps batches that could not be written, for the next flush.
func (q *queue) back(bs []*batch) { q.full = append(bs, q.full...) }

// lose gives up batches that could not be written and returns how many records
// they held.
func (q *queue) lose(bs []*batch) (records uint64) {
	if len(bs) == 0 {
		return 0
	}
	s := span{bs[0].first, bs[len(bs)-1].next - 1}
	for _, b := range bs {
		records += uint64(b.records)
	}
	q.done(bs)
	q.debt = Loss{From: s.from, To: s.to, Class: Event, Reason: Unwritten}
	q.lower(s.from)
	if len(q.lost) == 64 { // the two oldest become one: Sync may err on the safe side
		q.lost[1].from = q.lost[0].from
		q.lost = q.lost[1:]
	}
	q.lost = append(q.lost, s)
	return records
}

// outcome is what Sync says of a record: nil with settled below it means to wait.
func (q *queue) outcome(seq, before uint64) error {
	if q.settled < seq {
		if q.failedTake > before {
			return q.failed
		}
		return nil
	}
	for _, s := range q.lost {
		if s.from <= seq && seq <= s.to {
			return ErrLost
		}
	}
	return nil
}
