// Package report writes what scan and gate found, in one folder a format. A
// report is a stream of messages; the json format writes the stream itself,
// and a stream that was saved is read back into any other format.
//
// It computes nothing new: what a format shows, every format could show.
//
// Start with Format. Text, Fingerprints, License and Plan are what several
// formats need.
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
		end := r.End
		end.Packages, end.Findings, end.Gaps = len(r.Packages), len(r.Findings), len(r.Gaps)
		yield(esclusa.Message{End: &end})
	}
}

// Limits of a stream that is read: more is not ours.
const (
	maxLine     = 16 << 20
	maxMessages = 5_000_000
)

// ErrCut says that a stream has no end, or less than its end counted: what
// wrote it died, and what is missing is not known.
var ErrCut = errors.New("the stream is cut")

// Read reads a saved stream. Fields that are not known are left out; a line
// that is no message is an error that names it.
func Read(in io.Reader) (*esclusa.Report, error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	var s stream
	n := 0
	for sc.Scan() {
		n++
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := s.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if err := s.whole(); err != nil {
		return nil, err
	}
	return &s.Report, nil
}

// stream is a report that is being read.
type stream struct {
	esclusa.Report
	messages     int
	image, ended bool
}

func (s *stream) line(line []byte) error {
	if s.messages++; s.messages > maxMessages {
		return fmt.Errorf("more than %d messages", maxMessages)
	}
	var m esclusa.Message
	err := json.Unmarshal(line, &m)
	first := s.messages == 1
	switch {
	case first && (err != nil || m.Start == nil || m.Start.Stream != esclusa.StreamVersion):
		return fmt.Errorf("not the start of a report stream of version %d", esclusa.StreamVersion)
	case err != nil:
		return err
	case fields(&m) > 1:
		return errors.New("more than one message")
	case s.ended:
		return errors.New("message after the end")
	case !first && m.Start != nil, s.image && m.Image != nil, s.Verdict != nil && m.Verdict != nil:
		return errors.New("a second start, image or verdict")
	}
	s.add(&m)
	return nil
}

// fields counts what is set; 0 is a message of a later version.
func fields(m *esclusa.Message) int {
	n := 0
	for _, set := range []bool{
		m.Start != nil, m.Image != nil, m.Feed != nil, m.Package != nil,
		m.Finding != nil, m.Gap != nil, m.Verdict != nil, m.End != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

func (s *stream) add(m *esclusa.Message) {
	switch {
	case m.Start != nil:
		s.Start = *m.Start
	case m.Image != nil:
		s.Image, s.image = *m.Image, true
	case m.Feed != nil:
		s.Feeds = append(s.Feeds, *m.Feed)
	case m.Package != nil:
		s.Packages = append(s.Packages, *m.Package)
	case m.Finding != nil:
		s.Findings = append(s.Findings, *m.Finding)
	case m.Gap != nil:
		s.Gaps = append(s.Gaps, *m.Gap)
	case m.Verdict != nil:
		s.Verdict = m.Verdict
	case m.End != nil:
		s.End, s.ended = *m.End, true
	}
}

// whole holds the stream to what its end counted.
func (s *stream) whole() error {
	if !s.ended {
		return fmt.Errorf("%w: it has no end message", ErrCut)
	}
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"packages", len(s.Packages), s.End.Packages},
		{"findings", len(s.Findings), s.End.Findings},
		{"gaps", len(s.Gaps), s.End.Gaps},
	} {
		if c.got != c.want {
			return fmt.Errorf("%w: its end counts %d %s, and it has %d", ErrCut, c.want, c.what, c.got)
		}
	}
	return nil
}
