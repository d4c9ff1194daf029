// Package kill ends one process, or a process with all below it. It is sure to
// hit the very process: a pid that came back is another.
package kill

import (
	"context"
	"errors"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor. Tree says that all below ends, too.
type Actor struct {
	actions.Once
	Tree bool
}

const limit = 2 * time.Second

// inverse is none; it names what was found, so that who must be ended is known
// when the process above is.
type inverse struct {
	Found []esclusa.ProcessKey `json:"found"`
}

// Kind implements actions.Actor.
func (a Actor) Kind() actions.Kind {
	k := actions.Kind{
		Name: esclusa.ActionKill, Stage: esclusa.StageKill, Does: "ends one process", Needs: []string{"kill", "sys_ptrace"},
	}
	if a.Tree {
		k.Name, k.Does = esclusa.ActionKillTree, "ends a process and all below it"
	}
	return k
}

// Prepare implements actions.Actor.
func (a Actor) Prepare(_ context.Context, _ *actions.World, j *actions.Job) error {
	tree, err := actions.Tree(j.Action.Target.Process)
	if err != nil {
		return err
	}
	if len(tree) == 0 {
		return actions.ErrGone
	}
	if !a.Tree {
		tree = tree[:1]
	}
	j.Facts.Hits = actions.Hits(tree)
	return j.Keep(inverse{actions.Keys(tree)})
}

// Do implements actions.Actor.
func (a Actor) Do(ctx context.Context, _ *actions.World, j *actions.Job) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return err
	}
	if !a.Tree {
		return actions.Kill(ctx, inv.Found)
	}
	// Stopped first: who is killed leaves children that no tree leads to.
	err = actions.StopTree(ctx, j.Action.Target.Process, func(list []actions.Stat) error {
		inv.Found = append(inv.Found, actions.Keys(list)...)
		if err := j.Keep(inv); err != nil {
			return err
		}
		return j.Save()
	})
	return errors.Join(err, actions.Kill(ctx, inv.Found))
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, _ *actions.World, j *actions.Job) (actions.State, error) {
	inv, err := actions.Kept[inverse](j)
	if err != nil {
		return actions.Absent, err
	}
	for _, k := range inv.Found {
		if actions.Runs(k) {
			return actions.Absent, nil
		}
	}
	return actions.Holds, nil
}
