package respond_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
	"github.com/esclusa/esclusa/internal/respond/actions/deny"
	"github.com/esclusa/esclusa/internal/spool"
)

// crashRounds is how often the responder is killed.
const crashRounds = 60

// crashPlan is what the child is told.
type crashPlan struct {
	Dir   string
	Round int
	Boxes []*esclusa.Detection
}

// crashNames are the actions that are done and undone all the time.
func crashNames() []string { return []string{"freeze", "isolate", "quarantine-file", "deny-start"} }

const crashLimits = "limits: {workload: 10000, node: 10000}"

// TestCrash kills a responder that does and undoes four actions on two real
// containers, at 60 random moments, and opens what it left: each action is in
// the state before or after and never between, each has one end at most, and
// nothing that it said is lost.
func TestCrash(t *testing.T) {
	kerneltest.Needs(t)
	boxes := []*box{start(t, "crash-a"), start(t, "crash-b")}
	dir := t.TempDir()
	plan := crashPlan{Dir: dir}
	for _, b := range boxes {
		if err := os.WriteFile(filepath.Join(b.out, "tool"), []byte("tool of "+b.name), 0o751); err != nil {
			t.Fatal(err)
		}
		plan.Boxes = append(plan.Boxes, b.detection("crash", crashNames()...))
	}
	said := map[string]bool{}
	holding, between := 0, 0
	for plan.Round = range crashRounds {
		for line := range strings.Lines(crash(t, &plan)) {
			said[strings.TrimSpace(line)] = true
		}
		// Each second time without --respond enforce: then what was half done is
		// not finished but reverted.
		r, err := respond.Open(t.Context(), respond.Options{State: dir, Policy: policy(t, crashLimits), Actors: all.Actors(), Enforce: plan.Round%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		held, mended := ledger(t, dir, said)
		between = mended
		holding += len(held)
		for _, b := range boxes {
			b.compare(t, dir, held)
		}
		for _, o := range held {
			if err := r.Answer(t.Context(), respond.Request{Undo: o.Action.ID}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for _, b := range boxes {
			b.compare(t, dir, nil)
			if !b.runs() {
				t.Fatalf("round %d: %s does not go on", plan.Round, b.name)
			}
		}
	}
	t.Logf("%d words were said before %d ends; %d actions held at them, %d were half done or half undone", len(said), crashRounds, holding, between)
	if len(said) < crashRounds || holding == 0 || between == 0 {
		t.Error("the ends came when nothing was under way")
	}
}

// crash starts the child, kills it after a random time, and returns what it
// said was so.
func crash(t *testing.T, plan *crashPlan) string {
	t.Helper()
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ESCLUSA_CRASH="+string(data))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rd := bufio.NewReader(out)
	for {
		line, err := rd.ReadString('\n')
		if err != nil {
			t.Fatalf("the child ended by itself: %v", err)
		}
		if strings.HasPrefix(line, "ready") {
			break
		}
	}
	time.Sleep(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(rd)
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if i := strings.LastIndexByte(string(rest), '\n'); i >= 0 {
		return string(rest[:i])
	}
	return ""
}

func TestMain(m *testing.M) {
	if plan := os.Getenv("ESCLUSA_CRASH"); plan != "" {
		if err := crashChild(plan); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1) // it is killed, and never ends by itself
	}
	os.Exit(m.Run())
}

// crashChild is the process that is killed.
func crashChild(data string) error {
	var plan crashPlan
	if err := json.Unmarshal([]byte(data), &plan); err != nil {
		return err
	}
	p, err := respond.ReadPolicy("test.yaml", []byte(crashLimits))
	if err != nil {
		return err
	}
	ends := make(chan string, 1000)
	r, err := respond.Open(context.Background(), respond.Options{State: plan.Dir, Policy: p, Actors: all.Actors(), Enforce: true, Tell: func(m *esclusa.NodeMessage) {
		if o := m.Outcome; o != nil {
			fmt.Printf("%s %s\n", o.Action.ID, o.State)
			if o.State == esclusa.OutcomeDone || o.State == esclusa.OutcomeFailed {
				ends <- o.Action.Incident
			}
		}
	}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() { _ = r.Run(context.Background()) }() // until it is killed
	for n := 0; ; n++ {
		for i, base := range plan.Boxes {
			d := *base
			d.ID, d.At = fmt.Sprintf("crash-%d-%d-%d", plan.Round, n, i), time.Now().UTC()
			e := d.Events[0]
			c := *e.Container
			c.ID = fmt.Sprintf("%s-%d-%d", c.ID, plan.Round, n) // each time another story
			e.Container = &c
			e.Fields = esclusa.Fields{esclusa.Text("path", "/srv/x/tool")}
			d.Events = []esclusa.Event{e}
			r.Offer(&d)
		}
		ids := map[string]bool{}
		for range len(plan.Boxes) * len(crashNames()) {
			ids[<-ends] = true
		}
		var wg sync.WaitGroup
		for id := range ids {
			wg.Go(func() {
				if err := respond.Ask(context.Background(), plan.Dir, respond.Request{Undo: id, By: "child"}); err != nil {
					fmt.Printf("# %v\n", err)
				}
			})
		}
		wg.Wait()
	}
}

// ledger reads the audit: what holds by it, after checking that each action
// has a lawful story and that what was said is in it.
// mended are those that were finished, reverted or undone after an end.
func ledger(t *testing.T, dir string, said map[string]bool) (last map[string]esclusa.Outcome, mended int) {
	t.Helper()
	rd, err := spool.OpenReader(filepath.Join(dir, "audit"), spool.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	seen := map[string]bool{}
	last = map[string]esclusa.Outcome{}
	for {
		e, err := rd.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Loss != nil {
			if e.Loss.Reason != spool.Crashed {
				t.Fatalf("%+v", e.Loss)
			}
			continue
		}
		var m esclusa.NodeMessage
		if err := json.Unmarshal(e.Data, &m); err != nil {
			t.Fatal(err)
		}
		switch o := m.Outcome; {
		case m.Gap != nil:
			t.Fatalf("gap: %s", m.Gap)
		case o != nil:
			was, told := last[o.Action.ID]
			if told && (was.State != esclusa.OutcomeDone || o.State == esclusa.OutcomeDone) {
				t.Fatalf("action %s was %s, and then %s", o.Action.ID, was.State, o.State)
			}
			if o.State == esclusa.OutcomeFailed || o.State == esclusa.OutcomeRefused {
				t.Fatalf("%+v", o)
			}
			last[o.Action.ID] = *o
			seen[o.Action.ID+" "+string(o.State)] = true
		}
	}
	for id, o := range last {
		// What a child ended was said by it, or by the journal to its heir.
		if o.State == esclusa.OutcomeReverted || strings.Contains(o.Why, "after a restart") || o.State == esclusa.OutcomeUndone && o.By == "child" && !said[id+" undone"] {
			mended++
		}
	}
	for s := range said {
		if !seen[s] {
			t.Fatalf("%q was said and is not in the audit", s)
		}
	}
	for id, o := range last {
		if o.State != esclusa.OutcomeDone {
			delete(last, id)
		}
	}
	return last, mended
}

// compare holds a container to what is said to hold.
func (b *box) compare(t *testing.T, dir string, held map[string]esclusa.Outcome) {
	t.Helper()
	want := map[esclusa.ActionName]bool{}
	for _, o := range held {
		if strings.HasPrefix(o.Action.Target.Container, b.name) {
			want[o.Action.Name] = true
		}
	}
	w, err := actions.NewWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := w.Group(b.c)
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := g.Frozen()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := kernel.Isolated(g.Path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(b.out, "tool"))
	taken := errors.Is(err, os.ErrNotExist)
	if !taken && string(data) != "tool of "+b.name {
		t.Fatalf("the file has %q, %v", data, err)
	}
	for name, is := range map[esclusa.ActionName]bool{esclusa.ActionFreeze: frozen, esclusa.ActionIsolate: cut, esclusa.ActionQuarantineFile: taken} {
		if is != want[name] {
			t.Fatalf("%s of %s is %v in the world, and %v by the audit", name, b.name, is, want[name])
		}
	}
	denied, err := deny.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, o := range held {
		if o.Action.Name == esclusa.ActionDenyStart {
			n++
		}
	}
	kept, err := os.ReadDir(filepath.Join(dir, "quarantine"))
	if len(denied) != n || err != nil || held == nil && len(kept) != 0 {
		t.Fatalf("%d images are denied, %d by the audit; %d files are kept, %v", len(denied), n, len(kept), err)
	}
}
