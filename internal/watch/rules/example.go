package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"github.com/esclusa/esclusa/internal/yamlread"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Example is something that happens, twice: as events, and as commands that
// make them.
type Example struct {
	yamlread.Pos
	Name   string         `yaml:"name,required" doc:"What happens."`
	Events []ExampleEvent `yaml:"events,required" doc:"The events, as a recording shows them."`
	// Run is run by /bin/sh in a container as root, without a network but
	// loopback, with busybox; Setup before the sensor looks.
	Run   string   `yaml:"run" doc:"Commands that do it in a container, as root, with busybox and no network but loopback."`
	Setup string   `yaml:"setup" doc:"Commands that prepare it, in the same container and before the sensor looks."`
	Needs []string `yaml:"needs" doc:"What the container has beyond the usual: privileged, host-pid, tester, or a capability."`
	Fires []string `yaml:"fires" doc:"Other rules that it sets off, lawfully."`
}

// ExampleEvent is an event in short form: JSON's names, and what is left out
// has a plain value.
type ExampleEvent struct {
	at   yamlread.Pos
	json []byte
	has  map[string]any
}

// DecodeNode implements yamlread.Node.
func (x *ExampleEvent) DecodeNode(r *yamlread.Reader, n ast.Node, what string) {
	x.at = yamlread.PosOf(n)
	if err := yaml.NodeToValue(n, &x.has); err != nil {
		r.Fail(x.at, what+": an event must be keys with values", "")
		return
	}
	data, err := json.Marshal(x.has)
	if err != nil {
		r.Fail(x.at, what+": this event cannot be read", "")
		return
	}
	x.json = data
}

// ExampleTime is when the first event of an example happens.
func ExampleTime() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// Event is the example in long form: number n of its example.
func (x *ExampleEvent) Event(n int, kinds []esclusa.EventKind) (esclusa.Event, error) {
	var e struct {
		esclusa.Event
		// After is the time since the first event of the example, such as 5s;
		// without it, a second an event.
		After string `json:"after"`
	}
	e.Seq, e.Host = uint64(n+1), "node"
	dec := json.NewDecoder(bytes.NewReader(x.json))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return e.Event, err
	}
	if e.Kind == "" && len(kinds) == 1 {
		e.Kind = kinds[0]
	}
	after := time.Duration(n) * time.Second
	if e.After != "" {
		d, err := time.ParseDuration(e.After)
		if err != nil {
			return e.Event, fmt.Errorf("after: %q is not a length of time", yamlread.Clip(e.After, 20))
		}
		after = d
	}
	e.At = ExampleTime().Add(after)
	if e.Process.PID == 0 {
		e.Process.ProcessKey = esclusa.ProcessKey{PID: int32(1000 + n), Start: uint64(1000+n) * esclusa.ClockTick}
	}
	if _, said := x.has["container"]; !said {
		e.Container = ExampleContainer()
	}
	if e.Process.Exe == "" && e.Process.Name != "" {
		e.Process.Exe = "/usr/bin/" + e.Process.Name
	}
	if process, _ := x.has["process"].(map[string]any); process["exeSource"] == nil {
		e.Process.ExeSource = esclusa.SourceImage
		if e.Container == nil {
			e.Process.ExeSource = esclusa.SourceHost
		}
	}
	return e.Event, fields.Check(&e.Event)
}

// ExampleContainer is the container of examples; `container: null` in an event
// stands for the host.
func ExampleContainer() *esclusa.Container {
	return &esclusa.Container{
		ID: "c0ffee", Name: "shop", Runtime: esclusa.RuntimeContainerd, ImageRef: "registry.example/shop:1",
		Started: ExampleTime().Add(-time.Hour),
	}
}

// Check notes in r what is wrong with the example's events; they are of the
// only one of the kinds where they do not say.
func (x *Example) Check(r *yamlread.Reader, kinds []esclusa.EventKind) {
	if len(x.Events) == 0 {
		r.Fail(x.Pos, "the example has no events", "")
	}
	if _, at, err := x.All(kinds); err != nil {
		r.Fail(at, "events: "+strings.TrimPrefix(err.Error(), "json: "), "the fields are listed in docs/reference/events.md")
	}
}

// All are the example's events in long form, or the place of the one that
// cannot be read.
func (x *Example) All(kinds []esclusa.EventKind) ([]esclusa.Event, yamlread.Pos, error) {
	var out []esclusa.Event
	for i := range x.Events {
		e, err := x.Events[i].Event(i, kinds)
		if err != nil {
			return nil, x.Events[i].at, err
		}
		out = append(out, e)
	}
	return out, x.Pos, nil
}

// Try runs the examples of all rules: what an attack does not set off, and
// what its benign twin does, is told. A benign twin must leave every rule
// silent, but for those that it names in fires.
func (s *Set) Try() []error {
	var errs []error
	for _, n := range s.entries {
		if n.rule.Disabled {
			continue
		}
		wrong := func(x *Example, msg string) {
			errs = append(errs, &yamlread.Error{File: n.rule.File, Pos: x.Pos, Message: fmt.Sprintf("%q %s", x.Name, msg)})
		}
		for i := range n.rule.Attacks {
			x := &n.rule.Attacks[i]
			if !slices.Contains(s.fired(x, n.rule.kinds()), n.rule.Name) {
				wrong(x, "is an attack, and the rule does not see it")
			}
		}
		for i := range n.rule.Benign {
			x := &n.rule.Benign[i]
			for _, name := range s.fired(x, n.rule.kinds()) {
				if name == n.rule.Name || !slices.Contains(x.Fires, name) {
					wrong(x, "is benign, and sets off "+name)
				}
			}
		}
	}
	return errs
}

// fired are the rules that an example sets off.
func (s *Set) fired(x *Example, kinds []esclusa.EventKind) []string {
	all, _, err := x.All(kinds)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for i := range all {
		s.Match(&all[i], func(r *Rule) {
			if !slices.Contains(out, r.Name) {
				out = append(out, r.Name)
			}
		})
	}
	return out
}
