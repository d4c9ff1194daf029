// Command esclusa is the one program: a command group for each verb.
//
// Here the parts are wired together and nothing else is decided. A command
// stands in cmd_NAME.go, its specification in testdata/NAME_CASE.txtar.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/esclusa/esclusa/internal/gate"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends what does not end by itself
	code := run(ctx, os.Args[1:], app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, own: true})
	stop()
	os.Exit(code)
}

// app is the world that commands see.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	// own says that the process is the program's alone, and may give up what it
	// does not need.
	own bool
}

// run carries a command line out and returns its exit code.
func run(ctx context.Context, args []string, a app) int {
	collectLate()
	root := a.root()
	root.SetArgs(args)
	// What fails before a command runs is the command line, whoever finds it:
	// the flag parser, the library's own commands or ours.
	ran := false
	root.PersistentPreRun = func(*cobra.Command, []string) { ran = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return gate.ExitAllow
	}
	var code exitError
	if errors.As(err, &code) {
		return int(code)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(a.stderr, "esclusa: interrupted")
		return gate.ExitUndecided
	}
	fmt.Fprintf(a.stderr, "esclusa: %v\n", err)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", hint)
	}
	var usage usageError
	if errors.As(err, &usage) || !ran {
		return gate.ExitUsage
	}
	return gate.ExitUndecided
}

// collectLate puts the first garbage collection off until the heap has 16 MB
// (GOGC × 4 MB): a scan of which nothing changed is over before, and eleven
// small collections were a third of it. Scans of whole layers make garbage in
// bursts, so from then on collections are early: a later one costs memory that
// a CI runner does not have.
func collectLate() {
	debug.SetGCPercent(400)
	sentinel := new([32]byte) // smaller ones share a block with others
	runtime.AddCleanup(sentinel, func(percent int) { debug.SetGCPercent(percent) }, 50)
}

// exitError ends the program with a code; what there is to say was said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError says that the command line, the policy or another file of the
// user's is wrong.
type usageError struct {
	err  error
	hint string
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }
func (e usageError) Hint() string  { return e.hint }

// usagef is an error of the command line.
func usagef(hint, format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...), hint}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

func (a app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "esclusa",
		Short: "Container security that does not slow the release",
		Long: `esclusa protects containers from the image to the kernel.

  scan     what is in an image, what is wrong with it, what to do first
  gate     may it go to production, why, and what to change
  shield   guards on the kernel interfaces that unpatched bugs need
  watch    what containers do while they run
  respond  what is done about attacks, and how to undo it`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	group(root, func(got string) string {
		return "esclusa scan " + got + ", if it is a target; esclusa --help lists the commands"
	})
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{err, c.CommandPath() + " --help"}
	})
	root.SetVersionTemplate("{{.Version}}\n")
	for _, c := range a.commands() {
		root.AddCommand(c)
	}
	return root
}

// commands is the table of commands. Each has its file and at least one
// script; a test holds that.
func (a app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.scanCommand(),
		a.gateCommand(),
		a.shieldCommand(),
		a.watchCommand(),
		a.respondCommand(),
		a.advisoriesCommand(),
		a.manCommand(),
		a.versionCommand(),
	}
}

// group makes a command that only holds others: alone it shows its help, and
// for a word that it does not know it suggests a near one, else the hint.
func group(c *cobra.Command, hint func(got string) string) {
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, got []string) error {
		if len(got) == 0 {
			return nil
		}
		advice := hint(got[0])
		if near := c.SuggestionsFor(got[0]); len(near) > 0 {
			advice = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return usagef(advice, "unknown command %q", got[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// args checks the number of arguments, as usage.
func args(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, got []string) error {
		if len(got) != n {
			return usagef(c.UseLine(), "%s takes %s, got %d", c.CommandPath(), what, len(got))
		}
		return nil
	}
}
