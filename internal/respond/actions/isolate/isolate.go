// Package isolate cuts a container from the network, all but its loopback
// device. Its processes run on, and open connections go on when it is undone.
// It needs a cgroup of the unified hierarchy. What a process with CAP_NET_RAW
// writes to a device by itself is not held.
package isolate

import (
	"context"
	"errors"
	"fmt"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{}

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionIsolate, Stage: esclusa.StageContain, Reversible: true,
		Does:  "cuts a container from the network, all but loopback",
		Needs: []string{"bpf", "net_admin", "sys_admin", "sys_ptrace"},
	}
}

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	if j.Container == nil {
		return errors.New("a process of the host has no network of its own to be cut from: freeze it")
	}
	g, err := w.Group(j.Container)
	if err != nil {
		return err
	}
	if g.V1 {
		return fmt.Errorf("container %s has no cgroup of the unified hierarchy", j.Container.ID)
	}
	list, err := g.Processes()
	if err != nil {
		return err
	}
	j.Facts.Hits = actions.Hits(list)
	return j.Keep(g)
}

// on calls f for the cgroup, if it is still the same.
func on(j *actions.Job, f func(path string) error) error {
	g, err := actions.Kept[actions.Group](j)
	if err != nil {
		return err
	}
	if err := f(g.Path); err != nil && g.There() {
		return err
	}
	if !g.There() {
		return fmt.Errorf("cgroup %s: %w", g.Path, actions.ErrGone)
	}
	return nil
}

// Do implements actions.Actor.
func (Actor) Do(_ context.Context, _ *actions.World, j *actions.Job) error {
	return on(j, kernel.Isolate)
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, _ *actions.World, j *actions.Job) (state actions.State, err error) {
	err = on(j, func(path string) error {
		yes, err := kernel.Isolated(path)
		if yes {
			state = actions.Holds
		}
		return err
	})
	if errors.Is(err, actions.ErrGone) {
		return actions.Gone, nil
	}
	return state, err
}

// Undo implements actions.Actor.
func (Actor) Undo(_ context.Context, _ *actions.World, j *actions.Job) error {
	return on(j, kernel.Reconnect)
}
