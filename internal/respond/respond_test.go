package respond_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
)

// box is a container that counts in its memory.
type box struct {
	name string
	out  string
	proc esclusa.Process
	c    *esclusa.Container
}

func start(t testing.TB, what string) *box {
	t.Helper()
	b := &box{name: kerneltest.Name(t, what), out: t.TempDir()}
	script := "n=0; while :; do n=$((n+1)); echo $n >/srv/x/n.new; mv /srv/x/n.new /srv/x/n; usleep 2000; done"
	pid := kerneltest.Container{Script: script, Mounts: []string{b.out + ":/srv/x"}}.Start(t, b.name)
	s, err := actions.ReadStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	b.proc = esclusa.Process{ProcessKey: s.Key, Name: "sh", Exe: "/bin/sh"}
	b.c = &esclusa.Container{ID: b.name, CgroupPath: "/" + b.name, Image: esclusa.Digest("sha256:" + strings.Repeat("ab", 32)), Started: time.Now().UTC()}
	// A sensor knows the id in the unified hierarchy, too.
	if w, err := actions.NewWorld(""); err == nil {
		if g, err := w.Group(b.c); err == nil {
			b.c.Cgroup = g.ID
		}
	}
	return b
}

func (b *box) count() int {
	data, _ := os.ReadFile(filepath.Join(b.out, "n"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
}

// runs says whether it counts on within a second.
func (b *box) runs() bool {
	from := b.count()
	for range 100 {
		if time.Sleep(10 * time.Millisecond); b.count() > from {
			return true
		}
	}
	return false
}

func (b *box) detection(rule string, names ...string) *esclusa.Detection {
	now := time.Now().UTC()
	return &esclusa.Detection{
		ID: fmt.Sprintf("b-%d-%s", now.UnixNano(), rule), Rule: rule, Severity: esclusa.SeverityHigh, At: now, Message: rule + " was seen", Respond: names,
		Events: []esclusa.Event{{Kind: esclusa.EventExec, At: now, Process: b.proc, Container: b.c}},
	}
}

// engine is a responder that runs, and what it told.
type engine struct {
	*respond.Responder
	dir  string
	mu   sync.Mutex
	told []esclusa.Outcome
	gaps []esclusa.Gap
	stop func() error
}

func policy(t testing.TB, lines string) *respond.Policy {
	t.Helper()
	p, err := respond.DefaultPolicy()
	if lines != "" {
		p, err = respond.ReadPolicy("test.yaml", []byte(lines))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t testing.TB, dir string, o respond.Options) *engine {
	t.Helper()
	if o.Policy == nil {
		o.Policy = policy(t, "")
	}
	if o.Actors == nil {
		o.Actors = all.Actors()
	}
	e := &engine{dir: dir}
	o.State = dir
	o.Tell = func(m *esclusa.NodeMessage) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if m.Outcome != nil {
			e.told = append(e.told, *m.Outcome)
		}
		if m.Gap != nil {
			e.gaps = append(e.gaps, *m.Gap)
		}
	}
	var err error
	if e.Responder, err = respond.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	once := sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, e.Close())
	})
	e.stop = once
	t.Cleanup(func() {
		if err := once(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// wait waits for an outcome and returns it.
func (e *engine) wait(t testing.TB, name esclusa.ActionName, state esclusa.OutcomeState) esclusa.Outcome {
	t.Helper()
	for range 1000 {
		e.mu.Lock()
		for _, o := range e.told {
			if o.Action.Name == name && o.State == state {
				e.mu.Unlock()
				return o
			}
		}
		e.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t.Fatalf("no %s of %s; told %+v, gaps %v", state, name, e.told, e.gaps)
	return esclusa.Outcome{}
}

// TestAttack is the whole way on the real kernel: a detection freezes the
// container and keeps evidence, its twin runs on, a person's undo lets it go
// on where it was, and it is not frozen again in the same incident.
func TestAttack(t *testing.T) {
	kerneltest.Needs(t)
	bad, twin := start(t, "bad"), start(t, "good")
	e := run(t, t.TempDir(), respond.Options{Enforce: true})
	e.Offer(bad.detection("reverse-shell", "evidence", "freeze", "notify"))
	o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeDone)
	if bad.runs() {
		t.Fatal("it runs although it is frozen")
	}
	if !twin.runs() {
		t.Error("its twin does not run")
	}
	e.wait(t, esclusa.ActionEvidence, esclusa.OutcomeDone)
	if until := time.Until(o.Action.Until); o.Undo != "esclusa respond undo "+o.Action.ID || until < 14*time.Minute || until > 15*time.Minute || o.Took <= 0 {
		t.Errorf("%+v", o)
	}
	at := bad.count()
	if err := respond.Ask(t.Context(), e.dir, respond.Request{Undo: o.Action.Incident, By: "maria"}); err != nil {
		t.Fatal(err)
	}
	if u := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeUndone); u.By != "maria" || !bad.runs() || bad.count() < at {
		t.Errorf("undone by %q; it counts from %d after %d", u.By, bad.count(), at)
	}
	if err := respond.Ask(t.Context(), e.dir, respond.Request{Undo: o.Action.ID}); err == nil {
		t.Error("it was undone twice")
	}
	e.Offer(bad.detection("reverse-shell", "freeze"))
	time.Sleep(300 * time.Millisecond)
	if !bad.runs() {
		t.Error("it was frozen again although a person let it go")
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	st, err := respond.ReadState(e.dir, o.Action.Incident)
	if err != nil || len(st.Incidents) != 1 || st.Running {
		t.Fatalf("%+v, %v", st, err)
	}
	in := st.Incidents[0]
	if len(in.Detections) != 2 || len(in.Outcomes) != 2 || in.State != esclusa.IncidentOpen || len(st.Gaps) != 0 {
		t.Errorf("%+v", in)
	}
}

// TestObserve: what is not asked for is not done, and yet decided and written
// down by the same code.
func TestObserve(t *testing.T) {
	kerneltest.Needs(t)
	b := start(t, "observed")
	e := run(t, t.TempDir(), respond.Options{})
	e.Offer(b.detection("reverse-shell", "evidence", "freeze", "kill-tree"))
	for name, state := range map[esclusa.ActionName]esclusa.OutcomeState{
		esclusa.ActionEvidence: esclusa.OutcomeDryRun, esclusa.ActionFreeze: esclusa.OutcomeDryRun, esclusa.ActionKillTree: esclusa.OutcomeRefused,
	} {
		e.wait(t, name, state)
	}
	if !b.runs() {
		t.Error("a dry run froze it")
	}
	if list, err := os.ReadDir(filepath.Join(e.dir, "evidence")); err != nil || len(list) != 0 {
		t.Errorf("a dry run kept %v, %v", list, err)
	}
}

// TestProtected: what the rails protect is not touched, and the refusal says
// why.
func TestProtected(t *testing.T) {
	kerneltest.Needs(t)
	b := start(t, "protected")
	b.c.Labels = map[string]string{"tier": "payments"}
	e := run(t, t.TempDir(), respond.Options{Enforce: true, Policy: policy(t, "protect: {labels: {tier: payments}}")})
	e.Offer(b.detection("reverse-shell", "freeze"))
	if o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeRefused); !strings.Contains(o.Why, "tier=payments") {
		t.Error(o.Why)
	}
	self, err := actions.ReadStat(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	d := b.detection("shell-on-host", "freeze")
	d.Events[0].Container, d.Events[0].Process = nil, esclusa.Process{ProcessKey: self.Key}
	e.Offer(d)
	for range 1000 {
		if o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeRefused); o.Action.Target.Process == self.Key || strings.Contains(o.Why, "sensor") {
			break
		}
		e.mu.Lock()
		e.told = e.told[1:]
		e.mu.Unlock()
	}
	if !b.runs() {
		t.Error("it was frozen")
	}
}

// TestTime: what holds is undone when its time is over, without anybody.
func TestTime(t *testing.T) {
	kerneltest.Needs(t)
	b := start(t, "time")
	e := run(t, t.TempDir(), respond.Options{Enforce: true, Policy: policy(t, "ttl: 2s")})
	e.Offer(b.detection("reverse-shell", "freeze"))
	e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeDone)
	if o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeUndone); o.Why != "its time was over" || !b.runs() {
		t.Errorf("%+v", o)
	}
}

// TestApproval: a person's word is waited for; with it the container ends,
// with silence the default is done, and a no is final.
func TestApproval(t *testing.T) {
	kerneltest.Needs(t)
	allowed := "severity: {high: kill}\napprove: {actions: [stop], wait: 1s, default: refuse}"
	for _, tt := range []struct {
		name, policy string
		word         func(id string) respond.Request
		want         esclusa.OutcomeState
		runs         bool
	}{
		{"yes", strings.Replace(allowed, "1s", "1h", 1), func(id string) respond.Request { return respond.Request{Approve: id, By: "maria"} }, esclusa.OutcomeDone, false},
		{"no", strings.Replace(allowed, "1s", "1h", 1), func(id string) respond.Request { return respond.Request{Undo: id, By: "maria"} }, esclusa.OutcomeRefused, true},
		{"silence", allowed, nil, esclusa.OutcomeRefused, true},
		{"silence that says do", strings.Replace(allowed, "refuse", "do", 1), nil, esclusa.OutcomeDone, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, "approve-"+strings.ReplaceAll(tt.name, " ", "-"))
			e := run(t, t.TempDir(), respond.Options{Enforce: true, Policy: policy(t, tt.policy)})
			e.Offer(b.detection("miner", "stop"))
			o := e.wait(t, esclusa.ActionStop, esclusa.OutcomeWaiting)
			if !b.runs() {
				t.Fatal("it was ended before anybody said a word")
			}
			if tt.word != nil {
				if err := respond.Ask(t.Context(), e.dir, tt.word(o.Action.ID)); err != nil {
					t.Fatal(err)
				}
			}
			e.wait(t, esclusa.ActionStop, tt.want)
			if b.runs() != tt.runs {
				t.Errorf("it runs: %v", !tt.runs)
			}
		})
	}
}

// TestRestart: what holds is known to the next sensor, and to a command when
// none runs; a second one does not get the folder.
func TestRestart(t *testing.T) {
	kerneltest.Needs(t)
	b := start(t, "restart")
	dir := t.TempDir()
	e := run(t, dir, respond.Options{Enforce: true})
	e.Offer(b.detection("reverse-shell", "freeze"))
	o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeDone)
	if _, err := respond.Open(t.Context(), respond.Options{State: dir, Policy: policy(t, ""), Actors: all.Actors()}); !errors.Is(err, respond.ErrRunning) {
		t.Errorf("a second sensor: %v", err)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	if b.runs() {
		t.Fatal("it goes on because the sensor ended")
	}
	again := run(t, dir, respond.Options{Enforce: true})
	again.Offer(b.detection("other-rule", "freeze")) // the same incident: it holds already
	time.Sleep(200 * time.Millisecond)
	if err := respond.Ask(t.Context(), dir, respond.Request{Undo: o.Action.ID, By: "maria"}); err != nil {
		t.Fatal(err)
	}
	if u := again.wait(t, esclusa.ActionFreeze, esclusa.OutcomeUndone); u.Action.ID != o.Action.ID || !b.runs() {
		t.Errorf("%+v", u)
	}
}

// TestDeny: after an image is denied, a container that starts from it is
// ended; one that ran before, and one of another image, run on.
func TestDeny(t *testing.T) {
	kerneltest.Needs(t)
	old, other := start(t, "old"), start(t, "other")
	other.c.Image = esclusa.Digest("sha256:" + strings.Repeat("cd", 32))
	var mu sync.Mutex
	running := []*esclusa.Container{old.c, other.c}
	e := run(t, t.TempDir(), respond.Options{Enforce: true, Containers: func() []*esclusa.Container {
		mu.Lock()
		defer mu.Unlock()
		return running
	}})
	e.Offer(old.detection("miner", "deny-start"))
	e.wait(t, esclusa.ActionDenyStart, esclusa.OutcomeDone)
	fresh := start(t, "fresh")
	other.c.Started = time.Now().UTC() // started again, too
	mu.Lock()
	running = append(running, fresh.c)
	mu.Unlock()
	if o := e.wait(t, esclusa.ActionStop, esclusa.OutcomeDone); o.Action.Target.Container != fresh.name || fresh.runs() {
		t.Errorf("%+v", o)
	}
	if !old.runs() || !other.runs() {
		t.Error("one that was not to be ended was")
	}
}
