package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cost is what one run took, as the kernel accounts it.
type cost struct {
	cpu  time.Duration // user and system
	peak int64         // bytes of resident memory
}

// row is what a tool cost in a case.
type row struct {
	tool  string
	runs  []cost
	found string // what the last run said it found
}

func (r *row) cpu() time.Duration {
	all := make([]time.Duration, len(r.runs))
	for i, c := range r.runs {
		all[i] = c.cpu
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// spread is half of what lies between the cheapest and the dearest run, as a
// share of the median.
func (r *row) spread() float64 {
	low, high := r.runs[0].cpu, r.runs[0].cpu
	for _, c := range r.runs {
		low, high = min(low, c.cpu), max(high, c.cpu)
	}
	return float64(high-low) / 2 / float64(max(1, r.cpu()))
}

func (r *row) peak() int64 {
	var peak int64
	for _, c := range r.runs {
		peak = max(peak, c.peak)
	}
	return peak
}

// measure runs each tool in turn, as often as is asked for.
func (b *bench) measure(ctx context.Context, c benchCase, tools []tool) ([]row, error) {
	var rows []row
	for round := range b.rounds {
		i := 0
		for _, t := range tools {
			args := t.args(c)
			if args == nil {
				continue
			}
			if round == 0 {
				rows = append(rows, row{tool: t.name})
			}
			fmt.Fprintf(os.Stderr, "%s: %s, round %d\n", c.name, t.name, round+1)
			got, found, err := b.one(ctx, t, c, args)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			rows[i].runs, rows[i].found = append(rows[i].runs, got), found
			i++
		}
	}
	return rows, nil
}

// one runs a tool with the cache that the case asks for.
func (b *bench) one(ctx context.Context, t tool, c benchCase, args []string) (cost, string, error) {
	full := t.cache
	if c.before != "" {
		var err error
		if full, err = b.filled(ctx, t, c); err != nil {
			return cost{}, "", fmt.Errorf("fill the cache: %w", err)
		}
	}
	cache := filepath.Join(b.dir, "cache-run")
	if err := copyCache(full, cache); err != nil {
		return cost{}, "", err
	}
	p, err := b.start(ctx, t, cache, args)
	if err != nil {
		return cost{}, "", err
	}
	return p.cost, p.found, os.RemoveAll(cache)
}

// filled is the tool's cache after a scan of the case's earlier image: made
// once, copied for every run.
func (b *bench) filled(ctx context.Context, t tool, c benchCase) (string, error) {
	dir := filepath.Join(b.dir, "cache-filled-"+filepath.Base(t.bin))
	if b.fresh[dir] {
		return dir, nil
	}
	if err := copyCache(t.cache, dir); err != nil {
		return "", err
	}
	_, err := b.start(ctx, t, dir, t.scan(c.before, c.mode))
	b.fresh[dir] = err == nil
	return dir, err
}

// copyCache makes to what from is; an empty from is an empty folder.
func copyCache(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if from == "" {
		return os.MkdirAll(to, 0o700)
	}
	return os.CopyFS(to, os.DirFS(from))
}

type process struct {
	cost
	found string
}

// start runs a tool to its end. Its report goes to a file: memory that this
// process takes would be counted to the next one that it starts.
func (b *bench) start(ctx context.Context, t tool, cache string, args []string) (process, error) {
	report := filepath.Join(b.dir, "report.out")
	f, err := os.Create(report)
	if err != nil {
		return process{}, err
	}
	defer f.Close()
	var talk bytes.Buffer
	c := exec.CommandContext(ctx, t.bin, args...)
	c.Stdout, c.Stderr = f, &talk
	c.Env = append(os.Environ(), t.env(cache)...)
	err = c.Run()
	if c.ProcessState == nil || err != nil && !t.fine(c.ProcessState.ExitCode()) {
		msg := talk.Bytes()
		return process{}, fmt.Errorf("%s %s: %w: %s", t.name, strings.Join(args, " "), err, msg[max(0, len(msg)-1500):])
	}
	usage := c.ProcessState.SysUsage().(*syscall.Rusage)
	p := process{cost: cost{
		cpu:  time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		peak: usage.Maxrss << 10, // kilobytes on Linux
	}}
	found, _ := exec.CommandContext(ctx, "sh", "-c", t.count, "count", report).Output() // grep -c fails at zero
	p.found = strings.TrimSpace(string(found))
	return p, nil
}

func machine() string {
	model := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s", model, runtime.NumCPU(), runtime.Version())
}
