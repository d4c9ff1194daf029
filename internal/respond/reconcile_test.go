package respond_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
	"github.com/esclusa/esclusa/internal/spool"
)

// left is what a sensor leaves in the journal when it ends at the worst time:
// the intent is written, and the act is not done, or is done and not written.
func left(t *testing.T, dir string, b *box, name esclusa.ActionName, done bool, edit func(entry map[string]any)) {
	t.Helper()
	w, err := actions.NewWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	j := actions.Job{Process: b.proc, Container: b.c, Save: func() error { return nil }}
	j.Action = esclusa.Action{ID: "i-left.1", Name: name, Incident: "i-left", Until: time.Now().Add(time.Hour).UTC(), Target: esclusa.Target{Container: b.name}}
	stage := esclusa.StageContain
	if name == esclusa.ActionKillTree {
		j.Action.Target, stage, j.Action.Until = esclusa.Target{Process: b.proc.ProcessKey}, esclusa.StageKill, time.Time{}
	}
	for _, a := range all.Actors() {
		if a.Kind().Name != name {
			continue
		}
		j.Action.Reversible = a.Kind().Reversible
		if err := a.Prepare(t.Context(), w, &j); err != nil {
			t.Fatal(err)
		}
		if done {
			if err := a.Do(t.Context(), w, &j); err != nil {
				t.Fatal(err)
			}
		}
	}
	data, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	entry := map[string]any{}
	if err := json.Unmarshal(data, &entry); err != nil {
		t.Fatal(err)
	}
	boot, err := spool.ThisBoot()
	if err != nil {
		t.Fatal(err)
	}
	entry["boot"], entry["stage"], entry["since"] = boot.String(), stage, time.Now()
	entry["outcome"] = esclusa.Outcome{Action: j.Action, State: esclusa.OutcomePlanned, At: time.Now().UTC()}
	if edit != nil {
		edit(entry)
	}
	journal, _, err := spool.OpenJournal(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = json.Marshal(entry); err != nil {
		t.Fatal(err)
	}
	if err := journal.Put(j.Action.ID, data); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestInterrupted: what a restart makes of each action that was under way.
func TestInterrupted(t *testing.T) {
	kerneltest.Needs(t)
	reboot := func(e map[string]any) { e["boot"] = "another" }
	for _, tt := range []struct {
		name    string
		action  esclusa.ActionName
		done    bool
		edit    func(map[string]any)
		enforce bool
		want    esclusa.OutcomeState
		why     string
		runs    bool
	}{
		{"not done and still asked for", "freeze", false, nil, true, "done", "finished after a restart", false},
		{"done and still asked for", "freeze", true, nil, true, "done", "finished after a restart", false},
		{"not done and not asked for any more", "freeze", false, nil, false, "reverted", "the sensor ended", true},
		{"done and not asked for any more", "freeze", true, nil, false, "reverted", "the sensor ended", true},
		{"its time is over", "freeze", true, func(e map[string]any) { e["action"].(map[string]any)["until"] = time.Now().Add(-time.Minute) }, true, "reverted", "the sensor ended", true},
		{"the machine started anew", "freeze", true, reboot, true, "reverted", "the sensor ended", true},
		{"half undone", "freeze", true, func(e map[string]any) { e["undoing"] = "undone" }, true, "undone", "", true},
		{"undone and not written", "freeze", false, func(e map[string]any) { e["undoing"] = "undone" }, false, "undone", "", true},
		{"a kill", "kill-tree", false, nil, true, "done", "finished after a restart", false},
		{"a kill that was done", "kill-tree", true, nil, false, "done", "", false},
		{"a kill that is not asked for any more", "kill-tree", false, nil, false, "failed", "before it was done", true},
		{"a kill before the machine started anew", "kill-tree", false, reboot, true, "failed", "before it was done", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, dir := start(t, "left-"+strings.NewReplacer(" ", "-", ",", "").Replace(tt.name)), t.TempDir()
			left(t, dir, b, tt.action, tt.done, tt.edit)
			for range 2 { // the second start finds nothing to do
				r, err := respond.Open(t.Context(), respond.Options{State: dir, Policy: policy(t, ""), Actors: all.Actors(), Enforce: tt.enforce})
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				st, err := respond.ReadState(dir, "i-left")
				if err != nil || len(st.Incidents) != 1 || len(st.Incidents[0].Outcomes) != 1 {
					t.Fatalf("%+v, %v", st, err)
				}
				if o := st.Incidents[0].Outcomes[0]; o.State != tt.want || !strings.Contains(o.Why, tt.why) {
					t.Errorf("%s: %s; want %s: %s", o.State, o.Why, tt.want, tt.why)
				}
			}
			if b.runs() != tt.runs {
				t.Errorf("it runs: %v", !tt.runs)
			}
		})
	}
}

// TestGone: what holds of a container that ended is closed, and a journal
// entry of no known version is told and left alone.
func TestGone(t *testing.T) {
	kerneltest.Needs(t)
	b, dir := start(t, "gone"), t.TempDir()
	e := run(t, dir, respond.Options{Enforce: true})
	e.Offer(b.detection("r", "freeze"))
	e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeDone)
	w, err := actions.NewWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := w.Group(b.c)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Empty(t.Context()); err != nil { // as its runtime would
		t.Fatal(err)
	}
	for range 500 { // its runtime is not there to remove the folder
		if os.Remove(g.Path) == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeUndone); !strings.Contains(o.Why, "gone") {
		t.Errorf("%+v", o)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	journal, _, err := spool.OpenJournal(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := journal.Put("i-new.1", []byte(`{"action":{"name":"of-tomorrow"}}`)); err != nil {
		t.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		t.Fatal(err)
	}
	again := run(t, dir, respond.Options{Enforce: true})
	if len(again.gaps) != 1 || !strings.Contains(again.gaps[0].What, "i-new.1") {
		t.Errorf("%v", again.gaps)
	}
}

// TestEvidenceCut: evidence that was being collected when the sensor ended is
// said to be missing, once.
func TestEvidenceCut(t *testing.T) {
	dir := t.TempDir()
	audit, err := spool.Open(filepath.Join(dir, "audit"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(esclusa.NodeMessage{Outcome: &esclusa.Outcome{
		Action: esclusa.Action{ID: "i-cut.1", Name: esclusa.ActionEvidence, Incident: "i-cut"}, State: esclusa.OutcomePlanned, At: time.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Append(spool.Audit, data); err != nil {
		t.Fatal(err)
	}
	if err := audit.Close(); err != nil {
		t.Fatal(err)
	}
	first := run(t, dir, respond.Options{})
	if o := first.wait(t, esclusa.ActionEvidence, esclusa.OutcomeFailed); !strings.Contains(o.Why, "the sensor ended") {
		t.Error(o.Why)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	if again := run(t, dir, respond.Options{}); len(again.told) != 0 {
		t.Errorf("told again: %+v", again.told)
	}
}

// TestTakenBack: what somebody else took back is not said to hold, and others
// that hold are left alone.
func TestTakenBack(t *testing.T) {
	kerneltest.Needs(t)
	thawed, other := start(t, "thawed"), start(t, "kept")
	e := run(t, t.TempDir(), respond.Options{Enforce: true})
	for _, b := range []*box{thawed, other} {
		e.Offer(b.detection("r", "freeze", "isolate"))
	}
	for other.runs() || thawed.runs() { // until both are frozen
		continue
	}
	w, err := actions.NewWorld(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	g, err := w.Group(thawed.c)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if o := e.wait(t, esclusa.ActionFreeze, esclusa.OutcomeUndone); !strings.Contains(o.Why, "somebody else") || o.Action.Target.Container != thawed.name {
		t.Errorf("%+v", o)
	}
	if other.runs() {
		t.Error("the other goes on, too")
	}
}
