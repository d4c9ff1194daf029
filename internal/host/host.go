// Package host knows the processes and containers of this machine, so that an
// event can be told with who did it, who made that process, and in which
// container of which image. It waits for nothing on the way of an event: what
// needs a file or a daemon is asked for beside it, and the answer is swapped
// in when it comes.
//
// Records of the kernel are handed in by Fork, Exec, Exit, CgroupMade and
// CgroupGone, from one goroutine; Seed adds what was there before. It never
// acts on anything.
//
// Start with Host; process.go is the table, place.go reads cgroup paths,
// resolve.go finds out about a container.
package host

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// Options are where things are on this machine; the zero value is the usual.
type Options struct {
	// Root is the root folder of the host, "/proc/1/root" in a pod with the
	// host's process ids; the paths below are inside it. Empty is "/".
	Root string
	// Containerd and Docker are sockets, Runc folders where runc keeps states,
	// Storage folders of containers/storage (CRI-O, Podman). Nil: the usual.
	Containerd, Docker, Runc, Storage []string
	// Images may be nil.
	Images ImageFacts
	// Processes and Cgroups are how many are kept, 65,536 unless set. Grace is how long an
	// ended process or cgroup can still be found, 10 seconds unless set.
	Processes, Cgroups int
	Grace              time.Duration
	Log                *slog.Logger // nil: none
}

// ImageFacts is what scan knows of images; it is asked beside the events and
// may take its time. Either digest may be empty. False: nothing is known.
type ImageFacts interface {
	Image(ctx context.Context, manifest, config esclusa.Digest) (ImageFact, bool)
}

// ImageFact is scan's word on an image.
type ImageFact struct {
	Verdict   esclusa.Decision
	Worst     esclusa.Severity
	Exploited int
}

// Stats count what is held and what had to be given up.
type Stats struct {
	Processes, Cgroups, Containers int // held now

	ProcessesEvicted uint64 // ended ones, before their grace was over
	ProcessesRefused uint64 // running ones for which there was no room
	ArgsCut          uint64 // argument lists shortened in the table
	CgroupsRefused   uint64 // for which there was no room
	CgroupsUnknown   uint64 // asked for and found neither by id nor by path
	LookupsDropped   uint64 // containers about which nobody was asked: the queue was full
	LookupsFailed    uint64 // containers of whose image nothing could be learned
}

const (
	defaultKept  = 1 << 16
	defaultGrace = 10 * time.Second
)

// Host is the machine. Its methods may be called from any goroutine, those
// that take records from one.
type Host struct {
	options Options
	tree    hierarchy
	runtimes
	boot atomic.Int64 // wall-clock time of boot, ns since 1970

	mu    sync.RWMutex
	procs table
	boxes map[string]*box // by container id
	byID  map[uint64]*cgroup
	gone  []goneCgroup // oldest first
	stats Stats

	lookups chan lookup
	later   []lookup        // to be asked again
	seen    map[string]bool // states of runc that were read; of the ticking goroutine
}

// New looks at how this machine mounts its cgroups.
func New(o Options) (*Host, error) {
	if o.Processes == 0 {
		o.Processes = defaultKept
	}
	if o.Cgroups == 0 {
		o.Cgroups = defaultKept
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{
		options: o, runtimes: usual(&o), boxes: map[string]*box{}, byID: map[uint64]*cgroup{},
		lookups: make(chan lookup, maxLookups), seen: map[string]bool{},
	}
	h.procs = table{byPID: map[int32]*node{}, max: o.Processes, grace: uint64(o.Grace), stats: &h.stats}
	h.setClock()
	var err error
	if h.tree, err = findHierarchy(); err != nil {
		return nil, err
	}
	return h, nil
}

// Run asks about containers until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range lookupWorkers {
		g.Go(func() error { h.lookUp(ctx); return nil })
	}
	g.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				h.setClock()
				h.mu.Lock()
				now := bootTime()
				h.procs.reap(now)
				h.reapCgroups(now)
				h.retry()
				h.mu.Unlock()
				h.runcStates()
			}
		}
	})
	return g.Wait()
}

func bootTime() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail: Linux 2.6.39
	return uint64(ts.Nano())
}

func (h *Host) setClock() { h.boot.Store(time.Now().UnixNano() - int64(bootTime())) }

// Wall is the wall-clock time of a moment in nanoseconds since boot.
func (h *Host) Wall(sinceBoot uint64) time.Time {
	return time.Unix(0, h.boot.Load()+int64(sinceBoot)).UTC()
}

// Fork takes a record of a process being made.
func (h *Host) Fork(f *Fork) *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs.reap(f.At)
	return h.procs.fork(f, h.group(f.Cgroup), h)
}

// Exec takes a record of a process taking up another program.
func (h *Host) Exec(e *Exec) *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs.reap(e.At)
	return h.procs.exec(e, h.group(e.Cgroup), h)
}

// Exit takes a record of a process that ended. It can still be found for the
// grace, and for as long as its children run. Of a process that was not known
// the answer has the key alone.
func (h *Host) Exit(key esclusa.ProcessKey, at uint64) *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.procs.reap(at)
	n := h.procs.find(key)
	if n == nil {
		p := &Process{Incomplete: true}
		p.ProcessKey, p.Started = key, h.Wall(key.Start)
		n = h.procs.add(p, esclusa.ProcessKey{}, at)
	}
	h.procs.exit(n, at)
	return n.now
}

// Change takes what a process became without exec: new ids, capabilities,
// namespaces or cgroup. It answers nil for a process that is not known.
func (h *Host) Change(key esclusa.ProcessKey, creds esclusa.Credentials, ns esclusa.Namespaces, cgroup uint64) *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.procs.find(key)
	if n == nil {
		return nil
	}
	p := *n.now
	p.Creds, p.NS, p.Cgroup, p.group = creds, ns, cgroup, h.group(cgroup)
	n.set(&p)
	return &p
}

// Find is the process as it is now, or was when it ended; nil when unknown.
func (h *Host) Find(key esclusa.ProcessKey) *Process {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if n := h.procs.find(key); n != nil {
		return n.now
	}
	return nil
}

// ByPID is the process that has a pid now, or had it last.
func (h *Host) ByPID(pid int32) *Process {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if n := h.procs.byPID[pid]; n != nil {
		return n.now
	}
	return nil
}

// Processes are all that run, in no order.
func (h *Host) Processes() []*Process {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*Process, 0, len(h.procs.byPID))
	for _, n := range h.procs.byPID {
		if n.exited == 0 {
			all = append(all, n.now)
		}
	}
	return all
}

// Stats is a count of this moment.
func (h *Host) Stats() Stats {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := h.stats
	s.Processes, s.Cgroups, s.Containers = h.procs.n, len(h.byID), len(h.boxes)
	return s
}
