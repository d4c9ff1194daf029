// Package freeze stops a container, or a process of the host with all below
// it, in its tracks: memory, files and connections stay. It is the first
// strong action because it is undone in a moment.
//
// A container is frozen by its cgroup; what has none of its own is stopped
// process by process (SIGSTOP), which its parents can see and others can undo.
package freeze

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{}

// limit is how long it may take until everything stands.
const limit = 2 * time.Second

// inverse is what thawing takes: the cgroup, or the processes.
type inverse struct {
	Group *actions.Group `json:"group,omitempty"`
	// Was says that it was frozen before: then it is left so.
	Was     bool                 `json:"was,omitempty"`
	Stopped []esclusa.ProcessKey `json:"stopped,omitempty"`
}

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionFreeze, Stage: esclusa.StageContain, Reversible: true,
		Does:  "stops a container, or a process with all below it; memory is kept",
		Needs: []string{"kill", "sys_ptrace"},
	}
}

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	if j.Container == nil {
		tree, err := actions.Tree(j.Action.Target.Process)
		if err != nil {
			return err
		}
		if len(tree) == 0 {
			return actions.ErrGone
		}
		j.Facts.Hits = actions.Hits(tree)
		return j.Keep(inverse{})
	}
	g, err := w.Group(j.Container)
	if err != nil {
		return err
	}
	list, err := g.Processes()
	if err != nil {
		return err
	}
	j.Facts.Hits = actions.Hits(list)
	was, err := g.Frozen()
	if err != nil {
		return err
	}
	return j.Keep(inverse{Group: &g, Was: was})
}

// Do implements actions.Actor.
func (Actor) Do(ctx context.Context, _ *actions.World, j *actions.Job) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return err
	}
	if g := inv.Group; g != nil {
		if g.V1 {
			j.Said = "by the freezer of cgroups version 1: what is frozen does not even die"
		}
		return g.Freeze(ctx, true)
	}
	j.Said = "by SIGSTOP, because it has no cgroup of its own: another process of root can let it go on"
	return actions.StopTree(ctx, j.Action.Target.Process, func(list []actions.Stat) error {
		// Those that somebody else stopped stay so when ours go on.
		for _, s := range list {
			if s.State != 'T' && s.State != 't' {
				inv.Stopped = append(inv.Stopped, s.Key)
			}
		}
		if err := j.Keep(inv); err != nil {
			return err
		}
		return j.Save()
	})
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, _ *actions.World, j *actions.Job) (actions.State, error) {
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return actions.Absent, err
	}
	if g := inv.Group; g != nil {
		if !g.There() {
			return actions.Gone, nil
		}
		on, err := g.Frozen()
		if errors.Is(err, actions.ErrGone) {
			return actions.Gone, nil
		}
		if on {
			return actions.Holds, err
		}
		return actions.Absent, err
	}
	state := actions.Gone
	for _, k := range inv.Stopped {
		s, err := actions.ReadStat(k.PID)
		switch {
		case err != nil || !actions.Runs(k):
		case s.State == 'T' || s.State == 't':
			return actions.Holds, nil
		default:
			state = actions.Absent
		}
	}
	if len(inv.Stopped) == 0 && actions.Runs(j.Action.Target.Process) {
		state = actions.Absent
	}
	return state, nil
}

// Undo implements actions.Actor.
func (Actor) Undo(ctx context.Context, _ *actions.World, j *actions.Job) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inv, err := actions.Kept[inverse](j)
	switch {
	case err != nil:
		return err
	case inv.Group != nil && inv.Was:
		return nil
	case inv.Group != nil:
		return inv.Group.Freeze(ctx, false)
	}
	var errs []error
	for i := len(inv.Stopped) - 1; i >= 0; i-- { // a child goes on before its parent looks for it
		if err := actions.Signal(inv.Stopped[i], unix.SIGCONT); err != nil && !errors.Is(err, actions.ErrGone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
