package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/esclusa/esclusa/internal/watch/stream"
	"github.com/spf13/cobra"
)

// respondOptions are the flags of responses in a sensor.
type respondOptions struct {
	mode   string
	policy string
}

func (o *respondOptions) register(c *cobra.Command) {
	c.Flags().StringVar(&o.mode, "respond", "observe", "`MODE`: observe plans and writes down what would be done, enforce does it, off does not even plan")
	responseFlag(c, &o.policy)
}

// responding hands detections to a responder; without one it does nothing. It
// is the first of the tellers: an act must not wait for a terminal.
type responding struct {
	*respond.Responder
	closed bool
}

// Event implements watch.Sink.
func (*responding) Event(*esclusa.Event) {}

// Detection implements watch.Sink.
func (r *responding) Detection(d *esclusa.Detection) {
	if r.Responder != nil {
		own := *d // the sensor goes on to use its own
		r.Offer(&own)
	}
}

// Close writes what is pending; a second time there is nothing.
func (r *responding) Close() error {
	if r.Responder == nil || r.closed {
		return nil
	}
	r.closed = true
	return r.Responder.Close()
}

// Run acts until ctx ends.
func (r *responding) Run(ctx context.Context) error {
	if r.Responder == nil {
		return nil
	}
	return r.Responder.Run(ctx)
}

// responder makes what responds to a sensor's detections.
func (a app) responder(ctx context.Context, o *respondOptions, state string, config *watch.Config, to tellers) (*responding, error) {
	switch o.mode {
	case "off":
		return &responding{}, nil
	case "observe", "enforce":
	default:
		return nil, usagef("observe, enforce or off", "unknown mode %q of --respond", o.mode)
	}
	p, err := responsePolicy(o.policy)
	if err != nil {
		return nil, err
	}
	r, err := respond.Open(ctx, respond.Options{
		State: respondDir(state), Policy: p, Enforce: o.mode == "enforce", Actors: all.Actors(),
		Containers: config.Host.Containers, Tell: a.tellResponse(to), Log: config.Log,
	})
	switch {
	case errors.Is(err, respond.ErrRunning) && o.mode == "observe":
		fmt.Fprintf(a.stderr, "responses are not planned: %v\n", err)
		return &responding{}, nil
	case errors.Is(err, respond.ErrRunning):
		return nil, hinted{err, "end the other sensor, or choose another --state"}
	}
	return &responding{Responder: r}, err
}

// tellResponse tells incidents and outcomes where detections are told.
func (a app) tellResponse(to tellers) func(*esclusa.NodeMessage) {
	width, _ := a.terminal()
	return func(m *esclusa.NodeMessage) {
		for _, t := range to {
			switch t := t.(type) {
			case *stream.JSON:
				t.Write(*m)
			case *stream.Text:
				switch {
				case m.Outcome != nil && m.Outcome.State != esclusa.OutcomePlanned:
					var b bytes.Buffer // one write, between those of the sensor
					_ = respond.WriteOutcome(&b, m.Outcome, width, time.Now())
					_, _ = a.stdout.Write(b.Bytes()) // a terminal that is gone ends the sensor elsewhere
				case m.Gap != nil:
					fmt.Fprintf(a.stderr, "unknown: %s\n", m.Gap)
				}
			}
		}
	}
}
