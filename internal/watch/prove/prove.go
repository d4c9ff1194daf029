// Package prove does one harmless thing of each kind that the sensor has an
// event for: what `esclusa watch doctor` and the tests of events do to see
// whether the sensor sees it. It changes nothing on the machine.
package prove

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// Act is a thing to do.
type Act struct {
	Name string
	Kind esclusa.EventKind // what is then to be seen, of this process
	Do   func() error
}

// Acts are all of them. What any process does in its life, exec, fork and
// exit, needs no act.
func Acts() []Act {
	return []Act{
		{"connect4", esclusa.EventConnect, connect4},
		{"connect6", esclusa.EventConnect, connect6},
		{"bind4", esclusa.EventBind, func() error {
			return socket(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
				return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			})
		}},
		{"bind6", esclusa.EventBind, func() error {
			return socket(unix.AF_INET6, unix.SOCK_STREAM, func(fd int) error {
				return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
			})
		}},
		{"sysctl", esclusa.EventSysctl, rewriteSysctl},
		{"capability", esclusa.EventCapability, func() error { // SO_DEBUG needs CAP_NET_ADMIN
			return socket(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DEBUG, 1)
			})
		}},
		{"io_uring", esclusa.EventIOUring, ioUring},
		{"signal", esclusa.EventSignal, func() error { return unix.Kill(os.Getppid(), unix.SIGCONT) }},
		{"file", esclusa.EventFile, makeFile},
		{"umount", esclusa.EventMount, umount},
		{"ptrace", esclusa.EventPtrace, ptrace},
		{"bpf", esclusa.EventBPF, loadFilter},
		{"userfaultfd", esclusa.EventUserfault, userfaultfd},
		{"dns", esclusa.EventDNS, func() error { // the name is one that RFC 6761 keeps from being anybody's
			return socket(unix.AF_INET, unix.SOCK_DGRAM, func(fd int) error {
				question := "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07esclusa\x07invalid\x00\x00\x01\x00\x01"
				return unix.Sendto(fd, []byte(question), 0, &unix.SockaddrInet4{Port: 53, Addr: [4]byte{127, 0, 0, 1}})
			})
		}},
	}
}

// FileName is the end of the path of the file that an act makes and removes.
const FileName = ".esclusa-prove"

func makeFile() error {
	f, err := os.CreateTemp("", "*"+FileName)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	return f.Close()
}

// Do does the act of a name.
func Do(name string) error {
	for _, a := range Acts() {
		if a.Name == name {
			return a.Do()
		}
	}
	return fmt.Errorf("unknown act %q", name)
}

func connect4() error {
	return socket(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
		return refused(unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}))
	})
}

func connect6() error {
	return socket(unix.AF_INET6, unix.SOCK_DGRAM, func(fd int) error {
		return refused(unix.Connect(fd, &unix.SockaddrInet6{Port: 9, Addr: [16]byte{15: 1}}))
	})
}

// rewriteSysctl writes the value that is there.
func rewriteSysctl() error {
	const name = "/proc/sys/net/ipv4/ip_local_port_range"
	v, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, v, 0)
}

func ioUring() error {
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_setup: %w", errno)
	}
	return unix.Close(int(fd))
}

// umount takes away what is no mount: it is refused after who may was asked.
func umount() error {
	if err := unix.Unmount("/proc/self/fd", 0); err != unix.EINVAL {
		return fmt.Errorf("umount of what is no mount: %w", err)
	}
	return nil
}

// ptrace reads a word of a child that is stopped before its first instruction,
// and ends there.
func ptrace() error {
	runtime.LockOSThread() // who may read it is the thread that made it
	defer runtime.UnlockOSThread()
	child, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return err
	}
	defer func() {
		_ = child.Kill()
		_, _ = child.Wait()
	}()
	var status unix.WaitStatus
	if _, err := unix.Wait4(child.Pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("wait for a child to stop: %w", err)
	}
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(child.Pid, &regs); err != nil {
		return fmt.Errorf("read registers of a child: %w", err)
	}
	if _, err := unix.PtracePeekData(child.Pid, uintptr(regs.PC()), make([]byte, 8)); err != nil {
		return fmt.Errorf("read memory of a child: %w", err)
	}
	return nil
}

// loadFilter loads a filter of sockets that nobody uses: "return 0".
func loadFilter() error {
	program := [2]uint64{0xb7, 0x95} // r0 = 0; exit
	license := []byte("GPL\x00")
	attr := struct {
		typ, count        uint32
		program, license  unsafe.Pointer
		logLevel, logSize uint32
		log               uint64
		version, flags    uint32
	}{typ: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: 2, program: unsafe.Pointer(&program), license: unsafe.Pointer(&license[0])}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return fmt.Errorf("bpf: %w", errno)
	}
	return unix.Close(int(fd))
}

func userfaultfd() error {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return fmt.Errorf("userfaultfd: %w", errno)
	}
	return unix.Close(int(fd))
}

func socket(family, typ int, f func(int) error) error {
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	return f(fd)
}

// refused takes a connection that nobody answers as made.
func refused(err error) error {
	if err == unix.ECONNREFUSED {
		return nil
	}
	return err
}
