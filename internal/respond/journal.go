package respond

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/spool"
)

// entry is one action in the journal: what was decided, and all that finishing
// and undoing it takes.
type entry struct {
	actions.Job
	Outcome esclusa.Outcome `json:"outcome"` // as last written to the audit, or about to be
	Stage   esclusa.Stage   `json:"stage"`
	Upto    esclusa.Stage   `json:"upto"`
	Boot    string          `json:"boot"`
	// Since is when the detection came, Deadline when nobody is waited for.
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Undoing says that it is being taken back, and what it will then be.
	Undoing esclusa.OutcomeState `json:"undoing,omitempty"`

	err error // of performing it
}

// becomes sets the outcome of now.
func (e *entry) becomes(s esclusa.OutcomeState) {
	e.Outcome.Action, e.Outcome.State, e.Outcome.At = e.Action, s, time.Now().UTC()
}

// put makes the entry durable.
func (r *Responder) put(e *entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := r.journal.Put(e.Action.ID, data); err != nil {
		return err
	}
	r.open[e.Action.ID] = e
	return nil
}

// forget closes an entry; its last word is in the audit.
func (r *Responder) forget(e *entry) {
	if r.open[e.Action.ID] == nil {
		return
	}
	delete(r.open, e.Action.ID)
	if err := r.journal.Delete(e.Action.ID); err != nil {
		// The next start finds it open and closes it again.
		r.gap("end of action "+e.Action.ID, err)
	}
}

// recordOutcome writes to the audit and into the incident. durable waits for
// the disk.
func (r *Responder) recordOutcome(o *esclusa.Outcome, durable bool) {
	if in := r.correlator.Find(o.Action.Incident); in != nil {
		noteOutcome(in, *o)
	}
	seq := r.record(spool.Audit, &esclusa.NodeMessage{Outcome: o})
	if durable && seq > 0 {
		if err := r.audit.Sync(context.Background(), spool.Audit, seq); err != nil {
			r.gap("audit of action "+o.Action.ID, err)
		}
	}
	r.tell(&esclusa.NodeMessage{Outcome: o})
}

// noteOutcome keeps the last outcome of each action.
func noteOutcome(in *esclusa.Incident, o esclusa.Outcome) {
	for i := range in.Outcomes {
		if in.Outcomes[i].Action.ID == o.Action.ID {
			in.Outcomes[i] = o
			return
		}
	}
	in.Outcomes = append(in.Outcomes, o)
}

// recordDetection writes a detection that an incident keeps.
func (r *Responder) recordDetection(in *esclusa.Incident, d *esclusa.Detection) {
	kept := &in.Detections[len(in.Detections)-1]
	if kept.ID == d.ID && kept.Incident == "" {
		kept.Incident = in.ID
		r.record(spool.Detection, &esclusa.NodeMessage{Detection: kept})
	}
}

// recordIncident writes what an incident is; its detections and outcomes have
// records of their own.
func (r *Responder) recordIncident(in *esclusa.Incident) {
	head := *in
	head.Detections, head.Outcomes = nil, nil
	r.record(spool.Incident, &esclusa.NodeMessage{Incident: &head})
	r.tell(&esclusa.NodeMessage{Incident: in})
}

// closed writes that an incident is over.
func (r *Responder) closed(in *esclusa.Incident) { r.recordIncident(in) }

// gap tells what could not be kept or done.
func (r *Responder) gap(what string, err error) {
	g := &esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: err.Error()}
	r.options.Log.Error("respond", "what", what, "err", err)
	m := &esclusa.NodeMessage{Gap: g}
	if data, err := json.Marshal(m); err == nil {
		_, _ = r.audit.Append(spool.Audit, data) // what cannot be written is told
	}
	r.tell(m)
}

func (r *Responder) tell(m *esclusa.NodeMessage) {
	if r.options.Tell != nil {
		r.options.Tell(m)
	}
}

// record appends a message and returns its number, 0 if it was not taken.
func (r *Responder) record(c spool.Class, m *esclusa.NodeMessage) uint64 {
	data, err := json.Marshal(m)
	if err != nil {
		r.gap("a record of the audit", err)
		return 0
	}
	seq, err := r.audit.Append(c, data)
	if errors.Is(err, spool.ErrFull) { // let the oldest go, and try again
		r.cutAt(len(r.marks) - 1)
		seq, err = r.audit.Append(c, data)
	}
	if err != nil {
		r.gap("a record of the audit", err)
		return 0
	}
	if n := len(r.marks); n == 0 || seq-r.marks[n-1] >= markEvery {
		r.marks = append(r.marks, seq)
	}
	return seq
}

// The audit keeps its newest auditBytes: without a receiver the oldest records
// make room. markEvery is how many records lie between the places where it may
// be cut.
const (
	auditBytes = 64 << 20
	markEvery  = 256
)

// cut lets the older half of a large audit go.
func (r *Responder) cut() {
	if r.audit.Stats().Bytes > auditBytes*3/4 {
		r.cutAt(len(r.marks) / 2)
	}
}

// cutAt lets everything go up to a mark.
func (r *Responder) cutAt(n int) {
	if n < 0 || n >= len(r.marks) {
		return
	}
	if err := r.audit.Acknowledge(spool.Position{Boot: r.audit.Boot(), Seq: r.marks[n]}); err != nil {
		r.options.Log.Error("respond", "what", "cut of the audit", "err", err)
		return
	}
	r.marks = r.marks[n:]
}
