package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Handler takes one record; it may not keep the bytes.
type Handler func(Head, []byte)

// How the reader looks. Its wait ends at once for a detection, else after
// poll; a record younger than slack is left for the next turn, so that one of
// another ring that is older and not yet complete is handled before it.
const (
	pollBusy = 2 * time.Millisecond
	pollIdle = 10 * time.Millisecond
	slack    = 200 * time.Microsecond
)

// Run hands records, those of Posts among them, to handle, on one goroutine and in the order of their
// time: a process is made before it is seen to act. When ctx ends it takes the
// programs out of the kernel and hands over what they still had to tell.
func (s *Set) Run(ctx context.Context, handle Handler) error {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer r.close()
	stop := context.AfterFunc(ctx, func() { r.detection.Flush() })
	defer stop()

	// Events pile up while others run: the reader goes first. Without the
	// right to it is merely slower.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20)
	defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0) }()

	poll := pollBusy
	for ctx.Err() == nil {
		if err := r.detection.wait(poll); err != nil {
			return err
		}
		n, err := r.turn(bootTime()-uint64(slack), handle)
		if err != nil {
			return err
		}
		if poll = pollBusy; n == 0 {
			poll = pollIdle
		}
	}
	if err := s.detach(); err != nil {
		return err
	}
	_, err = r.turn(bootTime(), handle)
	return err
}

func bootTime() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for this clock
	return uint64(ts.Nano())
}

// readers of the three rings.
type readers struct {
	process, activity, detection *ring
	posts                        *Posts
}

// ring is one ring and the record that was read from it and not yet handled.
type ring struct {
	*ringbuf.Reader
	rec     ringbuf.Record
	head    Head
	pending bool
}

func (s *Set) open() (_ *readers, err error) {
	r := readers{posts: &s.Posts}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for name, p := range map[string]**ring{"esc_process": &r.process, "esc_activity": &r.activity, "esc_detection": &r.detection} {
		m := s.shared[name]
		if m == nil {
			return nil, fmt.Errorf("no program of this set uses ring %s", name)
		}
		rd, err := ringbuf.NewReader(m)
		if err != nil {
			return nil, fmt.Errorf("read ring %s: %w", name, err)
		}
		*p = &ring{Reader: rd}
	}
	return &r, nil
}

func (r *readers) close() {
	for _, x := range []*ring{r.process, r.activity, r.detection} {
		if x != nil {
			x.Close()
		}
	}
}

// wait returns when a record waits, or after d.
func (x *ring) wait(d time.Duration) error {
	if x.pending || x.AvailableBytes() > 0 {
		return nil
	}
	x.SetDeadline(time.Now().Add(d))
	return x.read()
}

// next makes pending hold when the ring has a record.
func (x *ring) next() error {
	if x.pending || x.AvailableBytes() == 0 {
		return nil
	}
	x.SetDeadline(time.Unix(0, 1))
	return x.read()
}

func (x *ring) read() error {
	err := x.ReadInto(&x.rec)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ringbuf.ErrFlushed):
		return nil
	case err != nil:
		return fmt.Errorf("read ring: %w", err)
	}
	if x.head, err = ReadHead(x.rec.RawSample); err != nil {
		return err
	}
	x.pending = true
	return nil
}

// turn handles what is older than until, oldest first, and says how many.
// Detections are not held back: to be early matters more than to be in order.
func (r *readers) turn(until uint64, handle Handler) (n int, err error) {
	for {
		var oldest *ring
		for _, x := range []*ring{r.process, r.activity, r.detection} {
			if err := x.next(); err != nil {
				return n, err
			}
			if x.pending && (oldest == nil || x.head.Time < oldest.head.Time) {
				oldest = x
			}
		}
		if at, ok := r.posts.oldest(); ok && at <= until && (oldest == nil || at < oldest.head.Time) {
			if err := r.post(handle); err != nil {
				return n, err
			}
			n++
			continue
		}
		if oldest == nil || (oldest.head.Time > until && !r.detection.pending) {
			return n, nil
		}
		oldest.pending = false
		n++
		handle(oldest.head, oldest.rec.RawSample[:oldest.head.Size])
	}
}

func (r *readers) post(handle Handler) error {
	rec := r.posts.take()
	h, err := ReadHead(rec)
	if err == nil {
		handle(h, rec)
	}
	return err
}

// Reason is why records were not delivered; bpf/esclusa.h has the same list.
type Reason uint16

// The reasons.
const (
	LossRing   Reason = iota // the ring was full
	LossBudget               // its container had spent its budget
	LossRead                 // the kernel could not be read
	reasons
)

func (r Reason) String() string {
	switch r {
	case LossRing:
		return "ring full"
	case LossBudget:
		return "budget of the container spent"
	case LossRead:
		return "kernel could not be read"
	}
	return fmt.Sprintf("reason %d", uint16(r))
}

// Loss is how many records of a kind were not delivered since the programs
// were loaded. Cgroup 0 stands for all that no table had room for.
type Loss struct {
	Kind   Kind
	Reason Reason
	Cgroup uint64
	Count  uint64
}

// Losses reads the counters. They only grow.
func (s *Set) Losses() ([]Loss, error) {
	var (
		out []Loss
		key struct {
			Cgroup       uint64
			Kind, Reason uint16
			_            uint32
		}
		per []uint64
	)
	it := s.shared["esc_losses"].Iterate()
	for it.Next(&key, &per) {
		out = append(out, Loss{Kind(key.Kind), Reason(key.Reason), key.Cgroup, sum(per)})
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read counters of losses: %w", err)
	}
	for k := range kinds {
		for r := range reasons {
			n, err := s.counter("esc_losses_rest", uint32(k)*4+uint32(r))
			if err != nil {
				return nil, err
			}
			if n > 0 {
				out = append(out, Loss{k, r, 0, n})
			}
		}
	}
	return append(out, s.Posts.losses()...), nil
}

// Emitted is how many records of a kind were delivered to a ring.
func (s *Set) Emitted(k Kind) (uint64, error) { return s.counter("esc_emitted", uint32(k)) }

func (s *Set) counter(name string, i uint32) (uint64, error) {
	var per []uint64
	m := s.shared[name]
	if m == nil {
		return 0, nil
	}
	if err := m.Lookup(i, &per); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, fmt.Errorf("read counter %s: %w", name, err)
	}
	return sum(per), nil
}

func sum(per []uint64) (n uint64) {
	for _, v := range per {
		n += v
	}
	return n
}
