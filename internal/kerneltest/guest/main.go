// Command guest runs tests in a virtual machine whose kernel has what the
// machine at hand may lack: BPF as a security module. The kernel is Debian's
// own for clouds, which is fetched and not installed; it runs under QEMU
// without any help of the processor, so that it runs everywhere, and times
// in it mean nothing.
//
// The arguments are packages whose tests run there, each with all its tests.
// What is skipped there is a failure: the guest exists so that nothing is.
//
// It is no part of the product. Start with run; what happens in the guest is
// inside.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	if os.Getpid() == 1 {
		boot()
		return
	}
	if len(os.Args) == 2 && os.Args[1] == jobsArgument {
		if err := runJobs(); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	var g guest
	flag.DurationVar(&g.timeout, "timeout", 15*time.Minute, "when the machine is stopped at the latest")
	flag.StringVar(&g.only, "run", "", "tests that match this regular expression")
	flag.BoolVar(&g.verbose, "v", false, "print what the tests print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := g.run(ctx, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type guest struct {
	timeout time.Duration
	only    string
	verbose bool

	cache string // fetched kernels, kept
	dir   string // of this run
}

func (g *guest) run(ctx context.Context, packages []string) (ok bool, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return false, err
	}
	g.cache = filepath.Join(cache, "esclusa-guest")
	if g.dir, err = os.MkdirTemp("", "esclusa-guest-"); err != nil {
		return false, err
	}
	defer os.RemoveAll(g.dir)
	kernel, err := g.kernel(ctx)
	if err != nil {
		return false, fmt.Errorf("get a kernel: %w", err)
	}
	jobs, err := g.disk(ctx, packages)
	if err != nil {
		return false, fmt.Errorf("make a disk: %w", err)
	}
	if err := g.initramfs(kernel); err != nil {
		return false, fmt.Errorf("make an initramfs: %w", err)
	}
	return g.boot(ctx, kernel, jobs)
}
