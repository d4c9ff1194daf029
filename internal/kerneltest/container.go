// Package kerneltest starts real containers for tests of the node: runc and
// Debian's static busybox, a fraction of a second each, thrown away.
package kerneltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Container says how a container is started. The zero value is an
// unprivileged container of root with a read-write root and no network but
// loopback.
type Container struct {
	Args []string
	// Script is run by /bin/sh from a file in the image where Args are empty.
	Script      string
	Annotations map[string]string
	// Capabilities beside those of runc's own example ("CAP_SYS_ADMIN").
	Capabilities []string
	// Host names namespaces that it shares with the host: "pid", "network".
	Host []string
	// Programs are files of the host that the image has in /usr/bin.
	Programs []string
	// Mounts are folders of the host, "SOURCE:TARGET", read-write.
	Mounts []string
	// Sysctls are set by runc.
	Sysctls map[string]string
}

// Needs skips a test where containers cannot be started at all: not root, or
// no runc. With ESCLUSA_KERNEL=required that is a failure.
func Needs(t testing.TB) {
	t.Helper()
	why := ""
	if os.Getuid() != 0 {
		why = "needs root"
	}
	for _, name := range []string{"runc", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			why = "needs " + name
		}
	}
	switch {
	case why == "":
	case os.Getenv("ESCLUSA_KERNEL") == "required":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// Bundle makes a bundle in a new folder and returns the folder. Its root is an
// overlay, as that of an image is: what the image has is below, what the
// container writes above.
func (c Container) Bundle(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "image")
	for _, d := range []string{"bin", "tmp", "etc", "root", "opt", "srv", "var/tmp", "var/log", "var/spool/cron", "usr/bin"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "bin/busybox"), data, 0o755)
	for name := range strings.FieldsSeq(run(t, busybox, "--list")) {
		if name != "busybox" && name != "sh" {
			if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Busybox's own shell runs most of its commands without executing them: in
	// no image that people use is that so.
	for _, name := range append(libraries(t, "/bin/dash"), "/bin/dash") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(root, name)
		if name == "/bin/dash" {
			to = filepath.Join(root, "bin/sh")
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, to, data, 0o755)
	}
	for _, name := range c.Programs {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "usr/bin", filepath.Base(name)), data, 0o755)
	}
	write(t, filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"), 0o644)
	if c.Args == nil {
		write(t, filepath.Join(root, "root/script"), []byte(c.Script+"\n"), 0o644)
		c.Args = []string{"/bin/sh", "/root/script"}
	}
	for _, d := range []string{"rootfs", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(dir, "rootfs")
	layers := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", root, dir, dir)
	if err := unix.Mount("overlay", target, "overlay", 0, layers); err != nil {
		t.Fatalf("mount overlay: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	cmd := exec.Command("runc", "spec", "--bundle", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	c.configure(t, filepath.Join(dir, "config.json"))
	return dir
}

// libraries are what a program is linked with, its loader included.
func libraries(t testing.TB, program string) (list []string) {
	t.Helper()
	for f := range strings.FieldsSeq(run(t, "ldd", program)) {
		if strings.HasPrefix(f, "/") {
			list = append(list, f)
		}
	}
	return list
}

// configure edits runc's own example.
func (c Container) configure(t testing.TB, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	process, linux := spec["process"].(map[string]any), spec["linux"].(map[string]any)
	process["terminal"] = false
	process["args"] = c.Args
	spec["root"].(map[string]any)["readonly"] = false
	spec["annotations"] = c.Annotations
	linux["sysctl"] = c.Sysctls
	for set, v := range process["capabilities"].(map[string]any) {
		list, ok := v.([]any)
		if !ok || set == "ambient" {
			continue
		}
		for _, name := range c.Capabilities {
			list = append(list, name)
		}
		process["capabilities"].(map[string]any)[set] = list
	}
	var spaces []any
	for _, n := range linux["namespaces"].([]any) {
		shared := false
		for _, h := range c.Host {
			shared = shared || n.(map[string]any)["type"] == h
		}
		if !shared {
			spaces = append(spaces, n)
		}
	}
	linux["namespaces"] = spaces
	for _, m := range c.Mounts {
		from, to, _ := strings.Cut(m, ":")
		spec["mounts"] = append(spec["mounts"].([]any), map[string]any{
			"destination": to, "source": from, "type": "bind", "options": []string{"bind", "rw"},
		})
	}
	if data, err = json.Marshal(spec); err != nil {
		t.Fatal(err)
	}
	write(t, name, data, 0o644)
}

// Run starts the container under a name, waits for its end and returns what
// it printed and its exit code.
func (c Container) Run(t testing.TB, name string) (out string, code int) {
	t.Helper()
	dir := c.Bundle(t)
	t.Cleanup(func() { _ = exec.Command("runc", "delete", "--force", name).Run() })
	var b bytes.Buffer
	cmd := exec.Command("runc", "run", "--bundle", dir, name)
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("runc run: %v: %s", err, b.String())
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

// Start starts the container under a name and returns its first process's pid.
// It is ended with the test.
func (c Container) Start(t testing.TB, name string) (pid int32) {
	t.Helper()
	dir := c.Bundle(t)
	t.Cleanup(func() { _ = exec.Command("runc", "delete", "--force", name).Run() })
	cmd := exec.Command("runc", "run", "--detach", "--bundle", dir, "--pid-file", filepath.Join(dir, "pid"), name)
	said, err := os.Create(filepath.Join(dir, "said")) // a pipe would be held open for as long as it runs
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(said.Name())
		t.Fatalf("runc run: %v: %s", err, out)
	}
	if _, err := fmt.Sscan(run(t, "cat", filepath.Join(dir, "pid")), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// Name is a name for a container that no other test has.
func Name(t testing.TB, what string) string {
	t.Helper()
	return fmt.Sprintf("esclusa-test-%s-%d", what, os.Getpid())
}

func write(t testing.TB, name string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, data, mode); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}
