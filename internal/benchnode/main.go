// Benchnode measures what the sensor costs those that it watches, and itself:
// `make bench-node`. Each act is done many times by a small C program, without
// and with `esclusa watch` in turn, and the processor time of the two is
// compared: the kernel bills the work of a program in it to whoever caused it.
// The figures are ratios of one run; no time is tested.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed testdata/acts.c
var acts string

// kase is something that is done n times by one process.
type kase struct {
	name      string
	container bool // in namespaces of its own
	args      []string
	n         int
	aim       float64 // of the ratio
	// per round, in seconds of the processor
	without, with, sensor []float64
}

func cases(acts, goroot string) []*kase {
	do := func(act string, n int) []string { return []string{acts, act, strconv.Itoa(n)} }
	build := []string{goroot, "build", "-a", "-o", "/dev/null", "strconv"}
	return []*kase{
		{name: "exec and exit, in a container", container: true, args: do("exec", 4000), n: 4000, aim: 1.06},
		{name: "exec and exit, on the host", args: do("exec", 4000), n: 4000, aim: 1.01},
		{name: "open and close, in a container", container: true, args: do("open", 600_000), n: 600_000, aim: 1.02},
		{name: "getppid, in a container", container: true, args: do("getppid", 4_000_000), n: 4_000_000, aim: 1.02},
		{name: "connect and accept, in a container", container: true, args: do("connect", 20_000), n: 20_000, aim: 1.05},
		{name: "connect and accept, on the host", args: do("connect", 20_000), n: 20_000, aim: 1.05},
		{name: "a file made, opened to others and deleted, on the host", args: do("create", 60_000), n: 60_000, aim: 1.05},
		{name: "a Go build, in a container", container: true, args: build, n: 1, aim: 1.02},
	}
}

type bench struct {
	dir, binary string
	rounds      int
	idle        time.Duration
}

func main() {
	b := bench{}
	page := ""
	flag.IntVar(&b.rounds, "rounds", 7, "how often each case is run in each way")
	flag.DurationVar(&b.idle, "idle", 20*time.Second, "for how long an idle sensor is looked at")
	only := flag.String("only", "", "cases whose name has this in it")
	flag.StringVar(&page, "page", "docs/performance.md", "the page whose table is replaced; empty for none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx, *only, page); err != nil {
		fmt.Fprintln(os.Stderr, "benchnode:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only, page string) (err error) {
	if b.dir, err = os.MkdirTemp("", "esclusa-benchnode-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.binary = filepath.Join(b.dir, "esclusa")
	program := filepath.Join(b.dir, "acts")
	source := program + ".c"
	if err := os.WriteFile(source, []byte(acts), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"gcc", "-O2", "-static", "-Wall", "-Werror", "-o", program, source},
		{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.binary, "./cmd/esclusa"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	all := slices.DeleteFunc(cases(program, compiler), func(k *kase) bool { return !strings.Contains(k.name, only) })
	for _, k := range all {
		for round := range b.rounds {
			fmt.Fprintf(os.Stderr, "%s, round %d\n", k.name, round+1)
			if err := b.round(ctx, k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
		ratio, spread := k.ratio()
		fmt.Fprintf(os.Stderr, "%s: %.3f ± %.3f\n", k.name, ratio, spread)
	}
	idle, peak, err := b.idleCost(ctx)
	if err != nil {
		return err
	}
	table := b.table(all, idle, peak)
	fmt.Print(table)
	if page == "" || only != "" {
		return nil
	}
	return replace(page, table)
}

// round does a case without the sensor and with it.
func (b *bench) round(ctx context.Context, k *kase) error {
	without, err := b.do(ctx, k)
	if err != nil {
		return err
	}
	s, err := b.watch(ctx)
	if err != nil {
		return err
	}
	with, err := b.do(ctx, k)
	cost, _, serr := s.end()
	if err = errors.Join(err, serr); err != nil {
		return err
	}
	k.without, k.with, k.sensor = append(k.without, without), append(k.with, with), append(k.sensor, cost)
	return nil
}

// do runs a case and returns its processor time in seconds.
func (b *bench) do(ctx context.Context, k *kase) (float64, error) {
	c := exec.CommandContext(ctx, k.args[0], k.args[1:]...)
	cache, err := os.MkdirTemp(b.dir, "cache-") // a build is from nothing
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(cache)
	c.Env = append(os.Environ(), "GOCACHE="+cache, "GOFLAGS=-p=2")
	c.Stderr, c.Dir = os.Stderr, cache
	if k.container {
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	}
	if err := c.Run(); err != nil {
		return 0, err
	}
	return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), nil
}

// sensor is a running `esclusa watch`.
type sensor struct {
	cmd  *exec.Cmd
	last chan string // what it said at the end
}

func (b *bench) watch(ctx context.Context) (*sensor, error) {
	s := &sensor{cmd: exec.CommandContext(ctx, b.binary, "watch", "--output", "json", "--state", filepath.Join(b.dir, "state")), last: make(chan string, 1)}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(pipe)
	said := ""
	for lines.Scan() {
		if said = lines.Text(); strings.HasPrefix(said, "watching by") {
			go func() {
				last := ""
				for lines.Scan() {
					last = lines.Text()
				}
				s.last <- last
			}()
			return s, nil
		}
	}
	s.cmd.Wait()
	return nil, fmt.Errorf("the sensor did not start: %s", said)
}

// end stops it, and says what it cost: seconds of the processor and bytes of
// memory at the peak.
func (s *sensor) end() (cpu float64, peak int64, err error) {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, 0, err
	}
	last := <-s.last
	if err := s.cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("sensor: %w: %s", err, last)
	}
	use := s.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return (s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()).Seconds(), use.Maxrss * 1024, nil
}

// idleCost is the share of one processor that a sensor takes while this
// machine goes on as it does, without what its start costs.
func (b *bench) idleCost(ctx context.Context) (share float64, peak int64, err error) {
	var cost [2]float64
	for i, d := range []time.Duration{time.Second, time.Second + b.idle} {
		s, err := b.watch(ctx)
		if err != nil {
			return 0, 0, err
		}
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(d):
		}
		if cost[i], peak, err = s.end(); err != nil {
			return 0, 0, err
		}
	}
	return (cost[1] - cost[0]) / b.idle.Seconds(), peak, nil
}
