package stream_test

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/stream"
)

func detection() esclusa.Detection {
	at := time.Date(2026, 11, 27, 5, 12, 33, 0, time.UTC)
	e := esclusa.Event{
		Kind: esclusa.EventConnect, Seq: 7, At: at, Host: "node-1",
		Process: esclusa.Process{
			ProcessKey: esclusa.ProcessKey{PID: 4711, Start: 10_000_000}, Name: "nc", Exe: "/bin/busybox",
			Args: []string{"nc", "10.0.0.5", "4444\x1b[2J"},
		},
		Ancestors: []esclusa.Ancestor{
			{ProcessKey: esclusa.ProcessKey{PID: 4700}, Name: "sh", Exe: "/bin/sh", Container: "c1"},
			{ProcessKey: esclusa.ProcessKey{PID: 4600}, Name: "containerd-shim", Exe: "/usr/bin/containerd-shim-runc-v2"},
		},
		Container: &esclusa.Container{
			ID: strings.Repeat("ab", 32), Runtime: esclusa.RuntimeContainerd, ImageRef: "registry.example/shop:1.4",
			Image: "sha256:" + esclusa.Digest(strings.Repeat("cd", 32)), Exploited: 2,
			Pod: esclusa.Pod{Namespace: "shop", Name: "web-5d4"},
		},
		Fields: esclusa.Fields{esclusa.Text("address", "10.0.0.5"), esclusa.Number("port", 4444)},
	}
	return esclusa.Detection{
		ID: "b-7-reverse-shell", Rule: "reverse-shell", Severity: esclusa.SeverityCritical, Technique: "T1059.004", At: at,
		Message: "a shell talks to 10.0.0.5:4444", Why: strings.Repeat("Somebody outside types commands. ", 6), Events: []esclusa.Event{e},
		Gaps: []esclusa.Gap{{Scope: esclusa.GapSystem, What: "3 exec events of the host", Err: "ring full"}},
	}
}

// TestText: a detection is read at a glance at 80 columns, and the words of a
// process cannot move the terminal's cursor.
func TestText(t *testing.T) {
	var b bytes.Buffer
	w := stream.NewText(&b)
	w.Events = true
	d := detection()
	w.Event(&d.Events[0])
	w.Detection(&d)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, want := range []string{
		"CRITICAL reverse-shell (ATT&CK T1059.004)", "4444?[2J", "/bin/sh (4700)", "containerd-shim-runc-v2 (4600) on the host",
		"pod shop/web-5d4, container abababababab (containerd)", "2 exploited findings", "ring full",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a control character of a process reached the terminal")
	}
}

func TestJSONIsReadBack(t *testing.T) {
	var b bytes.Buffer
	w := stream.NewJSON(&b)
	w.Events = true
	d := detection()
	w.Write(esclusa.NodeMessage{Start: &esclusa.NodeStart{Stream: esclusa.NodeVersion, Host: "node-1"}})
	w.Event(&d.Events[0])
	w.Detection(&d)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var events []esclusa.Event
	var detections []esclusa.Detection
	err := stream.Read(&b, func(m *esclusa.NodeMessage) error {
		if m.Event != nil {
			events = append(events, *m.Event)
		}
		if m.Detection != nil {
			detections = append(detections, *m.Detection)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Events, events); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]esclusa.Detection{d}, detections); diff != "" {
		t.Error(diff)
	}
}

// full is a disk that takes so many bytes.
type full int

func (f *full) Write(b []byte) (int, error) {
	if *f -= full(len(b)); *f < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

// TestFull: who writes a recording to a disk that is full is told so once, and
// at once.
func TestFull(t *testing.T) {
	room := full(4 << 10)
	w := stream.NewJSON(&room)
	w.Events = true
	told := 0
	w.Failed = func(err error) {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		told++
	}
	d := detection()
	for range 100 {
		w.Detection(&d)
	}
	if err := w.Close(); told != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("told %d times; closed with %v", told, err)
	}
}

// TestEventsAreWrittenSoon: who reads a pipe sees an event without another.
func TestEventsAreWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		w := stream.NewJSON(&b)
		w.Events = true
		d := detection()
		w.Event(&d.Events[0])
		time.Sleep(time.Second)
		synctest.Wait()
		if b.Len() == 0 {
			t.Error("an event waits for ever")
		}
	})
}

func TestReadRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"empty": "", "no start": `{"event":{"kind":"exec"}}`, "version": `{"start":{"stream":99}}`,
		"cut": "{\"start\":{\"stream\":1}}\n{\"event\":{\"kind\":\"ex", "long": "{\"start\":{\"stream\":1}}\n" + strings.Repeat("x", 2<<20),
	} {
		if err := stream.Read(strings.NewReader(s), func(*esclusa.NodeMessage) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"start":{"stream":1}}` + "\n" + `{"event":{"kind":"exec","fields":{"file":"/bin/sh"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = stream.Read(bytes.NewReader(data), func(m *esclusa.NodeMessage) error {
			w := stream.NewText(&bytes.Buffer{})
			w.Events = true
			if m.Event != nil {
				w.Event(m.Event)
			}
			return nil
		})
	})
}
