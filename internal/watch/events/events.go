// Package events says what a family of events is: a folder here with a program
// for the kernel (x.bpf.c), the meaning of its records (x.go), and a test that
// does the thing and sees the event. The list is in events/all.
package events

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
)

// Family is one folder.
type Family struct {
	Kind   esclusa.EventKind
	Record kernel.Kind
	Object kernel.Object
	// Source takes the place of Object where a family needs no program; the
	// object then has its name alone.
	Source func(Scope) (Source, error)
	// Decode writes what a record says into an event whose Kind, At and
	// Process.ProcessKey are set. Families of processes (exec, fork) fill
	// Process; the others fill Fields. The bytes may not be kept.
	Decode func(rec []byte, e *esclusa.Event) error
	// Creator, of forks alone, is who made the process, as it was at that moment.
	Creator func(rec []byte, p *esclusa.Process) error
	// Lost is what is not seen where this family cannot be loaded.
	Lost string
	// Absent says that this kernel has no such thing to be seen: then nothing
	// is lost. May be nil.
	Absent func() bool
	// Untried says that no harmless act makes such an event.
	Untried bool
}

// ErrShort is a record with less in it than its own lengths say: of a
// recording that was cut or changed.
var ErrShort = errors.New("record is cut")

// CString is the text before the first NUL.
func CString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// FactsSize is the size of struct esc_facts (bpf/process.h).
const FactsSize = 80

// Facts reads struct esc_facts into a process.
func Facts(b []byte, p *esclusa.Process) error {
	if len(b) < FactsSize {
		return ErrShort
	}
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
	start := binary.LittleEndian.Uint64(b)
	p.Parent = esclusa.ProcessKey{PID: int32(u32(8)), Start: start - start%esclusa.ClockTick}
	p.Creds = esclusa.Credentials{UID: u32(12), GID: u32(16), EUID: u32(20), EGID: u32(24), Effective: binary.LittleEndian.Uint64(b[56:])}
	p.NS = esclusa.Namespaces{
		Mount: u32(28), PID: u32(32), Net: u32(36), User: u32(40),
		IPC: u32(44), UTS: u32(48), Cgroup: u32(52),
	}
	p.Name = CString(b[64:80])
	return nil
}

// addrSize is the size of struct esc_addr (bpf/net.h).
const addrSize = 32

// Address reads struct esc_net into the fields address, port, family and
// protocol.
func Address(rec []byte, e *esclusa.Event) error {
	if len(rec) < kernel.HeadSize+addrSize {
		return ErrShort
	}
	b := rec[kernel.HeadSize:]
	family, ip := binary.LittleEndian.Uint32(b[16:]), netip.AddrFrom16([16]byte(b)).Unmap()
	if family == unix.AF_INET {
		ip = netip.AddrFrom4([4]byte(b))
	}
	e.Fields = append(e.Fields,
		esclusa.Text("address", ip.String()), esclusa.Number("port", int64(binary.LittleEndian.Uint16(b[24:]))),
		esclusa.Text("family", AddressFamily(family)), esclusa.Text("protocol", protocol(binary.LittleEndian.Uint32(b[20:]))))
	return nil
}

// AddressFamily is the short name of an AF_ number, for those that occur.
func AddressFamily(n uint32) string {
	switch n {
	case unix.AF_UNIX:
		return "unix"
	case unix.AF_INET:
		return "ip4"
	case unix.AF_INET6:
		return "ip6"
	}
	return "other"
}

// protocol is the name of IANA's protocol number, for those that occur.
func protocol(n uint32) string {
	switch n {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmp6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	}
	return strconv.Itoa(int(n))
}
