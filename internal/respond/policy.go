package respond

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/respond/rails"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Policy is what respond may do: content/responses/default.yaml explains each
// line.
type Policy struct {
	yamlread.Pos
	TTL      span             `yaml:"ttl"`
	Window   span             `yaml:"window"`
	Severity map[string]stage `yaml:"severity"`
	Escalate escalate         `yaml:"escalate"`
	Limits   limits           `yaml:"limits"`
	Approve  approve          `yaml:"approve"`
	Protect  rails.Protect    `yaml:"protect"`
	Rules    []ruled          `yaml:"rules"`
}

type escalate struct {
	Rules       count `yaml:"rules"`
	Uncontained bool  `yaml:"uncontained"`
}

type limits struct {
	Workload count `yaml:"workload"`
	Node     count `yaml:"node"`
}

type approve struct {
	Actions []action `yaml:"actions"`
	Wait    span     `yaml:"wait"`
	Default answer   `yaml:"default"`
}

type ruled struct {
	yamlread.Pos
	Rule    string   `yaml:"rule"`
	Respond []action `yaml:"respond"`
	Upto    stage    `yaml:"upto"`
}

// DefaultPolicy is the one that is built in.
func DefaultPolicy() (*Policy, error) {
	data, err := fs.ReadFile(content.Responses, "responses/default.yaml")
	if err != nil {
		return nil, err
	}
	var p Policy
	return &p, p.read("default.yaml", data)
}

// ReadPolicy reads a file over the one that is built in: what it does not
// name stays.
func ReadPolicy(name string, data []byte) (*Policy, error) {
	p, err := DefaultPolicy()
	if err != nil {
		return nil, err
	}
	known := p.Severity
	if err := p.read(name, data); err != nil {
		return nil, err
	}
	for word, s := range known {
		if _, named := p.Severity[word]; !named {
			p.Severity[word] = s
		}
	}
	return p, nil
}

func (p *Policy) read(name string, data []byte) error {
	r := yamlread.New(name)
	r.Read(data, p)
	for word := range p.Severity {
		if s, err := esclusa.ParseSeverity(word); err != nil || s.String() != word || s < esclusa.SeverityLow {
			r.Fail(p.Pos, fmt.Sprintf("severity has %q", yamlread.Clip(word, 40)), "known are low, medium, high, critical")
		}
	}
	for _, rule := range p.Rules {
		if rule.Rule == "" {
			r.Fail(rule.Pos, "an entry of rules names no rule", "rule: reverse-shell")
		}
	}
	return r.Err()
}

// rails are the policy's rails.
func (p *Policy) rails() *rails.Rails {
	r := &rails.Rails{Protect: p.Protect, Workload: int(p.Limits.Workload), Node: int(p.Limits.Node)}
	for _, a := range p.Approve.Actions {
		r.Approve = append(r.Approve, esclusa.ActionName(a))
	}
	return r
}

// rule is what is said of a single rule, or nil.
func (p *Policy) rule(name string) *ruled {
	for i := range p.Rules {
		if p.Rules[i].Rule == name {
			return &p.Rules[i]
		}
	}
	return nil
}

// upto is how far a response to a detection may go.
func (p *Policy) upto(d *esclusa.Detection) esclusa.Stage {
	if r := p.rule(d.Rule); r != nil && r.Upto != 0 {
		return esclusa.Stage(r.Upto)
	}
	return esclusa.Stage(p.Severity[d.Severity.String()])
}

type stage esclusa.Stage

// DecodeText implements yamlread.Scalar.
func (s *stage) DecodeText(text string) error {
	var word string
	words := []string{esclusa.StageNone.String(), esclusa.StageObserve.String(), esclusa.StageContain.String(), esclusa.StageKill.String()}
	if err := yamlread.Word(&word, text, words); err != nil {
		return err
	}
	for i, w := range words {
		if w == word {
			*s = stage(i)
		}
	}
	return nil
}

type action esclusa.ActionName

// DecodeText implements yamlread.Scalar.
func (a *action) DecodeText(s string) error {
	return yamlread.Word(a, s, []action{
		action(esclusa.ActionEvidence), action(esclusa.ActionDenyStart), action(esclusa.ActionTighten), action(esclusa.ActionIsolate),
		action(esclusa.ActionFreeze), action(esclusa.ActionKill), action(esclusa.ActionKillTree), action(esclusa.ActionStop),
		action(esclusa.ActionQuarantineFile), action(esclusa.ActionQuarantineImage), action(esclusa.ActionNotify),
	})
}

// answer is what is done when nobody answered.
type answer string

// DecodeText implements yamlread.Scalar.
func (a *answer) DecodeText(s string) error { return yamlread.Word(a, s, []answer{"refuse", "do"}) }

type span time.Duration

// DecodeText implements yamlread.Scalar.
func (d *span) DecodeText(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v < time.Second || v > 30*24*time.Hour {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is no time between 1s and 720h", yamlread.Clip(s, 40)), Hint: "write 90s, 15m or 24h"}
	}
	*d = span(v)
	return nil
}

type count int

// DecodeText implements yamlread.Scalar.
func (c *count) DecodeText(s string) error {
	v, err := strconv.Atoi(s)
	if err != nil || v < 0 || v > 10_000 {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is no number between 0 and 10000", yamlread.Clip(s, 40))}
	}
	*c = count(v)
	return nil
}
