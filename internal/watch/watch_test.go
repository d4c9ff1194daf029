package watch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/esclusa/esclusa/internal/watch/events/all"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"golang.org/x/sys/unix"
)

// tape keeps what a sensor tells.
type tape struct {
	mu         sync.Mutex
	events     []esclusa.Event
	detections []esclusa.Detection
}

func (t *tape) Event(e *esclusa.Event) {
	c := *e
	c.Fields, c.Gaps = slices.Clone(e.Fields), slices.Clone(e.Gaps)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, c)
}

func (t *tape) Detection(d *esclusa.Detection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.detections = append(t.detections, *d)
}

// sense runs a sensor while do runs, and returns what it told.
func sense(t *testing.T, c watch.Config, do func()) *tape {
	t.Helper()
	kerneltest.Needs(t)
	var err error
	if c.Host, err = host.New(host.Options{}); err != nil {
		t.Fatal(err)
	}
	tp := &tape{}
	c.Families, c.Sink = all.Families(), tp
	s, err := watch.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	do()
	time.Sleep(50 * time.Millisecond) // what was done is in the ring by now; this is for the look-ups of containers
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := range tp.events {
		if err := fields.Check(&tp.events[i]); err != nil {
			t.Error(err)
		}
	}
	if st := s.Stats(); st.Unread > 0 {
		t.Errorf("%d records were not understood", st.Unread)
	}
	return tp
}

// TestContainer: a container of some milliseconds is named in all its events,
// with its chain of ancestors, and those of the host are not.
func TestContainer(t *testing.T) {
	name := kerneltest.Name(t, "short")
	tp := sense(t, watch.Config{Kernel: kernel.Options{}}, func() {
		out, code := kerneltest.Container{Args: []string{"/bin/sh", "-c", "nc -w 1 127.0.0.1 9; /bin/true one; exit 4"}}.Run(t, name)
		if code != 4 {
			t.Errorf("exit code %d: %s", code, out)
		}
	})
	var story []string
	for _, e := range tp.events {
		if e.Container == nil || !strings.HasSuffix(e.Container.ID, name) {
			continue
		}
		switch e.Kind {
		case esclusa.EventExec:
			story = append(story, "exec "+strings.Join(e.Process.Args, " "))
		case esclusa.EventConnect:
			to, _ := e.Fields.Get("address")
			story = append(story, e.Process.Args[0]+" connects to "+to.Text)
		case esclusa.EventExit:
			if f, _ := e.Fields.Get("status"); f.Number != 0 {
				story = append(story, e.Process.Args[0]+" failed")
			}
			continue
		default:
			continue
		}
		if len(e.Ancestors) < 2 {
			t.Errorf("%s: %d ancestors", e.Kind, len(e.Ancestors))
		}
		for _, g := range e.Gaps {
			t.Errorf("gap of %s: %s", e.Kind, g)
		}
	}
	// runc's own start inside the container's cgroup comes first.
	if i := slices.IndexFunc(story, func(s string) bool { return strings.HasPrefix(s, "exec /bin/sh") }); i > 0 {
		story = story[i:]
	}
	want := []string{
		"exec /bin/sh -c nc -w 1 127.0.0.1 9; /bin/true one; exit 4", "exec nc -w 1 127.0.0.1 9",
		"nc connects to 127.0.0.1", "nc failed", "exec /bin/true one", "/bin/sh failed",
	}
	if !slices.Equal(story, want) {
		t.Errorf("%q\nwant %q", story, want)
	}
	var mount, pid unix.Stat_t
	if err := errors.Join(unix.Stat("/proc/self/ns/mnt", &mount), unix.Stat("/proc/self/ns/pid", &pid)); err != nil {
		t.Fatal(err)
	}
	for _, e := range tp.events {
		// Tests beside this one have namespaces of their own, and no runtime.
		ns := &e.Process.NS
		if e.Container == nil && uint64(ns.Mount) == mount.Ino && uint64(ns.PID) == pid.Ino { // runc, and what made the bundle
			t.Errorf("what the host did was told: %s by %s", e.Kind, e.Process.Name)
		}
	}
}

// TestSequence: events are numbered without a hole.
func TestSequence(t *testing.T) {
	tp := sense(t, watch.Config{}, func() {
		kerneltest.Container{Args: []string{"/bin/true"}}.Run(t, kerneltest.Name(t, "seq"))
	})
	for i, e := range tp.events {
		if e.Seq != uint64(i+1) {
			t.Fatalf("event %d has number %d", i+1, e.Seq)
		}
	}
	if len(tp.events) == 0 {
		t.Fatal("nothing seen")
	}
}
