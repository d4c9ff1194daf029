// Package actions says what an action is: a folder here that looks, does,
// checks and takes back one thing. It decides nothing; plan and rails did. The
// list is in actions/all, and one conformance test runs over it.
//
// Start with Actor.
package actions

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/rails"
)

// Kind is what an action says of itself.
type Kind struct {
	Name  esclusa.ActionName
	Stage esclusa.Stage
	Does  string // one line for people
	// Needs are the capabilities without which it fails, as in capabilities(7)
	// in lower case and without CAP_. Conformance runs it with these alone.
	Needs []string
	// Reversible says that Undo takes it back. TTL is when that is done by
	// itself, 0 for what the policy says.
	Reversible bool
	TTL        time.Duration
}

// State is what Check finds.
type State int8

// The states.
const (
	Absent State = iota // not done, or taken back
	Holds
	Gone // what it was done to is no more: there is nothing to take back
)

// Actor is one folder. A Job goes through Prepare once and is then written
// down; after a crash any of the others may be called again.
type Actor interface {
	Kind() Kind
	// Prepare looks and changes nothing. It fills in Facts, and in Inverse all
	// that the others need.
	Prepare(ctx context.Context, w *World, j *Job) error
	// Do does it and returns when it is so. What is so already is no error.
	Do(ctx context.Context, w *World, j *Job) error
	// Check says whether it is so.
	Check(ctx context.Context, w *World, j *Job) (State, error)
	// Undo takes it back, also where Do was never called or ended half way.
	Undo(ctx context.Context, w *World, j *Job) error
}

// Job is one action with all that doing and undoing it takes.
type Job struct {
	Action    esclusa.Action     `json:"action"`
	Process   esclusa.Process    `json:"process"` // that did it
	Container *esclusa.Container `json:"container,omitempty"`
	Inverse   json.RawMessage    `json:"inverse,omitempty"`

	// Said is what Do wants a person to know of how it was done.
	Said string `json:"said,omitempty"`

	Facts rails.Facts `json:"-"`
	// Save writes a changed Inverse down, before Do goes on.
	Save func() error `json:"-"`
}

// Keep sets the inverse.
func (j *Job) Keep(v any) error {
	data, err := json.Marshal(v)
	j.Inverse = data
	return err
}

// Kept reads the inverse.
func Kept[T any](j *Job) (v T, err error) {
	err = json.Unmarshal(j.Inverse, &v)
	return v, err
}

// ErrGone says that what an action is for is no more: the process ended, the
// container is removed.
var ErrGone = errors.New("it is gone")

// Once is for actions without an inverse.
type Once struct{}

// Undo says that nothing can.
func (Once) Undo(context.Context, *World, *Job) error {
	return errors.New("this action cannot be undone")
}
