package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long step is: a bar on a terminal, else one line
// that says what is being waited for.
type progress struct {
	out   io.Writer
	what  string
	bars  bool
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	name  string
	said  bool
	start time.Time
}

func (a app) progress(quiet bool, what string) *progress {
	p := &progress{out: a.stderr, what: what, bars: isTerminal(a.stderr), start: time.Now()}
	if quiet {
		p.out = nil
	}
	return p
}

// patience is how long a step may take before anything is shown.
const patience = 300 * time.Millisecond

// bytes shows bytes done.
func (p *progress) bytes(done, total int64) { p.show(p.what, done, total) }

// feed shows the bytes of one feed.
func (p *progress) feed(name string, done, total int64) { p.show(p.what+" "+name, done, total) }

func (p *progress) show(name string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.out == nil || time.Since(p.start) < patience:
	case !p.bars:
		if !p.said {
			p.said = true
			fmt.Fprintf(p.out, "%s …\n", p.what)
		}
	default:
		if p.bar == nil || name != p.name {
			p.clear()
			p.name = name
			p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionShowBytes(true),
				progressbar.OptionSetDescription(name), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		}
		p.bar.Set64(min(done, max(total, done)))
	}
}

func (p *progress) clear() {
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}
