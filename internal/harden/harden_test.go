package harden_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/harden"
)

// The process that gives things up is one of its own: it cannot get them back.
const act = "ESCLUSA_TEST_HARDEN"

func TestMain(m *testing.M) {
	switch os.Getenv(act) {
	case "":
		os.Exit(m.Run())
	case "calls":
		fmt.Print(calls())
	case "capabilities":
		fmt.Print(capabilities())
	}
}

func child(t *testing.T, what string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	c := exec.Command(os.Args[0], "one", "two words")
	c.Env = append(os.Environ(), act+"="+what)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// calls tries what is refused on many threads, some older than the filter, and
// what is not.
func calls() string {
	name := make([]byte, 0)
	start, ready := make(chan struct{}), sync.WaitGroup{}
	var done sync.WaitGroup
	errs := make(chan error, 100)
	for range 8 {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs <- unix.Unshare(unix.CLONE_NEWUTS)
			errs <- unix.Sethostname(name)
			errs <- unix.Mount("none", "/nowhere", "tmpfs", 0, "")
			errs <- unix.PtraceAttach(os.Getpid())
		})
	}
	ready.Wait()
	if err := harden.Calls(); err != nil {
		return err.Error()
	}
	close(start)
	done.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, unix.EPERM) {
			return fmt.Sprintf("not refused: %v", err)
		}
	}
	if _, err := os.ReadFile("/proc/self/status"); err != nil {
		return err.Error()
	}
	if out, err := exec.Command("/bin/echo", "lawful").Output(); err != nil || string(out) != "lawful\n" {
		return fmt.Sprintf("a program cannot be started: %v", err)
	}
	return "good"
}

func TestCalls(t *testing.T) {
	if got := child(t, "calls"); got != "good" {
		t.Error(got)
	}
}

// capabilities gives up all but two, and says what is left in the second turn.
func capabilities() string {
	if err := harden.Capabilities(os.Environ(), unix.CAP_KILL, unix.CAP_SETPCAP); err != nil {
		return err.Error()
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	out := strings.Join(os.Args[1:], "|") + "\n"
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "CapBnd") {
			out += line
		}
	}
	return out
}

func TestCapabilities(t *testing.T) {
	want := fmt.Sprintf("one|two words\nCapEff:\t%016x\nCapBnd:\t%016x\n", 1<<unix.CAP_KILL|1<<unix.CAP_SETPCAP, 1<<unix.CAP_KILL|1<<unix.CAP_SETPCAP)
	if got := child(t, "capabilities"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
