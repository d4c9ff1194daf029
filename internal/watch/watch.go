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
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// Judge looks at each event and tells what it recognises. It is called for one
// event at a time, in the order of their time but for those that took a while
// to learn about. The event itself is valid
// during the call; a copy of it may be kept.
type Judge interface {
	Judge(e *esclusa.Event, found func(esclusa.Detection))
}

// Sink takes what the sensor has to tell. Its methods are called one at a time
// and may not wait. The event is valid during the call.
type Sink interface {
	Event(e *esclusa.Event)
	Detection(d *esclusa.Detection)
}

// Guards are programs that refuse uses of the kernel, and that tell of each.
type Guards interface {
	Objects() []kernel.Object
	// Decode makes the event of a record of kind kernel.Guard.
	Decode(rec []byte, e *esclusa.Event) error
}

// Config is what a sensor is made of.
type Config struct {
	Families []events.Family
	Kernel   kernel.Options
	// Guards are in force beside the families; nil for none.
	Guards Guards
	Host   *host.Host
	Judges []Judge
	Sink   Sink
	Name   string // of this machine, for Event.Host
	Log    *slog.Logger
}

// Sensor is programs in the kernel and what is known beside them.
type Sensor struct {
	config Config
	since  time.Time
	set    *kernel.Set
	decode [32]*events.Family
	event  esclusa.Event // of the record at hand
	spaces namespaces
	stats  counters
	drift  chan *esclusa.Event // whose executable is being compared

	sources []events.Source
	missing []kernel.Missing // sources that could not be opened

	// telling lets one event out at a time: most come from the reader, some
	// from those who count losses and compare executables.
	telling sync.Mutex
	seq     uint64
	gaps    recentGaps

	counting sync.Mutex
	lost     map[kernel.Loss]uint64 // told already, by all but the count
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
	s := &Sensor{config: c, since: time.Now().UTC(), lost: map[kernel.Loss]uint64{}, drift: make(chan *esclusa.Event, maxDrift)}
	objects := events.Objects(c.Families)
	for i := range c.Families {
		f := &c.Families[i]
		s.decode[f.Record&31] = f
	}
	if c.Guards != nil {
		s.decode[kernel.Guard] = &events.Family{Kind: esclusa.EventGuard, Record: kernel.Guard, Decode: c.Guards.Decode}
		objects = append(objects, c.Guards.Objects()...)
	}
	var err error
	if s.set, err = kernel.Load(c.Kernel, objects...); err != nil {
		return nil, err
	}
	// Only now: what starts while /proc is read is told by the kernel.
	if err := c.Host.Seed(); err != nil {
		s.set.Close()
		return nil, fmt.Errorf("learn what runs: %w", err)
	}
	// The host's namespaces are those of its first process; where that one may
	// not be looked at, ours.
	if p := c.Host.ByPID(int32(os.Getpid())); p != nil {
		s.spaces.host = p.NS
	}
	for _, p := range c.Host.Processes() {
		s.spaces.enter(&p.NS)
		if p.PID == 1 && p.NS != (esclusa.Namespaces{}) {
			s.spaces.host = p.NS
		}
	}
	s.openSources()
	return s, nil
}

// Missing are the families that this kernel cannot take: what is not seen.
func (s *Sensor) Missing() []esclusa.Gap {
	var gaps []esclusa.Gap
	for _, m := range append(s.missing, s.set.Missing()...) {
		for _, f := range s.config.Families {
			if f.Object.Name == m.Name && (f.Absent == nil || !f.Absent()) {
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
	read, last := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return s.config.Host.Run(ctx) })
	g.Go(func() error { defer last(); return s.runSources(ctx) })
	g.Go(func() error { return s.countLosses(ctx) })
	g.Go(func() error {
		defer close(s.drift)
		if err := s.set.Run(read, s.take); err != nil {
			return err
		}
		return s.tellLosses() // the last: nothing is lost any more
	})
	g.Go(func() error { s.compare(); return nil })
	return g.Wait()
}
