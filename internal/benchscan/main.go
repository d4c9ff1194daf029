// Command benchscan measures esclusa and those of its peers that are on PATH
// on the same images, and writes the table of docs/performance.md.
//
// It builds its images once, from Debian, npm and the Go toolchain, under the user's cache folder, so that anyone with a network
// gets nearly the same ones. What it measures is processor time and peak
// memory as the kernel accounts them to the finished process (wait4), because
// wall time on a shared machine says nothing. Each tool runs in turn, round
// by round, so that a busy neighbour hits all alike.
//
// It is no part of the product. Start with cases.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := bench{fresh: map[string]bool{}}
	var build, sums bool
	var decoder string
	flag.IntVar(&b.rounds, "rounds", 5, "how often each tool runs")
	flag.StringVar(&b.only, "only", "", "cases whose name contains this")
	flag.StringVar(&b.page, "page", "docs/performance.md", "page whose table is replaced; empty prints only")
	flag.BoolVar(&b.alone, "alone", false, "measure esclusa without peers")
	flag.BoolVar(&build, "build", false, "build the images and stop")
	flag.StringVar(&decoder, "unpack", "", "unpack the layers of the image named behind with this decoder, and stop")
	flag.BoolVar(&sums, "sums", false, "with -unpack: write the layers' digests")
	flag.Parse()
	var err error
	if decoder != "" {
		err = unpackImage(os.Stdout, flag.Arg(0), decoder, sums)
	} else {
		err = b.run(ctx, build)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchscan:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir    string // cache of images and of the tools' own caches
	rounds int
	only   string
	page   string
	alone  bool
	fresh  map[string]bool // caches that this process filled
}

func (b *bench) run(ctx context.Context, build bool) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	b.dir = filepath.Join(cache, "esclusa-bench")
	if build {
		return b.buildImages(ctx)
	}
	if err := b.buildElsewhere(ctx); err != nil {
		return err
	}
	esclusa, err := b.buildEsclusa(ctx)
	if err != nil {
		return err
	}
	if err := b.writeRules(); err != nil {
		return err
	}
	tools := []tool{esclusa}
	if !b.alone {
		tools = append(tools, b.peers(ctx)...)
	}
	t := table{machine: machine(), tools: tools}
	for _, c := range b.cases() {
		if !strings.Contains(c.name, b.only) {
			continue
		}
		tools := tools
		if c.decoders {
			if tools, err = b.decoders(ctx, c.image); err != nil {
				return err
			}
		}
		rows, err := b.measure(ctx, c, tools)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		t.add(c, rows)
	}
	fmt.Print(t.markdown(b.rounds))
	if b.page == "" || b.only != "" || b.alone {
		return nil
	}
	return t.replaceIn(b.page, b.rounds)
}

// buildElsewhere builds the images in a process of its own: the kernel counts
// the peak memory of whoever starts a program to that program, so this
// process has to stay small.
func (b *bench) buildElsewhere(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, self, "-build")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c.Run()
}

// buildEsclusa builds what is measured, as `make build` does.
func (b *bench) buildEsclusa(ctx context.Context) (tool, error) {
	bin := filepath.Join(b.dir, "esclusa")
	if err := goBuild(ctx, bin, "./cmd/esclusa"); err != nil {
		return tool{}, err
	}
	t := esclusaTool(bin, filepath.Join(b.dir, "cache-esclusa"))
	// Advisories come from $ESCLUSA_MIRROR where that is set. Without any,
	// nothing is matched, and the table would flatter.
	if _, err := os.Stat(filepath.Join(t.cache, "esclusa", "advisories")); err == nil {
		return t, nil
	}
	c := exec.CommandContext(ctx, bin, "advisories", "update", "--quiet")
	c.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.cache)
	if out, err := c.CombinedOutput(); err != nil {
		return t, fmt.Errorf("fetch advisories: %w: %s (hint: set ESCLUSA_MIRROR)", err, out)
	}
	return t, nil
}

func goBuild(ctx context.Context, out, pkg string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, flags...)
	c := exec.CommandContext(ctx, "go", append(args, pkg)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, msg)
	}
	return nil
}
