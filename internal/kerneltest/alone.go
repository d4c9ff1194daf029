package kerneltest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Alone waits until no other test of this machine puts guards in force, and
// holds the others off until the test ends: a guard in the kernel is there for
// everybody, those who count what is lawful included.
func Alone(t testing.TB) {
	t.Helper()
	release, err := Hold()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
}

// Hold is Alone for what is no test itself.
func Hold() (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "esclusa-kerneltest.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
