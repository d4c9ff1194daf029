package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"github.com/google/go-cmp/cmp"
)

// ruleFile is a rule with the kinds, the condition and further lines.
func ruleFile(name, kinds, when string, more ...string) File {
	text := fmt.Sprintf(`name: %s
kinds: [%s]
when: |
  %s
severity: high
tactic: execution
technique: T1059
message: "{process.name} did it"
why: It is bad.
lawful: Nothing is alike.
`, name, kinds, when)
	return File{name + ".yaml", []byte(text + strings.Join(more, "\n"))}
}

func load(t testing.TB, files ...File) *Set {
	t.Helper()
	s, err := Load(NewLanguage(), files, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func matched(s *Set, e *esclusa.Event) []string {
	var out []string
	s.Match(e, func(r *Rule) { out = append(out, r.Name) })
	return out
}

func execEvent(name string, args ...string) *esclusa.Event {
	return &esclusa.Event{
		Kind: esclusa.EventExec, Seq: 7, At: ExampleTime(), Container: ExampleContainer(),
		Process: esclusa.Process{Name: name, Exe: "/usr/bin/" + name, Args: append([]string{name}, args...), ExeSource: esclusa.SourceImage},
	}
}

func TestMatch(t *testing.T) {
	s := load(
		t,
		ruleFile("by-name", "exec", `process.name in ["curl", "wget"]`),
		ruleFile("by-path", "exec", `process.exe.startsWith("/usr/bin/w")`),
		ruleFile("by-end", "exec", `process.exe.endsWith("get")`),
		ruleFile("by-argument", "exec", `"-q" in process.args`),
		ruleFile("by-element", "exec", `process.args.exists(a, a.startsWith("http"))`),
		ruleFile("by-either", "exec, connect", `process.name == "wget" || connect.port == 80`),
		ruleFile("by-flag", "exec", `process.exeDeleted`),
		ruleFile("by-absence", "exec", `!container.present`),
		ruleFile("by-nothing", "exec", `process.args.size() > 2`),
		ruleFile("off", "exec", `process.name == "wget"`, "disabled: true"),
	)
	wget := execEvent("wget", "-q", "http://x")
	if d := cmp.Diff([]string{"by-argument", "by-either", "by-element", "by-end", "by-name", "by-nothing", "by-path"}, matched(s, wget)); d != "" {
		t.Error(d)
	}
	for want, e := range map[string]*esclusa.Event{
		"":           execEvent("ls"),
		"by-name":    execEvent("curl"),
		"by-either":  {Kind: esclusa.EventConnect, Fields: esclusa.Fields{esclusa.Number("port", 80)}},
		"by-absence": {Kind: esclusa.EventExec, Process: esclusa.Process{Name: "ls"}},
		"by-flag":    {Kind: esclusa.EventExec, Process: esclusa.Process{Name: "ls", ExeDeleted: true}, Container: ExampleContainer()},
	} {
		if got := strings.Join(matched(s, e), " "); got != want {
			t.Errorf("%+v matches %q, want %q", e.Process, got, want)
		}
	}
	if d := cmp.Diff([]esclusa.EventKind{"connect", "exec"}, s.Needs()); d != "" {
		t.Error(d)
	}
}

// The index only leaves out what would not match: with it and without it,
// every event of every example matches the same rules.
func TestIndexIsExact(t *testing.T) {
	s := builtinSet(t)
	n := 0
	for _, r := range s.Rules() {
		for _, x := range slices.Concat(r.Attacks, r.Benign) {
			all, _, err := x.All(r.kinds())
			if err != nil {
				t.Fatal(err)
			}
			for i := range all {
				for _, r := range s.Rules() {
					plain := false
					if slices.Contains(r.kinds(), all[i].Kind) {
						plain, err = r.When.prog.Eval(vars{&all[i]})
						if err != nil {
							t.Fatal(err)
						}
					}
					indexed, _ := r.When.Holds(&all[i])
					found := slices.ContainsFunc(s.index.Find(&all[i], nil), func(id int32) bool { return s.entries[id].rule == r })
					if plain && !(indexed && found) {
						t.Errorf("%s: %q matches %s, and the index leaves it out", r.File, x.Name, r.Name)
					}
					n++
				}
			}
		}
	}
	if n < 1000 {
		t.Errorf("only %d pairs compared", n)
	}
}

func TestDetection(t *testing.T) {
	f := ruleFile("r", "exec", `process.name == "sh"`, "respond: [freeze, notify]", "references: [https://example.org]")
	f.Data = []byte(strings.Replace(string(f.Data), `"{process.name} did it"`, `"{process.args} in {container.name} by {process.uid}"`, 1))
	s := load(t, f)
	e := execEvent("sh", "\x1b[31m", strings.Repeat("x", 500))
	e.Gaps = []esclusa.Gap{{What: "arguments"}}
	got := s.Rule("r").Detection(e, "b1")
	if got.ID != "b1-7-r" || got.Severity != esclusa.SeverityHigh || got.Technique != "T1059" || len(got.Events) != 1 || len(got.Gaps) != 1 {
		t.Errorf("got %+v", got)
	}
	if !strings.HasPrefix(got.Message, `sh \x1b[31m xxx`) || !strings.HasSuffix(got.Message, "in shop by 0") || len(got.Message) > 300 {
		t.Errorf("message %q", got.Message)
	}
	if got.Why != "It is bad.\nLawful: Nothing is alike." || !slices.Equal(got.Respond, []string{"freeze", "notify"}) {
		t.Errorf("why %q, respond %v", got.Why, got.Respond)
	}
}

func TestExceptions(t *testing.T) {
	s := load(t, ruleFile("r", "exec", `process.name == "sh"`, `exceptions:
  - name: by-condition
    when: process.parent.name == "dpkg"
  - name: by-fields
    match: {process.args: ["--ok*", fine], process.uid: 7, container.present: "true", process.exe: /usr/bin/*}
`))
	for want, change := range map[bool][]func(*esclusa.Event){
		false: {
			func(e *esclusa.Event) { e.Ancestors = []esclusa.Ancestor{{Name: "dpkg"}} },
			func(e *esclusa.Event) {
				e.Process.Args, e.Process.Creds.UID = append(e.Process.Args, "--okay"), 7
			},
			func(e *esclusa.Event) { e.Process.Args, e.Process.Creds.UID = append(e.Process.Args, "fine"), 7 },
		},
		true: {
			func(e *esclusa.Event) {},
			func(e *esclusa.Event) { e.Process.Args = append(e.Process.Args, "fine") },
			func(e *esclusa.Event) { e.Process.Args, e.Process.Creds.UID = append(e.Process.Args, "not-ok"), 7 },
			func(e *esclusa.Event) {
				e.Process.Args, e.Process.Creds.UID, e.Process.Exe = append(e.Process.Args, "fine"), 7, "/tmp/usr/bin/sh"
			},
		},
	} {
		for i, f := range change {
			e := execEvent("sh")
			f(e)
			if got := len(matched(s, e)) > 0; got != want {
				t.Errorf("case %d of %v: got %v", i, want, got)
			}
		}
	}
}

func TestGrants(t *testing.T) {
	grants := File{"mine.yaml", []byte(`exceptions:
  - rule: r
    match: {container.imageRef: "registry.example/shop:*"}
    owner: ops
    reason: an old start script
    expires: 2026-01-01
`)}
	s, err := Load(NewLanguage(), []File{ruleFile("r", "exec", `process.name == "sh"`)}, nil, []File{grants})
	if err != nil {
		t.Fatal(err)
	}
	e := execEvent("sh")
	if len(matched(s, e)) != 0 {
		t.Error("the exception does not count on its last day")
	}
	e.At = e.At.Add(24 * time.Hour)
	if len(matched(s, e)) != 1 {
		t.Error("the exception counts after its last day")
	}
	e.At, e.Container.ImageRef = ExampleTime(), "registry.example/other:1"
	if len(matched(s, e)) != 1 {
		t.Error("the exception covers another image")
	}
}

func TestOwnRules(t *testing.T) {
	builtin := []File{ruleFile("a", "exec", `process.name == "sh"`), ruleFile("b", "exec", `process.name == "ls"`)}
	replace := ruleFile("a", "exec", `process.name == "bash"`, "replaces: true")
	replace.Name = "own/a.yaml"
	s, err := Load(NewLanguage(), builtin, []File{replace, ruleFile("c", "exec", `process.name == "sh"`)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(matched(s, execEvent("sh")), " "); got != "c" {
		t.Errorf("got %q", got)
	}
	for want, own := range map[string]File{
		"a second rule a":                   ruleFile("a", "exec", `process.name == "bash"`),
		"there is no built-in rule z to re": ruleFile("z", "exec", `process.name == "bash"`, "replaces: true"),
	} {
		if _, err := Load(NewLanguage(), builtin, []File{own}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	exec := func(when string, more ...string) File { return ruleFile("r", "exec", when, more...) }
	for want, f := range map[string]File{
		"r.yaml:4:10: when: undefined field 'nme'\nhint: did you mean name?":                                                                  exec(`process.nme == "sh"`),
		"r.yaml:4:3: when: undeclared reference to 'proces' (did you mean 'process'?)\nhint: the variables are container, event, process and": exec(`proces.name == "sh"`),
		"r.yaml:4:3: when: it names file, and is not about events of kind file\nhint: add file":                                               exec(`file.path == "/x"`),
		"r.yaml:4:16: when: found no matching overload":                                                                                       exec(`process.name > 3`),
		"r.yaml:4:3: when: process.exeSource is never \"uper\"\nhint: did you mean upper?":                                                    exec(`process.exeSource == "uper"`),
		"r.yaml:4:16: when: found no matching overload for '_>=_' applied to '(string":                                                        exec(`process.name >= high`),
		"r.yaml:2:9: kinds: unknown word \"exce\"\nhint: did you mean exec?":                                                                  ruleFile("r", "exce", `process.name == ""`),
		"r.yaml:2:1: unknown key \"knds\"":                                                                                                    {"r.yaml", []byte("name: r\nknds: [exec]\n")},
		"the file has no lawful":                                                                                                              {"r.yaml", []byte("name: r\n")},
		"when: it would watch every file":                                                                                                     ruleFile("r", "file", `file.op == "write"`),
		"a condition on files has no other kind":                                                                                              ruleFile("r", "file, exec", `file.path == "/x"`),
		"the rule q stands in r.yaml":                                                                                                         {"r.yaml", ruleFile("q", "exec", `process.name == "x"`).Data},
		"grant:1:14: there is no rule \"q\"\nhint: known are r":                                                                               {"grant", []byte("exceptions: [{rule: q, match: {process.name: x}, owner: o, reason: r, expires: 2026-01-01}]")},
		"an exception needs one of when and match":                                                                                            exec(`process.name == "x"`, "exceptions: [{name: e}]"),
		"match: there is no field \"process.nme\"":                                                                                            exec(`process.name == "x"`, "exceptions: [{name: e, match: {process.nme: x}}]"),
		"match: process.uid: \"x\" is not a number":                                                                                           exec(`process.name == "x"`, "exceptions: [{name: e, match: {process.uid: x}}]"),
		"r.yaml:11:38: exception: undefined field 'parnt'":                                                                                    exec(`process.name == "x"`, `exceptions: [{name: e, when: 'process.parnt == 1'}]`),
		"respond: unknown word \"kil\"\nhint: did you mean kill?":                                                                             exec(`process.name == "x"`, "respond: [kil]"),
		"\"T1\" is not a technique":                                                                                                           {"r.yaml", []byte(strings.Replace(string(exec(`process.name == "x"`).Data), "T1059", "T1", 1))},
		"message: there is no field {process.nam}\nhint: did you mean process.name?":                                                          {"r.yaml", []byte(strings.Replace(string(exec(`process.name == "x"`).Data), "{process.name}", "{process.nam}", 1))},
		"message: {file.path} is not known":                                                                                                   {"r.yaml", []byte(strings.Replace(string(exec(`process.name == "x"`).Data), "{process.name}", "{file.path}", 1))},
		"events: an event of kind exec has no field \"fle\"":                                                                                  exec(`process.name == "x"`, "attacks: [{name: a, events: [{fields: {fle: x}}]}]"),
		"events: unknown field \"proces\"":                                                                                                    exec(`process.name == "x"`, "attacks: [{name: a, events: [{proces: {}}]}]"),
	} {
		files, grants := []File{f}, []File(nil)
		if f.Name == "grant" {
			files, grants = []File{exec(`process.name == "x"`)}, []File{f}
		}
		if _, err := Load(NewLanguage(), files, nil, grants); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A condition that cannot be answered is told, and is no match.
func TestGaps(t *testing.T) {
	s := load(t, ruleFile("r", "exec", `process.name == "sh" && container.labels["team"] == "x"`))
	for range 3 {
		if got := matched(s, execEvent("sh")); got != nil {
			t.Errorf("got %v", got)
		}
	}
	e := execEvent("sh")
	e.Container.Labels = map[string]string{"team": "x"}
	if len(matched(s, e)) != 1 {
		t.Error("the rule is silent where it can be answered")
	}
	gaps := s.TakeGaps()
	if len(gaps) != 1 || gaps[0].What != "rule r" || !strings.Contains(gaps[0].Err, "(events: 3)") || !strings.Contains(gaps[0].Err, "no such key") {
		t.Errorf("got %v", gaps)
	}
	if gaps := s.TakeGaps(); gaps != nil {
		t.Errorf("told twice: %v", gaps)
	}
}

// Examples that are wrong are told: Try can fail.
func TestTry(t *testing.T) {
	s := load(
		t,
		ruleFile("a", "exec", `process.name == "sh"`,
			"attacks: [{name: missed, events: [{process: {name: ls}}]}, {name: seen, events: [{process: {name: sh}}]}]",
			"benign: [{name: hit, events: [{process: {name: sh}}]}, {name: other, events: [{process: {name: cat}}]}, {name: allowed, events: [{process: {name: cat}}], fires: [b]}]"),
		ruleFile("b", "exec", `process.name == "cat"`),
	)
	var got []string
	for _, err := range s.Try() {
		got = append(got, err.Error())
	}
	want := []string{
		`a.yaml:11:12: "missed" is an attack, and the rule does not see it`,
		`a.yaml:12:11: "hit" is benign, and sets off a`,
		`a.yaml:12:57: "other" is benign, and sets off b`,
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if _, msg, _ := strings.Cut(want[i], ": "); !strings.HasSuffix(got[i], msg) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestFilesWatched(t *testing.T) {
	s := load(
		t,
		ruleFile("a", "file", `(file.path == "/etc/crontab" || file.path.startsWith("/etc/cron.d/")) && file.op in ["write", "create"]`),
		ruleFile("b", "file", `file.path.endsWith("/release_agent")`),
		ruleFile("off", "file", `file.path == "/x"`, "disabled: true"),
	)
	want := []Watch{
		{expr.Equal, "/etc/crontab", []string{"write", "create"}},
		{expr.Prefix, "/etc/cron.d/", []string{"write", "create"}},
		{expr.Suffix, "/release_agent", nil},
	}
	if d := cmp.Diff(want, s.Files()); d != "" {
		t.Error(d)
	}
}

func TestFiles(t *testing.T) {
	got, err := Files(fstest.MapFS{"b.yaml": {Data: []byte("x")}, "a.yaml": {Data: []byte("y")}, "README.md": {}, "sub/c.yaml": {}})
	if err != nil || len(got) != 2 || got[0].Name != "a.yaml" || string(got[1].Data) != "x" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Files(fstest.MapFS{"a.yaml": {Data: make([]byte, 2<<20)}}); err == nil {
		t.Error("a file of 2 MiB was read")
	}
}

func FuzzParse(f *testing.F) {
	for _, file := range builtin(f) {
		f.Add(file.Data)
	}
	f.Add(ruleFile("r", "exec, connect", `process.args.exists(a, a == "x") || connect.port in [1, 2]`).Data)
	l := NewLanguage()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load(l, []File{{"r.yaml", data}}, nil, nil)
		if err != nil {
			return
		}
		for _, err := range s.Try() {
			_ = err.Error()
		}
		for _, kind := range fields.Kinds() {
			e := execEvent("sh", "-c", "x")
			e.Kind = kind
			s.Match(e, func(r *Rule) { _ = r.Detection(e, "b") })
		}
	})
}
