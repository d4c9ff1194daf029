package watch

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/events"
	"github.com/esclusa/esclusa/internal/watch/prove"
)

// Check is what the doctor says of one family of events.
type Check struct {
	Kind      esclusa.EventKind `json:"kind"`
	Mechanism string            `json:"mechanism,omitempty"` // how it is seen
	State     State             `json:"state"`
	Err       string            `json:"err,omitempty"` // why not
	Lost      string            `json:"lost"`          // what is not seen without it
}

// State is what came of trying to see a kind of event.
type State string

// The states.
const (
	Seen    State = "seen"     // it was done, and seen
	Unseen  State = "not seen" // it is lost
	Untried State = "untried"  // its program is in the kernel; to do it would change the machine
	Absent  State = "absent"   // this kernel has no such thing
)

// watched collects what the doctor's own child did.
type watched struct {
	mu   sync.Mutex
	seen map[esclusa.EventKind]bool
}

func (w *watched) Event(e *esclusa.Event) {
	if e.Kind == esclusa.EventFork && e.Process.Parent.PID == int32(os.Getpid()) {
		w.mu.Lock()
		w.seen[e.Kind] = true
		w.mu.Unlock()
	}
	for i := range e.Process.Args {
		if e.Process.Args[i] == ProveArg {
			w.mu.Lock()
			w.seen[e.Kind] = true
			w.mu.Unlock()
		}
	}
}

func (w *watched) Detection(*esclusa.Detection) {}

// Judge is nobody's: the doctor asks for the file of its act.
func (w *watched) Judge(*esclusa.Event, func(esclusa.Detection)) {}

func (w *watched) Files() events.Files {
	return events.Files{{Match: events.Suffix, Text: prove.FileName}}
}

// ProveArg marks the processes that the doctor starts.
const ProveArg = "--esclusa-prove"

// Doctor puts every family into the kernel, does a harmless thing of each
// kind, and says what was seen. run starts a process that does the act of a
// name, with ProveArg among its arguments, and waits for its end.
func Doctor(ctx context.Context, c Config, run func(ctx context.Context, act string) error) ([]Check, error) {
	w := &watched{seen: map[esclusa.EventKind]bool{}}
	c.Sink, c.Kernel.Host, c.Judges = w, true, []Judge{w}
	s, err := Start(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	failed := map[esclusa.EventKind]string{}
	for _, a := range prove.Acts() {
		if err := run(ctx, a.Name); err != nil {
			failed[a.Kind] = err.Error()
		}
	}
	time.Sleep(settle)
	cancel()
	if err := <-done; err != nil {
		return nil, err
	}
	missing := map[string]error{}
	for _, m := range append(s.missing, s.set.Missing()...) {
		missing[m.Name] = m.Err
	}
	var out []Check
	for i := range c.Families {
		f := &c.Families[i]
		if f.Kind == "" {
			continue
		}
		k := Check{Kind: f.Kind, State: Unseen, Lost: f.Lost}
		switch err := missing[f.Object.Name]; {
		case err != nil && f.Absent != nil && f.Absent():
			k.State = Absent
		case err != nil:
			k.Err = err.Error()
		case failed[f.Kind] != "":
			k.Err = "could not be tried: " + failed[f.Kind]
		case w.seen[f.Kind]:
			k.State = Seen
		case f.Untried:
			k.State = Untried
		default:
			k.Err = "tried, and not seen"
		}
		if k.Mechanism, err = mechanism(f); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// settle is longer than the reader's longest wait.
const settle = 50 * time.Millisecond

// mechanism names where a family's programs are attached.
func mechanism(f *events.Family) (string, error) {
	if f.Source != nil {
		return f.Object.Name, nil
	}
	spec, err := f.Object.Spec()
	if err != nil {
		return "", fmt.Errorf("read program %s: %w", f.Object.Name, err)
	}
	var at []string
	for _, p := range spec.Programs {
		at = append(at, p.SectionName)
	}
	return strings.Join(slices.Sorted(slices.Values(at)), " "), nil
}
