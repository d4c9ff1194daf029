package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
	"github.com/esclusa/esclusa/internal/watch/stream"
	"github.com/spf13/cobra"
)

// respondDir is the responses' folder of a folder of state.
func respondDir(state string) string { return filepath.Join(state, "respond") }

// responseFlag is the file that says what respond may do.
func responseFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "response", "", "a `FILE` that says what respond may do; what it does not name is as built in")
}

func responsePolicy(file string) (*respond.Policy, error) {
	if file == "" {
		return respond.DefaultPolicy()
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, err := respond.ReadPolicy(file, data)
	if err != nil {
		return nil, usageError{err, hintOf(err)}
	}
	return p, nil
}

func (a app) respondCommand() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use:   "respond",
		Short: "See, undo and approve what was done about attacks",
		Long: `Respond puts detections together to incidents and acts on them: evidence first,
then what can be undone (freeze, isolate, quarantine a file, deny an image), and
only where the policy says so what cannot. The sensor does it (esclusa watch
--respond enforce); these commands look at it and have the last word.`,
	}
	group(c, func(got string) string { return "esclusa respond show " + got })
	c.PersistentFlags().StringVar(&state, "state", stateDir, "`FOLDER` of what outlives the sensor")
	c.AddCommand(a.respondListCommand(&state), a.respondShowCommand(&state), a.respondUndoCommand(&state),
		a.respondApproveCommand(&state), a.respondSimulateCommand())
	return c
}

// responses reads a folder of state.
func responses(state, id string) (*respond.State, error) {
	st, err := respond.ReadState(respondDir(state), id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hinted{fmt.Errorf("nothing was ever done from %s: %w", respondDir(state), fs.ErrNotExist), "esclusa watch writes there; --state names another folder"}
	case errors.Is(err, fs.ErrPermission):
		return nil, hinted{err, "run as root"}
	}
	return st, err
}

func (a app) respondListCommand(state *string) *cobra.Command {
	var output string
	var everything bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List incidents, and what holds or waits",
		Args:  args(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if output != "table" && output != "json" {
				return usagef("table or json", "unknown format %q", output)
			}
			st, err := responses(*state, "none")
			if err != nil {
				return err
			}
			if output == "json" {
				return a.writeJSON(st)
			}
			for _, g := range st.Gaps {
				fmt.Fprintf(a.stderr, "unknown: %s\n", g)
			}
			width, _ := a.terminal()
			return respond.WriteList(a.stdout, st, everything, width, time.Now())
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	c.Flags().BoolVarP(&everything, "all", "a", false, "incidents that are over, too")
	return c
}

func (a app) respondShowCommand(state *string) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show an incident: its detections, what was done, and why",
		Args:  args(1, "the id of an incident or of an action"),
		RunE: func(_ *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return usagef("table or json", "unknown format %q", output)
			}
			in, _, err := found(*state, args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return a.writeJSON(in)
			}
			width, _ := a.terminal()
			return respond.WriteIncident(a.stdout, in, width, time.Now())
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return c
}

// found finds an incident, with its detections, and the action if id names one.
func found(state, id string) (*esclusa.Incident, *esclusa.Outcome, error) {
	st, err := responses(state, "none")
	if err != nil {
		return nil, nil, err
	}
	in, _, err := st.Find(id)
	if err != nil {
		return nil, nil, usageError{err, "esclusa respond list --all"}
	}
	if st, err = responses(state, in.ID); err != nil {
		return nil, nil, err
	}
	return st.Find(id)
}

func (a app) respondUndoCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use:   "undo ID",
		Short: "Take back an action, or all actions of an incident",
		Long: `Undo takes back what holds: a frozen container goes on, a file is where it was.
What waits for approval is refused. It is not done again in the same incident.
It works through the running sensor, and without one by itself.`,
		Args: args(1, "the id of an incident or of an action"),
		RunE: func(c *cobra.Command, args []string) error {
			in, o, err := found(*state, args[0])
			if err != nil {
				return err
			}
			id := in.ID
			if o != nil {
				id = o.Action.ID
			}
			if err := a.ask(c.Context(), *state, respond.Request{Undo: id}); err != nil {
				return err
			}
			return a.tellAfter(*state, id)
		},
	}
}

func (a app) respondApproveCommand(state *string) *cobra.Command {
	var hold time.Duration
	c := &cobra.Command{
		Use:   "approve ACTION",
		Short: "Let an action that waits be done, or one that holds go on for longer",
		Example: `  esclusa respond approve i-3f9a2c01.3
  esclusa respond approve i-3f9a2c01.2 --for 24h`,
		Args: args(1, "the id of an action"),
		RunE: func(c *cobra.Command, args []string) error {
			_, o, err := found(*state, args[0])
			if err != nil {
				return err
			}
			if o == nil {
				return usagef("its actions are named in esclusa respond show "+args[0], "%q is an incident, not an action", args[0])
			}
			q := respond.Request{Approve: o.Action.ID}
			if hold != 0 {
				if hold < time.Minute || hold > 30*24*time.Hour {
					return usagef("--for 1m to --for 720h", "%s is no time to keep an action for", hold)
				}
				q = respond.Request{Keep: o.Action.ID, For: hold}
			}
			if err := a.ask(c.Context(), *state, q); err != nil {
				return err
			}
			return a.tellAfter(*state, o.Action.ID)
		},
	}
	c.Flags().DurationVar(&hold, "for", 0, "keep an action that holds for `TIME` from now")
	return c
}

// ask hands a person's word to the sensor; where none runs, it is done here.
func (a app) ask(ctx context.Context, state string, q respond.Request) error {
	q.By = a.person()
	r, err := openResponder(ctx, state, q.Approve != "")
	if errors.Is(err, respond.ErrRunning) {
		return respond.Ask(ctx, respondDir(state), q)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, "no sensor responds from this folder: done by this command")
	return errors.Join(r.Answer(ctx, q), r.Close())
}

// openResponder takes a folder for a person's word. What was half done is
// reverted, unless the word is to do something.
func openResponder(ctx context.Context, state string, enforce bool) (*respond.Responder, error) {
	p, err := respond.DefaultPolicy()
	if err != nil {
		return nil, err
	}
	return respond.Open(ctx, respond.Options{State: respondDir(state), Policy: p, Actors: all.Actors(), Enforce: enforce})
}

// person is who gives the word.
func (a app) person() string {
	name := a.getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return name
}

// tellAfter shows what became of it.
func (a app) tellAfter(state, id string) error {
	in, o, err := found(state, id)
	if err != nil {
		return err
	}
	width, _ := a.terminal()
	for i := range in.Outcomes {
		if o == nil || in.Outcomes[i].Action.ID == id {
			if err := respond.WriteOutcome(a.stdout, &in.Outcomes[i], width, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a app) respondSimulateCommand() *cobra.Command {
	var file string
	var again bool
	var from contentOptions
	c := &cobra.Command{
		Use:   "simulate RECORDING",
		Short: "Say what would be done about the detections of a recording",
		Long: `Simulate plans for the detections of a recording (esclusa watch --record, or its
JSON output), in their own time, and does nothing. With --judge the events are
judged anew first. What else runs in a container is not in a recording, so that
a protected process in it shows only when it is for real.`,
		Example: `  esclusa respond simulate incident.jsonl --judge --response my.yaml`,
		Args:    args(1, "one recording"),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := responsePolicy(file)
			if err != nil {
				return err
			}
			judge, err := from.read("replay")
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			s := respond.Simulate(p, all.Actors())
			err = stream.Read(f, func(m *esclusa.NodeMessage) error {
				switch {
				case m.Event != nil && again:
					judge.Judge(m.Event, func(d esclusa.Detection) { err = errors.Join(err, a.simulated(s, &d)) })
					return err
				case m.Detection != nil && !again:
					return a.simulated(s, m.Detection)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("recording %q: %w", args[0], err)
			}
			if again {
				a.tellGaps(judge.TakeGaps())
			}
			return nil
		},
	}
	responseFlag(c, &file)
	c.Flags().BoolVar(&again, "judge", false, "judge the events anew")
	from.register(c)
	return c
}

// simulated tells what one detection would bring about.
func (a app) simulated(s *respond.Simulation, d *esclusa.Detection) error {
	in, outcomes := s.Add(d)
	if in == nil {
		return nil
	}
	width, _ := a.terminal()
	if err := respond.WriteDetection(a.stdout, in, d, width, d.At); err != nil {
		return err
	}
	for i := range outcomes {
		if err := respond.WriteOutcome(a.stdout, &outcomes[i], width, d.At); err != nil {
			return err
		}
	}
	return nil
}
