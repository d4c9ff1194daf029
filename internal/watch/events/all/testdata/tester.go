// Tester does one thing that a sensor has an event for, and nothing else.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if err := do(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func do(act string) error {
	switch act {
	case "connect4":
		return call(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
			return refused(unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}))
		})
	case "connect6":
		return call(unix.AF_INET6, unix.SOCK_DGRAM, func(fd int) error {
			return refused(unix.Connect(fd, &unix.SockaddrInet6{Port: 9, Addr: [16]byte{15: 1}}))
		})
	case "bind4":
		return call(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		})
	case "bind6":
		return call(unix.AF_INET6, unix.SOCK_STREAM, func(fd int) error {
			return unix.Bind(fd, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
		})
	case "sysctl": // the value that it has already
		const name = "/proc/sys/net/ipv4/ip_local_port_range"
		v, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, v, 0)
	case "capability": // SO_DEBUG needs CAP_NET_ADMIN
		return call(unix.AF_INET, unix.SOCK_STREAM, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DEBUG, 1)
		})
	case "iouring":
		var params [120]byte
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
		if errno != 0 {
			return errno
		}
		return unix.Close(int(fd))
	case "kill":
		return unix.Kill(os.Getppid(), unix.SIGCONT)
	case "nothing":
		return nil
	}
	return fmt.Errorf("unknown act %q", act)
}

func call(family, typ int, f func(int) error) error {
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
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
