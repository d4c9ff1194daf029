// Package stop ends a container: every process of its cgroup, without a grace
// that an attacker would use. Its runtime sees it end as any other; whether it
// is started again is the orchestrator's word, unless deny-start says no.
//
// It does not write cgroup.kill: on some kernels nothing can be started in
// that cgroup ever after.
package stop

import (
	"context"
	"errors"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{ actions.Once }

const limit = 5 * time.Second

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionStop, Stage: esclusa.StageKill, Does: "ends a container", Needs: []string{"kill", "sys_ptrace"},
	}
}

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	g, err := w.Group(j.Container)
	if err != nil {
		return err
	}
	list, err := g.Processes()
	if err != nil {
		return err
	}
	j.Facts.Hits = actions.Hits(list)
	return j.Keep(g)
}

// Do implements actions.Actor.
func (Actor) Do(ctx context.Context, _ *actions.World, j *actions.Job) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	g, err := actions.Kept[actions.Group](j)
	if err != nil {
		return err
	}
	if !g.There() {
		return nil
	}
	if err := g.Empty(ctx); err != nil && !errors.Is(err, actions.ErrGone) {
		return err
	}
	return nil
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, _ *actions.World, j *actions.Job) (actions.State, error) {
	g, err := actions.Kept[actions.Group](j)
	if err != nil {
		return actions.Absent, err
	}
	if !g.There() {
		return actions.Holds, nil
	}
	list, err := g.Processes()
	if err != nil || len(list) > 0 {
		return actions.Absent, err
	}
	return actions.Holds, nil
}
