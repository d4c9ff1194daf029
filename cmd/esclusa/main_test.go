package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa/internal/gate"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/registrytest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write what the scripts should expect")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"esclusa": main})
}

// TestScripts are the specification of the commands: what they print, where,
// and with which exit code.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("HOME", e.WorkDir)
			if os.Getuid() != 0 || !strings.HasPrefix(filepath.Base(e.WorkDir), "script-shield_") {
				return nil
			}
			release, err := kerneltest.Hold()
			if err == nil {
				e.Defer(release)
			}
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": code, "image": image, "mirror": mirror, "bytes": writeBytes, "dates": dates, "registry": registry, "sensor": sensor, "ask": ask,
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Getuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		// The scripts are short; a command that reaches for a network or waits
		// for something ends them.
		RequireExplicitExec: true,
	})
}

// sensor runs esclusa watch beside the rest of the script, which goes on when
// it watches: sensor ARGS….
func sensor(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: sensor ARGS…")
	}
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "esclusa")); err == nil {
			program = filepath.Join(dir, "esclusa")
			break
		}
	}
	c := exec.Command(program, append([]string{"watch"}, args...)...)
	c.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "GOCOVERDIR"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	stderr, err := c.StderrPipe()
	ts.Check(err)
	ts.Check(c.Start())
	lines, said := bufio.NewScanner(stderr), ""
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "watching by") {
		said += lines.Text() + "\n"
	}
	go io.Copy(io.Discard, stderr)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	ts.Check(err)
	ts.Defer(func() {
		c.Process.Signal(os.Interrupt)
		if err := c.Wait(); err != nil {
			ts.Logf("the sensor: %v: %s", err, said)
		}
	})
	if !strings.HasPrefix(lines.Text(), "watching by") {
		ts.Fatalf("the sensor did not start: %s", said)
	}
	hardened(ts, string(status))
}

// hardened holds a sensor to what it gave up: no module, no reboot, no raw
// device, and a filter of system calls on top.
func hardened(ts *testscript.TestScript, status string) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch name {
		case "CapEff", "CapPrm", "CapBnd":
			have, err := strconv.ParseUint(value, 16, 64)
			ts.Check(err)
			for _, c := range []int{unix.CAP_SYS_MODULE, unix.CAP_SYS_BOOT, unix.CAP_SYS_RAWIO, unix.CAP_SETUID, unix.CAP_MKNOD, unix.CAP_NET_RAW} {
				if have>>c&1 != 0 {
					ts.Fatalf("%s has capability %d", name, c)
				}
			}
			if have>>unix.CAP_BPF&1 == 0 {
				ts.Fatalf("%s lacks what a sensor needs", name)
			}
		case "Seccomp":
			if value != "2" {
				ts.Fatalf("no filter of system calls: %s", value)
			}
		}
	}
}

// ask prints what a socket answers: ask SOCKET PATH.
func ask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ask SOCKET PATH")
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", ts.MkAbs(args[0]))
	}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://sensor" + args[1])
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
}

// code runs esclusa, as a process of its own, and compares its exit code:
// code 1 gate ci app, or code 0|1 gate ci /.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N ARGS…")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("esclusa", args[1:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if !slices.Contains(strings.Split(args[0], "|"), fmt.Sprint(got)) {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// image builds an OCI layout from folders, a layer each: image DIR LAYER… A
// file whose name begins with .wh. is a whiteout, as in any layer. The image's
// user is the script's variable IMAGE_USER.
func image(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: image DIR LAYER…")
	}
	t := &tb{ts: ts}
	spec := registrytest.Spec{Config: ocispec.ImageConfig{User: ts.Getenv("IMAGE_USER")}}
	for _, folder := range args[1:] {
		l := registrytest.Layer{CreatedBy: "COPY " + folder + " /"}
		root := ts.MkAbs(folder)
		ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			l.Files = append(l.Files, registrytest.File{Path: filepath.ToSlash(rel), Content: string(data)})
			return err
		}))
		spec.Layers = append(spec.Layers, l)
	}
	dir := spec.Build(t).Layout(t, "latest")
	ts.Check(os.RemoveAll(ts.MkAbs(args[0])))
	ts.Check(os.Rename(dir, ts.MkAbs(args[0])))
}

// mirror makes a small mirror of advisories from JSON files: mirror DIR
// ECOSYSTEM FILE…
func mirror(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: mirror DIR ECOSYSTEM FILE…")
	}
	ts.Check(writeMirror(ts.MkAbs(args[0]), args[1], func(add func(name string, data []byte)) {
		for _, f := range args[2:] {
			var record struct{ ID string }
			data := []byte(ts.ReadFile(f))
			ts.Check(json.Unmarshal(data, &record))
			add(record.ID+".json", data)
		}
	}))
}

// writeBytes writes a file of n bytes of a tar that ends early.
func writeBytes(ts *testscript.TestScript, neg bool, args []string) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	ts.Check(w.WriteHeader(&tar.Header{Name: "manifest.json", Size: 1 << 20, Mode: 0o644}))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
}

// registry serves an OCI layout as REGISTRY/app:latest: registry LAYOUT. A
// status makes each request fail with it; login asks for a user and password.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: registry LAYOUT [STATUS|login]")
	}
	t := &tb{ts: ts}
	r := registrytest.Serve(t)
	r.PushLayout(t, "app", ts.MkAbs(args[0]))
	ts.Setenv("REGISTRY", r.Host)
	switch {
	case len(args) == 1:
	case args[1] == "login":
		r.Protect(registrytest.Auth{User: "someone", Password: "something"})
	default:
		status, err := strconv.Atoi(args[1])
		ts.Check(err)
		r.Break(registrytest.FirstTimes(1<<30, status, ""))
	}
}

// dates puts today and a month from now in the place of NOW and SOON.
func dates(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := ts.ReadFile(name)
		text = strings.ReplaceAll(text, "NOW", time.Now().Format(time.DateOnly))
		text = strings.ReplaceAll(text, "SOON", time.Now().AddDate(0, 1, 0).Format(time.DateOnly))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// TestEveryCommandHasAScript holds that no command is without its
// specification: testdata/NAME_CASE.txtar, NAME being the path of the command.
func TestEveryCommandHasAScript(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(c *cobra.Command, path string)
	walk = func(c *cobra.Command, path string) {
		for _, sub := range c.Commands() {
			name := strings.TrimPrefix(path+"_"+sub.Name(), "_")
			walk(sub, name)
			found := false
			for _, f := range files {
				found = found || strings.HasPrefix(filepath.Base(f), name+"_")
			}
			if !found {
				t.Errorf("command %s has no script testdata/%s_CASE.txtar", strings.ReplaceAll(name, "_", " "), name)
			}
			if sub.Short == "" {
				t.Errorf("command %s has no short description", name)
			}
		}
	}
	walk(app{getenv: func(string) string { return "" }}.root(), "")
}

// TestExitCodes holds code, help and documentation to one table.
func TestExitCodes(t *testing.T) {
	var out bytes.Buffer
	run(t.Context(), []string{"gate", "--help"}, app{stdout: &out, stderr: &out, getenv: os.Getenv})
	page, err := os.ReadFile("../../docs/gate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range gate.ExitTable {
		if !strings.Contains(out.String(), e.Meaning) {
			t.Errorf("gate --help does not say %q", e.Meaning)
		}
		if !strings.Contains(string(page), e.Meaning) {
			t.Errorf("docs/gate.md does not say %q", e.Meaning)
		}
	}
}
