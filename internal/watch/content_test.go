package watch_test

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/watch"
	"github.com/esclusa/esclusa/internal/watch/events/all"
	"github.com/esclusa/esclusa/internal/watch/rules"
	"github.com/esclusa/esclusa/internal/watch/sequences"
)

// load reads the content that is built in.
func load(t testing.TB) *watch.Content {
	t.Helper()
	files := func(all fs.FS, folder string) []rules.File {
		sub, err := fs.Sub(all, folder)
		if err != nil {
			t.Fatal(err)
		}
		out, err := rules.Files(sub)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l := rules.NewLanguage()
	c := &watch.Content{Boot: "boot"}
	var err error
	if c.Rules, err = rules.Load(l, files(content.Rules, "rules"), nil, nil); err != nil {
		t.Fatal(err)
	}
	c.Sequences, err = sequences.Load(l, c.Rules, sequences.DefaultLimits(), files(content.Sequences, "sequences")...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trial is one example that is really done in a container.
type trial struct {
	rule    string
	attack  bool
	example *rules.Example
	name    string // of the container
	out     string
}

// TestContentInContainers does what rules and sequences are about, and what
// looks alike and is lawful, in real containers: the attack is detected, its
// twin is not. What this sensor has no event for yet is skipped, by name.
func TestContentInContainers(t *testing.T) {
	kerneltest.Needs(t)
	c := load(t)
	seen := map[esclusa.EventKind]bool{esclusa.EventNamespace: true, esclusa.EventCredential: true}
	for _, f := range all.Families() {
		seen[f.Kind] = f.Absent == nil || !f.Absent()
	}
	var trials []*trial
	add := func(name string, attacks, benign []rules.Example, kinds []esclusa.EventKind) {
		blind := slices.IndexFunc(kinds, func(k esclusa.EventKind) bool { return !seen[k] })
		for i := range attacks {
			trials = append(trials, plan(t, name, true, i, &attacks[i], kinds, blind))
		}
		for i := range benign {
			trials = append(trials, plan(t, name, false, i, &benign[i], kinds, blind))
		}
	}
	for _, r := range c.Rules.Rules() {
		add(r.Name, r.Attacks, r.Benign, eventKinds(r.Kinds))
	}
	for _, q := range c.Sequences.Sequences() {
		var kinds []esclusa.EventKind
		for _, step := range q.Steps {
			kinds = append(kinds, eventKinds(step.Kinds)...)
			if step.Rule != "" {
				kinds = append(kinds, eventKinds(c.Rules.Rule(step.Rule).Kinds)...)
			}
		}
		add(q.Name, q.Attacks, q.Benign, kinds)
	}
	trials = slices.DeleteFunc(trials, func(tr *trial) bool { return tr == nil })
	tester := kerneltest.Tester(t)
	tp, fired := try(t, c, trials, tester)
	// Once in some hundred trials, on a machine that is busy with other tests,
	// an event of a file finds nobody: not known why. Such a trial is done again, and
	// may not be missed twice; more than two are a failure at once.
	missed := slices.Clone(trials)
	missed = slices.DeleteFunc(missed, func(tr *trial) bool { return !tr.attack || slices.Contains(fired[tr.name], tr.rule) })
	if 0 < len(missed) && len(missed) <= 2 {
		for _, tr := range missed {
			t.Logf("missed at first: %s/%s: what was seen:\n%s", tr.rule, tr.example.Name, tp.story(tr.name))
			tr.name += "-again"
		}
		var again map[string][]string
		tp, again = try(t, c, missed, tester)
		maps.Copy(fired, again)
	}
	attacks, twins := 0, 0
	for _, tr := range trials {
		t.Run(tr.rule+"/"+tr.example.Name, func(t *testing.T) {
			got := slices.Contains(fired[tr.name], tr.rule)
			if strings.Contains(tr.out, "tester: ") {
				t.Errorf("it was not done: %s", tr.out)
			}
			switch {
			case tr.attack && !got:
				t.Errorf("the attack was not detected (detected: %q)\n%s\n%s\n%s", fired[tr.name], tr.example.Run, tr.out, tp.story(tr.name))
			case !tr.attack && got:
				t.Errorf("lawful use was detected\n%s", tr.example.Run)
			case tr.attack:
				attacks++
			default:
				twins++
			}
		})
	}
	t.Logf("%d attacks detected, %d lawful twins silent", attacks, twins)
}

// try does trials under a sensor; fired are the rules by container.
func try(t *testing.T, c *watch.Content, trials []*trial, tester string) (tp *tape, fired map[string][]string) {
	tp = sense(t, watch.Config{Kernel: kernel.Options{}, Judges: []watch.Judge{c}}, func() { doAll(t, trials, tester) })
	for _, g := range c.TakeGaps() {
		t.Errorf("not judged: %s", g)
	}
	for i := range tp.events { // what may be missing is known
		if tp.events[i].Kind == esclusa.EventLoss {
			t.Errorf("lost: %v", tp.events[i].Fields)
		}
	}
	fired = map[string][]string{}
	for i := range tp.detections {
		d := &tp.detections[i]
		if box := d.Last().Container; box != nil {
			fired[box.ID] = append(fired[box.ID], d.Rule)
		}
	}
	return tp, fired
}

// story is what was seen of a container, and what of nobody known.
func (tp *tape) story(name string) string {
	var b strings.Builder
	for i := range tp.events {
		e := &tp.events[i]
		if e.Container == nil && e.Process.PID != 0 && e.Process.Start != 0 || e.Container != nil && e.Container.ID != name {
			continue
		}
		fmt.Fprintf(&b, "%s %s %d %s %v\n", e.At.Format("05.000000"), e.Kind, e.Process.PID, e.Process.Name, e.Fields)
	}
	return b.String()
}

// old is longer than what rules take for the start of a container.
const old = 61 * time.Second

// doAll does the trials, a few at a time. Those that need a container of some
// age wait beside the others.
func doAll(t *testing.T, trials []*trial, tester string) {
	room := make(chan bool, 3)
	var all sync.WaitGroup
	slices.SortStableFunc(trials, func(a, b *trial) int { // those that wait come first
		return cmp.Compare(map[bool]int{true: 0, false: 1}[a.needs("old")], map[bool]int{true: 0, false: 1}[b.needs("old")])
	})
	for _, tr := range trials {
		room <- true
		all.Go(func() {
			if !tr.needs("old") {
				defer func() { <-room }()
				tr.do(t, tester)
				return
			}
			time.AfterFunc(500*time.Millisecond, func() { <-room })
			tr.do(t, tester)
		})
	}
	all.Wait()
}

func (tr *trial) needs(what string) bool { return slices.Contains(tr.example.Needs, what) }

// do makes the trial's container and runs the commands in it, under a first
// process of its own: the script's shell is not pid 1.
func (tr *trial) do(t *testing.T, tester string) {
	x := tr.example
	shell := func(script string) string { return "/bin/sh -s <<'script'\n" + script + "\nscript\n" }
	box := kerneltest.Container{}
	if tr.needs("tester") {
		box.Programs = []string{tester}
	}
	if tr.needs("privileged") {
		box.Capabilities = []string{"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"}
	}
	if tr.needs("host-pid") {
		box.Host = []string{"pid"}
	}
	if tr.needs("volume-tmp") {
		box.Mounts = []string{t.TempDir() + ":/tmp"}
	}
	if tr.needs("userns") {
		box.Capabilities = []string{"CAP_SETFCAP", "CAP_SETUID", "CAP_SETGID"}
	}
	var wait time.Duration
	if x.Setup != "" { // before the sensor looks: what is there is known
		wait = 200 * time.Millisecond
	}
	if tr.needs("old") {
		wait = old
	}
	before := fmt.Sprintf("%s\nusleep %d\n", shell(x.Setup), wait.Microseconds())
	if !tr.needs("exec") {
		box.Script = before + shell(x.Run)
		tr.out, _ = box.Run(t, tr.name)
		return
	}
	box.Script = before + "sleep 60"
	box.Start(t, tr.name)
	time.Sleep(old)
	cmd := exec.Command("runc", "exec", tr.name, "/bin/sh")
	cmd.Stdin = strings.NewReader(x.Run + "\n")
	out, _ := cmd.CombinedOutput() // what it ends with is the example's business
	tr.out = string(out)
}

func eventKinds(list []rules.Kind) (kinds []esclusa.EventKind) {
	for _, k := range list {
		kinds = append(kinds, esclusa.EventKind(k))
	}
	return kinds
}

// plan makes a trial, or skips it by name.
func plan(t *testing.T, rule string, attack bool, i int, x *rules.Example, kinds []esclusa.EventKind, blind int) *trial {
	why := ""
	switch {
	case blind >= 0:
		why = fmt.Sprintf("no event of kind %s on this kernel", kinds[blind])
	case x.Run == "":
		why = "no commands: only its events are tried"
	case strings.TrimSpace(x.Run) == "true":
		why = "its commands do nothing: only its events are tried"
	case lacks(x.Run) != "":
		why = lacks(x.Run)
	}
	if why != "" {
		t.Run(rule+"/"+x.Name, func(t *testing.T) { t.Skip(why) })
		return nil
	}
	return &trial{rule: rule, attack: attack, example: x, name: fmt.Sprintf("esclusa-%s-%v-%d-%d", rule, attack, i, os.Getpid())}
}

// lacks says what the commands need that these containers do not have.
func lacks(run string) string {
	for _, l := range []struct{ word, why string }{
		{"wget", "the static busybox's wget cannot look up names"},
		{"chattr", "no chattr"},
		{"pkill", "no pkill"},
		{"python3", "no Python"},
		{"/dev/shm", "runc mounts it noexec"},
	} {
		if strings.Contains(run, l.word) {
			return l.why
		}
	}
	return ""
}
