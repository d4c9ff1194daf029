// Package report writes what scan and gate found, in one folder a format. A
// report is a stream of messages; the json format writes the stream itself,
// and a stream that was saved is read back into any other format.
//
// It computes nothing new: what a format shows, every format could show.
//
// Start with Format.
package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/esclusa/esclusa"
)

// Format is one way to write a report. Write does not change the report, and
// writes the same bytes for the same report.
type Format interface {
	Name() string
	Write(w io.Writer, r *esclusa.Report, o Options) error
}

// Options are about the place where the report is read.
type Options struct {
	Width int  // columns; 0 is 80
	Color bool // ANSI colours
	All   bool // every finding, not just the ones that matter first
}

// Messages is the report as a stream.
func Messages(r *esclusa.Report) iter.Seq[esclusa.Message] {
	return func(yield func(esclusa.Message) bool) {
		if !yield(esclusa.Message{Start: &r.Start}) || !yield(esclusa.Message{Image: &r.Image}) {
			return
		}
		for i := range r.Feeds {
			if !yield(esclusa.Message{Feed: &r.Feeds[i]}) {
				return
			}
		}
		for i := range r.Packages {
			if !yield(esclusa.Message{Package: &r.Packages[i]}) {
				return
			}
		}
		for i := range r.Findings {
			if !yield(esclusa.Message{Finding: &r.Findings[i]}) {
				return
			}
		}
		for i := range r.Gaps {
			if !yield(esclusa.Message{Gap: &r.Gaps[i]}) {
				return
			}
		}
		if r.Verdict != nil && !yield(esclusa.Message{Verdict: r.Verdict}) {
			return
		}
		yield(esclusa.Message{End: &r.End})
	}
}

// Limits of a stream that is read: more is not ours.
const (
	maxLine     = 16 << 20
	maxMessages = 5_000_000
)

// ErrCut says that a stream has no end: what wrote it died, and what is
// missing is not known.
var ErrCut = errors.New("the stream is cut: it has no end message")

// Read reads a saved stream. Fields that are not known are left out; a line
// that is no message is an error that names it.
func Read(in io.Reader) (*esclusa.Report, error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	r := &esclusa.Report{}
	ended := false
	n := 0
	for sc.Scan() {
		n++
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if ended {
			return nil, fmt.Errorf("line %d: message after the end", n)
		}
		if n > maxMessages {
			return nil, fmt.Errorf("more than %d messages", maxMessages)
		}
		var m esclusa.Message
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 && (m.Start == nil || m.Start.Stream != esclusa.StreamVersion) {
			return nil, fmt.Errorf("line 1: not the start of a report stream of version %d", esclusa.StreamVersion)
		}
		ended = add(r, &m)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if !ended {
		return nil, ErrCut
	}
	return r, nil
}

func add(r *esclusa.Report, m *esclusa.Message) (ended bool) {
	switch {
	case m.Start != nil:
		r.Start = *m.Start
	case m.Image != nil:
		r.Image = *m.Image
	case m.Feed != nil:
		r.Feeds = append(r.Feeds, *m.Feed)
	case m.Package != nil:
		r.Packages = append(r.Packages, *m.Package)
	case m.Finding != nil:
		r.Findings = append(r.Findings, *m.Finding)
	case m.Gap != nil:
		r.Gaps = append(r.Gaps, *m.Gap)
	case m.Verdict != nil:
		r.Verdict = m.Verdict
	case m.End != nil:
		r.End = *m.End
		return true
	}
	return false
}
