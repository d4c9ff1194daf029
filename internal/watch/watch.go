// Package watch is the sensor: it turns what the kernel tells into events that
// know who did it, in which container of which image, and hands them to
// judges: rules, sequences, drift. It decides nothing about a response and
// writes nothing to a disk; that is for whoever takes the events and the
// detections.
//
// Start with Sensor.Run: records come in, on one goroutine and in order, and
// go out as events.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// Judge looks at each event and tells what it recognises. It is called from
// one goroutine, in the order of the events' time. The event itself is valid
// during the call; a copy of it may be kept.
type Judge interface {
	Judge(e *esclusa.Event, found func(esclusa.Detection))
}

// Sink takes what the sensor has to tell. Its methods are called from one
// goroutine and may not wait. The event is valid during the call.
type Sink interface {
	Event(e *esclusa.Event)
	Detection(d *esclusa.Detection)
}

// Config is what a sensor is made of.
type Config struct {
	Families []events.Family
	Kernel   kernel.Options
	// Extra are objects beside the families: guards.
	Extra  []kernel.Object
	Host   *host.Host
	Judges []Judge
	Sink   Sink
	Name   string // of this machine, for Event.Host
	Log    *slog.Logger
}

// Sensor is programs in the kernel and what is known beside them.
type Sensor struct {
	config Config
	set    *kernel.Set
	decode [32]*events.Family
	seq    uint64
	event  esclusa.Event // of the record at hand; reused
	lost   map[kernel.Loss]uint64
	stats  counters
	gaps   recentGaps
	spaces namespaces
}

type counters struct{ records, events, detections, unread atomic.Uint64 }

// Stats count since the start.
type Stats struct {
	Records    uint64 `json:"records"` // taken from the kernel
	Events     uint64 `json:"events"`
	Detections uint64 `json:"detections"`
	Unread     uint64 `json:"unread"` // records that could not be understood
}

// Start puts the programs into the kernel and learns what runs already.
func Start(c Config) (*Sensor, error) {
	s := &Sensor{config: c, lost: map[kernel.Loss]uint64{}}
	objects := make([]kernel.Object, 0, len(c.Families)+len(c.Extra))
	for i := range c.Families {
		f := &c.Families[i]
		s.decode[f.Record&31] = f
		objects = append(objects, f.Object)
	}
	var err error
	if s.set, err = kernel.Load(c.Kernel, append(objects, c.Extra...)...); err != nil {
		return nil, err
	}
	// Only now: what starts while /proc is read is told by the kernel.
	if err := c.Host.Seed(); err != nil {
		s.set.Close()
		return nil, fmt.Errorf("learn what runs: %w", err)
	}
	for _, p := range c.Host.Processes() {
		s.spaces.add(&p.NS)
		if p.PID == 1 {
			s.spaces.host = p.NS
		}
	}
	return s, nil
}

// Missing are the families that this kernel cannot take: what is not seen.
func (s *Sensor) Missing() []esclusa.Gap {
	var gaps []esclusa.Gap
	for _, m := range s.set.Missing() {
		for _, f := range s.config.Families {
			if f.Object.Name == m.Name {
				gaps = append(gaps, esclusa.Gap{Scope: esclusa.GapSystem, What: f.Lost, Err: m.Err.Error(), Hint: "esclusa watch doctor"})
			}
		}
	}
	return gaps
}

// Stats may be asked from any goroutine.
func (s *Sensor) Stats() Stats {
	return Stats{s.stats.records.Load(), s.stats.events.Load(), s.stats.detections.Load(), s.stats.unread.Load()}
}

// Run watches until ctx ends. The programs are out of the kernel when it
// returns.
func (s *Sensor) Run(ctx context.Context) error {
	defer s.set.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.config.Host.Run(ctx) })
	losses := make(chan []kernel.Loss, 1)
	g.Go(func() error { return s.countLosses(ctx, losses) })
	g.Go(func() error {
		return s.set.Run(ctx, func(h kernel.Head, rec []byte) {
			select {
			case l := <-losses:
				s.tellLosses(l)
			default:
			}
			s.take(h, rec)
		})
	})
	err := g.Wait()
	if l, lerr := s.set.Losses(); lerr == nil { // the last of them
		s.tellLosses(l)
	}
	return err
}

// countLosses reads the counters once a second.
func (s *Sensor) countLosses(ctx context.Context, out chan<- []kernel.Loss) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l, err := s.set.Losses()
		if err != nil {
			return err
		}
		select {
		case out <- l:
		default: // the last count was not yet taken; counters only grow
		}
	}
}

// take makes an event of a record.
func (s *Sensor) take(h kernel.Head, rec []byte) {
	s.stats.records.Add(1)
	f := s.decode[h.Kind&31]
	e := &s.event
	*e = esclusa.Event{} // its fields are new each time: who keeps the event may keep them
	e.Process.ProcessKey = h.Key()
	if f == nil || f.Record != h.Kind {
		s.unread(h, fmt.Errorf("nobody knows records of %s", h.Kind))
		return
	}
	if err := f.Decode(rec, e); err != nil {
		s.unread(h, err)
		return
	}
	e.Kind = f.Kind
	s.enrich(h, e)
}

// enrich tells the host's tables what happened, and the event who did it.
func (s *Sensor) enrich(h kernel.Head, e *esclusa.Event) {
	hs := s.config.Host
	var (
		p       *host.Process
		derived []change
	)
	switch h.Kind {
	case kernel.Cgroup:
		path, _ := e.Fields.Get("path")
		if gone, _ := e.Fields.Get("gone"); gone.Number != 0 {
			hs.CgroupGone(h.Cgroup, h.Time)
		} else {
			hs.CgroupMade(h.Cgroup, path.Text, h.Key())
		}
		return
	case kernel.Fork:
		derived = s.spaces.changes(hs.Find(e.Process.Parent), &e.Process, h.Flags&events.Cloned != 0)
		p = hs.Fork(&host.Fork{
			Key: e.Process.ProcessKey, Parent: e.Process.Parent, Name: e.Process.Name,
			Creds: e.Process.Creds, NS: e.Process.NS, Cgroup: h.Cgroup, At: h.Time,
		})
	case kernel.Exec:
		x := &e.Process
		derived = s.spaces.changes(hs.Find(x.ProcessKey), x, false)
		p = hs.Exec(&host.Exec{
			Key: x.ProcessKey, Parent: x.Parent, Name: x.Name, Exe: x.Exe, ExeSource: x.ExeSource, ExeDeleted: x.ExeDeleted,
			Args: x.Args, ArgsCut: x.ArgsCut, Creds: x.Creds, NS: x.NS, Cgroup: h.Cgroup, At: h.Time,
		})
	case kernel.Exit:
		derived = s.spaces.changes(hs.Find(h.Key()), &e.Process, false)
		p = hs.Exit(h.Key(), h.Time)
	default:
		p = hs.Find(h.Key())
	}
	args, cut := e.Process.Args, e.Process.ArgsCut
	s.about(h, e, p)
	if h.Kind == kernel.Exec { // whole; the table may keep less
		e.Process.Args, e.Process.ArgsCut = args, cut
	}
	s.tell(e)
	for _, c := range derived {
		e.Kind, e.Fields = c.kind, c.fields
		s.tell(e)
	}
}

// about fills in who did it and where.
func (s *Sensor) about(h kernel.Head, e *esclusa.Event, p *host.Process) {
	e.At, e.Host = s.config.Host.Wall(h.Time), s.config.Name
	if p == nil {
		c, known := s.config.Host.Container(h.Cgroup)
		e.Container = c
		s.gap(e, "process "+e.Process.ProcessKey.String(), "it began before the sensor and was gone when /proc was read")
		if !known {
			s.gap(e, "container of process "+e.Process.ProcessKey.String(), "its cgroup is not known")
		}
		return
	}
	e.Process, e.Ancestors = p.Process, p.Ancestors
	if p.Incomplete {
		s.gap(e, "ancestors of "+p.Name, "one of them was not seen being made")
	}
	c, known := p.Container()
	if e.Container = c; !known {
		s.gap(e, "container of "+p.Name, "its cgroup is not known")
	}
}

// ofHost says that a process shares the host's mount and pid namespaces; a
// process in others of its own may be a container that no runtime told of.
func (s *Sensor) ofHost(e *esclusa.Event) bool {
	h := &s.spaces.host
	return len(e.Gaps) == 0 && e.Process.NS.Mount == h.Mount && e.Process.NS.PID == h.PID
}

func (s *Sensor) gap(e *esclusa.Event, what, why string) {
	e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: why})
}

// tell gives the event its number and hands it on. The processes of the host
// are known for their containers' sake; what they do is told only when asked.
func (s *Sensor) tell(e *esclusa.Event) {
	if e.Container == nil && e.Kind != esclusa.EventLoss && e.Kind != esclusa.EventGuard && !s.config.Kernel.Host && s.ofHost(e) {
		return
	}
	s.seq++
	e.Seq = s.seq
	s.stats.events.Add(1)
	s.config.Sink.Event(e)
	for _, j := range s.config.Judges {
		j.Judge(e, func(d esclusa.Detection) {
			s.stats.detections.Add(1)
			d.Gaps = append(d.Gaps, s.gaps.at(e.At)...)
			s.config.Sink.Detection(&d)
		})
	}
}

func (s *Sensor) unread(h kernel.Head, err error) {
	s.stats.unread.Add(1)
	e := &s.event
	*e = esclusa.Event{Kind: esclusa.EventLoss}
	e.Process.ProcessKey = h.Key()
	e.Fields = append(e.Fields, esclusa.Text("kind", h.Kind.String()), esclusa.Text("reason", err.Error()), esclusa.Number("count", 1))
	s.about(h, e, s.config.Host.Find(h.Key()))
	s.tell(e)
}
