package prove_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// TestContainers puts all patches in force together; real containers then try
// abuse, and live as they always do.
func TestContainers(t *testing.T) {
	kerneltest.Needs(t)
	kerneltest.Alone(t)
	s, err := shield.New(possible(t), func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		t.Fatal(err)
	}
	const pattern = "/proc/sys/kernel/core_pattern"
	old, err := os.ReadFile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(pattern, old, 0); err != nil {
			t.Error(err)
		}
	})
	admin := []string{"CAP_SYS_ADMIN"}
	mount := "mkdir /tmp/p; mount -t proc proc /tmp/p || exit 9; "
	for _, tt := range []struct {
		name    string
		c       kerneltest.Container
		command string
		want    string // with the guards
		without string
	}{
		{"handler", kerneltest.Container{Capabilities: admin}, mount + "echo '|/bin/false' >/tmp/v; cat /tmp/v >/tmp/p/sys/kernel/core_pattern && echo done", "not permitted", "done"},
		{"handler-hostpid", kerneltest.Container{Capabilities: admin, Host: []string{"pid"}}, mount + "echo '|/bin/false' >/tmp/v; cat /tmp/v >/tmp/p/sys/kernel/core_pattern && echo done", "not permitted", "done"},
		{"names", kerneltest.Container{Capabilities: admin}, mount + "echo core.%p > /tmp/p/sys/kernel/core_pattern && echo done", "done", "done"},
		{"settings", kerneltest.Container{Sysctls: map[string]string{
			"kernel.shm_rmid_forced": "1", "kernel.msgmax": "65536", "net.ipv4.ip_local_port_range": "10000 65000", "net.ipv4.ip_unprivileged_port_start": "0",
		}}, "cat /proc/sys/kernel/msgmax", "65536", "65536"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Args = []string{"/bin/sh", "-c", tt.command}
			if out, _ := tt.c.Run(t, kerneltest.Name(t, "shield-"+tt.name)); !strings.Contains(out, tt.without) {
				t.Errorf("without the guards: %q", out)
			}
			set, err := kernel.Load(kernel.Options{}, s.Objects()...)
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			if out, _ := tt.c.Run(t, kerneltest.Name(t, "shield-"+tt.name)); !strings.Contains(out, tt.want) {
				t.Errorf("with the guards: %q", out)
			}
		})
	}
}

// TestHost: the host's own sysctl(8) applies a file of its settings, the crash
// handler among them, with all patches in force.
func TestHost(t *testing.T) {
	kerneltest.Needs(t)
	kerneltest.Alone(t)
	if _, err := exec.LookPath("sysctl"); err != nil {
		t.Skip("needs procps")
	}
	s, err := shield.New(possible(t), func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Load(shield.Alone(), s.Objects()...)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var file strings.Builder
	for _, key := range []string{"kernel.core_pattern", "kernel.pid_max", "kernel.msgmax", "vm.swappiness", "fs.file-max", "net.ipv4.ip_forward"} {
		v, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&file, "%s = %s", key, v)
	}
	name := filepath.Join(t.TempDir(), "host.conf")
	if err := os.WriteFile(name, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sysctl", "-p", name).CombinedOutput(); err != nil || strings.Contains(string(out), "ermission") {
		t.Errorf("%v: %s", err, out)
	}
}
