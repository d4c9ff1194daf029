package all_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
	"github.com/esclusa/esclusa/internal/watch/events/all"
	"github.com/esclusa/esclusa/internal/watch/prove"
)

// record loads every family, runs do, and returns the events of the test's
// own descendants in the order in which they were delivered.
func record(t *testing.T, o kernel.Options, do func()) ([]esclusa.Event, *kernel.Set) {
	t.Helper()
	by := map[kernel.Kind]events.Family{}
	for _, f := range all.Families() {
		by[f.Record] = f
	}
	set, err := kernel.Load(o, events.Objects(all.Families())...)
	if errors.Is(err, os.ErrPermission) && os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var source events.Source
	if f := by[kernel.File]; o.Host {
		if source, err = f.Source(events.Scope{Host: true, Files: events.Files{{Match: events.Suffix, Text: prove.FileName}}}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer cancel()
		if source == nil {
			do()
			return
		}
		seen, stop := context.WithCancel(t.Context())
		go func() { defer stop(); do() }()
		if err := source.Run(seen, &set.Posts); err != nil {
			t.Error(err)
		}
	}()
	mine := map[int32]bool{int32(os.Getpid()): true}
	var out []esclusa.Event
	err = set.Run(ctx, func(h kernel.Head, b []byte) {
		e := esclusa.Event{Kind: by[h.Kind].Kind}
		e.Process.ProcessKey = h.Key() // of a file, by its number alone
		if err := by[h.Kind].Decode(b, &e); err != nil {
			t.Errorf("%s: %v", h.Kind, err)
		}
		if h.Kind == kernel.Fork && mine[e.Process.Parent.PID] {
			mine[e.Process.PID] = true
		}
		if mine[e.Process.PID] {
			out = append(out, e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, set
}

func TestProcesses(t *testing.T) {
	const n = 60 << 10
	long := strings.Repeat("x", n)
	got, _ := record(t, kernel.Options{}, func() {
		cmd := exec.Command("/bin/sh", "-c", "/bin/true a '' b; exec /bin/false "+long)
		cmd.Stdin = bytes.NewReader(nil)
		_ = cmd.Run()
	})
	var story []string
	for _, e := range got {
		line := string(e.Kind)
		if e.Kind == esclusa.EventExec {
			line += " " + e.Process.Exe[strings.LastIndexByte(e.Process.Exe, '/')+1:]
		}
		if f, ok := e.Fields.Get("status"); ok && f.Number != 0 {
			line += " failed"
		}
		story = append(story, line)
	}
	// The runtime's own probing of clone may come first.
	if i := slices.IndexFunc(story, func(s string) bool { return strings.HasPrefix(s, "exec ") }); i > 0 {
		story, got = story[i-1:], got[i-1:]
	}
	want := []string{"fork", "exec dash", "fork", "exec true", "exit", "exec false", "exit failed"}
	if !slices.Equal(story, want) {
		t.Fatalf("%q, want %q", story, want)
	}
	if a := got[3].Process.Args; !slices.Equal(a, []string{"/bin/true", "a", "", "b"}) {
		t.Errorf("arguments %q", a)
	}
	p := got[5].Process
	if len(p.Args) != 2 || p.Args[1] != long || p.ArgsCut {
		t.Errorf("%d long arguments, cut %v", len(p.Args), p.ArgsCut)
	}
	if p.ProcessKey != got[1].Process.ProcessKey || p.Parent.PID != int32(os.Getpid()) {
		t.Errorf("a process that executes again changed its key: %v, %v", p.ProcessKey, got[1].Process.ProcessKey)
	}
	if p.ExeSource != esclusa.SourceHost || p.Creds.UID != 0 || p.NS.PID == 0 || p.NS.User == 0 {
		t.Errorf("%+v", p)
	}
}

// TestArgumentsAreCut: what is longer than 64 KiB is said to be cut.
func TestArgumentsAreCut(t *testing.T) {
	got, _ := record(t, kernel.Options{}, func() {
		_ = exec.Command("/bin/true", strings.Repeat("y", 100<<10)).Run()
	})
	i := slices.IndexFunc(got, func(e esclusa.Event) bool { return e.Kind == esclusa.EventExec })
	if i < 0 {
		t.Fatal("no exec seen")
	}
	if e := got[i]; !e.Process.ArgsCut || len(e.Gaps) != 1 || len(e.Process.Args[1]) < 60<<10 {
		t.Errorf("cut %v, gaps %v, %d bytes", e.Process.ArgsCut, e.Gaps, len(e.Process.Args[1]))
	}
}

// TestLossIsCounted: a ring far too small loses records, and what was emitted
// is what was handled plus what was counted, exactly.
func TestLossIsCounted(t *testing.T) {
	by := map[kernel.Kind]uint64{}
	set, err := kernel.Load(kernel.Options{ProcessRing: uint32(os.Getpagesize())}, events.Objects(all.Families())...)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	const execs = 300
	for range execs { // nobody reads yet
		if err := exec.Command("/bin/true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := set.Run(ctx, func(h kernel.Head, _ []byte) { by[h.Kind]++ }); err != nil {
		t.Fatal(err)
	}
	losses, err := set.Losses()
	if err != nil {
		t.Fatal(err)
	}
	lost := map[kernel.Kind]uint64{}
	for _, l := range losses {
		if l.Reason != kernel.LossRing {
			t.Errorf("%v", l)
		}
		lost[l.Kind] += l.Count
	}
	for _, k := range []kernel.Kind{kernel.Fork, kernel.Exec, kernel.Exit} {
		emitted, err := set.Emitted(k)
		if err != nil {
			t.Fatal(err)
		}
		if by[k] != emitted {
			t.Errorf("%s: %d handled, %d in the ring", k, by[k], emitted)
		}
		if by[k]+lost[k] < execs || lost[k] == 0 {
			t.Errorf("%s: %d handled and %d counted of at least %d", k, by[k], lost[k], execs)
		}
	}
}

// TestLoads: what a family's program needs is missing where the kernel has
// nothing to see, and nowhere because the program is wrong.
func TestLoads(t *testing.T) {
	_, set := record(t, kernel.Options{}, func() {})
	for _, m := range set.Missing() {
		i := slices.IndexFunc(all.Families(), func(f events.Family) bool { return f.Object.Name == m.Name })
		if f := all.Families()[i]; f.Absent == nil || !f.Absent() {
			t.Errorf("%s: %v", m.Name, m.Err)
		}
	}
}

// TestActs: each act is done by a child of the test, and its event seen with
// its facts. What is done beside it, by the same child, makes no such event.
func TestActs(t *testing.T) {
	tester := build(t)
	tested := map[string]bool{"nothing": true}
	defer func() {
		for _, a := range prove.Acts() {
			if !tested[a.Name] {
				t.Errorf("act %s has no case", a.Name)
			}
		}
	}()
	for _, tt := range []struct {
		act  string
		kind esclusa.EventKind
		want map[string]any
	}{
		{"connect4", esclusa.EventConnect, map[string]any{"address": "127.0.0.1", "port": int64(9), "family": "ip4", "protocol": "tcp"}},
		{"connect6", esclusa.EventConnect, map[string]any{"address": "::1", "port": int64(9), "family": "ip6", "protocol": "udp"}},
		{"bind4", esclusa.EventBind, map[string]any{"address": "127.0.0.1", "family": "ip4", "protocol": "tcp"}},
		{"bind6", esclusa.EventBind, map[string]any{"address": "::1", "family": "ip6", "protocol": "tcp"}},
		{"sysctl", esclusa.EventSysctl, map[string]any{"name": "net.ipv4.ip_local_port_range"}},
		{"capability", esclusa.EventCapability, map[string]any{"capability": "net_admin"}},
		{"io_uring", esclusa.EventIOUring, map[string]any{"op": "create", "entries": int64(4)}},
		{"signal", esclusa.EventSignal, map[string]any{"signal": "SIGCONT", "targetPid": int64(os.Getpid())}},
		{"umount", esclusa.EventMount, map[string]any{"op": "umount", "target": "/proc/self/fd"}},
		{"ptrace", esclusa.EventPtrace, map[string]any{"op": "read", "outside": false}},
		{"bpf", esclusa.EventBPF, map[string]any{"cmd": "prog_load", "type": "socket_filter"}},
		{"userfaultfd", esclusa.EventUserfault, map[string]any{"kernelFaults": true}},
		{"dns", esclusa.EventDNS, map[string]any{"name": "esclusa.invalid", "type": "A"}},
		{"file", esclusa.EventFile, map[string]any{"op": "create", "mode": int64(0o600)}},
		{"nothing", "", nil},
	} {
		t.Run(tt.act, func(t *testing.T) {
			tested[tt.act] = true
			got, _ := record(t, kernel.Options{Host: true}, func() {
				if out, err := exec.Command(tester, tt.act).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s", tt.act, err, out)
				}
			})
			var acts []esclusa.Event
			for _, e := range got {
				if e.Kind == esclusa.EventCapability && tt.act != "capability" { // many an act asks for one
					continue
				}
				switch e.Kind {
				case esclusa.EventExec, esclusa.EventFork, esclusa.EventExit:
				case esclusa.EventSignal:
					// The runtime stops its own threads by signals, inside one process.
					if f, _ := e.Fields.Get("signal"); f.Text != "SIGURG" {
						acts = append(acts, e)
					}
				default:
					acts = append(acts, e)
				}
			}
			if tt.kind == "" {
				if len(acts) > 0 {
					t.Errorf("%+v", acts)
				}
				return
			}
			if len(acts) != 1 || acts[0].Kind != tt.kind {
				t.Fatalf("%+v, want one %s", acts, tt.kind)
			}
			for name, want := range tt.want {
				if f, ok := acts[0].Fields.Get(name); !ok || f.Value() != want {
					t.Errorf("%s = %v, want %v", name, f, want)
				}
			}
		})
	}
}

// build compiles the tester, a small program that does one thing.
func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tester")
	if out, err := exec.Command("go", "build", "-o", name, "./testdata/tester.go").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// TestCgroups: a cgroup is known by its id before the first process is in it,
// and processes say that id.
func TestCgroups(t *testing.T) {
	root := "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/pids/cgroup.procs"); err == nil {
		root += "/pids"
	}
	dir, err := os.MkdirTemp(root, "esclusa-test-")
	if err != nil {
		t.Skip("no cgroup can be made here: ", err)
	}
	defer os.Remove(dir)
	inner := filepath.Join(dir, "inner")
	var story []string
	ids := map[string]uint64{}
	decode := map[kernel.Kind]events.Family{}
	for _, f := range all.Families() {
		decode[f.Record] = f
	}
	set, err := kernel.Load(kernel.Options{}, events.Objects(all.Families())...)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Error(err)
			return
		}
		if out, err := exec.Command("/bin/sh", "-c", "echo $$ > "+inner+"/cgroup.procs; exec /bin/true").CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if err := os.Remove(inner); err != nil {
			t.Error(err)
		}
	}()
	err = set.Run(ctx, func(h kernel.Head, b []byte) {
		var e esclusa.Event
		if err := decode[h.Kind].Decode(b, &e); err != nil {
			t.Error(err)
		}
		switch path, _ := e.Fields.Get("path"); {
		case h.Kind == kernel.Cgroup && strings.HasSuffix(path.Text, "/inner"):
			gone, _ := e.Fields.Get("gone")
			story = append(story, map[int64]string{0: "made", 1: "gone"}[gone.Number])
			ids["inner"] = h.Cgroup
		case h.Kind == kernel.Exec && strings.HasSuffix(e.Process.Exe, "true") && h.Cgroup == ids["inner"]:
			story = append(story, "exec")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"made", "exec", "gone"}; !slices.Equal(story, want) {
		t.Errorf("%q, want %q", story, want)
	}
}
