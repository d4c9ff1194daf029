package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/incident"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/rails"
	"github.com/esclusa/esclusa/internal/spool"
)

// ErrRunning is returned by Open when a sensor, or another command, has the
// state folder.
var ErrRunning = errors.New("a sensor is responding from this folder")

// Open takes the state folder, and finishes or reverts what was under way when
// it was last left. The caller closes it.
func Open(ctx context.Context, o Options) (_ *Responder, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []string{"", "requests", "evidence", "quarantine"} {
		if err := os.MkdirAll(filepath.Join(o.State, d), 0o700); err != nil {
			return nil, err
		}
	}
	boot, err := spool.ThisBoot()
	if err != nil {
		return nil, err
	}
	r := &Responder{
		options: o, actors: map[esclusa.ActionName]actions.Actor{}, rails: o.Policy.rails(), boot: boot.String(),
		correlator: incident.New(incident.Options{Window: time.Duration(o.Policy.Window)}),
		open:       map[string]*entry{}, denied: map[string]time.Time{},
		queue: make(chan offer, maxQueue), late: make(chan *entry, maxQueue), collect: make(chan struct{}, collectors), pending: map[string]int{},
	}
	for _, a := range o.Actors {
		k := a.Kind()
		r.kinds, r.actors[k.Name] = append(r.kinds, k), a
	}
	if r.world, err = actions.NewWorld(o.State); err != nil {
		return nil, err
	}
	var losses []spool.Loss
	r.journal, losses, err = spool.OpenJournal(filepath.Join(o.State, "journal"))
	switch {
	case errors.Is(err, spool.ErrInUse):
		return nil, ErrRunning
	case err != nil:
		return nil, err
	}
	if r.audit, err = spool.Open(filepath.Join(o.State, "audit"), spool.Options{MaxBytes: auditBytes, KeepEvents: true}); err != nil {
		return nil, errors.Join(err, r.journal.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := r.rehearse(); err != nil {
		return nil, err
	}
	return r, r.recover(ctx, losses)
}

// rehearsal is the key of an entry that stands for no action.
const rehearsal = "rehearsal"

// rehearse goes the way of an action to the disk once: the first record of a
// journal takes three milliseconds and more, the next ones (in the same file)
// one. The first attack must not have them.
func (r *Responder) rehearse() error {
	self, err := actions.ReadStat(int32(os.Getpid()))
	if err != nil {
		return err
	}
	e := entry{Job: actions.Job{Container: &esclusa.Container{}}}
	e.Facts.Hits = actions.Hits([]actions.Stat{self})
	r.rails.Decide(&e.Action, esclusa.StageContain, esclusa.StageContain, &e.Facts, &r.history, time.Now())
	for _, v := range []any{&e, &esclusa.NodeMessage{Detection: &esclusa.Detection{Events: []esclusa.Event{{}}}, Incident: &esclusa.Incident{}, Outcome: &e.Outcome}} {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := r.journal.Put(rehearsal, data); err != nil {
			return err
		}
	}
	return r.journal.Delete(rehearsal)
}

// Close waits for what is being collected and writes what is pending.
func (r *Responder) Close() error {
	go func() {
		r.working.Wait()
		close(r.late)
	}()
	for e := range r.late {
		r.finish(e)
	}
	return errors.Join(r.audit.Close(), r.journal.Close())
}

// recover brings back what the last run knew, and what it left half done.
func (r *Responder) recover(ctx context.Context, losses []spool.Loss) error {
	r.marks = append(r.marks, r.audit.Stats().Issued)
	for _, l := range losses {
		r.gap("actions that the journal held", fmt.Errorf("%d records cannot be read back (%s): look for what is frozen, and for files in %s",
			l.To-l.From+1, l.Reason, filepath.Join(r.options.State, "quarantine")))
	}
	st, err := ReadState(r.options.State, Everything)
	if err != nil {
		return err
	}
	now := time.Now()
	last := map[string]esclusa.Outcome{}
	for _, in := range st.Incidents {
		for _, o := range in.Outcomes {
			last[o.Action.ID] = o
			if strong := r.actors[o.Action.Name]; strong != nil && strong.Kind().Stage > esclusa.StageObserve &&
				(o.State == esclusa.OutcomeDone || o.State == esclusa.OutcomeDryRun) && now.Sub(o.At) < time.Minute {
				r.history.Add(rails.Workload(in.Container), o.At)
			}
		}
		if in.State != esclusa.IncidentClosed {
			r.correlator.Restore(in)
		}
	}
	for id, data := range r.journal.Open() {
		var e entry
		if err := json.Unmarshal(data, &e); err != nil || r.actors[e.Action.Name] == nil {
			r.gap("action "+id, errors.Join(errors.New("its entry in the journal is not of this version"), err))
			continue
		}
		r.open[id] = &e
	}
	for _, id := range r.ids() {
		o, told := last[id]
		r.reconcile(ctx, r.open[id], o, told)
	}
	for _, o := range last {
		if o.State == esclusa.OutcomePlanned && r.open[o.Action.ID] == nil { // evidence: nothing is to be taken back
			o.State, o.At, o.Why = esclusa.OutcomeFailed, now.UTC(), "the sensor ended before it was done"
			r.recordOutcome(&o, true)
		}
	}
	r.expire(ctx, now)
	return nil
}

// fresh is how long an action that cannot be undone may still be finished
// after a restart.
const fresh = 2 * time.Minute

// reconcile brings one action to a state before or after. told is its last
// outcome in the audit.
func (r *Responder) reconcile(ctx context.Context, e *entry, last esclusa.Outcome, told bool) {
	over := told && last.Action.ID == e.Action.ID && final(&last)
	switch {
	case over: // all but the end of the entry was written
		r.forget(e)
	case e.Undoing != "":
		if err := r.unwind(ctx, e); err != nil {
			r.options.Log.Error("undo failed", "action", e.Action.ID, "err", err)
		}
	case e.Outcome.State == esclusa.OutcomePlanned:
		r.interrupted(ctx, e)
	case !told || last.State != e.Outcome.State || !last.At.Equal(e.Outcome.At):
		r.recordOutcome(&e.Outcome, true)
	}
}

// final says that nothing more will be told of an action.
func final(o *esclusa.Outcome) bool {
	switch o.State {
	case esclusa.OutcomePlanned, esclusa.OutcomeWaiting:
		return false
	case esclusa.OutcomeDone:
		return !o.Action.Reversible
	}
	return true
}

// interrupted finishes an action that was being done, where that is still
// asked for, and reverts it otherwise.
func (r *Responder) interrupted(ctx context.Context, e *entry) {
	now := time.Now()
	wanted := r.options.Enforce && e.Boot == r.boot
	switch {
	case e.Action.Reversible && wanted && now.Before(e.Action.Until):
		e.err = r.perform(ctx, e)
		e.Outcome.Why = "finished after a restart"
		r.finish(e)
	case e.Action.Reversible:
		if err := r.undo(ctx, e, esclusa.OutcomeReverted, "the sensor ended while it was being done", ""); err != nil {
			r.options.Log.Error("revert failed", "action", e.Action.ID, "err", err)
		}
	case wanted && now.Sub(e.Outcome.At) < fresh:
		e.err = r.perform(ctx, e)
		e.Outcome.Why = "finished after a restart"
		r.finish(e)
	default:
		s, err := r.actors[e.Action.Name].Check(ctx, r.world, &e.Job)
		if err == nil && s != actions.Absent {
			r.end(e, esclusa.OutcomeDone, "", "")
			return
		}
		r.end(e, esclusa.OutcomeFailed, "the sensor ended before it was done", "")
	}
}
