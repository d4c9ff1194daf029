// Package sequences recognises behaviour in several events that belong
// together: the steps of an attack by one tree of processes, in one container
// or pod, or on one file, within a window of time. Time is that of the events,
// so a recording gives the same detections at any speed.
//
// A sequence is a YAML file like a rule; a step is a condition or the name of
// a rule. State is bounded; what is evicted before its window is over is
// counted and becomes a Gap. Start with Load.
package sequences

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/rules"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Sequence is one file.
type Sequence struct {
	yamlread.Pos
	Name       string          `yaml:"name,required" doc:"Name of the sequence: of the file, of detections and in exceptions."`
	Key        Key             `yaml:"key,required" doc:"What the events share: tree, process, container, pod or file."`
	Within     Window          `yaml:"within,required" doc:"The longest time from the first step to the last, such as 60s."`
	AnyOrder   bool            `yaml:"anyOrder" doc:"The steps may come in any order."`
	Steps      []Step          `yaml:"steps,required" doc:"The steps, each by an event of its own."`
	Severity   rules.Level     `yaml:"severity,required" doc:"low, medium, high or critical."`
	Tactic     rules.Tactic    `yaml:"tactic,required" doc:"The tactic of MITRE ATT&CK."`
	Technique  rules.Technique `yaml:"technique,required" doc:"The technique of MITRE ATT&CK, such as T1611."`
	Message    rules.Template  `yaml:"message,required" doc:"One sentence, with fields of the last event in braces."`
	Why        string          `yaml:"why,required" doc:"What is bad about it."`
	Lawful     string          `yaml:"lawful,required" doc:"What lawful use looks alike, and how the sequence tells it apart."`
	References []string        `yaml:"references" doc:"Where to read more."`
	Respond    []rules.Action  `yaml:"respond" doc:"Actions, in order; without it, notify."`
	Disabled   bool            `yaml:"disabled" doc:"Read and checked, and not used."`
	Attacks    []rules.Example `yaml:"attacks" doc:"What must be recognised."`
	Benign     []rules.Example `yaml:"benign" doc:"What looks alike, and must not be."`

	// File is the name it was read under.
	File string
	data string // to know it again after a reload
}

// Step is one of the events.
type Step struct {
	yamlread.Pos
	Rule     string          `yaml:"rule" doc:"An event that this rule matches, or:"`
	Kinds    []rules.Kind    `yaml:"kinds" doc:"kinds of events,"`
	When     rules.Condition `yaml:"when" doc:"and the condition, in CEL."`
	Times    Count           `yaml:"times" doc:"How many such events make the step; without it, one."`
	Distinct string          `yaml:"distinct" doc:"A field that must differ in each of them, such as connect.port."`
}

// Key says which events belong together.
type Key string

// The keys.
const (
	// Tree is the topmost process in the container; on the host, the topmost
	// below what starts sessions and services.
	Tree      Key = "tree"
	Process   Key = "process"
	Container Key = "container"
	Pod       Key = "pod" // or the container, outside of Kubernetes
	// FileKey is the path of a file event, and the executable and script of an
	// exec, in one container.
	FileKey Key = "file"
)

// DecodeText implements yamlread.Scalar.
func (k *Key) DecodeText(s string) error {
	return yamlread.Word(k, s, []Key{Tree, Process, Container, Pod, FileKey})
}

// Window is a length of time, up to a day.
type Window time.Duration

// DecodeText implements yamlread.Scalar.
func (w *Window) DecodeText(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a window", yamlread.Clip(s, 20)), Hint: "write it as 30s, 10m or 2h; at most 24h"}
	}
	*w = Window(d)
	return nil
}

// Count is how often, at most 256.
type Count int

// DecodeText implements yamlread.Scalar.
func (c *Count) DecodeText(s string) error {
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || fmt.Sprint(n) != s || n < 1 || n > 256 {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a count", yamlread.Clip(s, 20)), Hint: "write a number from 1 to 256"}
	}
	*c = Count(n)
	return nil
}

// maxSteps is the most steps of a sequence.
const maxSteps = 16

func parse(l *rules.Language, f rules.File, set *rules.Set) (*Sequence, error) {
	s := &Sequence{File: f.Name, data: string(f.Data)}
	r := yamlread.New(f.Name)
	r.Read(f.Data, s)
	if r.OK() {
		s.check(r, l, set)
	}
	return s, r.Err()
}

func (s *Sequence) check(r *yamlread.Reader, l *rules.Language, set *rules.Set) {
	r.Name(s.Pos, "the sequence", s.Name)
	if want := strings.TrimSuffix(path.Base(s.File), ".yaml"); s.Name != want {
		r.Fail(s.Pos, fmt.Sprintf("the sequence %s stands in %s", s.Name, s.File), "a sequence and its file have one name")
	}
	if len(s.Steps) == 0 || len(s.Steps) > maxSteps || len(s.Steps) == 1 && s.Steps[0].Times < 2 {
		r.Fail(s.Pos, fmt.Sprintf("a sequence of %d steps", len(s.Steps)), fmt.Sprintf("write 2 to %d, or one with times; a single event is for a rule", maxSteps))
		return
	}
	for what, text := range map[string]string{"message": s.Message.Text, "why": s.Why, "lawful": s.Lawful} {
		if n := len(strings.TrimSpace(text)); n == 0 || n > 1000 {
			r.Fail(s.Pos, fmt.Sprintf("%s has %d bytes; it needs 1 to 1000", what, n), "")
		}
	}
	for i := range s.Steps {
		s.Steps[i].check(r, l, set, s.AnyOrder)
	}
	if !r.OK() {
		return
	}
	var kinds []esclusa.EventKind
	if !s.AnyOrder {
		kinds = s.Steps[len(s.Steps)-1].kinds(set)
	}
	s.Message.Compile(r, l, "message", kinds)
	for _, x := range slices.Concat(s.Attacks, s.Benign) {
		x.Check(r, nil)
	}
}

func (st *Step) check(r *yamlread.Reader, l *rules.Language, set *rules.Set, anyOrder bool) {
	if (st.Rule == "") == (st.When.Text == "" || len(st.Kinds) == 0) {
		r.Fail(st.Pos, "a step needs either rule, or kinds and when", "")
		return
	}
	if st.Times == 0 {
		st.Times = 1
	}
	if anyOrder && st.Times > 1 {
		r.Fail(st.Pos, "times is for steps in order", "")
	}
	if st.Rule != "" {
		if rule := set.Rule(st.Rule); rule == nil || rule.Disabled {
			var names []string
			for _, rule := range set.Rules() {
				names = append(names, rule.Name)
			}
			r.Fail(st.Pos, fmt.Sprintf("there is no rule %q in force", yamlread.Clip(st.Rule, 40)), yamlread.DidYouMean(st.Rule, names))
			return
		}
	} else {
		st.When.Compile(r, l, "when", st.kinds(set))
		if r.OK() {
			st.When.CheckFiles(r, st.kinds(set))
		}
	}
	if st.Distinct != "" && (!l.Shown(st.Distinct) || st.Times < 2) {
		r.Fail(st.Pos, fmt.Sprintf("distinct: %q is not a field that can be counted", yamlread.Clip(st.Distinct, 40)), "it stands beside times, and names a text or a number")
	}
}

func (st *Step) kinds(set *rules.Set) []esclusa.EventKind {
	kinds := st.Kinds
	if st.Rule != "" {
		kinds = set.Rule(st.Rule).Kinds
	}
	out := make([]esclusa.EventKind, len(kinds))
	for i, k := range kinds {
		out[i] = esclusa.EventKind(k)
	}
	return out
}

// Detection is the sequence's word on the events of its steps, oldest first.
// Boot names the node's boot.
func (s *Sequence) Detection(events []esclusa.Event, boot string) esclusa.Detection {
	last := &events[len(events)-1]
	d := esclusa.Detection{
		ID: fmt.Sprintf("%s-%d-%s", boot, last.Seq, s.Name), Rule: s.Name, Severity: esclusa.Severity(s.Severity),
		Technique: string(s.Technique), At: last.At, Message: s.Message.Show(last), Why: rules.Reason(s.Why, s.Lawful),
		References: s.References, Events: events, Respond: rules.Responses(s.Respond),
	}
	for i := range events {
		d.Gaps = append(d.Gaps, events[i].Gaps...)
	}
	return d
}

// Load makes a set of sequences; steps name rules of the given set. Its error
// joins one *yamlread.Error for each mistake.
func Load(l *rules.Language, set *rules.Set, limits Limits, files ...rules.File) (*Set, error) {
	s := &Set{language: l, byRule: map[string][]step{}}
	var errs []error
	for _, f := range files {
		q, err := parse(l, f, set)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if set.Rule(q.Name) != nil || slices.ContainsFunc(s.all, func(o *tracker) bool { return o.seq.Name == q.Name }) {
			errs = append(errs, &yamlread.Error{File: f.Name, Pos: q.Pos, Message: "a second rule or sequence " + q.Name})
			continue
		}
		s.all = append(s.all, &tracker{seq: q, states: map[key]*state{}})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.arm(set, limits)
	return s, nil
}
