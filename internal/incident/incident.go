// Package incident joins detections that tell one story: those of one
// container, or of the processes of the host below one root. It only computes:
// time is that of the detections and of its caller, and what is open is
// bounded.
//
// Start with Correlator.Add.
package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Options bound what is kept; the zero value is the usual.
type Options struct {
	// Window is how long an incident stays open without a new detection, 10
	// minutes unless set.
	Window time.Duration
	// Open is how many are open at once, 256 unless set; Detections how many of
	// one incident are kept, 32 unless set. What is over is a Gap.
	Open, Detections int
}

// Correlator holds the open incidents. It is used by one goroutine.
type Correlator struct {
	options Options
	open    map[string]*story // by key
}

type story struct {
	key  string
	now  esclusa.Incident
	more int // detections for which there was no room
}

// maxGaps is how many different gaps an incident keeps.
const maxGaps = 16

// maxArgs is how many bytes of a process's arguments an incident keeps; the
// event in the stream has them whole.
const maxArgs = 2 << 10

// New is a correlator with nothing open.
func New(o Options) *Correlator {
	if o.Window == 0 {
		o.Window = 10 * time.Minute
	}
	if o.Open == 0 {
		o.Open = 256
	}
	if o.Detections == 0 {
		o.Detections = 32
	}
	return &Correlator{options: o, open: map[string]*story{}}
}

// Add puts a detection into the incident it belongs to, a new one where there
// is none. The incident is valid until the next call; do not change it. closed
// are those that had to make room, or were over. A detection without an event
// belongs to nothing: nil.
func (c *Correlator) Add(d *esclusa.Detection) (in *esclusa.Incident, closed []esclusa.Incident) {
	if len(d.Events) == 0 {
		return nil, nil
	}
	e := d.Last()
	root := Root(e)
	key := keyOf(e.Container, root.ProcessKey)
	s := c.open[key]
	if s != nil && d.At.Sub(s.now.Updated) > c.options.Window {
		closed = append(closed, c.close(s, ""))
		s = nil
	}
	if s == nil {
		if len(c.open) >= c.options.Open {
			closed = append(closed, c.evict())
		}
		s = &story{key: key, now: esclusa.Incident{
			ID: c.id(d), State: esclusa.IncidentOpen, Root: root, Container: e.Container, Opened: d.At, Updated: d.At,
		}}
		c.open[key] = s
	}
	s.add(d, c.options.Detections)
	return &s.now, closed
}

func (s *story) add(d *esclusa.Detection, room int) {
	in := &s.now
	if d.At.After(in.Updated) {
		in.Updated = d.At
	}
	in.Severity = max(in.Severity, d.Severity)
	if e := d.Last(); e.Container != nil {
		in.Container = e.Container // more may be known of it by now
	}
	if len(in.Detections) < room {
		in.Detections = append(in.Detections, shorten(d))
	} else {
		s.more++
		in.Gaps = slices.DeleteFunc(in.Gaps, func(g esclusa.Gap) bool { return g.What == moreWhat })
		in.Gaps = append(in.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: moreWhat, Err: fmt.Sprintf("%d more came than an incident keeps; the stream has them", s.more)})
	}
	for _, g := range d.Gaps {
		if len(in.Gaps) < maxGaps && !slices.ContainsFunc(in.Gaps, func(o esclusa.Gap) bool { return o.What == g.What && o.Err == g.Err }) {
			in.Gaps = append(in.Gaps, g)
		}
	}
}

const moreWhat = "detections of this incident"

// shorten copies a detection for keeping.
func shorten(d *esclusa.Detection) esclusa.Detection {
	out := *d
	out.Events = slices.Clone(d.Events)
	for i := range out.Events {
		p := &out.Events[i].Process
		size := 0
		for n, a := range p.Args {
			if size += len(a) + 1; size > maxArgs {
				p.Args, p.ArgsCut = slices.Clone(p.Args[:n]), true
				break
			}
		}
	}
	return out
}

// Quiet closes the incidents of which nothing was heard for the window.
func (c *Correlator) Quiet(now time.Time) (closed []esclusa.Incident) {
	for _, s := range c.open {
		if now.Sub(s.now.Updated) > c.options.Window {
			closed = append(closed, c.close(s, ""))
		}
	}
	slices.SortFunc(closed, func(a, b esclusa.Incident) int { return strings.Compare(a.ID, b.ID) })
	return closed
}

// Find is an open incident by its id, or nil.
func (c *Correlator) Find(id string) *esclusa.Incident {
	for _, s := range c.open {
		if s.now.ID == id {
			return &s.now
		}
	}
	return nil
}

// Restore opens an incident as it was, after a restart.
func (c *Correlator) Restore(in esclusa.Incident) {
	if len(c.open) < c.options.Open {
		key := keyOf(in.Container, in.Root.ProcessKey)
		c.open[key] = &story{key: key, now: in}
	}
}

// evict closes the incident of which nothing was heard for longest.
func (c *Correlator) evict() esclusa.Incident {
	var oldest *story
	for _, s := range c.open {
		if oldest == nil || s.now.Updated.Before(oldest.now.Updated) ||
			s.now.Updated.Equal(oldest.now.Updated) && s.now.ID < oldest.now.ID {
			oldest = s
		}
	}
	return c.close(oldest, fmt.Sprintf("it was closed for want of room: %d are open at once", c.options.Open))
}

func (c *Correlator) close(s *story, why string) esclusa.Incident {
	delete(c.open, s.key)
	s.now.State = esclusa.IncidentClosed
	if why != "" {
		s.now.Gaps = append(s.now.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: "what follows in incident " + s.now.ID, Err: why})
	}
	return s.now
}

// id is a short name that a person can type; longer where that one is taken.
func (c *Correlator) id(d *esclusa.Detection) string {
	sum := sha256.Sum256([]byte(d.ID + d.At.UTC().Format(time.RFC3339Nano)))
	for n := 4; ; n++ {
		id := "i-" + hex.EncodeToString(sum[:n])
		if n == len(sum) || c.Find(id) == nil {
			return id
		}
	}
}

func keyOf(c *esclusa.Container, root esclusa.ProcessKey) string {
	if c != nil {
		outer, _, _ := strings.Cut(c.ID, "/") // what a container makes inside is its own story
		return "container " + outer
	}
	return "process " + root.String()
}

// Root is the topmost process that an event's process shares its story with:
// in a container the topmost of the container, on the host the topmost below
// what starts things for others (init, a login, a scheduler, a runtime).
func Root(e *esclusa.Event) esclusa.Process {
	root := e.Process
	for i := range e.Ancestors {
		a := &e.Ancestors[i]
		if e.Container != nil && (a.Container != e.Container.ID || begins(a)) || e.Container == nil && starts(a) {
			break
		}
		root = esclusa.Process{ProcessKey: a.ProcessKey, Name: a.Name, Exe: a.Exe}
	}
	return root
}

// begins says that a process is its runtime's, which is inside for a moment
// before the container's first program.
func begins(a *esclusa.Ancestor) bool {
	return strings.HasPrefix(a.Name, "runc") || strings.HasPrefix(a.Name, "crun")
}

// starts says that what is below a process of the host are others' stories.
func starts(a *esclusa.Ancestor) bool {
	if a.PID <= 2 || a.Container != "" {
		return true
	}
	name := path.Base(a.Exe)
	if a.Exe == "" {
		name = a.Name
	}
	switch name {
	case "systemd", "init", "sshd", "sshd-session", "login", "cron", "crond", "atd", "agetty", "dockerd", "containerd", "crio", "kubelet",
		"runc", "crun", "conmon", "podman", "sudo", "su":
		return true
	}
	return strings.HasPrefix(name, "containerd-shim")
}
