// Package deny keeps the list of images that are not started on this node any
// more: denied.json in the state folder. The sensor ends what starts from one
// of them; who gates images can read the list.
package deny

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{}

// Entry is one denied image.
type Entry struct {
	Image  esclusa.Digest `json:"image"`
	Since  time.Time      `json:"since"`
	Action string         `json:"action"`
	Reason string         `json:"reason"`
}

// Name is the list's file.
const Name = "denied.json"

// maxList bounds the list.
const maxList = 1000

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionDenyStart, Stage: esclusa.StageContain, Reversible: true,
		Does: "ends what starts from the image on this node from now on",
	}
}

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	if j.Action.Target.Image == "" {
		return errors.New("no digest of the image is known")
	}
	list, err := Read(w.State)
	if err == nil && len(list) >= maxList {
		err = fmt.Errorf("%d images are denied already, and no more are kept", len(list))
	}
	return errors.Join(err, j.Keep(struct{}{}))
}

// Do implements actions.Actor.
func (Actor) Do(_ context.Context, w *actions.World, j *actions.Job) error {
	return change(w.State, func(list []Entry) []Entry {
		if slices.ContainsFunc(list, func(e Entry) bool { return e.Action == j.Action.ID }) {
			return list
		}
		return append(list, Entry{j.Action.Target.Image, time.Now().UTC(), j.Action.ID, j.Action.Reason})
	})
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, w *actions.World, j *actions.Job) (actions.State, error) {
	list, err := Read(w.State)
	if slices.ContainsFunc(list, func(e Entry) bool { return e.Action == j.Action.ID }) {
		return actions.Holds, err
	}
	return actions.Absent, err
}

// Undo implements actions.Actor.
func (Actor) Undo(_ context.Context, w *actions.World, j *actions.Job) error {
	return change(w.State, func(list []Entry) []Entry {
		return slices.DeleteFunc(list, func(e Entry) bool { return e.Action == j.Action.ID })
	})
}

// Read reads the list of a state folder; it is empty where there is none.
func Read(state string) ([]Entry, error) {
	data, err := os.ReadFile(filepath.Join(state, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Entry
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("list of denied images %s: %w", filepath.Join(state, Name), err)
	}
	return list, nil
}

// change replaces the list: a reader sees the one or the other.
func change(state string, edit func([]Entry) []Entry) error {
	list, err := Read(state)
	if err != nil {
		return err
	}
	now := edit(slices.Clone(list))
	if slices.Equal(now, list) {
		return nil
	}
	data, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	return actions.WriteFile(filepath.Join(state, Name), append(data, '\n'))
}
