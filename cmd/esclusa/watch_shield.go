package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// stateDir is where the node keeps what outlives a process.
const stateDir = "/var/lib/esclusa"

// shieldDir is the keeper's folder of a folder of state.
func shieldDir(state string) string { return filepath.Join(state, "shield") }

// shieldOptions are the flags of virtual patches in a sensor.
type shieldOptions struct {
	patches string
	quiet   time.Duration
}

func (o *shieldOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.patches, "patches", "", "virtual patches of your own: a `FOLDER` of *.yaml, beside those that are built in")
	f.DurationVar(&o.quiet, "quiet", shield.Quiet, "a patch comes into force by itself after this `TIME` in which it would have refused nothing")
}

func (o *shieldOptions) read() ([]*shield.Patch, error) {
	list, err := patches(nil)
	if err != nil || o.patches == "" {
		return list, err
	}
	own, err := shield.ReadAll(os.DirFS(o.patches))
	switch {
	case err != nil:
		return nil, usageError{err, hintOf(err)}
	case len(own) == 0:
		return nil, usagef("patches are files that end in .yaml", "no patches in %q", o.patches)
	}
	return shield.Merge(list, own), nil
}

// guard gives a sensor its guards.
func (a app) guard(c *watch.Config, o *watchOptions) (*shield.Keeper, error) {
	list, err := o.shield.read()
	if err != nil {
		return nil, err
	}
	k, err := shield.NewKeeper(list, shield.KeeperOptions{
		Dir: shieldDir(o.state), Facts: hostFacts, Quiet: o.shield.quiet,
		Failed: func(err error) { fmt.Fprintf(a.stderr, "virtual patches stay as they are: %v\n", err) },
		Changed: func(p *shield.Patch, s shield.Standing) {
			fmt.Fprintf(a.stderr, "virtual patch %s: %s: %s\n", p.ID, s.Mode, s.Why)
		},
	})
	if err != nil {
		return nil, err
	}
	c.Guards, c.Judges = k, append(c.Judges, k)
	return k, nil
}

func (a app) tellGuards(k *shield.Keeper) {
	for _, g := range k.Gaps() {
		fmt.Fprintf(a.stderr, "not guarded: %s\n", g)
	}
	n := k.Counts()
	fmt.Fprintf(a.stderr, "virtual patches: %d in force, %d looking on; esclusa shield list says why\n", n[guards.Enforce], n[guards.Observe])
}

// runAll runs parts of a sensor until ctx ends or one fails.
func runAll(ctx context.Context, parts ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return part(ctx) })
	}
	return g.Wait()
}
