// Package rules recognises behaviour in single events. A rule is a YAML file:
// which kinds of events it is about, a condition in CEL, what is bad about it,
// what lawful use looks alike, what is to be done, and examples of both.
//
// A Set is made whole from files and never changes; to reload, make another
// and swap the pointer. For an event, an index finds the few rules whose
// literals are in it, so the time of Match does not grow with the number of
// rules, and an event that no rule cares about allocates nothing.
//
// A condition that cannot be answered is a Gap, never a silent miss. Start
// with Load.
package rules

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Rule is one file.
type Rule struct {
	yamlread.Pos
	Name       string      `yaml:"name,required" doc:"Name of the rule: of the file, of detections and in exceptions."`
	Kinds      []Kind      `yaml:"kinds,required" doc:"The kinds of events that it is about."`
	When       Condition   `yaml:"when,required" doc:"The condition, in CEL."`
	Severity   Level       `yaml:"severity,required" doc:"low, medium, high or critical."`
	Tactic     Tactic      `yaml:"tactic,required" doc:"The tactic of MITRE ATT&CK."`
	Technique  Technique   `yaml:"technique,required" doc:"The technique of MITRE ATT&CK, such as T1611."`
	Message    Template    `yaml:"message,required" doc:"One sentence about the very case, with fields in braces."`
	Why        string      `yaml:"why,required" doc:"What is bad about it."`
	Lawful     string      `yaml:"lawful,required" doc:"What lawful use looks alike, and how the rule tells it apart."`
	References []string    `yaml:"references" doc:"Where to read more."`
	Respond    []Action    `yaml:"respond" doc:"Actions, in order; without it, notify."`
	Exceptions []Exception `yaml:"exceptions" doc:"Lawful cases, as data."`
	Disabled   bool        `yaml:"disabled" doc:"Read and checked, and not used."`
	Replaces   bool        `yaml:"replaces" doc:"Takes the place of the built-in rule of this name."`
	Attacks    []Example   `yaml:"attacks" doc:"What must be recognised."`
	Benign     []Example   `yaml:"benign" doc:"What looks alike, and must not be."`

	// File is the name it was read under.
	File string
}

// Kind is a kind of event.
type Kind esclusa.EventKind

// DecodeText implements yamlread.Scalar.
func (k *Kind) DecodeText(s string) error {
	var all []Kind
	for _, kind := range fields.Kinds() {
		all = append(all, Kind(kind))
	}
	return yamlread.Word(k, s, all)
}

// Level is a severity that a rule may have.
type Level esclusa.Severity

// DecodeText implements yamlread.Scalar.
func (l *Level) DecodeText(s string) error {
	var w string
	if err := yamlread.Word(&w, s, []string{"low", "medium", "high", "critical"}); err != nil {
		return err
	}
	v, err := esclusa.ParseSeverity(w)
	*l = Level(v)
	return err
}

// Tactic is a column of the ATT&CK matrix.
type Tactic string

// Tactics are those of the Containers matrix, in its order, and the two of the
// Enterprise matrix that a node sees as well.
func Tactics() []Tactic {
	return []Tactic{
		"initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion", "credential-access",
		"discovery", "lateral-movement", "impact", "command-and-control", "exfiltration",
	}
}

// DecodeText implements yamlread.Scalar.
func (t *Tactic) DecodeText(s string) error { return yamlread.Word(t, s, Tactics()) }

// Technique is a technique of ATT&CK.
type Technique string

// DecodeText implements yamlread.Scalar.
func (t *Technique) DecodeText(s string) error {
	if ok, _ := regexp.MatchString(`^T\d{4}(\.\d{3})?$`, s); !ok {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a technique", yamlread.Clip(s, 20)), Hint: "write it as T1611 or T1059.004"}
	}
	*t = Technique(s)
	return nil
}

// Action names a response.
type Action esclusa.ActionName

// DecodeText implements yamlread.Scalar.
func (a *Action) DecodeText(s string) error {
	return yamlread.Word(a, s, []Action{
		Action(esclusa.ActionEvidence), Action(esclusa.ActionDenyStart), Action(esclusa.ActionTighten), Action(esclusa.ActionIsolate),
		Action(esclusa.ActionFreeze), Action(esclusa.ActionKill), Action(esclusa.ActionKillTree), Action(esclusa.ActionStop),
		Action(esclusa.ActionQuarantineFile), Action(esclusa.ActionQuarantineImage), Action(esclusa.ActionNotify),
	})
}

// File is one file as read.
type File struct {
	Name string
	Data []byte
}

// maxFiles is how many files of one folder are read.
const maxFiles = 5000

// Files reads the rule or sequence files (*.yaml) of a folder, in order.
func Files(folder fs.FS) ([]File, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("read rules: %d files; at most %d are read", len(names), maxFiles)
	}
	var out []File
	for _, name := range names {
		info, err := fs.Stat(folder, name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		if info.Size() > yamlread.MaxFile {
			return nil, fmt.Errorf("read rules: %s has %d bytes; at most %d are read", name, info.Size(), yamlread.MaxFile)
		}
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		out = append(out, File{name, data})
	}
	return out, nil
}

// parse reads one file. Its error joins one *yamlread.Error for each mistake.
func (l *Language) parse(f File) (*Rule, error) {
	rule := &Rule{File: f.Name}
	r := yamlread.New(f.Name)
	r.Read(f.Data, rule)
	if r.OK() {
		rule.check(r, l)
	}
	return rule, r.Err()
}

func (rule *Rule) check(r *yamlread.Reader, l *Language) {
	r.Name(rule.Pos, "the rule", rule.Name)
	if want := strings.TrimSuffix(path.Base(rule.File), ".yaml"); rule.Name != want {
		r.Fail(rule.Pos, fmt.Sprintf("the rule %s stands in %s", rule.Name, rule.File), "a rule and its file have one name")
	}
	if len(rule.Kinds) == 0 {
		r.Fail(rule.Pos, "the rule is about no kind of event", "add kinds, such as [exec]")
	}
	for what, s := range map[string]string{"message": rule.Message.Text, "why": rule.Why, "lawful": rule.Lawful} {
		if n := len(strings.TrimSpace(s)); n == 0 || n > 1000 {
			r.Fail(rule.Pos, fmt.Sprintf("%s has %d bytes; it needs 1 to 1000", what, n), "")
		}
	}
	kinds := rule.kinds()
	rule.When.Compile(r, l, "when", kinds)
	rule.Message.Compile(r, l, "message", kinds)
	for i := range rule.Exceptions {
		x := &rule.Exceptions[i]
		r.Name(x.Pos, "the exception", x.Name)
		x.compile(r, l, kinds)
	}
	for i := range rule.Attacks {
		rule.Attacks[i].Check(r, kinds)
	}
	for i := range rule.Benign {
		rule.Benign[i].Check(r, kinds)
	}
	if r.OK() {
		rule.When.CheckFiles(r, kinds)
	}
}

func (rule *Rule) kinds() []esclusa.EventKind {
	out := make([]esclusa.EventKind, len(rule.Kinds))
	for i, k := range rule.Kinds {
		out[i] = esclusa.EventKind(k)
	}
	return out
}

// Detection is the rule's word on an event that it matched. Boot names the
// node's boot.
func (rule *Rule) Detection(e *esclusa.Event, boot string) esclusa.Detection {
	return esclusa.Detection{
		ID: fmt.Sprintf("%s-%d-%s", boot, e.Seq, rule.Name), Rule: rule.Name, Severity: esclusa.Severity(rule.Severity),
		Technique: string(rule.Technique), At: e.At, Message: rule.Message.Show(e), Why: Reason(rule.Why, rule.Lawful),
		References: rule.References, Events: []esclusa.Event{*e}, Respond: Responses(rule.Respond),
		Gaps: e.Gaps,
	}
}

// Reason joins what is bad and what is lawful for a person to read.
func Reason(why, lawful string) string {
	return strings.TrimSpace(why) + "\nLawful: " + strings.TrimSpace(lawful)
}

// Responses are the names of actions; of none, notify.
func Responses(actions []Action) []string {
	if len(actions) == 0 {
		return []string{string(esclusa.ActionNotify)}
	}
	out := make([]string, len(actions))
	for i, a := range actions {
		out[i] = string(a)
	}
	return out
}
