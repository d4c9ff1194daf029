package sockopt

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The options of ip_tables, the same numbers for IPv4 and IPv6, and the
// layouts of their arguments on 64-bit machines (linux/netfilter).
const (
	setReplace = 64
	getInfo    = 64
	getEntries = 65

	tableName   = 32
	infoSize    = tableName + 52
	entriesHead = tableName + 8
	replaceHead = tableName + 64
	counterSize = 16
)

// iptables reads the filter table of its network namespace and writes it back
// as it is: what iptables and CNI plug-ins do, with nothing wrong in it.
func iptables(map[string]string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer unix.Close(fd)
	info := make([]byte, infoSize)
	copy(info, "filter")
	if err := getsockopt(fd, getInfo, info); err != nil {
		return fmt.Errorf("read about the filter table: %w", err)
	}
	le := binary.LittleEndian
	number, size := le.Uint32(info[tableName+44:]), le.Uint32(info[tableName+48:])
	if size > 1<<20 {
		return fmt.Errorf("the filter table has %d bytes", size)
	}
	entries := make([]byte, entriesHead+size)
	copy(entries, "filter")
	le.PutUint32(entries[tableName:], size)
	if err := getsockopt(fd, getEntries, entries); err != nil {
		return fmt.Errorf("read the filter table: %w", err)
	}
	counters := make([]byte, number*counterSize)
	replace := make([]byte, replaceHead+size)
	copy(replace, "filter")
	copy(replace[tableName:], info[tableName:tableName+4]) // valid hooks
	le.PutUint32(replace[tableName+4:], number)
	le.PutUint32(replace[tableName+8:], size)
	copy(replace[tableName+12:], info[tableName+4:tableName+44]) // hook entries and underflows
	le.PutUint32(replace[tableName+52:], number)
	le.PutUint64(replace[tableName+56:], uint64(uintptr(unsafe.Pointer(&counters[0]))))
	copy(replace[replaceHead:], entries[entriesHead:])
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_IP, setReplace,
		uintptr(unsafe.Pointer(&replace[0])), uintptr(len(replace)), 0)
	runtime.KeepAlive(counters)
	if errno != 0 {
		return fmt.Errorf("write the filter table: %w", errno)
	}
	return nil
}

func getsockopt(fd int, name uintptr, b []byte) error {
	n := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_IP, name,
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
