package host

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

const second = uint64(time.Second)

func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// key makes keys whose start follows the pid, so that parents are older.
func key(pid int32) esclusa.ProcessKey {
	return esclusa.ProcessKey{PID: pid, Start: uint64(pid) * esclusa.ClockTick}
}

func fork(h *Host, parent, child int32, at uint64) *Process {
	k := esclusa.ProcessKey{}
	if parent != 0 {
		k = key(parent)
	}
	return h.Fork(&Fork{Key: key(child), Parent: k, Name: fmt.Sprint("p", child), At: at})
}

func exe(h *Host, pid int32, path string, args ...string) *Process {
	return h.Exec(&Exec{Key: key(pid), Name: path[strings.LastIndexByte(path, '/')+1:], Exe: path, Args: args})
}

func chain(p *Process) string {
	var names []string
	for _, a := range p.Ancestors {
		names = append(names, a.Name)
	}
	return strings.Join(names, " ")
}

func TestAncestors(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	exe(h, 1, "/sbin/init")
	fork(h, 1, 2, 0)
	exe(h, 2, "/bin/sh", "sh", "-c", "x")
	a := fork(h, 2, 3, 0)
	b := fork(h, 2, 4, 0)
	if chain(a) != "sh init" || a.Incomplete {
		t.Errorf("%q, incomplete %v", chain(a), a.Incomplete)
	}
	if &a.Ancestors[0] != &b.Ancestors[0] {
		t.Error("siblings do not share their ancestors")
	}
	if a.Exe != "/bin/sh" || len(a.Args) != 3 {
		t.Errorf("a child runs what its maker runs: %+v", a)
	}
	// What the maker does later is not who it was.
	exe(h, 2, "/bin/true")
	if got := exe(h, 3, "/bin/ls"); chain(got) != "sh init" {
		t.Errorf("%q", chain(got))
	}
	if got := fork(h, 2, 5, 0); chain(got) != "true init" {
		t.Errorf("%q", chain(got))
	}
	h.Exit(key(2), second)
	if got := h.Find(key(3)); chain(got) != "sh init" {
		t.Errorf("after its maker's end: %q", chain(got))
	}
	if got := h.Find(key(2)); got == nil || got.Exe != "/bin/true" {
		t.Errorf("a process that ended: %+v", got)
	}
}

// TestCreator shows that CLONE_PARENT does not take a process out of the line
// of who made it.
func TestCreator(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	exe(h, 1, "/sbin/init")
	fork(h, 1, 2, 0)
	exe(h, 2, "/tmp/dropper")
	p := h.Fork(&Fork{Key: key(3), Parent: key(1), Creator: key(2), Name: "x"})
	if chain(p) != "dropper init" || p.Exe != "/tmp/dropper" || p.Parent != key(1) {
		t.Errorf("%q, %+v", chain(p), p.Process)
	}
}

func TestAncestorsEnd(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	var p *Process
	for pid := int32(2); pid < 100; pid++ {
		p = fork(h, pid-1, pid, 0)
	}
	if len(p.Ancestors) != maxAncestors || p.Ancestors[0].PID != 98 || p.Incomplete {
		t.Errorf("%d ancestors, first %d", len(p.Ancestors), p.Ancestors[0].PID)
	}
	if p = fork(h, 4000, 4001, 0); !p.Incomplete || p.Ancestors != nil {
		t.Errorf("a child of nobody known: %+v", p)
	}
	if p = fork(h, 4001, 4002, 0); !p.Incomplete || len(p.Ancestors) != 1 {
		t.Errorf("its child: %+v", p)
	}
}

// TestReused shows two processes of one pid side by side.
func TestReused(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	fork(h, 1, 7, 0)
	exe(h, 7, "/bin/first")
	h.Exit(key(7), second)
	late := esclusa.ProcessKey{PID: 7, Start: 3 * second}
	h.Fork(&Fork{Key: late, Parent: key(1), At: 3 * second})
	h.Exec(&Exec{Key: late, Exe: "/bin/second", At: 3 * second})
	if p := h.Find(key(7)); p == nil || p.Exe != "/bin/first" {
		t.Errorf("the first: %+v", p)
	}
	if p := h.ByPID(7); p == nil || p.Exe != "/bin/second" {
		t.Errorf("the pid's: %+v", p)
	}
	fork(h, 1, 8, 20*second) // the grace of the first is over
	if h.Find(key(7)) != nil || h.Find(late) == nil {
		t.Error("the wrong one was forgotten")
	}
	// An exit that was lost: the next of its pid ends it.
	h.Fork(&Fork{Key: esclusa.ProcessKey{PID: 7, Start: 30 * second}, Parent: key(1), At: 30 * second})
	fork(h, 1, 9, 50*second)
	if h.Find(late) != nil {
		t.Error("a process whose exit was lost stays for ever")
	}
}

// TestGrace shows that the dead are kept for their children.
func TestGrace(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	fork(h, 1, 2, 0)
	fork(h, 2, 3, 0)
	fork(h, 3, 4, 0)
	h.Exit(key(2), second)
	h.Exit(key(3), second)
	fork(h, 1, 5, 100*second)
	if h.Find(key(2)) == nil || h.Find(key(3)) == nil {
		t.Error("forgotten while a child's child runs")
	}
	h.Exit(key(4), 101*second)
	h.Exit(key(4), 102*second) // twice is once
	fork(h, 1, 6, 200*second)
	for pid := int32(2); pid <= 4; pid++ {
		if h.Find(key(pid)) != nil {
			t.Errorf("%d is kept for nobody", pid)
		}
	}
	if s := h.Stats(); s.Processes != 3 || s.ProcessesEvicted != 0 {
		t.Errorf("%+v", s)
	}
}

func TestBound(t *testing.T) {
	h := newHost(t, Options{Processes: 10})
	fork(h, 0, 1, 0)
	for pid := int32(2); pid <= 10; pid++ {
		fork(h, 1, pid, 0)
	}
	p := fork(h, 1, 11, 0) // all run: none is given up for it
	if p == nil || chain(p) != "p1" || h.Find(key(11)) != nil {
		t.Errorf("%+v", p)
	}
	if p := exe(h, 11, "/bin/x"); p.Exe != "/bin/x" {
		t.Errorf("%+v", p)
	}
	h.Exit(key(11), 1)
	h.Exit(key(5), second)
	fork(h, 1, 12, second)
	if h.Find(key(12)) == nil || h.Find(key(5)) != nil {
		t.Error("the dead go first")
	}
	if s := h.Stats(); s.Processes != 10 || s.ProcessesEvicted != 1 || s.ProcessesRefused != 3 {
		t.Errorf("%+v", s)
	}
	// A flood of short lives leaves nothing behind.
	for i := range int32(10_000) {
		fork(h, 1, 1000+i, 2*second)
		h.Exit(key(1000+i), 2*second)
	}
	fork(h, 1, 13, 100*second)
	if s := h.Stats(); s.Processes > 10 || h.Find(key(1)) == nil {
		t.Errorf("%+v", s)
	}
}

// TestArgs shows that long arguments cannot fill the memory, that the event
// itself has them whole, and that the count comes back to nothing.
func TestArgs(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	long := strings.Repeat("x", 64<<10)
	const many = 2 * maxArgs / (64 << 10)
	for pid := int32(2); pid < many; pid++ {
		fork(h, 1, pid, 0)
		if p := exe(h, pid, "/bin/x", "x", long); len(p.Args[1]) != len(long) || p.ArgsCut {
			t.Fatalf("the event of %d has %d bytes", pid, len(p.Args[1]))
		}
		fork(h, pid, pid+100_000, 0) // shares them
	}
	if h.procs.argBytes > maxArgs+2*many*cutArgs || h.Stats().ArgsCut == 0 {
		t.Errorf("%d bytes are kept", h.procs.argBytes)
	}
	if p := h.Find(key(many - 1)); !p.ArgsCut || len(p.Args) != 2 || len(p.Args[1]) > cutArgs {
		t.Errorf("%v %d", p.ArgsCut, len(p.Args))
	}
	for pid := int32(2); pid < many; pid++ {
		h.Exit(key(pid), second)
		h.Exit(key(pid+100_000), second)
	}
	fork(h, 1, 300_000, 100*second)
	if h.procs.argBytes != 0 {
		t.Errorf("%d bytes of nobody", h.procs.argBytes)
	}
}

// TestChange keeps what a process became without exec.
func TestChange(t *testing.T) {
	h := newHost(t, Options{})
	fork(h, 0, 1, 0)
	before := exe(h, 1, "/sbin/init")
	root := esclusa.Credentials{Effective: 1 << 21}
	after := h.Change(key(1), root, esclusa.Namespaces{Mount: 7}, 0)
	if after.Creds != root || after.NS.Mount != 7 || after.Exe != "/sbin/init" || before.NS.Mount != 0 {
		t.Errorf("%+v after %+v", after, before)
	}
	if h.Change(key(99), root, esclusa.Namespaces{}, 0) != nil {
		t.Error("a process that nobody knows was changed")
	}
}

// TestSeedRace plays records that come before /proc was read.
func TestSeedRace(t *testing.T) {
	h := newHost(t, Options{})
	at := func(pid, parent int32, exe string) seeded {
		var s seeded
		s.p.ProcessKey, s.p.Name, s.p.Exe = key(pid), fmt.Sprint("p", pid), exe
		if parent != 0 {
			s.p.Parent = key(parent)
		}
		return s
	}
	child := fork(h, 5, 20, 0) // of a process not yet known
	grand := fork(h, 20, 21, 0)
	exe(h, 6, "/bin/new") // was seen with another program in /proc
	h.Exit(key(7), second)
	if !child.Incomplete || !grand.Incomplete {
		t.Fatal("chains of nobody known are whole")
	}
	h.procs.seed([]seeded{
		at(20, 5, "/bin/sh"), at(7, 1, "/bin/dead"), at(6, 1, "/bin/old"), at(5, 1, "/bin/sh"), at(1, 0, "/sbin/init"),
	}, h.group)
	if p := h.Find(key(21)); chain(p) != "p20 p5 p1" || p.Incomplete {
		t.Errorf("%q, incomplete %v", chain(p), p.Incomplete)
	}
	if p := h.Find(key(20)); p.Exe != "/bin/sh" {
		t.Errorf("%+v", p)
	}
	if p := h.Find(key(6)); p.Exe != "/bin/new" || chain(p) != "" && chain(p) != "p1" {
		t.Errorf("%+v", p)
	}
	if p := h.Find(key(7)); p.Exe != "/bin/dead" || p.Parent != key(1) {
		t.Errorf("%+v", p)
	}
	for _, p := range h.Processes() {
		if p.PID == 7 {
			t.Error("/proc brought the dead back")
		}
	}
}

// TestSeed reads the machine that runs the test.
func TestSeed(t *testing.T) {
	h := newHost(t, Options{})
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	for range 100 { // until the exec is done
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", sleep.Process.Pid)); string(b) == "sleep\n" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := h.Seed(); err != nil {
		t.Fatal(err)
	}
	me, it := h.ByPID(int32(os.Getpid())), h.ByPID(int32(sleep.Process.Pid))
	if me == nil || it == nil {
		t.Fatal("not found")
	}
	if it.Ancestors[0].ProcessKey != me.ProcessKey || it.Incomplete || it.Ancestors[len(it.Ancestors)-1].PID != 1 {
		t.Errorf("%+v", it)
	}
	self, _ := os.Executable()
	if me.Exe != self || len(me.Args) != len(os.Args) || me.Creds.EUID != uint32(os.Geteuid()) || me.NS.Mount == 0 || me.NS.Cgroup == 0 {
		t.Errorf("%+v", me)
	}
	if diff := cmp.Diff([]string{"sleep", "60"}, it.Args); diff != "" {
		t.Error(diff)
	}
	if ago := time.Since(it.Started); ago < 0 || ago > 30*time.Second {
		t.Errorf("started %v ago", ago)
	}
	if c, known := it.Container(); c != nil || !known {
		t.Errorf("%v %v", c, known)
	}
}

func FuzzStat(f *testing.F) {
	f.Add("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 12345 20")
	f.Fuzz(func(t *testing.T, s string) {
		if st, err := parseStat([]byte(s)); err == nil && st.start%esclusa.ClockTick != 0 {
			t.Errorf("%+v", st)
		}
		parseStatus([]byte(s))
		splitArgs([]byte(s))
		if a, b := parseCgroups([]byte(s)); a != "" && a[0] != '/' || b != "" && b[0] != '/' {
			t.Errorf("%q %q", a, b)
		}
	})
}

// BenchmarkLife is a shell's child: fork, exec and exit.
func BenchmarkLife(b *testing.B) {
	h := newHost(b, Options{})
	fork(h, 0, 1, 0)
	for pid := int32(2); pid < 10; pid++ {
		fork(h, pid-1, pid, 0)
	}
	args := []string{"ls", "-l"}
	at, pid := second, int32(10)
	b.ReportAllocs()
	for b.Loop() {
		at += uint64(time.Millisecond)
		pid++
		k := esclusa.ProcessKey{PID: pid&0x7fff + 100, Start: at - at%esclusa.ClockTick}
		h.Fork(&Fork{Key: k, Parent: key(9), Name: "sh", At: at})
		h.Exec(&Exec{Key: k, Parent: key(9), Name: "ls", Exe: "/bin/ls", Args: args, At: at})
		h.Exit(k, at)
	}
}

func BenchmarkFind(b *testing.B) {
	h := newHost(b, Options{})
	fork(h, 0, 1, 0)
	fork(h, 1, 2, 0)
	b.ReportAllocs()
	for b.Loop() {
		if p := h.Find(key(2)); len(p.Ancestors) != 1 {
			b.Fatal(p)
		}
	}
}

// BenchmarkMemory tells the bytes that a process takes: 20,000, each with a
// program, arguments and children of its own in a tree eight deep.
func BenchmarkMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		h := newHost(b, Options{})
		fork(h, 0, 1, 0)
		for pid := int32(2); pid <= 20_000; pid++ {
			fork(h, max(1, pid/3), pid, 0)
			exe(h, pid, fmt.Sprintf("/usr/local/bin/program-%d", pid), "program", fmt.Sprintf("--config=/etc/program/%d.conf", pid))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/20_000, "B/process")
		runtime.KeepAlive(h)
	}
}
