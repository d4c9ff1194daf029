package respond

import (
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/incident"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/rails"
)

// Simulation plans for detections of a recording, in their own time, and does
// nothing. The rails know of a target what the recording says: not what else
// runs in it.
type Simulation struct {
	policy     *Policy
	rails      *rails.Rails
	kinds      []actions.Kind
	correlator *incident.Correlator
	history    rails.History
}

// Simulate begins a simulation.
func Simulate(p *Policy, actors []actions.Actor) *Simulation {
	s := &Simulation{policy: p, rails: p.rails(), correlator: incident.New(incident.Options{Window: time.Duration(p.Window)})}
	for _, a := range actors {
		s.kinds = append(s.kinds, a.Kind())
	}
	return s
}

// Add gives a detection's incident, valid until the next call, and what would
// become of each action that it would bring about. A detection without an
// event has no incident.
func (s *Simulation) Add(d *esclusa.Detection) (*esclusa.Incident, []esclusa.Outcome) {
	in, _ := s.correlator.Add(d)
	if in == nil {
		return nil, nil
	}
	plan, _ := Plan(in, d, s.policy, s.kinds, d.At)
	var out []esclusa.Outcome
	for i := range plan {
		step := &plan[i]
		p := &step.Process
		f := rails.Facts{Container: step.Container, Hits: []rails.Hit{{ProcessKey: p.ProcessKey, Name: p.Name, Exe: p.Exe, Host: step.Container == nil, Owned: true}}}
		o := esclusa.Outcome{Action: step.Action, State: esclusa.OutcomeDryRun, At: d.At}
		o.Action.DryRun = true
		switch d := s.rails.Decide(&step.Action, step.Stage, step.Upto, &f, &s.history, d.At); d.Verdict {
		case rails.Refuse:
			o.State, o.Why = esclusa.OutcomeRefused, d.Why
		case rails.Ask:
			o.State, o.Why = esclusa.OutcomeWaiting, d.Why
		}
		if o.State == esclusa.OutcomeDryRun && step.Stage > esclusa.StageObserve {
			s.history.Add(rails.Workload(step.Container), d.At)
		}
		noteOutcome(in, o)
		out = append(out, o)
	}
	return in, out
}
