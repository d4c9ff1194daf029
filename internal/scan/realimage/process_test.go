package realimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"golang.org/x/sys/unix"
)

// measureEnv makes the test binary run its arguments and write the largest
// resident memory, in KiB, to the named file. A program started by a large
// process is charged with its parent's memory (Linux carries the high-water
// mark over exec), so a small one must stand between them.
const measureEnv = "REALIMAGE_MEASURE"

func measured(file string) int {
	c := exec.Command(os.Args[1], os.Args[2:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := c.Run()
	if c.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	peak := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if err := os.WriteFile(file, []byte(strconv.FormatInt(peak, 10)), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	return c.ProcessState.ExitCode()
}

// product builds the binary once.
func product(t testing.TB) string {
	t.Helper()
	scratch.Lock()
	defer scratch.Unlock()
	bin := filepath.Join(scratchDir(t), "esclusa")
	if !scratch.binary {
		c := exec.Command("go", "build", "-trimpath", "-o", bin, "github.com/esclusa/esclusa/cmd/esclusa")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
		scratch.binary = true
	}
	return bin
}

// ran is a finished process of the product.
type ran struct {
	code   int
	report *esclusa.Report
	peak   int64 // KiB
	stderr string
}

// run runs the product with --output json; more than limit of wall time is a
// failure. tmp, if not empty, is its TMPDIR.
func run(t testing.TB, limit time.Duration, tmp string, args ...string) ran {
	t.Helper()
	state(t)
	bin := product(t)
	peakFile := filepath.Join(t.TempDir(), "peak")
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], append([]string{bin}, append(args, "--quiet", "--offline", "--output", "json")...)...)
	c.Env = append(os.Environ(), measureEnv+"="+peakFile, "XDG_CACHE_HOME="+filepath.Join(scratch.dir, "xdg"))
	if tmp != "" {
		c.Env = append(c.Env, "TMPDIR="+tmp)
	}
	var out, talk bytes.Buffer
	c.Stdout, c.Stderr = &out, &talk
	err := c.Run()
	if ctx.Err() != nil {
		t.Fatalf("esclusa %s takes more than %s: %s", strings.Join(args, " "), limit, talk.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := ran{code: c.ProcessState.ExitCode(), stderr: talk.String()}
	b, err := os.ReadFile(peakFile)
	if err != nil {
		t.Fatalf("%v: %s", err, r.stderr)
	}
	if r.peak, err = strconv.ParseInt(string(b), 10, 64); err != nil {
		t.Fatal(err)
	}
	if r.report, err = report.Read(bytes.NewReader(out.Bytes())); err != nil {
		t.Fatalf("esclusa %s: exit %d, no report: %v\n%s", strings.Join(args, " "), r.code, err, r.stderr)
	}
	return r
}

// exit codes that scripts know (esclusa gate --help).
const (
	exitAllow = 0
	exitDeny  = 1
)

// watchFolder lists what was made in a folder, even if only for a moment.
func watchFolder(t testing.TB, dir string) func() []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		var names []string
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fd, buf)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			size := int(binary.NativeEndian.Uint32(buf[at+12:]))
			at += unix.SizeofInotifyEvent
			names = append(names, string(bytes.TrimRight(buf[at:at+size], "\x00")))
			at += size
		}
		return names
	}
}

// TestNoTemporaryFiles: a scan never writes what it unpacks.
func TestNoTemporaryFiles(t *testing.T) {
	ref := realImage(t).spec(nil).Build(t).Layout(t)
	tmp := t.TempDir()
	seen := watchFolder(t, tmp)
	r := run(t, 5*time.Minute, tmp, "scan", ref, "--no-cache")
	if names := seen(); len(names) > 0 {
		t.Errorf("temporary files: %q", names)
	}
	if r.code != exitAllow || r.report.End.LayersRead != len(steps) {
		t.Errorf("exit %d, %d layers read: %s", r.code, r.report.End.LayersRead, r.stderr)
	}
	t.Logf("peak memory %d MiB", r.peak>>10)
	if r.peak > 256<<10 {
		t.Errorf("peak memory is %d MiB", r.peak>>10)
	}
	if err := os.WriteFile(filepath.Join(tmp, "proof"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names := seen(); len(names) != 1 {
		t.Errorf("the watch saw %q, not the file that was made to prove it", names)
	}
	want, _ := firstReport(t)
	// The process has its own clock and prints what JSON can say.
	if g, w := encode(t, r.report.Findings), encode(t, want.Findings); g != w {
		t.Errorf("the process finds something else: %d findings, want %d", len(r.report.Findings), len(want.Findings))
	}
	var packages []esclusa.Package
	if err := json.Unmarshal([]byte(encode(t, want.Packages)), &packages); err != nil {
		t.Fatal(err)
	}
	if g, w := encode(t, r.report.Packages), encode(t, packages); g != w {
		t.Errorf("the process sees other packages: %d, want %d", len(r.report.Packages), len(packages))
	}
}
