package respond

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/deny"
)

// Request is what a person asks of a responder: one of the first three is set.
type Request struct {
	Undo    string `json:"undo,omitempty"`    // an action, or an incident for all of its actions
	Approve string `json:"approve,omitempty"` // an action that waits
	Keep    string `json:"keep,omitempty"`    // an action that holds, for For
	For     time.Duration
	By      string `json:"by"`
}

// answerWait is how long a command waits for a sensor's answer.
const answerWait = 15 * time.Second

// Ask hands a request to whoever has the state folder, and waits for the
// answer.
func Ask(ctx context.Context, folder string, q Request) error {
	data, err := json.Marshal(q)
	if err != nil {
		return err
	}
	name := filepath.Join(folder, "requests", rand.Text())
	if err := actions.WriteFile(name+".ask", data); err != nil {
		return err
	}
	defer os.Remove(name + ".answer")
	defer os.Remove(name + ".ask")
	deadline := time.Now().Add(answerWait)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if data, err := os.ReadFile(name + ".answer"); err == nil {
			if len(data) > 0 {
				return errors.New(string(data))
			}
			return nil
		}
		time.Sleep(tick / 4)
	}
	return fmt.Errorf("the sensor gave no answer within %s", answerWait)
}

// Limits of requests: only root writes them, but a mistake must not stop the
// sensor.
const (
	maxRequests = 64 // at once
	maxRequest  = 4 << 10
)

// requests answers those that wait.
func (r *Responder) requests(ctx context.Context) {
	folder := filepath.Join(r.options.State, "requests")
	dir, err := os.Open(folder)
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(4 * maxRequests) // EOF: none
	n := 0
	for _, name := range names {
		id, ok := strings.CutSuffix(name, ".ask")
		if !ok || n == maxRequests {
			continue
		}
		n++
		said := ""
		if err := r.request(ctx, filepath.Join(folder, name)); err != nil {
			said = err.Error()
		}
		err := actions.WriteFile(filepath.Join(folder, id+".answer"), []byte(said))
		if err == nil {
			err = os.Remove(filepath.Join(folder, name))
		}
		if err != nil {
			r.options.Log.Error("answer a request", "err", err)
		}
	}
}

func (r *Responder) request(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRequest))
	if err != nil {
		return err
	}
	var q Request
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return r.Answer(ctx, q)
}

// Answer does what a person asks for.
func (r *Responder) Answer(ctx context.Context, q Request) error {
	switch {
	case q.Approve != "":
		e := r.open[q.Approve]
		if e == nil || e.Outcome.State != esclusa.OutcomeWaiting {
			return fmt.Errorf("action %q does not wait for anybody", q.Approve)
		}
		r.approved(ctx, e, q.By, "approved")
		switch o := e.Outcome; o.State {
		case esclusa.OutcomeDone, esclusa.OutcomePlanned:
			return nil
		default:
			return fmt.Errorf("approved, but %s: %s", o.State, o.Why)
		}
	case q.Keep != "":
		e := r.open[q.Keep]
		if e == nil || e.Outcome.State != esclusa.OutcomeDone {
			return fmt.Errorf("action %q does not hold", q.Keep)
		}
		r.extend(q.Keep, time.Now(), q.For, q.By, "a person asked for it")
		return nil
	}
	return r.undoAll(ctx, q.Undo, q.By)
}

// undoAll undoes an action, or all of an incident, the last one first. What
// waits for approval is refused.
func (r *Responder) undoAll(ctx context.Context, id, by string) error {
	var errs []error
	ids, n := r.ids(), 0
	for i := len(ids) - 1; i >= 0; i-- {
		e := r.open[ids[i]]
		if ids[i] != id && e.Action.Incident != id {
			continue
		}
		n++
		if e.Outcome.State == esclusa.OutcomeWaiting {
			r.end(e, esclusa.OutcomeRefused, "a person said no", by)
			continue
		}
		errs = append(errs, r.undo(ctx, e, esclusa.OutcomeUndone, "a person asked for it", by))
	}
	if n == 0 {
		return fmt.Errorf("%q holds nothing that could be undone", id)
	}
	if in := r.correlator.Find(strings.SplitN(id, ".", 2)[0]); in != nil {
		r.contained(in)
	}
	return errors.Join(errs...)
}

// maxDenied bounds what is remembered of containers that were ended.
const maxDenied = 4096

// denyStarts ends containers that were started from an image after it was
// denied on this node.
func (r *Responder) denyStarts(ctx context.Context) {
	if r.options.Containers == nil {
		return
	}
	list, err := deny.Read(r.options.State)
	if err != nil || len(list) == 0 || len(r.denied) > maxDenied {
		clear(r.denied)
	}
	for _, c := range r.options.Containers() {
		for _, d := range list {
			if d.Image != c.Image && d.Image != c.ImageID || c.Started.IsZero() || !c.Started.After(d.Since) {
				continue
			}
			if time.Since(r.denied[c.ID]) < again {
				continue
			}
			r.denied[c.ID] = time.Now()
			r.denyStart(ctx, c, &d)
		}
	}
}

// denyStart ends a container by the same way as any other action.
func (r *Responder) denyStart(ctx context.Context, c *esclusa.Container, d *deny.Entry) {
	incident, _, _ := strings.Cut(d.Action, ".")
	in := r.correlator.Find(incident)
	if in == nil {
		in = &esclusa.Incident{ID: incident, State: esclusa.IncidentOpen}
	}
	id := fmt.Sprintf("%s.start-%s", d.Action, c.ID[:min(len(c.ID), 12)])
	s := Step{decided: true, Stage: esclusa.StageKill, Upto: esclusa.StageKill, Container: c, Action: esclusa.Action{
		ID: id, Name: esclusa.ActionStop, Target: esclusa.Target{Container: c.ID, Image: d.Image}, Incident: incident,
		Reason: fmt.Sprintf("its image was denied by %s: %s", d.Action, d.Reason),
	}}
	r.step(ctx, in, &s, time.Now())
}
