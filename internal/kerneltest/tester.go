package kerneltest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Tester builds the program that does in containers what no shell can, and
// starts one on the host for those that reach out of theirs.
func Tester(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tester")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/esclusa/esclusa/internal/kerneltest/tester")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	target := exec.Command(path, "target", "esclusa-target")
	in, err := target.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close() // which ends it
		_ = target.Wait()
	})
	return path
}
