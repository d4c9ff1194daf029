// Package evidence keeps what a machine forgets when processes end: who ran,
// with which files, connections and mappings, and the programs that were
// brought along, with their hashes. It changes nothing of what it looks at.
//
// The environment of a process is not kept: it is where secrets are.
package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/respond/actions"
)

// Actor implements actions.Actor.
type Actor struct{ actions.Once }

// Limits of one collection, and of all that is kept.
const (
	maxProcesses = 512
	maxFDs       = 1024 // of one process
	maxMaps      = 512
	maxFile      = 32 << 20
	maxFiles     = 64 << 20 // copied together
	maxKept      = 512 << 20
	limit        = 5 * time.Second
)

// Report is evidence.json.
type Report struct {
	Action    esclusa.Action     `json:"action"`
	At        time.Time          `json:"at"`
	Container *esclusa.Container `json:"container,omitempty"`
	Processes []Process          `json:"processes"`
	Files     []File             `json:"files,omitempty"`
	Gaps      []esclusa.Gap      `json:"gaps,omitempty"`
}

// Process is one process as it was found.
type Process struct {
	esclusa.ProcessKey
	Parent  int32    `json:"parent"`
	Name    string   `json:"name"`
	State   string   `json:"state"`
	Exe     string   `json:"exe,omitempty"`
	Args    []string `json:"args,omitempty"`
	Cwd     string   `json:"cwd,omitempty"`
	Status  []string `json:"status,omitempty"` // ids, capabilities and seccomp as /proc/PID/status has them
	Cgroups []string `json:"cgroups,omitempty"`
	Files   []FD     `json:"files,omitempty"`
	// Maps are the mappings that can be executed.
	Maps []string `json:"maps,omitempty"`
	// SHA256 is of the executable.
	SHA256 string `json:"sha256,omitempty"`
}

// FD is an open file; of a socket Peers says between whom.
type FD struct {
	FD    string `json:"fd"`
	To    string `json:"to"`
	Peers string `json:"peers,omitempty"`
}

// File is a program that came with nobody's package: it is copied to
// files/SHA256.
type File struct {
	Path   string `json:"path"`
	PID    int32  `json:"pid"`
	Why    string `json:"why"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Kind implements actions.Actor.
func (Actor) Kind() actions.Kind {
	return actions.Kind{
		Name: esclusa.ActionEvidence, Stage: esclusa.StageObserve,
		Does:  "keeps processes, files, sockets and mappings, and copies dropped programs",
		Needs: []string{"dac_read_search", "sys_ptrace"},
	}
}

// Folder is where the evidence of an action is, below the state folder.
func Folder(a *esclusa.Action) string { return filepath.Join("evidence", a.Incident, a.ID) }

// Prepare implements actions.Actor.
func (Actor) Prepare(_ context.Context, w *actions.World, j *actions.Job) error {
	size, err := kept(filepath.Join(w.State, "evidence"))
	if err == nil && size > maxKept {
		err = fmt.Errorf("%d MiB of evidence are kept, and no more fits (hint: move old folders of %s away)",
			size>>20, filepath.Join(w.State, "evidence"))
	}
	return errors.Join(err, j.Keep(struct{}{}))
}

func kept(folder string) (size int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size, err
}

// Do implements actions.Actor.
func (Actor) Do(ctx context.Context, w *actions.World, j *actions.Job) error {
	to := filepath.Join(w.State, Folder(&j.Action))
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	part := to + ".part"
	if err := os.RemoveAll(part); err != nil { // of an earlier try
		return err
	}
	if err := os.MkdirAll(filepath.Join(part, "files"), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := collector{to: part, sockets: map[string]map[string]string{}, hashed: map[fileID]string{}, job: j}
	c.Report = Report{Action: j.Action, At: time.Now().UTC(), Container: j.Container}
	list, err := who(w, j)
	if err != nil {
		return err
	}
	for i, s := range list {
		if i == maxProcesses || ctx.Err() != nil {
			c.gap("processes", fmt.Errorf("%d of %d were looked at", i, len(list)))
			break
		}
		c.process(s)
	}
	data, err := json.MarshalIndent(c.Report, "", "  ")
	if err != nil {
		return err
	}
	if err := actions.WriteFile(filepath.Join(part, "evidence.json"), append(data, '\n')); err != nil {
		return err
	}
	if err := os.Rename(part, to); err != nil {
		return err
	}
	j.Said = "in " + to
	return actions.SyncFolder(filepath.Dir(to))
}

// who is looked at: the container, or the process with all below it.
func who(w *actions.World, j *actions.Job) ([]actions.Stat, error) {
	if j.Container != nil {
		g, err := w.Group(j.Container)
		if err != nil {
			return nil, err
		}
		return g.Processes()
	}
	tree, err := actions.Tree(j.Action.Target.Process)
	if err == nil && len(tree) == 0 {
		err = fmt.Errorf("process %s: %w", j.Action.Target.Process, actions.ErrGone)
	}
	return tree, err
}

// Check implements actions.Actor.
func (Actor) Check(_ context.Context, w *actions.World, j *actions.Job) (actions.State, error) {
	if _, err := os.Stat(filepath.Join(w.State, Folder(&j.Action))); err != nil {
		return actions.Absent, nil
	}
	return actions.Holds, nil
}
