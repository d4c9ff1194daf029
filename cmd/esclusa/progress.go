package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long step is: a bar on a terminal, else one line
// that says what is being waited for. What is to be shown is only noted where
// it happens, often and from several goroutines; a clock of its own draws it,
// so that the bar moves on while the last bytes are still being worked on.
type progress struct {
	out  io.Writer
	what string
	bars bool
	// feeds are the steps of an update, in their order.
	feeds []string

	mu          sync.Mutex
	name        string
	done, total int64

	stop, stopped chan struct{}
}

// patience is how long a step may take before anything is shown, and pace how
// often it is drawn anew.
const (
	patience = 300 * time.Millisecond
	pace     = 100 * time.Millisecond
)

// progress starts to show; finish ends it.
func (a app) progress(quiet bool, what string, feeds ...string) *progress {
	p := &progress{
		out: a.stderr, what: what, bars: isTerminal(a.stderr), feeds: feeds,
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if quiet {
		close(p.stopped)
	} else {
		go p.run()
	}
	return p
}

// bytes notes the bytes done.
func (p *progress) bytes(done, total int64) { p.note(p.what, done, total) }

// feed notes the bytes of one feed. The bar is about all of them: each is one
// part, the last hundredth of which is for reading what was fetched.
func (p *progress) feed(name string, done, total int64) {
	const part = 1000
	at := max(0, slices.Index(p.feeds, name)) * part
	if total > 0 {
		at += int(min(done*part/total, part-part/100))
	}
	p.note(p.what+" "+name, int64(at), int64(len(p.feeds)*part))
}

func (p *progress) note(name string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.done, p.total = name, done, total
}

// finish takes the bar away.
func (p *progress) finish() {
	close(p.stop)
	<-p.stopped
}

// run draws until finish is called.
func (p *progress) run() {
	defer close(p.stopped)
	select {
	case <-p.stop:
		return
	case <-time.After(patience):
	}
	if !p.bars {
		fmt.Fprintf(p.out, "%s …\n", p.what)
		return
	}
	d := drawing{out: p.out}
	defer d.clear()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		p.mu.Lock()
		name, done, total := p.name, p.done, p.total
		p.mu.Unlock()
		if name == "" {
			name = p.what
		}
		d.draw(name, done, total)
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

// drawing is the bar on the terminal: a spinner where nobody knows how much
// there is.
type drawing struct {
	out   io.Writer
	bar   *progressbar.ProgressBar
	total int64
}

func (d *drawing) draw(name string, done, total int64) {
	if total <= 0 {
		total = -1
	}
	if d.bar == nil || total != d.total {
		d.clear()
		d.total = total
		d.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(d.out), progressbar.OptionSetWidth(30),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionSpinnerType(14),
			progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish())
	}
	d.bar.Describe(name)
	if total < 0 {
		_ = d.bar.Add(1)
		return
	}
	// A bar that is full takes itself away; this one waits for finish.
	_ = d.bar.Set64(min(done, total-1))
}

func (d *drawing) clear() {
	if d.bar != nil {
		_ = d.bar.Clear()
		d.bar = nil
	}
}
