package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/harden"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/esclusa/esclusa/internal/watch/events/all"
	"github.com/esclusa/esclusa/internal/watch/prove"
	"github.com/esclusa/esclusa/internal/watch/rules"
	"github.com/esclusa/esclusa/internal/watch/sequences"
	"github.com/esclusa/esclusa/internal/watch/stream"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// watchOptions are the flags of watch.
type watchOptions struct {
	output  string
	events  bool
	host    bool
	budget  uint64
	record  string
	state   string
	metrics string
	shield  shieldOptions
	respond respondOptions
	content contentOptions
}

// contentOptions are where rules come from.
type contentOptions struct {
	rules      string
	exceptions []string
}

func (o *contentOptions) register(c *cobra.Command) {
	c.Flags().StringVar(&o.rules, "rules", "", "rules of your own: a `FOLDER` of *.yaml, beside those that are built in")
	c.Flags().StringArrayVar(&o.exceptions, "exceptions", nil, "a `FILE` of exceptions to rules; repeatable")
}

// read makes the judge of what is built in and what is the user's own.
func (o *contentOptions) read(boot string) (*watch.Content, error) {
	builtin, err := builtinFiles(content.Rules, "rules")
	if err != nil {
		return nil, err
	}
	steps, err := builtinFiles(content.Sequences, "sequences")
	if err != nil {
		return nil, err
	}
	var own, grants []rules.File
	if o.rules != "" {
		if own, err = rules.Files(os.DirFS(o.rules)); err != nil {
			return nil, err
		}
		if len(own) == 0 {
			return nil, usagef("rules are files that end in .yaml", "no rules in %q", o.rules)
		}
	}
	for _, name := range o.exceptions {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		grants = append(grants, rules.File{Name: name, Data: data})
	}
	l := rules.NewLanguage()
	c := &watch.Content{Boot: boot}
	if c.Rules, err = rules.Load(l, builtin, own, grants); err != nil {
		return nil, usageError{err, hintOf(err)}
	}
	c.Sequences, err = sequences.Load(l, c.Rules, sequences.DefaultLimits(), steps...)
	return c, err
}

func builtinFiles(all fs.FS, folder string) ([]rules.File, error) {
	sub, err := fs.Sub(all, folder)
	if err != nil {
		return nil, err
	}
	return rules.Files(sub)
}

func (a app) watchCommand() *cobra.Command {
	var o watchOptions
	c := &cobra.Command{
		Use:   "watch",
		Short: "See what containers do, and say what is bad about it",
		Long: `Watch puts small programs into the kernel and tells what the containers of this
machine do, where it is an attack or looks like one: who did it, in which
container of which image, who started that, and why it is bad. --events tells
the rest, too. It ends with Ctrl-C and takes its
programs out of the kernel, but for what holds an isolated container.

It needs root and Linux 5.10 or newer with BTF; no module.`,
		Example: `  sudo esclusa watch
  sudo esclusa watch --events --output json > events.jsonl`,
		Args: args(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return asRoot(a.watch(c.Context(), &o)) },
	}
	f := c.Flags()
	f.StringVarP(&o.output, "output", "o", "table", "`FORMAT`: table or json")
	f.BoolVar(&o.events, "events", false, "tell every event")
	f.BoolVar(&o.host, "host", false, "tell what processes of the host do, too, not just containers")
	f.Uint64Var(&o.budget, "budget", 20_000, "how many `EVENTS` one container may make in a second; 0 is no limit")
	o.content.register(c)
	f.StringVar(&o.state, "state", stateDir, "`FOLDER` of what outlives the sensor")
	f.StringVar(&o.metrics, "metrics", "", "answer Prometheus at `ADDRESS`:PORT, too; the socket in the sensor's folder always does")
	o.shield.register(c)
	o.respond.register(c)
	f.StringVar(&o.record, "record", "", "write every event to `FILE`, for esclusa watch replay")
	c.AddCommand(a.watchStatusCommand(), a.watchReplayCommand(), a.watchDoctorCommand(), a.watchProveCommand())
	return c
}

// teller is a sink that can be closed.
type teller interface {
	watch.Sink
	Close() error
}

func (a app) teller(format string, events bool, failed func(error)) (teller, error) {
	switch format {
	case "table":
		t := stream.NewText(a.stdout)
		t.Events = events
		t.Width, t.Color = a.terminal()
		return t, nil
	case "json":
		j := stream.NewJSON(a.stdout)
		j.Events, j.Failed = events, failed
		return j, nil
	}
	return nil, usagef("table or json", "unknown format %q", format)
}

// tellers hands everything to each of several.
type tellers []teller

func (ts tellers) Event(e *esclusa.Event) {
	for _, t := range ts {
		t.Event(e)
	}
}

func (ts tellers) Detection(d *esclusa.Detection) {
	for _, t := range ts {
		t.Detection(d)
	}
}

// watch runs the sensor until it is interrupted. What can be wrong about the
// command line is found out before anything is written or put into the kernel.
func (a app) watch(ctx context.Context, o *watchOptions) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if a.own {
		if err := harden.Capabilities(os.Environ(), sensorNeeds()...); err != nil {
			fmt.Fprintf(a.stderr, "not hardened: %v\n", err)
		}
	}
	start := a.nodeStart()
	judge, err := o.content.read(start.Boot)
	if err != nil {
		return err
	}
	out, err := a.teller(o.output, o.events, stop)
	if err != nil {
		return err
	}
	config, err := a.sensor(o, start.Host)
	if err != nil {
		return err
	}
	to := tellers{out}
	if o.record != "" {
		f, err := os.OpenFile(o.record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return hinted{err, "a recording is never written over: choose another name"}
		}
		defer f.Close()
		to = append(to, recorder(f, stop))
	}
	reply, err := a.responder(ctx, &o.respond, o.state, &config, to)
	if err != nil {
		return err
	}
	defer reply.Close()
	config.Sink, config.Judges = append(tellers{reply}, to...), []watch.Judge{judge}
	keeper, err := a.guard(&config, o)
	if err != nil {
		return err
	}
	defer keeper.Close()
	answers, err := answer(o.state, o.metrics)
	if err != nil {
		return err
	}
	defer answers.close()
	s, err := watch.Start(config)
	if err != nil {
		if o.record != "" {
			os.Remove(o.record) // nothing is in it, and it would be in the way of the next try
		}
		return err
	}
	if a.own { // programs are loaded: nothing of this is needed any more
		if err := harden.Calls(); err != nil {
			fmt.Fprintf(a.stderr, "not hardened: %v\n", err)
		}
	}
	to.start(start)
	for _, g := range s.Missing() {
		fmt.Fprintf(a.stderr, "not seen on this kernel: %s\n", g.What)
	}
	a.tellGuards(keeper)
	fmt.Fprintf(a.stderr, "watching by %d rules and %d sequences; Ctrl-C ends it\n", len(judge.Rules.Rules()), len(judge.Sequences.Sequences()))
	answers.start, answers.sensor, answers.keeper = start, s, keeper
	err = runAll(ctx, s.Run, keeper.Run, reply.Run, answers.run)
	err = errors.Join(err, reply.Close())
	a.tellGaps(judge.TakeGaps())
	for _, t := range to {
		err = errors.Join(err, t.Close())
	}
	st := s.Stats()
	fmt.Fprintf(a.stderr, "%d events, %d detections\n", st.Events, st.Detections)
	return err
}

// sensorNeeds are the capabilities that a sensor keeps.
func sensorNeeds() []uintptr {
	return []uintptr{
		unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, // programs in the kernel
		unix.CAP_SYS_ADMIN,                            // before 5.8, fanotify, cgroups of others
		unix.CAP_SYS_RESOURCE,                         // memory of maps before 5.11
		unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_PTRACE, // other processes' files, roots and namespaces
		unix.CAP_KILL,                                                                             // responses
		unix.CAP_DAC_OVERRIDE, unix.CAP_CHOWN, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_SETFCAP, // files that are put away and put back
		unix.CAP_SYS_NICE, // the reader's priority
	}
}

func recorder(f *os.File, failed func(error)) *stream.JSON {
	j := stream.NewJSON(f)
	j.Events, j.Failed = true, failed
	return j
}

// start opens the streams.
func (ts tellers) start(s esclusa.NodeStart) {
	for _, t := range ts {
		if j, ok := t.(*stream.JSON); ok {
			j.Write(esclusa.NodeMessage{Start: &s})
		}
	}
}

func (a app) tellGaps(gaps []esclusa.Gap) {
	for _, g := range gaps {
		fmt.Fprintf(a.stderr, "not judged: %s\n", g)
	}
}

func (a app) sensor(o *watchOptions, name string) (watch.Config, error) {
	h, err := host.New(host.Options{})
	return watch.Config{Families: all.Families(), Kernel: kernel.Options{Host: o.host, Budget: o.budget}, Host: h, Name: name}, err
}

func (a app) nodeStart() esclusa.NodeStart {
	s := esclusa.NodeStart{Stream: esclusa.NodeVersion, Tool: "esclusa " + version(), At: time.Now().UTC()}
	s.Host, _ = os.Hostname() // a machine without a name has none to tell
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		s.Boot = strings.TrimSpace(string(b))
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		s.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return s
}

func (a app) watchReplayCommand() *cobra.Command {
	var output string
	var events, again bool
	var from contentOptions
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Tell a recording again, or judge it anew",
		Long: `Replay tells what a recording holds. With --judge its detections are left out
and its events are judged anew, by the rules of this version and your own: a
recording is a bug report, and the test of a rule. Time is that of the events,
so the answer is the same each time.`,
		Example: `  esclusa watch replay incident.jsonl --judge --rules ./my-rules`,
		Args:    args(1, "one recording"),
		RunE: func(_ *cobra.Command, args []string) error {
			out, err := a.teller(output, events, nil)
			if err != nil {
				return err
			}
			var judge *watch.Content
			if again {
				if judge, err = from.read("replay"); err != nil {
					return err
				}
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			err = stream.Read(f, func(m *esclusa.NodeMessage) error {
				switch {
				case m.Start != nil:
					if j, ok := out.(*stream.JSON); ok {
						j.Write(*m)
					}
				case m.Event != nil:
					out.Event(m.Event)
					if judge != nil {
						judge.Judge(m.Event, func(d esclusa.Detection) { out.Detection(&d) })
					}
				case m.Detection != nil && judge == nil:
					if len(m.Detection.Events) == 0 {
						return fmt.Errorf("detection %q has no event", m.Detection.ID)
					}
					out.Detection(m.Detection)
				}
				return nil
			})
			if judge != nil {
				a.tellGaps(judge.TakeGaps())
			}
			if cerr := out.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return fmt.Errorf("recording %q: %w", args[0], err)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	c.Flags().BoolVar(&events, "events", false, "tell every event")
	c.Flags().BoolVar(&again, "judge", false, "judge the events anew")
	from.register(c)
	return c
}

func (a app) watchDoctorCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Try what can be seen on this kernel",
		Long: `Doctor puts every program into the kernel, does a harmless thing of each kind
and says whether it was seen, by which mechanism, and what is lost where not.
It believes no file that names what a kernel can do.`,
		Args: args(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usagef("table or json", "unknown format %q", output)
			}
			config, err := a.sensor(&watchOptions{}, "")
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			checks, err := watch.Doctor(c.Context(), config, func(ctx context.Context, act string) error {
				out, err := exec.CommandContext(ctx, self, "watch", "prove", act, watch.ProveArg).CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
				}
				return nil
			})
			if err != nil {
				return err
			}
			return a.tellChecks(checks, output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return c
}

// tellChecks prints the doctor's table; what was tried and not seen is an error.
func (a app) tellChecks(checks []watch.Check, output string) error {
	seen, blind := 0, 0
	enc := json.NewEncoder(a.stdout)
	for i := range checks {
		k := &checks[i]
		if output == "json" {
			if err := enc.Encode(k); err != nil {
				return err
			}
		}
		says := "by " + k.Mechanism
		switch k.State {
		case watch.Seen:
			seen++
		case watch.Absent:
			says = "this kernel has none"
		case watch.Unseen:
			blind++
			says = fmt.Sprintf("%s\n%-21s lost: %s", k.Err, "", k.Lost)
		}
		if output == "table" {
			fmt.Fprintf(a.stdout, "%-11s %-9s %s\n", k.Kind, k.State, says)
		}
	}
	if output == "table" {
		fmt.Fprintf(a.stdout, "%d of %d kinds of events are seen on this kernel\n", seen, len(checks))
	}
	if blind > 0 {
		return exitError(1)
	}
	return nil
}

// watchProveCommand is what the doctor starts.
func (a app) watchProveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:    "prove ACT",
		Short:  "Do a harmless thing for the doctor to see",
		Hidden: true,
		Args:   args(1, "one act"),
		RunE:   func(_ *cobra.Command, args []string) error { return prove.Do(args[0]) },
	}
	c.Flags().Bool(strings.TrimPrefix(watch.ProveArg, "--"), false, "marks the doctor's own processes")
	return c
}
