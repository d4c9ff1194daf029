package main

import (
	"context"
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/spf13/cobra"
)

func (a app) shieldExplainCommand() *cobra.Command {
	var observe time.Duration
	var apply int
	c := &cobra.Command{
		Use:   "explain PATCH",
		Short: "Set the ways to be safe from a bug side by side, with what each breaks",
		Long: `Explain says what a bug is, whether this host has it, and what can be done: the
guard, and what orchestrator, runtime and kernel offer. With --observe it looks
at the guard's interface for a while, refuses nothing, and counts which lawful
uses each way would have broken here.`,
		Example: `  esclusa shield explain CVE-2022-0811
  sudo esclusa shield explain cr8escape --observe 60s
  esclusa shield explain CVE-2022-0811 --apply 2 | kubectl apply -f -`,
		Args: args(1, "one patch"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := patch(args[0])
			if err != nil {
				return err
			}
			if c.Flags().Changed("apply") {
				return a.shieldApply(p, apply)
			}
			x := shield.Explanation{Patch: p, Row: p.Describe(hostFacts())}
			if observe > 0 {
				if x.Seen, err = observed(c.Context(), p, observe); err != nil {
					return err
				}
				x.Options = p.Weigh(x.Seen.Uses)
			} else {
				x.Options = p.Weigh(nil)
			}
			width, _ := a.terminal()
			return x.Write(a.stdout, width)
		},
	}
	c.Flags().DurationVar(&observe, "observe", 0, "count uses for `TIME` (needs root)")
	c.Flags().IntVar(&apply, "apply", 0, "print way `N`, ready to apply")
	return c
}

func (a app) shieldApply(p *shield.Patch, n int) error {
	if n < 2 || n-2 >= len(p.Options) || p.Options[n-2].Apply == "" {
		return usagef("esclusa shield explain "+p.ID+" lists them", "%s has no way %d that can be applied so", p.ID, n)
	}
	_, err := fmt.Fprint(a.stdout, p.Options[n-2].Apply)
	return err
}

// observed looks at a patch's guards and refuses nothing.
func observed(ctx context.Context, p *shield.Patch, d time.Duration) (*shield.Seen, error) {
	s, err := shield.New([]*shield.Patch{p}, func(*shield.Patch) guards.Mode { return guards.Observe })
	if err != nil {
		return nil, err
	}
	set, err := kernel.Load(shield.Alone(), s.Objects()...)
	if err != nil {
		return nil, err
	}
	defer set.Close()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	seen := &shield.Seen{For: d}
	err = set.Run(ctx, func(_ kernel.Head, rec []byte) {
		var e esclusa.Event
		if s.Decode(rec, &e) == nil {
			s.Judge(&e, func(d esclusa.Detection) { seen.Hits = append(seen.Hits, d.Message) })
		}
	})
	if err != nil {
		return nil, err
	}
	seen.Uses, seen.Gaps, err = s.Uses()
	return seen, err
}
