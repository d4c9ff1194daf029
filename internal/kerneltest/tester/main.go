// Tester does what no shell can, for tests in containers: one suspicious
// thing, or the lawful one that looks like it, and nothing else.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	acts := map[string]func(arg string) error{
		"nothing":          func(string) error { return nil },
		"target":           target,
		"outside":          func(string) error { pid, err := outside(); fmt.Println(pid); return err },
		"memfd-exec":       memfdExec,
		"io-uring":         ioUring,
		"userfaultfd":      func(string) error { return userfaultfd(0) },
		"userfaultfd-user": func(string) error { return userfaultfd(1) }, // UFFD_USER_MODE_ONLY
		"bpf-load":         func(string) error { return load(unix.BPF_PROG_TYPE_TRACEPOINT) },
		"bpf-load-filter":  func(string) error { return load(unix.BPF_PROG_TYPE_CGROUP_DEVICE) },
		"load-module":      func(string) error { return refused(unix.InitModule([]byte{0}, "")) },
		"keyctl-search":    keyctlSearch,
		"ptrace-child":     ptraceChild,
		"ptrace-outside":   ptraceOutside,
		"signal-outside":   signalOutside,
		"reboot-refused":   rebootRefused,
		"become-root":      becomeRoot,
		"drop-root":        dropRoot,
		"connect":          connect,
		"listen":           listen,
	}
	do, arg := acts["nothing"], ""
	if len(os.Args) > 1 {
		do = acts[os.Args[1]]
	}
	if len(os.Args) > 2 {
		arg = os.Args[2]
	}
	err := fmt.Errorf("unknown act in %q", os.Args)
	if do != nil {
		err = do(arg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tester:", err)
		os.Exit(1)
	}
}

// targetArg marks the process that others may lay their hands on.
const targetArg = "esclusa-target"

// target waits for what is done to it, and for the end of who made it.
func target(string) error {
	signal.Ignore(unix.SIGTERM)
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// outside finds the target that a test has started on the host.
func outside() (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, name := range all {
		args, err := os.ReadFile(name)
		if err == nil && bytes.HasSuffix(args, []byte("\x00target\x00"+targetArg+"\x00")) {
			return strconv.Atoi(filepath.Base(filepath.Dir(name)))
		}
	}
	return 0, errors.New("nobody is there to be a target")
}

// memfdExec runs this program again, from memory.
func memfdExec(string) error {
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "x")
	if _, err := f.Write(self); err != nil {
		return err
	}
	return unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"kworker", "nothing"}, nil)
}

func ioUring(string) error {
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

func userfaultfd(flags uintptr) error {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|flags, 0, 0)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// load loads a program that answers 0 and attaches it nowhere.
func load(typ uint32) error {
	program := [2]uint64{0xb7, 0x95} // r0 = 0; exit
	license := []byte("GPL\x00")
	attr := struct {
		typ, count        uint32
		program, license  unsafe.Pointer
		logLevel, logSize uint32
		log               uint64
		version, flags    uint32
	}{typ: typ, count: 2, program: unsafe.Pointer(&program), license: unsafe.Pointer(&license[0])}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

func keyctlSearch(string) error {
	_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "fscrypt:1", 0)
	return refused(err)
}

// refused says that a thing must not succeed.
func refused(err error) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	return nil
}

// attach takes hold of a process and lets it go.
func attach(pid int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceAttach(pid); err != nil {
		return fmt.Errorf("attach to %d: %w", pid, err)
	}
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		return err
	}
	return unix.PtraceDetach(pid)
}

func ptraceChild(string) error {
	child := exec.Command("/proc/self/exe", "target")
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	err = attach(child.Process.Pid)
	in.Close()
	return errors.Join(err, child.Wait())
}

func ptraceOutside(string) error {
	pid, err := outside()
	if err != nil {
		return err
	}
	return attach(pid)
}

func signalOutside(string) error {
	pid, err := outside()
	if err != nil {
		return err
	}
	return unix.Kill(pid, unix.SIGTERM)
}

// rebootRefused asks for a restart with a number that the kernel never takes.
func rebootRefused(string) error {
	_, _, errno := unix.Syscall(unix.SYS_REBOOT, 0, 0, 0)
	if errno == 0 {
		return errors.New("it was not refused")
	}
	return nil
}

// becomeRoot has root's ids again after it gave them up, as an exploit would.
func becomeRoot(string) error {
	if err := dropTo(1000, 0); err != nil {
		return err
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return err
	}
	return exec.Command("/proc/self/exe").Run()
}

func dropRoot(string) error { return dropTo(101, 101) }

// dropTo takes another user's id, keeps one to come back, and has a child.
func dropTo(uid, saved int) error {
	if err := syscall.Setresuid(uid, uid, saved); err != nil {
		return err
	}
	return exec.Command("/proc/self/exe").Run()
}

// connect tries an address; nobody need answer.
func connect(address string) error {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		return c.Close()
	}
	return nil
}

func listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}
