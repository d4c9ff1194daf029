// Package prove does one harmless thing of each kind that the sensor has an
// event for: what `esclusa watch doctor` and the tests of events do to see
// whether the sensor sees it. It changes nothing on the machine.
package prove

import (
	"fmt"
	"os"
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
	}
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
