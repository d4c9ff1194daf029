// Package respond turns detections into incidents and incidents into bounded,
// undoable actions on this machine. The way is one for observing and for
// enforcing: detection → incident → plan → look → rails → journal, durable and
// with the inverse → do → check → audit. A restart finishes or reverts what was
// under way.
//
// It sees nothing by itself: the sensor offers detections. Who runs a command
// beside it speaks through the state folder (see State).
//
// Start with Open, Responder.Offer and Responder.Run; plan.go and rails/ decide,
// journal.go and reconcile.go remember, actions/ act.
package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/incident"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/rails"
	"github.com/esclusa/esclusa/internal/spool"
)

// Options of a responder.
type Options struct {
	State  string // folder; made where it is not
	Policy *Policy
	// Enforce asks for actions to be done; without it they are dry runs by the
	// same code.
	Enforce bool
	Actors  []actions.Actor
	// Containers are those that run; for images that are denied. May be nil.
	Containers func() []*esclusa.Container
	// Tell is told of each incident that opens or closes, each outcome and
	// each gap, one at a time; it may not wait. May be nil.
	Tell func(*esclusa.NodeMessage)
	Log  *slog.Logger // nil: none
}

// Responder acts. Its methods but Offer and Stats are of the goroutine that runs it.
type Responder struct {
	options Options
	world   *actions.World
	kinds   []actions.Kind
	actors  map[esclusa.ActionName]actions.Actor
	rails   *rails.Rails
	history rails.History
	boot    string

	correlator *incident.Correlator
	journal    *spool.Journal
	audit      *spool.Spool
	marks      []uint64             // where the audit may be cut
	open       map[string]*entry    // of the journal, by the action's id
	looked     string               // after which action to look next
	denied     map[string]time.Time // when a container was last to be ended for its image

	queue   chan offer
	late    chan *entry   // evidence that was collected
	collect chan struct{} // a place for each collection at once
	working sync.WaitGroup
	pending map[string]int // collections under way, by incident
	dropped atomic.Uint64
	told    uint64 // of dropped
	handled atomic.Uint64
}

// offer is a detection and when it came.
type offer struct {
	detection *esclusa.Detection
	at        time.Time
}

const maxQueue = 512

// Offer hands over a detection. It never waits; the detection may not be
// changed any more. What finds the queue full is counted and told as a gap.
func (r *Responder) Offer(d *esclusa.Detection) {
	select {
	case r.queue <- offer{d, time.Now()}:
	default:
		r.dropped.Add(1)
	}
}

// tick is how often time, requests and images are looked at.
const tick = 100 * time.Millisecond

// Run acts until ctx ends. What holds then goes on to hold; the next start, or
// a command, ends it when its time is over.
func (r *Responder) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	for n := 0; ; {
		select {
		case o := <-r.queue:
			r.handle(ctx, o)
		case e := <-r.late:
			r.finish(e)
		case <-t.C:
			r.requests(ctx)
			r.denyStarts(ctx)
			r.look(ctx)
			if n++; n%10 == 0 {
				r.expire(ctx, time.Now())
			}
		case <-ctx.Done():
			r.drain()
			return nil
		}
		r.tellDropped()
	}
}

// drain handles what was offered before the end.
func (r *Responder) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		select {
		case o := <-r.queue:
			r.handle(ctx, o)
		default:
			r.tellDropped()
			return
		}
	}
}

// handle is one detection's whole way.
func (r *Responder) handle(ctx context.Context, o offer) {
	d, now := o.detection, time.Now()
	in, closed := r.correlator.Add(d)
	for i := range closed {
		r.closed(&closed[i])
	}
	if in == nil {
		return
	}
	r.handled.Add(1)
	fresh := len(in.Detections) == 1 && len(in.Outcomes) == 0
	r.recordDetection(in, d)
	if fresh {
		r.recordIncident(in)
	}
	plan, longer := Plan(in, d, r.options.Policy, r.kinds, now)
	for _, id := range longer {
		r.extend(id, now, time.Duration(0), "", "new evidence")
	}
	// What contains goes first: it loses nothing, and nobody wipes traces while
	// they are collected. What kills waits for the evidence.
	for _, kills := range []bool{false, true} {
		for i := range plan {
			if s := &plan[i]; s.Stage != esclusa.StageObserve && kills == (s.Stage == esclusa.StageKill) {
				r.step(ctx, in, s, o.at)
			}
		}
		for i := range plan {
			if s := &plan[i]; s.Stage == esclusa.StageObserve && !kills {
				r.step(ctx, in, s, o.at)
			}
		}
	}
}

// step decides about one action of a plan and does it.
func (r *Responder) step(ctx context.Context, in *esclusa.Incident, s *Step, since time.Time) {
	e := &entry{Job: actions.Job{Action: s.Action, Process: s.Process, Container: s.Container}, Since: since, Stage: s.Stage, Upto: s.Upto, Boot: r.boot}
	d, err := r.decide(ctx, e, time.Now())
	switch {
	case err != nil:
		r.end(e, esclusa.OutcomeFailed, err.Error(), "")
	case d.Verdict == rails.Refuse:
		r.end(e, esclusa.OutcomeRefused, d.Why, "")
	case !r.options.Enforce:
		e.Action.DryRun = true
		r.end(e, esclusa.OutcomeDryRun, d.Why, "")
		r.count(e)
	case d.Verdict == rails.Ask && !s.decided:
		e.Deadline = time.Now().Add(time.Duration(r.options.Policy.Approve.Wait)).UTC()
		r.wait(e, d.Why)
	default:
		r.do(ctx, e)
	}
	r.contained(in)
}

// decide looks at the target and asks the rails.
func (r *Responder) decide(ctx context.Context, e *entry, now time.Time) (rails.Decision, error) {
	a := r.actors[e.Action.Name]
	if a == nil {
		return rails.Decision{Verdict: rails.Refuse, Why: fmt.Sprintf("this version has no action %s", e.Action.Name)}, nil
	}
	if err := a.Prepare(ctx, r.world, &e.Job); err != nil {
		return rails.Decision{}, err
	}
	e.Facts.Container, e.Facts.Self = e.Container, int32(os.Getpid())
	return r.rails.Decide(&e.Action, e.Stage, e.Upto, &e.Facts, &r.history, now), nil
}

// count notes an action for the limits of a minute.
func (r *Responder) count(e *entry) {
	if e.Stage > esclusa.StageObserve {
		r.history.Add(rails.Workload(e.Container), time.Now())
	}
}

// do does an action that was decided on. What changes nothing is done beside
// the rest, so that containing does not wait for evidence; killing does.
func (r *Responder) do(ctx context.Context, e *entry) {
	r.count(e)
	if e.Stage == esclusa.StageObserve {
		if len(r.pending) >= maxPending {
			r.end(e, esclusa.OutcomeFailed, fmt.Sprintf("evidence of %d incidents is being collected already", maxPending), "")
			return
		}
		e.becomes(esclusa.OutcomePlanned)
		r.recordOutcome(&e.Outcome, false)
		r.pending[e.Action.Incident]++
		r.working.Go(func() {
			r.collect <- struct{}{}
			defer func() { <-r.collect }()
			e.err = r.perform(ctx, e)
			r.late <- e
		})
		return
	}
	if e.Stage == esclusa.StageKill {
		r.settle(e.Action.Incident)
	}
	e.becomes(esclusa.OutcomePlanned)
	if err := r.put(e); err != nil { // nothing is done that could not be taken back after a crash
		r.end(e, esclusa.OutcomeFailed, fmt.Sprintf("not done, because it could not be written down: %v", err), "")
		return
	}
	e.err = r.perform(ctx, e)
	r.finish(e)
}

// Evidence of so many incidents waits, and so much is collected at once.
const (
	maxPending = 32
	collectors = 2
)

// settle waits for the evidence of an incident; a collection ends by itself.
func (r *Responder) settle(id string) {
	for r.pending[id] > 0 {
		r.finish(<-r.late)
	}
}

// perform does an action and makes sure of it.
func (r *Responder) perform(ctx context.Context, e *entry) error {
	a := r.actors[e.Action.Name]
	e.Save = func() error { return r.put(e) }
	if err := a.Do(ctx, r.world, &e.Job); err != nil {
		return err
	}
	s, err := a.Check(ctx, r.world, &e.Job)
	if err == nil && s == actions.Absent {
		err = errors.New("it was done, and yet it is not so")
	}
	return err
}

// finish writes down what became of an action that was performed.
func (r *Responder) finish(e *entry) {
	if e.Stage == esclusa.StageObserve {
		if r.pending[e.Action.Incident]--; r.pending[e.Action.Incident] == 0 {
			delete(r.pending, e.Action.Incident)
		}
	}
	e.Outcome.Took = time.Since(e.Since)
	if e.err != nil {
		why := e.err.Error()
		if e.Action.Reversible {
			if err := r.actors[e.Action.Name].Undo(context.Background(), r.world, &e.Job); err != nil && !errors.Is(err, actions.ErrGone) {
				why += fmt.Sprintf("; and it could not be taken back: %v", err)
			}
		}
		r.end(e, esclusa.OutcomeFailed, why, "")
		return
	}
	if e.Said != "" {
		e.Outcome.Why = strings.TrimPrefix(e.Outcome.Why+"; "+e.Said, "; ")
	}
	if !e.Action.Reversible {
		r.end(e, esclusa.OutcomeDone, e.Outcome.Why, e.Outcome.By)
		return
	}
	r.hold(e)
}

// hold keeps an action that was done until it is undone.
func (r *Responder) hold(e *entry) {
	e.becomes(esclusa.OutcomeDone)
	e.Outcome.Undo = "esclusa respond undo " + e.Action.ID
	if err := r.put(e); err != nil {
		r.gap("what became of action "+e.Action.ID, err)
	}
	r.recordOutcome(&e.Outcome, true)
}

// wait leaves an action to a person.
func (r *Responder) wait(e *entry, why string) {
	e.becomes(esclusa.OutcomeWaiting)
	e.Outcome.Why = fmt.Sprintf("%s; without one by %s: %s", why, e.Deadline.Local().Format(time.TimeOnly), r.options.Policy.Approve.Default)
	if err := r.put(e); err != nil {
		r.end(e, esclusa.OutcomeFailed, fmt.Sprintf("nobody can be asked: %v", err), "")
		return
	}
	r.recordOutcome(&e.Outcome, true)
}

// end writes down the last that there is to say of an action.
func (r *Responder) end(e *entry, state esclusa.OutcomeState, why, by string) {
	e.becomes(state)
	e.Outcome.Why, e.Outcome.By = why, by
	if state != esclusa.OutcomeDone {
		e.Outcome.Undo = ""
	}
	r.recordOutcome(&e.Outcome, true)
	r.forget(e)
}

// undo takes an action back; why says who or what wanted it.
func (r *Responder) undo(ctx context.Context, e *entry, state esclusa.OutcomeState, why, by string) error {
	e.Undoing, e.Outcome.Why, e.Outcome.By = state, why, by
	if err := r.put(e); err != nil {
		return err
	}
	return r.unwind(ctx, e)
}

// unwind carries on an undoing that was written down.
func (r *Responder) unwind(ctx context.Context, e *entry) error {
	a := r.actors[e.Action.Name]
	e.Save = func() error { return r.put(e) }
	err := a.Undo(ctx, r.world, &e.Job)
	var s actions.State
	if err == nil {
		if s, err = a.Check(ctx, r.world, &e.Job); err == nil && s == actions.Holds {
			err = nil // held by somebody else: it was so before
			e.Outcome.Why += "; it is held by another"
		}
	}
	switch {
	case errors.Is(err, actions.ErrGone):
		e.Outcome.Why += "; " + err.Error()
	case err != nil:
		failed := e.Outcome
		failed.State, failed.At, failed.Why = esclusa.OutcomeFailed, time.Now().UTC(), "undoing failed: "+err.Error()
		e.Undoing, e.Outcome.Why, e.Outcome.By = "", "", ""
		e.Action.Until = time.Now().Add(again).UTC() // and is tried again
		e.becomes(esclusa.OutcomeDone)
		r.recordOutcome(&failed, true)
		r.recordOutcome(&e.Outcome, true)
		return errors.Join(err, r.put(e))
	}
	r.end(e, e.Undoing, e.Outcome.Why, e.Outcome.By)
	return nil
}

// extend makes an action hold for longer: for so long, or for its usual time.
func (r *Responder) extend(id string, now time.Time, d time.Duration, by, why string) {
	e := r.open[id]
	if e == nil || e.Outcome.State != esclusa.OutcomeDone {
		return
	}
	if d == 0 {
		d = r.options.Policy.ttl(r.actors[e.Action.Name].Kind())
	}
	e.Action.Until = now.Add(d).UTC()
	e.becomes(esclusa.OutcomeDone)
	e.Outcome.Why, e.Outcome.By = "kept longer: "+why, by
	if err := r.put(e); err != nil {
		r.gap("the time of action "+id, err)
	}
	r.recordOutcome(&e.Outcome, true)
}

// expire looks at what time has brought: actions whose time is over, questions
// that nobody answered, incidents that are quiet.
func (r *Responder) expire(ctx context.Context, now time.Time) {
	for _, id := range r.ids() {
		e := r.open[id]
		switch {
		case e.Outcome.State == esclusa.OutcomeWaiting:
			if now.After(e.Deadline) {
				r.unanswered(ctx, e)
			}
		case !e.Action.Until.IsZero() && now.After(e.Action.Until):
			if err := r.undo(ctx, e, esclusa.OutcomeUndone, "its time was over", ""); err != nil {
				r.options.Log.Error("undo failed", "action", id, "err", err)
			}
		}
	}
	for _, in := range r.correlator.Quiet(now) {
		r.closed(&in)
	}
	r.cut()
}

// looks is how many actions are looked at in a tick: a detection must not wait
// for all that hold.
const looks = 4

// look closes actions that do not hold any more, some at a time.
func (r *Responder) look(ctx context.Context) {
	ids := r.ids()
	at, _ := slices.BinarySearch(ids, r.looked)
	for range min(looks, len(ids)) {
		if at >= len(ids) {
			at = 0
		}
		e := r.open[ids[at]]
		at++
		if r.looked = e.Action.ID + "\x00"; e.Outcome.State != esclusa.OutcomeDone {
			continue
		}
		s, err := r.actors[e.Action.Name].Check(ctx, r.world, &e.Job)
		switch {
		case err != nil || s == actions.Holds:
		case s == actions.Gone:
			r.end(e, esclusa.OutcomeUndone, "what it was done to is gone", "")
		default:
			r.end(e, esclusa.OutcomeUndone, "somebody else took it back", "")
		}
	}
}

// unanswered does what the policy says when nobody said a word.
func (r *Responder) unanswered(ctx context.Context, e *entry) {
	if r.options.Policy.Approve.Default == "do" {
		r.approved(ctx, e, "", "nobody answered, and the policy says to do it")
		return
	}
	r.end(e, esclusa.OutcomeRefused, "nobody approved it in time", "")
}

// approved does what a person was asked about. Its target is looked at anew,
// and the rails are asked anew: time went by.
func (r *Responder) approved(ctx context.Context, e *entry, by, why string) {
	e.Outcome.By, e.Outcome.Why = by, why
	d, err := r.decide(ctx, e, time.Now())
	switch {
	case err != nil:
		r.end(e, esclusa.OutcomeFailed, err.Error(), by)
	case d.Verdict == rails.Refuse:
		r.end(e, esclusa.OutcomeRefused, d.Why, by)
	case !r.options.Enforce:
		e.Action.DryRun = true
		r.end(e, esclusa.OutcomeDryRun, why, by)
	default:
		e.Since = time.Now()
		if e.Action.Reversible {
			e.Action.Until = e.Since.Add(r.options.Policy.ttl(r.actors[e.Action.Name].Kind())).UTC()
		}
		r.do(ctx, e)
	}
}

// ids are the open actions, in order.
func (r *Responder) ids() []string {
	out := make([]string, 0, len(r.open))
	for id := range r.open {
		out = append(out, id)
	}
	slices.SortFunc(out, strings.Compare)
	return out
}

// contained says in the incident whether something holds it.
func (r *Responder) contained(in *esclusa.Incident) {
	state := esclusa.IncidentOpen
	for i := range in.Outcomes {
		o := &in.Outcomes[i]
		if o.State == esclusa.OutcomeDone && o.Action.Name != esclusa.ActionEvidence {
			state = esclusa.IncidentContained
		}
	}
	if in.State != state && in.State != esclusa.IncidentClosed {
		in.State = state
		r.recordIncident(in)
	}
}

func (r *Responder) tellDropped() {
	if n := r.dropped.Load(); n > r.told {
		r.gap("detections that respond had no time for", fmt.Errorf("%d were dropped because %d waited already", n-r.told, maxQueue))
		r.told = n
	}
}

// Stats count since the start.
type Stats struct {
	Handled uint64 // detections
	Dropped uint64 // detections for which there was no time
}

// Stats may be asked from any goroutine.
func (r *Responder) Stats() Stats { return Stats{r.handled.Load(), r.dropped.Load()} }
