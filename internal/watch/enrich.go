package watch

import (
	"fmt"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/kernel"
)

// take makes an event of a record.
func (s *Sensor) take(h kernel.Head, rec []byte) {
	s.stats.records.Add(1)
	f := s.decode[h.Kind&31]
	e := &s.event
	h = s.subject(h)
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
	s.enrich(h, rec, e)
}

// enrich tells the host's tables what happened, and the event who did it.
func (s *Sensor) enrich(h kernel.Head, rec []byte, e *esclusa.Event) {
	hs := s.config.Host
	var p *host.Process
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
		s.fork(h, rec, e)
		return
	case kernel.Exec:
		x := &e.Process
		derived := s.learn(x.ProcessKey, x, h.Cgroup)
		if len(derived) > 0 && derived[0].kind == esclusa.EventNamespace {
			// An exec gives no namespaces: that was the program before.
			s.derived(h, hs.Find(x.ProcessKey), derived[:1])
			derived = derived[1:]
		}
		p = hs.Exec(&host.Exec{
			Key: x.ProcessKey, Parent: x.Parent, Name: x.Name, Exe: x.Exe, ExeSource: x.ExeSource, ExeDeleted: x.ExeDeleted,
			Args: x.Args, ArgsCut: x.ArgsCut, Creds: x.Creds, NS: x.NS, Cgroup: h.Cgroup, At: h.Time,
		})
		args, cut := x.Args, x.ArgsCut
		s.about(h, e, p)
		x.Args, x.ArgsCut = args, cut // whole; the table may keep less
		s.executed(e)
		s.derived(h, p, derived)
		return
	case kernel.Exit:
		derived := s.learn(h.Key(), &e.Process, h.Cgroup)
		p = hs.Exit(h.Key(), h.Time)
		s.spaces.leave(&p.NS)
		s.derived(h, p, derived)
	default:
		p = hs.Find(h.Key())
	}
	s.about(h, e, p)
	s.tell(e)
}

// fork tells what became of the creator since it was last seen, then its
// child, and what clone itself made different in that.
func (s *Sensor) fork(h kernel.Head, rec []byte, e *esclusa.Event) {
	hs, child := s.config.Host, e.Process
	var creator esclusa.Process
	if err := s.decode[h.Kind].Creator(rec, &creator); err != nil {
		s.unread(h, err)
		return
	}
	if derived := s.learn(creator.ProcessKey, &creator, 0); derived != nil {
		s.derived(h, hs.Find(creator.ProcessKey), derived)
	}
	f := &host.Fork{
		Key: child.ProcessKey, Parent: child.Parent, Name: child.Name, Creds: child.Creds, NS: child.NS, Cgroup: h.Cgroup, At: h.Time,
	}
	if creator.ProcessKey != child.Parent {
		f.Creator = creator.ProcessKey
	}
	p := hs.Fork(f)
	derived := s.spaces.changes(&creator, &child, "clone")
	s.spaces.enter(&child.NS)
	s.about(h, e, p)
	s.tell(e)
	s.derived(h, p, derived)
}

// learn compares what a process is with what it was known to be, and keeps the
// new. Cgroup 0 is the one that was known.
func (s *Sensor) learn(key esclusa.ProcessKey, is *esclusa.Process, cgroup uint64) []change {
	was := s.config.Host.Find(key)
	if was == nil || was.NS == is.NS && was.Creds == is.Creds {
		return nil
	}
	if cgroup == 0 {
		cgroup = was.Cgroup
	}
	var derived []change
	if was.NS != (esclusa.Namespaces{}) { // else /proc could not tell: nothing is new but to us
		derived = s.spaces.changes(&was.Process, is, "unshare")
	}
	s.spaces.leave(&was.NS)
	s.spaces.enter(&is.NS)
	s.config.Host.Change(key, is.Creds, is.NS, cgroup)
	return derived
}

// derived tells changes of a process as events of their own.
func (s *Sensor) derived(h kernel.Head, p *host.Process, list []change) {
	for _, c := range list {
		e := &esclusa.Event{Kind: c.kind, Fields: c.fields}
		s.about(h, e, p)
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
	s.telling.Lock()
	defer s.telling.Unlock()
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
