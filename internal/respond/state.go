package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/spool"
)

// State is what a state folder tells: readable beside a sensor that writes.
type State struct {
	// Incidents are in the order of their opening, each with its detections and
	// the last outcome of each action.
	Incidents []esclusa.Incident `json:"incidents"`
	Gaps      []esclusa.Gap      `json:"gaps,omitempty"`
	// Running says that a sensor, or another command, has the folder.
	Running bool `json:"running"`
}

// Everything asks ReadState for the detections of every open incident.
const Everything = ""

// maxIncidents is how many a State holds: the newest.
const maxIncidents = 4096

// ReadState reads a folder. Detections are kept of the incident with that id,
// or, for Everything, of all that are open.
func ReadState(folder, id string) (*State, error) {
	st := &State{Running: inUse(folder)}
	audit := filepath.Join(folder, "audit")
	if _, err := os.Stat(audit); err != nil {
		return st, err
	}
	rd, err := spool.OpenReader(audit, spool.Position{})
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	b := builder{State: st, by: map[string]*esclusa.Incident{}, id: id}
	for {
		e, err := rd.Next(context.Background())
		switch {
		case errors.Is(err, io.EOF):
			b.finish()
			return st, nil
		case err != nil:
			return nil, fmt.Errorf("read audit: %w", err)
		case e.Loss != nil:
			if e.Loss.Reason != spool.Released && e.Loss.Reason != spool.Crashed {
				b.gap("records of the audit", fmt.Errorf("%d are missing: %s", e.Loss.To-e.Loss.From+1, e.Loss.Reason))
			}
			continue
		}
		var m esclusa.NodeMessage
		if err := json.Unmarshal(e.Data, &m); err != nil {
			b.gap("a record of the audit", err)
			continue
		}
		b.add(&m)
	}
}

// builder puts incidents together.
type builder struct {
	*State
	id    string
	by    map[string]*esclusa.Incident
	order []string
}

func (b *builder) gap(what string, err error) {
	if len(b.Gaps) < 64 {
		b.Gaps = append(b.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: err.Error()})
	}
}

func (b *builder) add(m *esclusa.NodeMessage) {
	switch {
	case m.Incident != nil:
		in := b.find(m.Incident.ID)
		head := *m.Incident
		head.Detections, head.Outcomes = in.Detections, in.Outcomes
		*in = head
		if in.State == esclusa.IncidentClosed && in.ID != b.id {
			in.Detections = nil
		}
	case m.Detection != nil && m.Detection.Incident != "" && len(m.Detection.Events) > 0:
		in, d := b.find(m.Detection.Incident), m.Detection
		if in.Updated.Before(d.At) {
			in.Updated = d.At
		}
		in.Severity = max(in.Severity, d.Severity)
		if b.id == Everything || in.ID == b.id {
			in.Detections = append(in.Detections, *d)
		}
	case m.Outcome != nil:
		noteOutcome(b.find(m.Outcome.Action.Incident), *m.Outcome)
	case m.Gap != nil:
		b.gap(m.Gap.What, errors.New(m.Gap.Err))
	}
}

func (b *builder) find(id string) *esclusa.Incident {
	if in := b.by[id]; in != nil {
		return in
	}
	if len(b.order) == maxIncidents {
		delete(b.by, b.order[0])
		b.order = b.order[1:]
	}
	in := &esclusa.Incident{ID: id, State: esclusa.IncidentOpen}
	b.by[id], b.order = in, append(b.order, id)
	return in
}

func (b *builder) finish() {
	for _, id := range b.order {
		b.Incidents = append(b.Incidents, *b.by[id])
	}
	slices.SortStableFunc(b.Incidents, func(x, y esclusa.Incident) int { return x.Opened.Compare(y.Opened) })
}

// Find is the incident, or the action with its incident, of an id or of the
// beginning of one that is alone.
func (s *State) Find(id string) (*esclusa.Incident, *esclusa.Outcome, error) {
	name, action, _ := strings.Cut(id, ".")
	var found *esclusa.Incident
	for i := range s.Incidents {
		in := &s.Incidents[i]
		switch {
		case in.ID == name:
			found = in
		case action == "" && len(name) > 3 && strings.HasPrefix(in.ID, name):
			if found != nil {
				return nil, nil, fmt.Errorf("%q is the beginning of %s and of %s", id, found.ID, in.ID)
			}
			found = in
		}
		if in.ID == name {
			break
		}
	}
	if found == nil {
		return nil, nil, fmt.Errorf("no incident %q: %w", name, fs.ErrNotExist)
	}
	if action == "" {
		return found, nil, nil
	}
	for i := range found.Outcomes {
		if found.Outcomes[i].Action.ID == id {
			return found, &found.Outcomes[i], nil
		}
	}
	return nil, nil, fmt.Errorf("incident %s has no action %q: %w", found.ID, id, fs.ErrNotExist)
}

// inUse says whether somebody holds the journal.
func inUse(folder string) bool {
	f, err := os.Open(filepath.Join(folder, "journal", "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
