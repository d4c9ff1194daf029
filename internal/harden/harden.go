// Package harden takes from this process what it does not need, before it
// looks at anything that an attacker may have written: rights of the kernel
// (capabilities), and system calls with which a machine is taken over.
// What was taken cannot be got back.
package harden

import (
	"fmt"
	"os"
	"runtime"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// Capabilities leaves the process those of keep (capabilities(7)), for itself
// and whatever it starts. It starts the program anew with env, under the same
// pid, and
// so returns nil in the second turn, when nothing is left to take. It is to be
// the first that is called.
func Capabilities(env []string, keep ...uintptr) error {
	if os.Geteuid() != 0 {
		return nil // it has none by its user; what it needs will be said by who needs it
	}
	var extra []uintptr
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err == nil && held == 1 && !slices.Contains(keep, c) {
			extra = append(extra, c)
		}
	}
	if len(extra) == 0 {
		return nil
	}
	// A bounding set is a thread's, and becomes the process's with an exec.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range extra {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("give up capability %d: %w", c, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return fmt.Errorf("give up capabilities: %w", unix.Exec(self, os.Args, env))
}

// refused are system calls that change the kernel, other processes' memory or
// the machine's course. Names that an architecture lacks are left out.
var refused = []string{
	"acct", "add_key", "adjtimex", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsmount", "fsopen", "init_module",
	"io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load", "keyctl", "mount", "move_mount", "open_tree", "pivot_root",
	"process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff",
	"swapon", "syslog", "umount2", "unshare", "userfaultfd", "vhangup",
}

// Calls refuses them to all threads with EPERM, for ever. A kernel without
// seccomp is an error.
func Calls() error {
	names := slices.DeleteFunc(slices.Clone(refused), func(name string) bool { return !known(name) })
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionAllow,
			Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: names}},
		},
	})
	if err != nil {
		return fmt.Errorf("refuse system calls: %w", err)
	}
	return nil
}

// known says whether the filter can be made with the name.
func known(name string) bool {
	p := seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: []string{name}}}}
	_, err := p.Assemble()
	return err == nil
}
