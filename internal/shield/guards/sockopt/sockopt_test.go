package sockopt_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/shield/guards/sockopt"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// TestTools runs the real iptables with the guard in force: what it refuses
// to a user namespace it lets the host do, also with a table of many pages,
// whose bytes the kernel shows to no guard.
func TestTools(t *testing.T) {
	kerneltest.Alone(t)
	load(t)
	var rules strings.Builder
	rules.WriteString("*filter\n:INPUT ACCEPT [0:0]\n")
	for i := range 400 {
		fmt.Fprintf(&rules, "-A INPUT -s 192.0.2.%d/32 -p tcp --dport %d -j ACCEPT\n", i%250, 1000+i)
	}
	rules.WriteString("COMMIT\n")
	for _, tt := range []struct {
		name   string
		userns bool
		stdin  string
		args   []string
		fails  bool
	}{
		{"host, large table", false, rules.String(), []string{"iptables-legacy-restore"}, false},
		{"host", false, "", []string{"iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"}, false},
		{"user namespace", true, "", []string{"iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"}, true},
		{"user namespace reads", true, "", []string{"iptables-legacy", "-S"}, false},
		{"user namespace by nf_tables", true, "", []string{"iptables-nft", "-A", "INPUT", "-j", "ACCEPT"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.args[0]); err != nil {
				t.Skip("needs iptables")
			}
			cmd := exec.Command(tt.args[0], tt.args[1:]...)
			cmd.Stdin = strings.NewReader(tt.stdin)
			cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+t.TempDir()+"/lock")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
			if tt.userns {
				cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
			}
			out, err := cmd.CombinedOutput()
			if (err != nil) != tt.fails || (tt.fails && !strings.Contains(string(out), "ermi")) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// load puts the rule of the patch in force.
func load(t *testing.T) {
	t.Helper()
	g := sockopt.New()
	r := g.NewRule()
	rd := yamlread.New("rule")
	rd.Read([]byte("{by: [userns], options: [ip/64]}"), r)
	if err := rd.Err(); err != nil {
		t.Fatal(err)
	}
	i, err := guards.NewInstance(g, []guards.Rule{r}, []guards.Mode{guards.Enforce})
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Load(kernel.Options{}, i.Object())
	if errors.Is(err, os.ErrPermission) && os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
}
