package respond

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Step is one action of a plan, before the rails.
type Step struct {
	Action esclusa.Action
	Stage  esclusa.Stage // of the action
	Upto   esclusa.Stage // how far the policy goes here
	// Process and Container are of the detection.
	Process   esclusa.Process
	Container *esclusa.Container

	decided bool // by an action that was approved: nobody is asked again
}

// again is how long a refused or failed action is not tried again, and how
// much later an end must be to be written down anew.
const again = time.Minute

// maxOutcomes bounds what is done about one incident.
const maxOutcomes = 64

// Plan says what to do about an incident that a detection was just added to:
// the mildest first, freeze before all that is stronger. What was done already
// is not planned again; longer names what holds and is to hold on, because
// there is new evidence. Plan has no side effect.
func Plan(in *esclusa.Incident, d *esclusa.Detection, p *Policy, kinds []actions.Kind, now time.Time) (plan []Step, longer []string) {
	e := d.Last()
	upto := p.upto(d)
	for _, w := range wanted(in, d, p, kinds) {
		a := esclusa.Action{Name: w.name, Target: target(w.name, d), Incident: in.ID, Reason: w.why}
		last := lastOf(in, &a)
		switch {
		case last == nil:
		case last.State == esclusa.OutcomeDone && last.Action.Reversible:
			if ttl := p.ttl(w.kind); last.Action.Until.Before(now.Add(ttl - again)) {
				longer = append(longer, last.Action.ID)
			}
			continue
		case last.State == esclusa.OutcomeUndone && last.By == "", last.State == esclusa.OutcomeReverted:
		case last.State == esclusa.OutcomeRefused && last.By == "", last.State == esclusa.OutcomeFailed:
			if now.Sub(last.At) < again {
				continue
			}
		default: // done for good, about to be, or a person said no
			continue
		}
		n := len(in.Outcomes) + len(plan) + 1
		if n > maxOutcomes {
			break
		}
		a.ID = fmt.Sprintf("%s.%d", in.ID, n)
		if a.Reversible = w.kind.Reversible; a.Reversible {
			a.Until = now.Add(p.ttl(w.kind)).UTC()
		}
		plan = append(plan, Step{Action: a, Stage: w.kind.Stage, Upto: max(upto, w.upto), Process: e.Process, Container: e.Container})
	}
	return plan, longer
}

func (p *Policy) ttl(k actions.Kind) time.Duration {
	if k.TTL > 0 {
		return k.TTL
	}
	return time.Duration(p.TTL)
}

// wish is an action that somebody asks for.
type wish struct {
	name esclusa.ActionName
	kind actions.Kind
	why  string
	upto esclusa.Stage
}

// wanted are the actions asked for, each once, the mildest first.
func wanted(in *esclusa.Incident, d *esclusa.Detection, p *Policy, kinds []actions.Kind) (out []wish) {
	var worst esclusa.Stage // that the worst of the incident allows
	ask := func(name esclusa.ActionName, why string, upto esclusa.Stage) {
		if name == esclusa.ActionNotify || slices.ContainsFunc(out, func(w wish) bool { return w.name == name }) {
			return // the detection itself is told
		}
		w := wish{name: name, why: why, upto: upto, kind: actions.Kind{Name: name}}
		for _, k := range kinds {
			if k.Name == name {
				w.kind = k
			}
		}
		out = append(out, w)
	}
	names := d.Respond
	if r := p.rule(d.Rule); r != nil && r.Respond != nil {
		names = nil
		for _, a := range r.Respond {
			names = append(names, string(a))
		}
	}
	for _, n := range names {
		ask(esclusa.ActionName(n), d.Rule+": "+d.Message, 0)
	}
	rules := map[string]bool{}
	for i := range in.Detections {
		worst = max(worst, p.upto(&in.Detections[i]))
		rules[in.Detections[i].Rule] = true
	}
	if n := int(p.Escalate.Rules); n > 0 && len(rules) >= n {
		ask(esclusa.ActionFreeze, fmt.Sprintf("%d rules fired in one incident", len(rules)), worst)
	}
	if o := uncontained(in, d); o != nil && p.Escalate.Uncontained {
		name := esclusa.ActionKillTree
		if d.Last().Container != nil {
			name = esclusa.ActionStop
		}
		ask(name, fmt.Sprintf("%s: it acted although %s was done", d.Rule, o.Action.ID), worst)
	}
	slices.SortStableFunc(out, func(a, b wish) int { return a.order() - b.order() })
	return out
}

// order is by stage; freeze stands before all else that contains.
func (w *wish) order() int {
	n := 2 * int(w.kind.Stage)
	if w.kind.Stage == esclusa.StageContain && w.name != esclusa.ActionFreeze {
		n++
	}
	return n
}

// settles is how long after an action what was already under way may still be
// told of.
const settles = time.Second

// uncontained finds a freeze that holds and did not stop what was detected.
func uncontained(in *esclusa.Incident, d *esclusa.Detection) *esclusa.Outcome {
	for i := range in.Outcomes {
		o := &in.Outcomes[i]
		if o.Action.Name == esclusa.ActionFreeze && o.State == esclusa.OutcomeDone && d.At.After(o.At.Add(settles)) &&
			o.Action.Target == target(o.Action.Name, d) {
			return o
		}
	}
	return nil
}

// lastOf is what became of the same action on the same target.
func lastOf(in *esclusa.Incident, a *esclusa.Action) *esclusa.Outcome {
	for i := len(in.Outcomes) - 1; i >= 0; i-- {
		if o := &in.Outcomes[i]; o.Action.Name == a.Name && o.Action.Target == a.Target {
			return o
		}
	}
	return nil
}

// target is what an action is done to: the container, or on the host the
// process.
func target(name esclusa.ActionName, d *esclusa.Detection) (t esclusa.Target) {
	e := d.Last()
	switch name {
	case esclusa.ActionKill, esclusa.ActionKillTree:
		t.Process = e.Process.ProcessKey
	case esclusa.ActionDenyStart, esclusa.ActionQuarantineImage:
		if c := e.Container; c != nil {
			if t.Image = c.Image; t.Image == "" {
				t.Image = c.ImageID
			}
		}
	case esclusa.ActionQuarantineFile:
		t.Path = file(e)
		fallthrough
	default:
		if e.Container == nil {
			t.Process = e.Process.ProcessKey
		} else {
			t.Container = e.Container.ID
		}
	}
	return t
}

// file is the file that an event is about.
func file(e *esclusa.Event) string {
	for _, name := range []string{"path", "file"} {
		if f, ok := e.Fields.Get(name); ok && strings.HasPrefix(f.Text, "/") {
			return f.Text
		}
	}
	if !e.Process.ExeDeleted && e.Process.ExeSource != esclusa.SourceImage && e.Process.ExeSource != esclusa.SourceMemory {
		return e.Process.Exe
	}
	return ""
}
