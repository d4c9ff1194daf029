package incident_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/incident"
)

var start = time.Date(2026, 11, 27, 5, 0, 0, 0, time.UTC)

// at is a detection after so many seconds: of a container, or of the host.
func at(seconds int, rule, container string, pid int32, ancestors ...esclusa.Ancestor) *esclusa.Detection {
	e := esclusa.Event{At: start.Add(time.Duration(seconds) * time.Second), Process: esclusa.Process{
		ProcessKey: esclusa.ProcessKey{PID: pid, Start: uint64(pid) * esclusa.ClockTick}, Name: "p",
	}, Ancestors: ancestors}
	if container != "" {
		e.Container = &esclusa.Container{ID: container}
	}
	return &esclusa.Detection{ID: fmt.Sprintf("b-%d-%s", seconds, rule), Rule: rule, Severity: esclusa.SeverityMedium, At: e.At, Events: []esclusa.Event{e}}
}

func up(pid int32, exe, container string) esclusa.Ancestor {
	return esclusa.Ancestor{ProcessKey: esclusa.ProcessKey{PID: pid, Start: uint64(pid) * esclusa.ClockTick}, Exe: exe, Container: container}
}

// TestTogether: what belongs together is one incident, and nothing else is.
func TestTogether(t *testing.T) {
	shell := []esclusa.Ancestor{up(50, "/bin/bash", ""), up(40, "/usr/sbin/sshd", ""), up(1, "/sbin/init", "")}
	for _, tt := range []struct {
		name string
		a, b *esclusa.Detection
		want bool
	}{
		{"one container, other processes", at(0, "a", "c1", 7), at(9, "b", "c1", 8), true},
		{"made inside the container", at(0, "a", "c1", 7), at(9, "b", "c1/inner", 8), true},
		{"two containers", at(0, "a", "c1", 7), at(9, "b", "c2", 7), false},
		{"one shell of the host", at(0, "a", "", 60, shell...), at(9, "b", "", 61, shell...), true},
		{"two logins", at(0, "a", "", 60, shell...), at(9, "b", "", 70, shell[1:]...), false},
		{"host and container", at(0, "a", "", 60, shell...), at(9, "b", "c1", 61), false},
		{"after the window", at(0, "a", "c1", 7), at(601, "b", "c1", 7), false},
		{"a pid that came back", at(0, "a", "", 60), func() *esclusa.Detection {
			d := at(9, "b", "", 60)
			d.Events[0].Process.Start += esclusa.ClockTick
			return d
		}(), false},
	} {
		c := incident.New(incident.Options{})
		first, _ := c.Add(tt.a)
		id := first.ID
		second, _ := c.Add(tt.b)
		if got := second.ID == id; got != tt.want {
			t.Errorf("%s: one incident is %v", tt.name, got)
		}
	}
}

// TestGrows: evidence, severity and gaps grow; the root is the container's
// topmost process.
func TestGrows(t *testing.T) {
	c := incident.New(incident.Options{Detections: 2})
	first := up(5, "/", "c1")
	first.Name = "runc:[2:INIT]"
	c.Add(at(0, "a", "c1", 7, up(6, "/bin/sh", "c1"), first, up(4, "/usr/bin/runc", "")))
	d := at(1, "b", "c1", 8)
	d.Severity, d.Gaps = esclusa.SeverityCritical, []esclusa.Gap{{What: "exec events", Err: "ring full"}}
	d.Events[0].Process.Args = []string{"sh", strings.Repeat("x", 64<<10)}
	c.Add(d)
	c.Add(at(2, "c", "c1", 9))
	in, _ := c.Add(at(3, "c", "c1", 9))
	if in.Severity != esclusa.SeverityCritical || len(in.Detections) != 2 || in.Root.PID != 6 || !in.Updated.Equal(start.Add(3*time.Second)) {
		t.Errorf("%+v", in)
	}
	if got := fmt.Sprint(in.Gaps); len(in.Gaps) != 2 || !strings.Contains(got, "ring full") || !strings.Contains(got, "2 more came") {
		t.Error(got)
	}
	if p := in.Detections[1].Events[0].Process; len(p.Args) != 1 || !p.ArgsCut || d.Events[0].Process.ArgsCut {
		t.Errorf("%d arguments are kept, cut %v; or the detection itself was cut", len(p.Args), p.ArgsCut)
	}
}

// TestBounded: a flood of incidents costs the quietest, which says so; time
// closes them all.
func TestBounded(t *testing.T) {
	c := incident.New(incident.Options{Open: 3})
	var closed []esclusa.Incident
	for n := range 5 {
		_, more := c.Add(at(n, "a", fmt.Sprint("c", n), 7))
		closed = append(closed, more...)
	}
	if len(closed) != 2 || closed[0].Container.ID != "c0" || closed[1].Container.ID != "c1" || closed[0].State != esclusa.IncidentClosed {
		t.Fatalf("%+v", closed)
	}
	if got := fmt.Sprint(closed[0].Gaps); !strings.Contains(got, "for want of room") {
		t.Error(got)
	}
	if n := len(c.Quiet(start.Add(604 * time.Second))); n != 2 {
		t.Errorf("%d were quiet for the window", n)
	}
	if n := len(c.Quiet(start.Add(time.Hour))); n != 1 {
		t.Errorf("%d were left", n)
	}
}

// TestRestore: after a restart the story goes on in the same incident.
func TestRestore(t *testing.T) {
	c := incident.New(incident.Options{})
	in, _ := c.Add(at(0, "a", "c1", 7))
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var back esclusa.Incident
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	again := incident.New(incident.Options{})
	again.Restore(back)
	more, _ := again.Add(at(5, "b", "c1", 9))
	if more.ID != in.ID || len(more.Detections) != 2 {
		t.Errorf("%+v", more)
	}
	if d := cmp.Diff(again.Find(in.ID), more); d != "" || again.Find("i-none") != nil {
		t.Error(d)
	}
}

// FuzzAdd: whatever a stream brings, what is open stays bounded.
func FuzzAdd(f *testing.F) {
	f.Add([]byte(`{"id":"x","at":"2026-11-27T05:00:01Z","events":[{"container":{"id":"a/b"},"ancestors":[{"pid":1}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := incident.New(incident.Options{Open: 2, Detections: 2})
		for n := range 4 {
			var d esclusa.Detection
			if json.Unmarshal(data, &d) != nil {
				return
			}
			if n%2 == 1 && len(d.Events) > 0 {
				d.Last().Container = &esclusa.Container{ID: fmt.Sprint(n)}
			}
			in, _ := c.Add(&d)
			if in != nil && len(in.Detections) > 2 {
				t.Fatal("more is kept than there is room for")
			}
		}
		if n := len(c.Quiet(time.Unix(1<<60, 0))); n > 2 {
			t.Fatalf("%d are open", n)
		}
	})
}
