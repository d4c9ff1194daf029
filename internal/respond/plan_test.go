package respond_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/incident"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// found is a detection in a container, or on the host, after some seconds.
func found(seconds int, rule string, severity esclusa.Severity, container string, names ...string) *esclusa.Detection {
	e := esclusa.Event{Kind: esclusa.EventExec, At: noon.Add(time.Duration(seconds) * time.Second), Process: esclusa.Process{
		ProcessKey: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}, Name: "x", Exe: "/tmp/x", ExeSource: esclusa.SourceUpper,
	}}
	if container != "" {
		e.Container = &esclusa.Container{ID: container, Image: "sha256:ab"}
	}
	return &esclusa.Detection{ID: fmt.Sprint(rule, seconds), Rule: rule, Severity: severity, At: e.At, Message: "m", Respond: names, Events: []esclusa.Event{e}}
}

func kinds() (out []actions.Kind) {
	for _, a := range all.Actors() {
		out = append(out, a.Kind())
	}
	return out
}

// words are a plan in short.
func words(plan []respond.Step) string {
	var out []string
	for _, s := range plan {
		out = append(out, fmt.Sprintf("%s upto %s", s.Action.Name, s.Upto))
	}
	return strings.Join(out, ", ")
}

func TestPlan(t *testing.T) {
	high, low := esclusa.SeverityHigh, esclusa.SeverityLow
	outcome := func(name esclusa.ActionName, state esclusa.OutcomeState, at int, by string) esclusa.Outcome {
		o := esclusa.Outcome{Action: esclusa.Action{ID: "i.9", Name: name, Target: esclusa.Target{Container: "c"}, Reversible: name == "freeze"}, State: state, By: by}
		o.At = noon.Add(time.Duration(at) * time.Second)
		o.Action.Until = o.At.Add(15 * time.Minute)
		return o
	}
	for _, tt := range []struct {
		name, policy string
		before       []*esclusa.Detection
		outcomes     []esclusa.Outcome
		d            *esclusa.Detection
		want         string
		longer       int
	}{
		{"mildest first, freeze before all that is strong", "", nil, nil, found(0, "r", high, "c", "stop", "isolate", "freeze", "notify", "evidence", "freeze"), "evidence upto contain, freeze upto contain, isolate upto contain, stop upto contain", 0},
		{"a low severity only observes", "", nil, nil, found(0, "r", low, "c", "freeze"), "freeze upto observe", 0},
		{"nobody rated it", "", nil, nil, found(0, "r", esclusa.SeverityUnknown, "c", "freeze"), "freeze upto none", 0},
		{"a rule of the policy", "rules: [{rule: r, respond: [kill], upto: kill}]", nil, nil, found(0, "r", low, "c", "freeze"), "kill upto kill", 0},
		{"another rule of the policy", "rules: [{rule: q, respond: [kill], upto: kill}]", nil, nil, found(0, "r", low, "c", "freeze"), "freeze upto observe", 0},
		{"what holds is not done again", "", nil, []esclusa.Outcome{outcome("freeze", "done", 0, "")}, found(1, "r", high, "c", "freeze"), "", 0},
		{"but for longer", "", nil, []esclusa.Outcome{outcome("freeze", "done", 0, "")}, found(90, "r", high, "c", "freeze"), "stop upto contain", 1},
		{"what a person undid is not done again", "", nil, []esclusa.Outcome{outcome("freeze", "undone", 0, "maria")}, found(900, "r", high, "c", "freeze"), "", 0},
		{"what time undid is", "", nil, []esclusa.Outcome{outcome("freeze", "undone", 0, "")}, found(1, "r", high, "c", "freeze"), "freeze upto contain", 0},
		{"what was refused is not tried at once", "", nil, []esclusa.Outcome{outcome("freeze", "refused", 0, "")}, found(1, "r", high, "c", "freeze"), "", 0},
		{"but after a minute", "", nil, []esclusa.Outcome{outcome("freeze", "refused", 0, "")}, found(61, "r", high, "c", "freeze"), "freeze upto contain", 0},
		{"a person's no is final", "", nil, []esclusa.Outcome{outcome("freeze", "refused", 0, "maria")}, found(61, "r", high, "c", "freeze"), "", 0},
		{"a dry run is told once", "", nil, []esclusa.Outcome{outcome("freeze", "dry-run", 0, "")}, found(61, "r", high, "c", "freeze"), "", 0},
		{"three rules are one stage more", "", []*esclusa.Detection{found(0, "a", high, "c"), found(1, "b", low, "c")}, nil, found(2, "r", low, "c", "evidence"), "evidence upto observe, freeze upto contain", 0},
		{"three times one rule is not", "", []*esclusa.Detection{found(0, "r", high, "c"), found(1, "r", high, "c")}, nil, found(2, "r", high, "c", "evidence"), "evidence upto contain", 0},
		{"who acts on while frozen", "severity: {high: kill}", nil, []esclusa.Outcome{outcome("freeze", "done", 0, "")}, found(5, "r", high, "c", "evidence"), "evidence upto kill, stop upto kill", 0},
		{"what was under way when it was frozen", "severity: {high: kill}", nil, []esclusa.Outcome{outcome("freeze", "done", 0, "")}, found(1, "r", high, "c", "evidence"), "evidence upto kill", 0},
		{"escalation can be switched off", "escalate: {rules: 0, uncontained: false}", []*esclusa.Detection{found(0, "a", high, "c"), found(1, "b", low, "c")}, []esclusa.Outcome{outcome("freeze", "done", 0, "")}, found(5, "r", high, "c"), "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := incident.New(incident.Options{})
			for _, d := range tt.before {
				c.Add(d)
			}
			in, _ := c.Add(tt.d)
			in.Outcomes = tt.outcomes
			before := fmt.Sprintf("%+v", in)
			plan, longer := respond.Plan(in, tt.d, policy(t, tt.policy), kinds(), tt.d.At)
			if got := words(plan); got != tt.want || len(longer) != tt.longer {
				t.Errorf("planned %q, longer %v; want %q", got, longer, tt.want)
			}
			if fmt.Sprintf("%+v", in) != before {
				t.Error("the plan changed the incident")
			}
		})
	}
}

// TestTargets: what each action is done to, in a container and on the host.
func TestTargets(t *testing.T) {
	names := []string{"evidence", "freeze", "kill-tree", "deny-start", "quarantine-file"}
	for container, want := range map[string]map[esclusa.ActionName]esclusa.Target{
		"c": {
			"evidence": {Container: "c"}, "freeze": {Container: "c"}, "kill-tree": {Process: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}},
			"deny-start": {Image: "sha256:ab"}, "quarantine-file": {Container: "c", Path: "/tmp/x"},
		},
		"": {
			"evidence": {Process: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}}, "freeze": {Process: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}},
			"kill-tree": {Process: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}}, "deny-start": {},
			"quarantine-file": {Process: esclusa.ProcessKey{PID: 70, Start: 7 * esclusa.ClockTick}, Path: "/tmp/x"},
		},
	} {
		d := found(0, "r", esclusa.SeverityHigh, container, names...)
		in, _ := incident.New(incident.Options{}).Add(d)
		plan, _ := respond.Plan(in, d, policy(t, ""), kinds(), noon)
		got := map[esclusa.ActionName]esclusa.Target{}
		for _, s := range plan {
			got[s.Action.Name] = s.Action.Target
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

// TestBoundedPlan: an incident cannot bring about actions without end.
func TestBoundedPlan(t *testing.T) {
	c := incident.New(incident.Options{})
	n := 0
	for i := range 500 {
		d := found(i, "r", esclusa.SeverityHigh, "c", "kill")
		d.Events[0].Process.PID = int32(1000 + i)
		in, _ := c.Add(d)
		plan, _ := respond.Plan(in, d, policy(t, ""), kinds(), d.At)
		for _, s := range plan {
			in.Outcomes = append(in.Outcomes, esclusa.Outcome{Action: s.Action, State: esclusa.OutcomeDone})
			n++
		}
	}
	if n != 64 {
		t.Errorf("%d actions", n)
	}
}

func TestPolicyMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"ttl: soon":                     "p.yaml:1:6: ttl: \"soon\" is no time",
		"ttl: 0s":                       "is no time",
		"severity: {severe: kill}":      `severity has "severe"`,
		"severity: {high: destroy}":     `unknown word "destroy"`,
		"approve: {default: maybe}":     `unknown word "maybe"`,
		"approve: {actions: [freze]}":   "did you mean freeze",
		"limits: {node: -1}":            "is no number",
		"protekt: {}":                   "protect",
		"rules: [{respond: [freeze]}]":  "names no rule",
		"rules: [{rule: r, upto: kil}]": "did you mean kill",
	} {
		if _, err := respond.ReadPolicy("p.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	p := policy(t, "severity: {low: contain}\nprotect: {processes: [postgres]}")
	if fmt.Sprint(p.Severity) != "map[critical:2 high:2 low:2 medium:1]" || p.Limits.Node != 20 || len(p.Protect.Processes) != 1 {
		t.Errorf("%+v", p)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte("rules: [{rule: r, respond: [kill], upto: kill}]\nttl: 5m"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := respond.ReadPolicy("p.yaml", data); err == nil {
			s := respond.Simulate(p, all.Actors())
			s.Add(found(0, "r", esclusa.SeverityHigh, "c", "freeze"))
		}
	})
}

// FuzzSimulate: whatever a recording says, it is planned for without harm, and
// what is written has no line that is too long and no control character.
func FuzzSimulate(f *testing.F) {
	data, err := json.Marshal(found(0, "r", esclusa.SeverityHigh, "c", "freeze", "kill", "nonsense"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	p, err := respond.DefaultPolicy()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d esclusa.Detection
		if json.Unmarshal(data, &d) != nil {
			return
		}
		s := respond.Simulate(p, all.Actors())
		for range 3 {
			in, outcomes := s.Add(&d)
			if in == nil {
				return
			}
			var b bytes.Buffer
			for i := range outcomes {
				_ = respond.WriteOutcome(&b, &outcomes[i], 80, noon)
			}
			_ = respond.WriteIncident(&b, in, 80, noon)
			_ = respond.WriteList(&b, &respond.State{Incidents: []esclusa.Incident{*in}}, true, 80, noon)
			for line := range strings.Lines(b.String()) {
				if line = strings.TrimSuffix(line, "\n"); len([]rune(line)) > 80 || strings.ContainsAny(line, "\x1b\r\x00\n") {
					t.Fatalf("%q", line)
				}
			}
		}
	})
}

// TestRequestsOfAnyShape:
// requests that nobody can read are answered and do no harm.
func TestRequestsOfAnyShape(t *testing.T) {
	e := run(t, t.TempDir(), respond.Options{})
	for i, text := range []string{"", "{", `{"undo": 5}`, `{"unknown": "x"}`, `{"undo": "i-none.1"}`, `{}`, `{"approve": "i-none.1"}`, `{"keep": "../.."}`, strings.Repeat("[", 100_000)} {
		name := filepath.Join(e.dir, "requests", fmt.Sprint("r", i))
		if err := os.WriteFile(name+".ask", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 500 {
			if _, err := os.Stat(name + ".answer"); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if said, err := os.ReadFile(name + ".answer"); err != nil || len(said) == 0 {
			t.Errorf("%.40q is answered with %q, %v", text, said, err)
		}
	}
}
