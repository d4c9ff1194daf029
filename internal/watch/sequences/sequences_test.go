package sequences

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/watch/rules"
)

func files(t testing.TB, folder fs.FS, name string) []rules.File {
	t.Helper()
	sub, err := fs.Sub(folder, name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := rules.Files(sub)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each sequence fires on its attacks, and all rules and sequences are silent
// on every benign twin.
func TestContent(t *testing.T) {
	l := rules.NewLanguage()
	set, err := rules.Load(l, files(t, content.Rules, "rules"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(l, set, DefaultLimits(), files(t, content.Sequences, "sequences")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Try(set) {
		t.Error(err)
	}
	for _, g := range s.TakeGaps() {
		t.Errorf("%s", g)
	}
	for _, q := range s.Sequences() {
		if len(q.Attacks) == 0 || len(q.Benign) == 0 {
			t.Errorf("%s: a sequence needs an attack and a benign twin", q.File)
		}
		for _, x := range slices.Concat(q.Attacks, q.Benign) {
			if strings.TrimSpace(x.Run) == "" {
				t.Errorf("%s: %q has no commands to run", q.File, x.Name)
			}
		}
	}
	if n := len(s.Sequences()); n < 8 {
		t.Errorf("%d sequences", n)
	}
	if len(s.Files()) == 0 || !slices.Contains(s.Needs(), esclusa.EventConnect) {
		t.Error("the steps of the house need files and connections")
	}
}

// sequence is a file with steps a, b, c, …: execs of programs of these names.
func sequence(name, key, within, steps string, more ...string) rules.File {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\nkey: %s\nwithin: %s\nsteps:\n", name, key, within)
	for _, s := range strings.Fields(steps) {
		fmt.Fprintf(&b, "  - {kinds: [exec], when: 'process.name == \"%s\"'}\n", s)
	}
	b.WriteString("severity: high\ntactic: execution\ntechnique: T1059\nmessage: \"{process.name}\"\nwhy: bad\nlawful: none\n")
	return rules.File{Name: name + ".yaml", Data: []byte(b.String() + strings.Join(more, "\n"))}
}

func load(t testing.TB, limits Limits, fs ...rules.File) *Set {
	t.Helper()
	l := rules.NewLanguage()
	set, err := rules.Load(l, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(l, set, limits, fs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at is an exec at a second, in a container, by a child of process 10.
func at(second int, name string) *esclusa.Event {
	return &esclusa.Event{
		Kind: esclusa.EventExec, Seq: uint64(second + 1), At: rules.ExampleTime().Add(time.Duration(second) * time.Second),
		Process:   esclusa.Process{Name: name, ProcessKey: esclusa.ProcessKey{PID: int32(100 + second)}},
		Ancestors: []esclusa.Ancestor{{ProcessKey: esclusa.ProcessKey{PID: 10}, Name: "sh", Container: "c"}, {Name: "containerd-shim"}},
		Container: &esclusa.Container{ID: "c"},
	}
}

// run feeds letters, a second each (a dot is a second in which nothing
// happens), and gives the seconds of the events of each detection.
func run(s *Set, story string) []string {
	var out []string
	for i, c := range story {
		if c == '.' {
			continue
		}
		s.Match(at(i, string(c)), nil, func(_ *Sequence, events []esclusa.Event) {
			var seconds []string
			for _, e := range events {
				seconds = append(seconds, fmt.Sprint(e.Seq-1))
			}
			out = append(out, strings.Join(seconds, "-"))
		})
	}
	return out
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ steps, more, story, want string }{
		{"a b c", "", "abc", "0-1-2"},
		{"a b c", "", "acb", ""},
		{"a b c", "", "a....b....c", "0-5-10"},
		{"a b c", "", "a.....b....c", ""},
		{"a b", "", "a........ab", "9-10"},
		{"a b c", "", "ab......abc", "8-9-10"},
		{"a b c", "", "a.b.....a..c", ""},
		{"a b c", "", "a..ab.....c", "3-4-10"},
		{"a b", "", "abab", "0-1 2-3"},
		{"a a", "", "aa", "0-1"},
		{"a a", "", "a", ""},
		{"a a b", "", "ab.ab", "0-3-4"},
		{"a b c", "anyOrder: true", "cab", "0-1-2"},
		{"a b c", "anyOrder: true", "c..........ab", ""},
		{"a b", "anyOrder: true", "b.......b..a", "8-11"},
		{"a a", "anyOrder: true", "a.a", "0-2"},
	} {
		s := load(t, DefaultLimits(), sequence("s", "tree", "10s", c.steps, c.more))
		if got := strings.Join(run(s, c.story), " "); got != c.want {
			t.Errorf("%s %s: %s gives %q, want %q", c.steps, c.more, c.story, got, c.want)
		}
	}
}

// The sequence is seen exactly when some choice of events in order lies within
// the window: found a second time by trying all of them.
func TestOrderAgainstAllChoices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := 0
	for range 400 {
		var story []byte
		for range 14 {
			story = append(story, "abc.."[r.IntN(5)])
		}
		s := load1(t)
		got := run(s, string(story))
		want := possible(string(story), "abc", 6)
		if (len(got) > 0) != want {
			t.Fatalf("%s: got %v, want %v", story, got, want)
		}
		if want {
			seen++
		}
	}
	if seen < 50 || seen > 380 {
		t.Errorf("%d of 400 stories hold the sequence: the test says little", seen)
	}
}

var once *Set // compiled once, emptied for each story

func load1(t *testing.T) *Set {
	if once == nil {
		once = load(t, DefaultLimits(), sequence("s", "tree", "6s", "a b c"))
	}
	for _, tr := range once.all {
		tr.states = map[key]*state{}
		tr.recent.Init()
	}
	return once
}

func possible(story, steps string, within int) bool {
	for i := range story {
		if story[i] != steps[0] {
			continue
		}
		for j := i + 1; j < len(story); j++ {
			for k := j + 1; k < len(story) && k-i <= within; k++ {
				if story[j] == steps[1] && story[k] == steps[2] {
					return true
				}
			}
		}
	}
	return false
}

func TestTimes(t *testing.T) {
	file := func(times, distinct, more string) rules.File {
		f := sequence("s", "tree", "10s", "a", more)
		f.Data = []byte(strings.Replace(string(f.Data), `"a"'}`, fmt.Sprintf(`"a"', times: %s%s}`, times, distinct), 1))
		return f
	}
	for _, c := range []struct{ times, distinct, story, want string }{
		{"3", "", "aaa", "2"},
		{"3", "", "aa.........a", ""},
		{"3", "", "a.a........a", ""},
		{"3", "", "a.....aa", "7"},
		{"3", "", "aaaaaa", "2 5"},
		{"3", ", distinct: process.pid", "aaa", "2"},
		{"3", ", distinct: process.parent.pid", "aaaaaa", ""},
	} {
		s := load(t, DefaultLimits(), file(c.times, c.distinct, ""))
		if got := strings.Join(run(s, c.story), " "); got != c.want {
			t.Errorf("%s%s: %s gives %q, want %q", c.times, c.distinct, c.story, got, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	change := func(f func(*esclusa.Event)) *esclusa.Event { e := at(1, "b"); f(e); return e }
	other := func(e *esclusa.Event) { e.Container = &esclusa.Container{ID: "d"}; e.Ancestors = nil }
	sibling := func(e *esclusa.Event) {
		e.Ancestors = []esclusa.Ancestor{{ProcessKey: esclusa.ProcessKey{PID: 11}, Container: "c"}}
	}
	same := func(e *esclusa.Event) { e.Process.ProcessKey = at(0, "a").Process.ProcessKey }
	pod := func(e *esclusa.Event) {
		e.Container = &esclusa.Container{ID: "d", Pod: esclusa.Pod{Namespace: "n", Name: "p"}}
	}
	for _, c := range []struct {
		key   string
		first func(*esclusa.Event)
		then  func(*esclusa.Event)
		want  bool
	}{
		{"tree", nil, func(*esclusa.Event) {}, true},
		{"tree", nil, sibling, false},
		{"tree", nil, other, false},
		{"process", nil, same, true},
		{"process", nil, func(*esclusa.Event) {}, false},
		{"container", nil, sibling, true},
		{"container", nil, other, false},
		{"container", func(e *esclusa.Event) { e.Container = nil }, func(e *esclusa.Event) { e.Container = nil }, false},
		{"pod", nil, pod, false},
		{"pod", func(e *esclusa.Event) { pod(e); e.Container.ID = "e" }, pod, true},
		{"file", func(e *esclusa.Event) { e.Process.Exe = "/tmp/x" }, func(e *esclusa.Event) {
			e.Fields = esclusa.Fields{esclusa.Text("script", "/tmp/x")}
		}, true},
		{"file", func(e *esclusa.Event) { e.Process.Exe = "/tmp/x" }, func(e *esclusa.Event) { e.Process.Exe = "/tmp/y" }, false},
		{"tree", host(12, "bash", 2, "sshd"), host(12, "bash", 2, "sshd"), true},
		{"tree", host(12, "bash", 2, "sshd"), host(13, "bash", 2, "sshd"), false},
	} {
		s := load(t, DefaultLimits(), sequence("s", c.key, "10s", "a b"))
		first := at(0, "a")
		if c.first != nil {
			c.first(first)
		}
		got := false
		for _, e := range []*esclusa.Event{first, change(c.then)} {
			s.Match(e, nil, func(*Sequence, []esclusa.Event) { got = true })
		}
		if got != c.want {
			t.Errorf("%s: got %v, want %v (%+v)", c.key, got, c.want, first.Ancestors)
		}
	}
}

// host makes an event one of the host, below two processes.
func host(pid int32, name string, above int32, aboveName string) func(*esclusa.Event) {
	return func(e *esclusa.Event) {
		e.Container = nil
		e.Ancestors = []esclusa.Ancestor{
			{ProcessKey: esclusa.ProcessKey{PID: pid}, Name: name},
			{ProcessKey: esclusa.ProcessKey{PID: above}, Name: aboveName},
			{ProcessKey: esclusa.ProcessKey{PID: 1}, Name: "systemd"},
		}
	}
}

// State is bounded: what is pushed out is counted, what has ended is not.
func TestEviction(t *testing.T) {
	s := load(t, Limits{Sequence: 3, Overall: 100}, sequence("s", "process", "10s", "a b"))
	for i := range 5 {
		s.Match(at(i, "a"), nil, nil)
	}
	if n := len(s.all[0].states); n != 3 || s.all[0].recent.Len() != 3 {
		t.Errorf("%d states are kept, at most 3", n)
	}
	gaps := s.TakeGaps()
	if len(gaps) != 1 || gaps[0].What != "sequence s" || !strings.HasPrefix(gaps[0].Err, "2 begun sequences were forgotten") {
		t.Errorf("got %v", gaps)
	}
	s.Match(at(100, "a"), nil, nil)
	if n, gaps := len(s.all[0].states), s.TakeGaps(); n != 1 || gaps != nil {
		t.Errorf("%d states after all windows are over, gaps %v", n, gaps)
	}
}

// A reload forgets nothing of a sequence that is the same.
func TestAdopt(t *testing.T) {
	old := load(t, DefaultLimits(), sequence("s", "tree", "10s", "a b"), sequence("changed", "tree", "10s", "a b"))
	run(old, "a")
	s := load(t, DefaultLimits(), sequence("s", "tree", "10s", "a b"), sequence("changed", "tree", "11s", "a b"))
	s.Adopt(old)
	var got []string
	s.Match(at(1, "b"), nil, func(q *Sequence, _ []esclusa.Event) { got = append(got, q.Name) })
	if !slices.Equal(got, []string{"s"}) {
		t.Errorf("got %v", got)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	good := string(sequence("s", "tree", "10s", "a b").Data)
	for want, change := range map[string][2]string{
		"s.yaml:2:6: key: unknown word \"tre\"\nhint: did you mean tree?": {"key: tree", "key: tre"},
		"within: \"10\" is not a window":                                  {"within: 10s", "within: 10"},
		"within: \"48h\" is not a window":                                 {"within: 10s", "within: 48h"},
		"when: undefined field 'nam'":                                     {`process.name == "a"`, `process.nam == "a"`},
		"there is no rule \"x\" in force":                                 {`{kinds: [exec], when: 'process.name == "a"'}`, "{rule: x}"},
		"a step needs either rule, or kinds and when":                     {`{kinds: [exec], when: 'process.name == "a"'}`, "{kinds: [exec]}"},
		"times: \"0\" is not a count":                                     {`"a"'}`, `"a"', times: 0}`},
		"times: \"1e2\" is not a count":                                   {`"a"'}`, `"a"', times: 1e2}`},
		"distinct: \"process.nme\" is not a field":                        {`"a"'}`, `"a"', times: 2, distinct: process.nme}`},
		"times is for steps in order":                                     {"severity", "anyOrder: true\nseverity"},
		"a sequence of 1 steps":                                           {"  - {kinds: [exec], when: 'process.name == \"b\"'}\n", ""},
		"when: it would watch every file":                                 {`{kinds: [exec], when: 'process.name == "a"'}`, `{kinds: [file], when: 'file.op == "write"'}`},
		"message: {exec.fil} is not":                                      {`"{process.name}"`, `"{exec.fil} is not"`},
		"the sequence q stands in s.yaml":                                 {"name: s", "name: q"},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if strings.HasPrefix(want, "times is for") {
			text = strings.Replace(text, `"a"'}`, `"a"', times: 2}`, 1)
		}
		if strings.HasPrefix(want, "message") {
			want = "message: there is no field {exec.fil}"
		}
		l := rules.NewLanguage()
		set, _ := rules.Load(l, nil, nil, nil)
		if _, err := Load(l, set, DefaultLimits(), rules.File{Name: "s.yaml", Data: []byte(text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, file := range files(f, content.Sequences, "sequences") {
		f.Add(file.Data)
	}
	l := rules.NewLanguage()
	set, err := rules.Load(l, files(f, content.Rules, "rules"), nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Load(l, set, Limits{Sequence: 2, Overall: 2}, rules.File{Name: "s.yaml", Data: data})
		if err != nil {
			return
		}
		for _, err := range s.Try(set) {
			_ = err.Error()
		}
		for i, name := range []string{"sh", "wget", "rm", "sh"} {
			s.Match(at(i, name), set.Rules(), func(q *Sequence, events []esclusa.Event) { _ = q.Detection(events, "b") })
		}
	})
}

// One operation is one event that begins a sequence for a new process, in a
// set that is full: the worst case of its state.
func BenchmarkFull(b *testing.B) {
	s := load(b, Limits{Sequence: 1000, Overall: 1000}, sequence("s", "process", "10s", "a b"))
	e := at(0, "a")
	b.ReportAllocs()
	for b.Loop() {
		e.Process.PID++
		s.Match(e, nil, nil)
	}
}

// One operation is one event that no step is about.
func BenchmarkQuiet(b *testing.B) {
	l := rules.NewLanguage()
	set, err := rules.Load(l, files(b, content.Rules, "rules"), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := Load(l, set, DefaultLimits(), files(b, content.Sequences, "sequences")...)
	if err != nil {
		b.Fatal(err)
	}
	e := at(0, "nginx")
	b.ReportAllocs()
	for b.Loop() {
		s.Match(e, nil, nil)
	}
}
