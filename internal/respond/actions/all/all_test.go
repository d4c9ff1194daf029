package all_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond/actions"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
	"github.com/esclusa/esclusa/internal/respond/actions/evidence"
)

// victim is a container that counts in memory and runs a program that it
// brought along, or the same on the host.
type victim struct {
	pid  int32
	out  string // folder that it writes its count to
	job  actions.Job
	drop string // path of the dropped program on the host's side
}

// counter counts in the shell's memory; a restart would begin at 1. Its child
// is the dropped program.
const counter = `cp /bin/busybox /srv/x/tool; chmod 755 /srv/x/tool
/srv/x/tool sleep 1000 &
n=0; while :; do n=$((n+1)); echo $n >/srv/x/n.new; mv /srv/x/n.new /srv/x/n; usleep 2000; done`

func start(t *testing.T, name string) victim {
	t.Helper()
	out := t.TempDir()
	pid := kerneltest.Container{Script: counter, Mounts: []string{out + ":/srv/x"}}.Start(t, name)
	s, err := actions.ReadStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	v := victim{pid: pid, out: out, drop: filepath.Join(out, "tool")}
	v.job.Container = &esclusa.Container{ID: name, Runtime: esclusa.RuntimeRunc, CgroupPath: "/" + name, Image: esclusa.Digest("sha256:" + strings.Repeat("ab", 32))}
	v.job.Process = esclusa.Process{ProcessKey: s.Key, Name: "sh", Exe: "/bin/sh"}
	v.wait(t)
	v.mark(t)
	return v
}

func (v *victim) count() int {
	data, _ := os.ReadFile(filepath.Join(v.out, "n"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
}

// wait waits until it counts on.
func (v *victim) wait(t *testing.T) {
	t.Helper()
	from := v.count()
	for deadline := time.Now().Add(10 * time.Second); v.count() <= from+1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not count on from %d", from)
		}
	}
}

// mark gives the dropped program all that a file can have.
func (v *victim) mark(t *testing.T) {
	t.Helper()
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // cap_net_raw=ep
	err := errors.Join(os.Chown(v.drop, 12, 34), unix.Chmod(v.drop, 0o4751), os.Chtimes(v.drop, time.Unix(1e9, 5), time.Unix(1.1e9, 7)),
		unix.Lsetxattr(v.drop, "user.note", []byte("x\x00y"), 0), unix.Lsetxattr(v.drop, "security.capability", capability, 0))
	if err != nil {
		t.Fatal(err)
	}
}

// stands says whether it counts no more.
func (v *victim) stands() bool {
	from := v.count()
	for range 100 { // a second: the machine may be busy
		if time.Sleep(10 * time.Millisecond); v.count() != from {
			return false
		}
	}
	return true
}

// target is what each action is done to.
func (v *victim) target(name esclusa.ActionName) actions.Job {
	j := v.job
	j.Save = func() error { return nil }
	j.Action = esclusa.Action{ID: "i-test." + string(name), Name: name, Incident: "i-test", Reason: "a test"}
	switch name {
	case esclusa.ActionKill, esclusa.ActionKillTree:
		j.Action.Target.Process = j.Process.ProcessKey
	case esclusa.ActionDenyStart:
		j.Action.Target.Image = j.Container.Image
	case esclusa.ActionQuarantineFile:
		if j.Action.Target.Path = "/srv/x/tool"; j.Container == nil {
			j.Action.Target.Path = v.drop
		}
		fallthrough
	default:
		if j.Container != nil {
			j.Action.Target.Container = j.Container.ID
		} else {
			j.Action.Target.Process = j.Process.ProcessKey
		}
	}
	return j
}

// image is all that an action could have changed: the dropped file, whether
// it counts, the state folder.
func (v *victim) image(t *testing.T, state string) string {
	t.Helper()
	var b bytes.Buffer
	var st unix.Stat_t
	if err := unix.Lstat(v.drop, &st); err == nil {
		data, err := os.ReadFile(v.drop)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "tool %o %d:%d %d sha256 %x", st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), sha256.Sum256(data))
		for _, name := range []string{"user.note", "security.capability"} {
			value := make([]byte, 64)
			n, err := unix.Lgetxattr(v.drop, name, value)
			fmt.Fprintf(&b, " %x %v", value[:max(n, 0)], err)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "counts %v\n", !v.stands())
	if c := v.job.Container; c != nil {
		w, err := actions.NewWorld(state)
		if err != nil {
			t.Fatal(err)
		}
		cut, _ := kernel.Isolated(w.Unified + c.CgroupPath) // gone: killed
		fmt.Fprintf(&b, "cut off %v\n", cut)
	}
	err := filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %d\n", path, len(bytes.TrimSpace(data)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// with runs f with no other capabilities than those that a kind names: what
// it declares must be enough.
func with(t *testing.T, needs []string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&head, &all[0]); err != nil {
		t.Fatal(err)
	}
	few := all
	few[0].Effective, few[1].Effective = 0, 0
	for n := range 64 {
		if slices.Contains(needs, esclusa.CapabilityName(n)) {
			few[n/32].Effective |= 1 << (n % 32)
		}
	}
	if err := unix.Capset(&head, &few[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&head, &all[0]); err != nil {
			panic(err) // the thread would go on without them
		}
	}()
	f()
}

// TestActions is the law of every action, on a real container beside a twin
// that must not feel it: Prepare changes nothing, Do does and may come twice,
// Undo restores, may come twice, and harms nothing where nothing was done. All
// with no other capabilities than those it declares.
func TestActions(t *testing.T) {
	kerneltest.Needs(t)
	for i, a := range all.Actors() {
		k := a.Kind()
		t.Run(string(k.Name), func(t *testing.T) {
			w, err := actions.NewWorld(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			v := start(t, kerneltest.Name(t, fmt.Sprintf("act-%d", i)))
			twin := start(t, kerneltest.Name(t, fmt.Sprintf("twin-%d", i)))
			conform(t, a, w, &v)
			twin.wait(t)
		})
	}
}

func conform(t *testing.T, a actions.Actor, w *actions.World, v *victim) {
	k, ctx := a.Kind(), t.Context()
	j := v.target(k.Name)
	before := v.image(t, w.State)
	must := func(what string, f func() error) {
		t.Helper()
		var err error
		with(t, k.Needs, func() { err = f() })
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	state := func(want actions.State) {
		t.Helper()
		must("check", func() error {
			got, err := a.Check(ctx, w, &j)
			if err == nil && got != want {
				err = fmt.Errorf("state %d, want %d", got, want)
			}
			return err
		})
	}
	must("prepare", func() error { return a.Prepare(ctx, w, &j) })
	if now := v.image(t, w.State); now != before {
		t.Fatalf("prepare changed\n%sto\n%s", before, now)
	}
	if k.Reversible {
		state(actions.Absent)
		must("undo of what was not done", func() error { return a.Undo(ctx, w, &j) })
		if now := v.image(t, w.State); trim(now) != trim(before) {
			t.Fatalf("undo of what was not done changed\n%sto\n%s", before, now)
		}
	}
	// The inverse goes through the journal.
	data, err := json.Marshal(&j)
	if err != nil {
		t.Fatal(err)
	}
	var back actions.Job
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	back.Save = j.Save
	j = back
	must("do", func() error { return a.Do(ctx, w, &j) })
	state(actions.Holds)
	if now := v.image(t, w.State); now == before {
		t.Fatalf("do changed nothing of\n%s", before)
	}
	must("do again", func() error { return a.Do(ctx, w, &j) })
	state(actions.Holds)
	if !k.Reversible {
		if err := a.Undo(ctx, w, &j); err == nil {
			t.Error("it says that it has no inverse, and undoes")
		}
		return
	}
	count := v.count()
	must("undo", func() error { return a.Undo(ctx, w, &j) })
	state(actions.Absent)
	v.wait(t)
	if v.count() < count {
		t.Errorf("it counts from %d after %d: memory was lost", v.count(), count)
	}
	if now := v.image(t, w.State); trim(now) != trim(before) {
		t.Fatalf("undo made of\n%sthis:\n%s", before, now)
	}
	must("undo again", func() error { return a.Undo(ctx, w, &j) })
	state(actions.Absent)
}

// trim leaves an empty list of denied images out.
func trim(image string) string {
	lines := slices.DeleteFunc(strings.Split(image, "\n"), func(l string) bool { return strings.HasSuffix(l, "/denied.json 2") })
	return strings.Join(lines, "\n")
}

// TestHostProcess: what has no cgroup of its own is frozen and killed process
// by process, children made meanwhile included; its twin and who was stopped
// before are left as they were.
func TestHostProcess(t *testing.T) {
	kerneltest.Needs(t)
	for _, a := range all.Actors() {
		k := a.Kind()
		if k.Name != esclusa.ActionFreeze && k.Name != esclusa.ActionKillTree && k.Name != esclusa.ActionEvidence && k.Name != esclusa.ActionQuarantineFile {
			continue
		}
		t.Run(string(k.Name), func(t *testing.T) {
			w, err := actions.NewWorld(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			v, twin := startHost(t), startHost(t)
			conform(t, a, w, &v)
			twin.wait(t)
		})
	}
}

// startHost starts the same program as a process of the host.
func startHost(t *testing.T) victim {
	t.Helper()
	out := t.TempDir()
	script := strings.ReplaceAll(strings.ReplaceAll(counter, "/srv/x", out), "cp /bin/busybox", "cp /usr/bin/busybox")
	script = strings.ReplaceAll(script, "usleep", "busybox usleep")
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Sys: group()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-p.Pid, unix.SIGKILL)
	})
	go func() { _, _ = p.Wait() }()
	s, err := actions.ReadStat(int32(p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	v := victim{pid: int32(p.Pid), out: out, drop: filepath.Join(out, "tool")}
	v.job.Process = esclusa.Process{ProcessKey: s.Key, Name: "sh", Exe: "/bin/sh"}
	v.wait(t)
	v.mark(t)
	return v
}

// TestStopped: a process that somebody had stopped stays so when the freeze
// is undone, and a container that was paused stays paused.
func TestStopped(t *testing.T) {
	kerneltest.Needs(t)
	freeze := actor(t, esclusa.ActionFreeze)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	host := startHost(t)
	if err := unix.Kill(int(host.pid), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	box := start(t, kerneltest.Name(t, "paused"))
	j := box.target(esclusa.ActionFreeze)
	g, err := w.Group(j.Container)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*victim{&host, &box} {
		j := v.target(esclusa.ActionFreeze)
		for _, f := range []func(context.Context, *actions.World, *actions.Job) error{freeze.Prepare, freeze.Do, freeze.Undo} {
			if err := f(t.Context(), w, &j); err != nil {
				t.Fatal(err)
			}
		}
		if !v.stands() {
			t.Error("it was made to go on by who had not stopped it")
		}
	}
	if err := g.Freeze(t.Context(), false); err != nil {
		t.Fatal(err)
	}
}

// TestIdentity: a pid that came back, and a cgroup that was made anew under
// the same name, are others, and are not touched.
func TestIdentity(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	host := startHost(t)
	host.job.Process.Start -= esclusa.ClockTick // as one that had the pid before
	for _, name := range []esclusa.ActionName{esclusa.ActionKill, esclusa.ActionKillTree, esclusa.ActionFreeze} {
		j := host.target(name)
		if err := actor(t, name).Prepare(t.Context(), w, &j); !errors.Is(err, actions.ErrGone) {
			t.Errorf("%s of a pid that came back: %v", name, err)
		}
		if err := actions.Signal(host.job.Process.ProcessKey, unix.SIGKILL); !errors.Is(err, actions.ErrGone) {
			t.Errorf("signal to a pid that came back: %v", err)
		}
	}
	host.wait(t)

	box := start(t, kerneltest.Name(t, "again"))
	j := box.target(esclusa.ActionFreeze)
	freeze := actor(t, esclusa.ActionFreeze)
	if err := freeze.Prepare(t.Context(), w, &j); err != nil {
		t.Fatal(err)
	}
	j.Inverse = bytes.Replace(j.Inverse, []byte(`"id":`), []byte(`"id":1`), 1) // another cgroup had the name
	if err := freeze.Do(t.Context(), w, &j); !errors.Is(err, actions.ErrGone) {
		t.Errorf("freeze of a cgroup made anew: %v", err)
	}
	if s, err := freeze.Check(t.Context(), w, &j); err != nil || s != actions.Gone {
		t.Errorf("state %d, %v", s, err)
	}
	box.wait(t)
}

// TestNobodyElse: a path in the container's words cannot name the cgroup of
// another, or of all.
func TestNobodyElse(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"", "/", "/..", "/../..", "no/such"} {
		if g, err := w.Group(&esclusa.Container{ID: "c", CgroupPath: at}); err == nil {
			t.Errorf("%q is taken for %s", at, g.Path)
		}
	}
}

// TestLinks: links that a container lays lead nowhere but into itself.
func TestLinks(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := start(t, kerneltest.Name(t, "links"))
	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"last": outside, "dir": filepath.Dir(outside)} {
		if err := os.Symlink(to, filepath.Join(v.out, name)); err != nil {
			t.Fatal(err)
		}
	}
	q := actor(t, esclusa.ActionQuarantineFile)
	for _, at := range []string{"/srv/x/last", "/srv/x/dir/precious", "/../../../../" + outside, "/proc/1/root/" + outside, "/dev/null", "/srv/x"} {
		j := v.target(esclusa.ActionQuarantineFile)
		j.Action.Target.Path = at
		if err := q.Prepare(t.Context(), w, &j); err == nil {
			t.Errorf("%s is taken", at)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// TestEvidence: what is kept names the processes, the dropped program that is
// deleted by now with its content, and a connection.
func TestEvidence(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	v := victim{out: t.TempDir()}
	name := kerneltest.Name(t, "evidence")
	script := `cp /bin/busybox /tmp/nc; sleep 1000 | /tmp/nc -l -p 4471 & sleep 0.3; rm /tmp/nc; sleep 1000 | nc 127.0.0.1 4471 & sleep 0.3; echo 5 >/srv/x/n; sleep 1000`
	v.pid = kerneltest.Container{Script: script, Mounts: []string{v.out + ":/srv/x"}}.Start(t, name)
	v.job.Container = &esclusa.Container{ID: name, CgroupPath: "/" + name}
	v.wait(t)
	j := v.target(esclusa.ActionEvidence)
	a := actor(t, esclusa.ActionEvidence)
	if err := errors.Join(a.Prepare(t.Context(), w, &j), a.Do(t.Context(), w, &j)); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(w.State, evidence.Folder(&j.Action))
	data, err := os.ReadFile(filepath.Join(folder, "evidence.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"to 127.0.0.1:4471", `"/root/script"`, "CapEff:", "its file is deleted"} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("%q is not in\n%s", want, data)
		}
	}
	var r evidence.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Files) != 1 {
		t.Fatalf("files %+v", r.Files)
	}
	kept, err := os.ReadFile(filepath.Join(folder, "files", r.Files[0].SHA256))
	busybox, _ := os.ReadFile("/usr/bin/busybox")
	if err != nil || !bytes.Equal(kept, busybox) {
		t.Errorf("%d bytes were kept, %v", len(kept), err)
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func actor(t *testing.T, name esclusa.ActionName) actions.Actor {
	t.Helper()
	for _, a := range all.Actors() {
		if a.Kind().Name == name {
			return a
		}
	}
	t.Fatalf("no action %s", name)
	return nil
}

func group() *unix.SysProcAttr { return &unix.SysProcAttr{Setpgid: true} }

// TestListed: each folder of an action is in the list.
func TestListed(t *testing.T) {
	source, err := os.ReadFile("all.go")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("../*")
	if err != nil || len(dirs) < 5 {
		t.Fatalf("%v, %v", dirs, err)
	}
	for _, d := range dirs {
		name := filepath.Base(d)
		if info, err := os.Stat(d); err == nil && info.IsDir() && name != "all" && !strings.Contains(string(source), name+".Actor{") {
			t.Errorf("%s is in no list", name)
		}
	}
}

// TestIsolate: a container with a network of its own talks to the host, cannot
// while it is isolated, its loopback excepted, and the same connection goes on
// afterwards. Its twin on the same network is not cut.
func TestIsolate(t *testing.T) {
	kerneltest.Needs(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs iproute2")
	}
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bad, twin := talk(t, 1), talk(t, 2)
	a, j := actor(t, esclusa.ActionIsolate), bad.target(esclusa.ActionIsolate)
	if err := errors.Join(a.Prepare(t.Context(), w, &j), a.Do(t.Context(), w, &j)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // what was on its way
	if !bad.silent() {
		t.Error("it talks although it is isolated")
	}
	if twin.silent() {
		t.Error("its twin is cut, too")
	}
	bad.wait(t) // it runs, and its loopback works
	if err := a.Undo(t.Context(), w, &j); err != nil {
		t.Fatal(err)
	}
	for range 50 { // retransmission backs off
		if !bad.silent() {
			return
		}
	}
	t.Error("its connection does not go on")
}

// talker is a container that says a line every hundredth of a second over one
// connection to the host.
type talker struct {
	victim
	heard atomic.Int64
}

func (v *talker) silent() bool {
	from := v.heard.Load()
	time.Sleep(300 * time.Millisecond)
	return v.heard.Load() == from
}

// talk starts a talker on a network of two: the host and it.
func talk(t *testing.T, n int) *talker {
	t.Helper()
	name := kerneltest.Name(t, fmt.Sprintf("talk-%d", n))
	v := &talker{victim: victim{out: t.TempDir()}}
	host, peer := fmt.Sprintf("10.213.%d.1", n), fmt.Sprintf("10.213.%d.2", n)
	// It counts what comes back over its own loopback.
	script := fmt.Sprintf(`while [ ! -e /srv/x/go ]; do usleep 10000; done
nc -ll -p 99 -e /bin/cat &
{ while :; do echo hello; usleep 10000; done; } | nc %s 4477 &
n=0; while :; do n=$((n+1)); [ "$(echo here | timeout 2 nc -w 1 127.0.0.1 99)" = here ] && echo $n >/srv/x/n.new && mv /srv/x/n.new /srv/x/n; usleep 2000; done`, host)
	v.pid = kerneltest.Container{Script: script, Mounts: []string{v.out + ":/srv/x"}}.Start(t, name)
	s, err := actions.ReadStat(v.pid)
	if err != nil {
		t.Fatal(err)
	}
	v.job.Container = &esclusa.Container{ID: name, CgroupPath: "/" + name}
	v.job.Process.ProcessKey = s.Key
	link, pid := fmt.Sprintf("esct%d", n), fmt.Sprint(v.pid)
	for _, args := range [][]string{
		{"ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid},
		{"ip", "addr", "add", host + "/24", "dev", link},
		{"ip", "link", "set", link, "up"},
		{"nsenter", "-t", pid, "-n", "ip", "addr", "add", peer + "/24", "dev", "eth0"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "eth0", "up"},
		{"nsenter", "-t", pid, "-n", "ip", "link", "set", "lo", "up"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", link).Run() })
	l, err := net.Listen("tcp", host+":4477")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		for sc := bufio.NewScanner(c); sc.Scan(); {
			v.heard.Add(1)
		}
	}()
	if err := os.WriteFile(filepath.Join(v.out, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if !v.silent() {
			v.wait(t)
			return v
		}
	}
	t.Fatal("it does not talk")
	return nil
}

// TestForks: who makes children all the time is stopped and ended with all of
// them, on the host where no cgroup helps.
func TestForks(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []esclusa.ActionName{esclusa.ActionFreeze, esclusa.ActionKillTree} {
		p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "f() { while :; do sleep 30.4711 & sleep 0.002; done; }; f & f & f"}, &os.ProcAttr{Sys: group()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Kill(-p.Pid, unix.SIGKILL) })
		go func() { _, _ = p.Wait() }()
		time.Sleep(200 * time.Millisecond)
		s, err := actions.ReadStat(int32(p.Pid))
		if err != nil {
			t.Fatal(err)
		}
		v := victim{job: actions.Job{Process: esclusa.Process{ProcessKey: s.Key}}}
		a, j := actor(t, name), v.target(name)
		if name == esclusa.ActionFreeze {
			j.Action.Target.Process = s.Key
		}
		if err := errors.Join(a.Prepare(t.Context(), w, &j), a.Do(t.Context(), w, &j)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		first := groupStates(t, p.Pid)
		time.Sleep(100 * time.Millisecond)
		now := groupStates(t, p.Pid)
		if name == esclusa.ActionKillTree && len(now) != 0 {
			t.Errorf("%s left %v", name, now)
		}
		if name == esclusa.ActionFreeze && (len(now) != len(first) || len(now) < 10 || strings.Trim(strings.Join(now, ""), "T") != "") {
			t.Errorf("%s left %v", name, now)
		}
	}
}

// groupStates are the states of all processes of a process group.
func groupStates(t *testing.T, group int) (out []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(d))
		s, err := actions.ReadStat(int32(pid))
		if g, e := unix.Getpgid(pid); err == nil && e == nil && g == group && s.State != 'Z' && s.State != 'X' {
			out = append(out, string(s.State))
		}
	}
	return out
}

// TestVersion1: on a host where the unified hierarchy has no cgroup of the
// container, the freezer of version 1 does it, says so, and what is frozen by
// it can still be ended.
func TestVersion1(t *testing.T) {
	kerneltest.Needs(t)
	w, err := actions.NewWorld(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if w.Freezer == "" {
		t.Skip("no freezer of version 1 is mounted")
	}
	w.Unified = ""
	v := start(t, kerneltest.Name(t, "v1"))
	conform(t, actor(t, esclusa.ActionFreeze), w, &v)
	j := v.target(esclusa.ActionIsolate)
	if err := actor(t, esclusa.ActionIsolate).Prepare(t.Context(), w, &j); err == nil || !strings.Contains(err.Error(), "unified") {
		t.Errorf("isolated without the unified hierarchy: %v", err)
	}
	for _, name := range []esclusa.ActionName{esclusa.ActionFreeze, esclusa.ActionStop} {
		a, j := actor(t, name), v.target(name)
		if err := errors.Join(a.Prepare(t.Context(), w, &j), a.Do(t.Context(), w, &j)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s, err := a.Check(t.Context(), w, &j); err != nil || s != actions.Holds {
			t.Errorf("%s: state %d, %v", name, s, err)
		}
		if name == esclusa.ActionFreeze && !strings.Contains(j.Said, "version 1") {
			t.Errorf("it says %q", j.Said)
		}
	}
}
