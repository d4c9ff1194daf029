package fields

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
)

var update = flag.Bool("update", false, "write the page that the test compares with")

const page = "../../../docs/reference/events.md"

func TestPage(t *testing.T) {
	want := Page()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says; run go test ./internal/watch/fields -update", page)
	}
}

// Every field has a path of its own, words to explain it, and a value even of
// an event that has nothing.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	all := append(append(eventFields(), processFields()...), containerFields()...)
	for _, kind := range Kinds() {
		all = append(all, Of(kind)...)
	}
	for _, f := range all {
		if seen[f.Path] || f.Doc == "" || !strings.Contains(f.Path, ".") {
			t.Errorf("%q: twice, without a meaning or without a variable", f.Path)
		}
		seen[f.Path] = true
		for _, e := range []*esclusa.Event{{}, {Container: &esclusa.Container{}}} {
			if s := f.Show(e); s != "" && s != "0" && s != "false" && s != "0s" && s != "undecided" && s != "true" {
				t.Errorf("%s of an empty event is %q", f.Path, s)
			}
		}
	}
	if len(New()) != len(seen) {
		t.Errorf("%d fields in the table, %d written", len(New()), len(seen))
	}
}

func TestValues(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)
	e := &esclusa.Event{
		Kind: esclusa.EventConnect, At: at,
		Process: esclusa.Process{
			Name: "wget", Args: []string{"wget", "-q", "x"}, Started: at.Add(-5 * time.Second),
			Creds: esclusa.Credentials{UID: 7, Effective: 1<<21 | 1<<41}, NS: esclusa.Namespaces{PID: firstPID},
		},
		Ancestors: []esclusa.Ancestor{{Name: "sh", Container: "c"}, {Name: "containerd-shim"}},
		Container: &esclusa.Container{ID: "c", Started: at.Add(-time.Minute), Worst: esclusa.SeverityHigh, Pod: esclusa.Pod{Namespace: "shop"}},
		Fields:    esclusa.Fields{esclusa.Text("address", "::ffff:10.1.2.3"), esclusa.Number("port", 443)},
	}
	table := New()
	for path, want := range map[string]string{
		"event.kind": "connect", "process.name": "wget", "process.args": "wget -q x", "process.command": "wget -q x", "process.uid": "7",
		"process.capabilities": "sys_admin 41", "process.hostPid": "true", "process.hostUser": "false", "process.age": "5s",
		"process.parent.name": "sh", "process.entered": "false", "container.age": "1m0s", "container.worst": "4", "container.present": "true",
		"container.pod.namespace": "shop", "connect.address": "::ffff:10.1.2.3", "connect.port": "443", "connect.scope": "private",
		"bind.port": "0", "accept.scope": "", "dns.name": "",
	} {
		if got := table[path].Show(e); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	e.Ancestors = e.Ancestors[1:]
	if table["process.entered"].Show(e) != "true" {
		t.Error("a process whose parent is on the host was put into the container")
	}
}

func TestScope(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1": "loopback", "::1": "loopback", "10.0.0.1": "private", "172.31.0.1": "private", "172.32.0.1": "public", "100.64.1.1": "private",
		"100.128.0.1": "public", "169.254.169.254": "link", "fe80::1": "link", "fd00::1": "private", "224.0.0.1": "multicast", "255.255.255.255": "multicast",
		"0.0.0.0": "any", "::": "any", "8.8.8.8": "public", "2001:db8::1": "public", "::ffff:127.0.0.1": "loopback", "": "", "x": "",
	} {
		if got := scope(address); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	table := New()
	for mode, want := range map[int64]string{0o4755: "true true", 0o2711: "true true", 0o4600: "false false", 0o755: "false true", 0o644: "false false"} {
		e := &esclusa.Event{Kind: esclusa.EventFile, Fields: esclusa.Fields{esclusa.Number("mode", mode)}}
		if got := table["file.setuid"].Show(e) + " " + table["file.executable"].Show(e); got != want {
			t.Errorf("%o: setuid and executable are %s, want %s", mode, got, want)
		}
	}
}

// Both ends of a long command are kept, and its length is bounded.
func TestCommand(t *testing.T) {
	long := command([]string{"sh", "-c", strings.Repeat(" ", 60<<10) + "end"})
	if len(long) > commandHead+commandTail+10 || !strings.HasPrefix(long, "sh -c ") || !strings.HasSuffix(long, "end") {
		t.Errorf("%d bytes: %.20q…", len(long), long)
	}
}

func TestCheck(t *testing.T) {
	good := &esclusa.Event{Kind: esclusa.EventSysctl, Fields: esclusa.Fields{esclusa.Text("name", "a.b"), esclusa.Text("value", "1")}}
	if err := Check(good); err != nil {
		t.Error(err)
	}
	for want, e := range map[string]*esclusa.Event{
		"no field \"nam\"":      {Kind: esclusa.EventSysctl, Fields: esclusa.Fields{esclusa.Text("nam", "")}},
		"is number where text":  {Kind: esclusa.EventSysctl, Fields: esclusa.Fields{esclusa.Number("name", 1)}},
		"unknown kind":          {Kind: "sysctls"},
		"no field \"setuid\"":   {Kind: esclusa.EventFile, Fields: esclusa.Fields{esclusa.Bool("setuid", true)}},
		"no field \"priority\"": {Kind: esclusa.EventFork, Fields: esclusa.Fields{esclusa.Number("priority", 1)}},
	} {
		if err := Check(e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", e.Fields, err, want)
		}
	}
}
