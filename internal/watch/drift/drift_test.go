package drift

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An overlay of two layers, as an image has it, with a copy of sleep in the
// lower one: what is run from it is changed or is not.
func TestChanged(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs sleep")
	}
	dir := t.TempDir()
	mkdir := func(p string) string {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(p, 0o755); err != nil {
			t.Fatal(err)
		}
		return p
	}
	lower, upper, work, merged := mkdir("low er/bin"), mkdir("up"), mkdir("work"), mkdir("merged")
	top := mkdir("top")
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	put := func(p string, b []byte) {
		if err := os.WriteFile(p, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"plain", "touched", "changed", "longer"} {
		put(filepath.Join(lower, n), data)
	}
	o := "lowerdir=" + top + ":" + filepath.Dir(lower) + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", merged, "overlay", 0, o); err != nil {
		if errors.Is(err, unix.EPERM) && os.Getenv("ESCLUSA_KERNEL") != "required" {
			t.Skip("needs root")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	at := func(n string) string { return filepath.Join(merged, "bin", n) }
	if err := os.Chmod(at("touched"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(data)
	other[len(other)-1] ^= 1
	put(at("changed"), other)
	put(at("longer"), append(slices.Clone(data), 0))
	put(at("new"), data)
	c := &Checker{Proc: "/proc", Host: "/"}
	for _, round := range []string{"read", "known"} {
		for name, want := range map[string]bool{"plain": false, "touched": false, "changed": true, "longer": true, "new": true} {
			cmd := exec.Command(at(name), "60")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			got, err := c.Changed(int32(cmd.Process.Pid), at(name))
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if err != nil || got != want {
				t.Errorf("%s, %s: changed is %v, want %v (%v)", round, name, got, want, err)
			}
		}
	}
	if len(c.known) != 5 {
		t.Errorf("%d answers are kept, want 5", len(c.known))
	}
}

func TestUnknown(t *testing.T) {
	c := &Checker{Proc: "/proc", Host: "/"}
	if changed, err := c.Changed(1<<30, "/bin/x"); !errors.Is(err, ErrUnknown) || !changed {
		t.Errorf("a process that is gone: %v, %v", changed, err)
	}
	if changed, err := c.Changed(int32(os.Getpid()), "/bin/x"); !errors.Is(err, ErrUnknown) || !changed {
		t.Errorf("a process outside of overlays: %v, %v", changed, err)
	}
}

func TestLowest(t *testing.T) {
	const table = `22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l/a\:b:/l/c\040d,upperdir=/u,workdir=/w
31 30 0:51 / /proc rw - proc proc rw
32 30 0:52 / /opt rw - overlay overlay rw,lowerdir+=/l/1,lowerdir+=/l/2,upperdir=/u
33 30 0:53 /sub /srv rw - overlay overlay rw,lowerdir=/l/x,upperdir=/u
short line
`
	for exe, want := range map[string]string{
		"/bin/sh":       "/l/a:b|/l/c d|bin/sh",
		"/opt/tool":     "/l/1|/l/2|tool",
		"/options/tool": "/l/a:b|/l/c d|options/tool",
		"/proc/x":       "",
		"/srv/x":        "", // a part of an overlay: its paths are others
	} {
		layers, rel, err := lowest(strings.NewReader(table), exe)
		if got := strings.Join(append(layers, rel), "|"); err == nil && got != want || err != nil && want != "" {
			t.Errorf("%s: got %q, %v; want %q", exe, got, err, want)
		}
	}
}

func FuzzLowest(f *testing.F) {
	f.Add("30 22 0:50 / / rw - overlay overlay rw,lowerdir=/a\\:b:/c,upperdir=/u", "/bin/sh")
	f.Add("30 22 0:50 / /x\\040y rw - overlay overlay lowerdir+=/a", "/x y/z")
	f.Fuzz(func(t *testing.T, table, exe string) {
		layers, _, err := lowest(strings.NewReader(table), exe)
		if err == nil && (len(layers) == 0 || len(layers) > maxLayers) {
			t.Fatalf("%d layers", len(layers))
		}
	})
}
