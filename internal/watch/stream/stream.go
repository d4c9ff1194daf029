// Package stream writes what a sensor tells, as JSON lines or for a person at
// a terminal, and reads JSON lines back, so that a recording can be judged
// again.
package stream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/esclusa/esclusa"
)

// Limits of a recording: it is a file from anywhere.
const (
	maxLine  = 1 << 20 // an exec event has at most 64 KiB of arguments, a sequence some events
	flushLen = 64 << 10
)

// JSON writes one message a line. It may be used from several goroutines.
type JSON struct {
	Events bool // write events, too
	// Failed is told the first error of writing, if it is not nil: a recording
	// on a full disk must not go on as if it were one.
	Failed func(error)

	mu      sync.Mutex
	out     *bufio.Writer
	waiting bool // for a flush
	err     error
}

// delay is how long an event may wait for others before it is written.
const delay = 100 * time.Millisecond

// NewJSON writes to w.
func NewJSON(w io.Writer) *JSON { return &JSON{out: bufio.NewWriterSize(w, flushLen)} }

// Write writes any message. Events are written within a tenth of a second, all
// else at once.
func (j *JSON) Write(m esclusa.NodeMessage) {
	line, err := json.Marshal(m)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.out.Write(append(line, '\n'))
	}
	switch {
	case err != nil:
	case m.Event == nil:
		err = j.out.Flush()
	case !j.waiting:
		j.waiting = true
		time.AfterFunc(delay, j.flush)
	}
	j.fail(err)
}

func (j *JSON) flush() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = false
	j.fail(j.out.Flush())
}

// fail keeps the first error. Its caller holds the lock.
func (j *JSON) fail(err error) {
	if err == nil || j.err != nil {
		return
	}
	if j.err = err; j.Failed != nil {
		j.Failed(err)
	}
}

// Event implements watch.Sink.
func (j *JSON) Event(e *esclusa.Event) {
	if j.Events {
		j.Write(esclusa.NodeMessage{Event: e})
	}
}

// Detection implements watch.Sink.
func (j *JSON) Detection(d *esclusa.Detection) { j.Write(esclusa.NodeMessage{Detection: d}) }

// Close writes what is left and tells the first error.
func (j *JSON) Close() error {
	j.flush()
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Read hands each message of a recording to take, in order. An error names the
// line; what came before it was handed over.
func Read(r io.Reader, take func(*esclusa.NodeMessage) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, flushLen), maxLine)
	line := 0
	for sc.Scan() {
		line++
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		var m esclusa.NodeMessage
		if err := json.Unmarshal(sc.Bytes(), &m); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if line == 1 && m.Start == nil {
			return fmt.Errorf("line 1: no start: this is not a recording of a node")
		}
		if m.Start != nil && m.Start.Stream != esclusa.NodeVersion {
			return fmt.Errorf("line %d: version %d of the stream; this program reads %d", line, m.Start.Stream, esclusa.NodeVersion)
		}
		if err := take(&m); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("line %d: %w", line+1, err)
	}
	if line == 0 {
		return errors.New("nothing in it")
	}
	return nil
}
