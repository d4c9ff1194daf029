// Package prove tries what a patch says on the kernel at hand: each use that
// it blocks must fail with its errno and be told by the guard, each use that
// it allows must succeed while the guard is in force. What a use changes is
// put back.
//
// An act is done by a process of its own, under the name and in the namespaces
// that the case says. Start with Run.
package prove

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// Actor is how a process is started that calls Child with the last two of its
// arguments.
type Actor struct {
	Path string   // an executable
	Args []string // with the name of the program, as it wants to be called
}

// Result is what became of one case.
type Result struct {
	Case string `json:"case"`
	// Blocks says that the case must fail.
	Blocks bool   `json:"blocks"`
	As     string `json:"as"`
	Exe    string `json:"exe,omitempty"`
	Want   string `json:"want"` // errno or "ok"
	Got    string `json:"got"`
	// Without is what happened without the guard; empty when that was not tried.
	Without string `json:"without,omitempty"`
	// Told says that the guard told of the refusal.
	Told bool `json:"told"`
	OK   bool `json:"ok"`
	// Why is a sentence where it is not ok.
	Why string `json:"why,omitempty"`
}

const success = "ok"

// Options change what is tried.
type Options struct {
	// Baseline does what is blocked without the guard first: it must not fail
	// as it then does with the guard. The host's values are put back at once.
	Baseline bool
}

// timeout ends an act that does not end by itself.
const timeout = 10 * time.Second

// Run tries all cases of a patch.
func Run(ctx context.Context, p *shield.Patch, a Actor, o Options) ([]Result, error) {
	dir, err := os.MkdirTemp("", "esclusa-prove-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t := &trial{actor: a, dir: dir, patch: p.ID}
	var out []Result
	for _, c := range p.Blocks {
		r := Result{Case: c.Name, Blocks: true, As: string(c.As), Exe: c.Exe, Want: c.Fails}
		if o.Baseline {
			if r.Without, _, err = t.do(ctx, &c); err != nil {
				return nil, err
			}
		}
		out = append(out, r)
	}
	for _, c := range p.Allows {
		r := Result{Case: c.Name, As: string(c.As), Exe: c.Exe, Want: c.Fails}
		if r.Want == "" {
			r.Want = success
		}
		out = append(out, r)
	}
	stop, err := t.arm(ctx, p)
	if err != nil {
		return nil, err
	}
	defer stop()
	for i, c := range append(append([]shield.Case{}, p.Blocks...), p.Allows...) {
		var pid int
		if out[i].Got, pid, err = t.do(ctx, &c); err != nil {
			return nil, err
		}
		out[i].Told = t.told(pid, out[i].Blocks)
		out[i].judge()
	}
	return out, stop()
}

func (r *Result) judge() {
	switch {
	case r.Got != r.Want:
		r.Why = "it should have been " + r.Want
	case r.Blocks && !r.Told:
		r.Why = "it failed, but the guard did not say that it was the reason"
	case !r.Blocks && r.Told:
		r.Why = "the guard took it for abuse"
	case r.Blocks && r.Without == r.Want:
		r.Why = "it fails without the guard as well: nothing is shown"
	default:
		r.OK = true
	}
}

// trial is one run.
type trial struct {
	actor Actor
	dir   string
	patch string

	mu   sync.Mutex
	hits map[int]bool // of processes, by pid
}

// arm puts the patch in force until stop is called.
func (t *trial) arm(ctx context.Context, p *shield.Patch) (stop func() error, err error) {
	s, err := shield.New([]*shield.Patch{p}, func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		return nil, err
	}
	set, err := kernel.Load(shield.Alone(), s.Objects()...)
	if err != nil {
		return nil, err
	}
	t.hits = map[int]bool{}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- set.Run(ctx, func(h kernel.Head, rec []byte) {
			var e esclusa.Event
			if err := s.Decode(rec, &e); err != nil {
				return // counts as not told
			}
			refused, _ := e.Fields.Get("refused")
			t.mu.Lock()
			defer t.mu.Unlock()
			t.hits[int(h.PID)] = t.hits[int(h.PID)] || refused.Number != 0
		})
	}()
	return sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, set.Close())
	}), nil
}

// told waits a moment for a record that should come, less for one that should
// not.
func (t *trial) told(pid int, expected bool) bool {
	patience := 50 * time.Millisecond
	if expected {
		patience = 2 * time.Second
	}
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		t.mu.Lock()
		hit := t.hits[pid]
		t.mu.Unlock()
		if hit || time.Now().After(end) {
			return hit
		}
	}
}

// do does a case in a process of its own and says "ok" or its errno, and the
// process's pid.
func (t *trial) do(ctx context.Context, c *shield.Case) (got string, pid int, err error) {
	restore, err := shield.Keep(c.Do, c.With)
	if err != nil {
		return "", 0, fmt.Errorf("case %q: %w", c.Name, err)
	}
	defer func() { err = errors.Join(err, restore()) }()
	exe, err := t.named(c.Exe)
	if err != nil {
		return "", 0, err
	}
	with, err := json.Marshal(c.With)
	if err != nil {
		return "", 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = append(append([]string{}, t.actor.Args...), c.Do, string(with))
	cmd.SysProcAttr = place(c.As)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", 0, fmt.Errorf("case %q: %w: %s", c.Name, err, stderr.Bytes())
	}
	var a answer
	if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
		return "", 0, fmt.Errorf("case %q: its process answered %q", c.Name, stdout.Bytes())
	}
	return a.Errno, cmd.Process.Pid, nil
}

// named is the actor under another file name: what the kernel knows a process
// by, unlike its argv.
func (t *trial) named(exe string) (string, error) {
	if exe == "" {
		return t.actor.Path, nil
	}
	name := filepath.Join(t.dir, exe)
	if _, err := os.Stat(name); err == nil || os.Link(t.actor.Path, name) == nil {
		return name, nil
	}
	from, err := os.Open(t.actor.Path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return name, errors.Join(err, to.Close())
}

// place says in which namespaces a process starts.
func place(as shield.Place) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	switch as {
	case shield.PlaceRootless:
		attr.Cloneflags |= unix.CLONE_NEWUSER
		own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.UidMappings = own
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		fallthrough
	case shield.PlaceContainer:
		attr.Cloneflags |= unix.CLONE_NEWNS | unix.CLONE_NEWPID
		fallthrough
	case shield.PlaceHelper:
		attr.Cloneflags |= unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWUTS
	}
	return attr
}

// answer is what the process of an act says.
type answer struct {
	Errno string `json:"errno"` // or "ok"
	Error string `json:"error,omitempty"`
}

// Child does an act, with its arguments as a JSON object, and writes the
// answer. Its error is that no act was tried.
func Child(w io.Writer, do, with string) error {
	var args map[string]string
	if err := json.Unmarshal([]byte(with), &args); err != nil {
		return fmt.Errorf("arguments of %s: %w", do, err)
	}
	runtime.LockOSThread() // an act may change its own namespaces
	a := answer{Errno: success}
	if err := shield.Act(do, args); err != nil {
		var errno unix.Errno
		if !errors.As(err, &errno) {
			return err
		}
		a = answer{unix.ErrnoName(errno), err.Error()}
	}
	return json.NewEncoder(w).Encode(a)
}
