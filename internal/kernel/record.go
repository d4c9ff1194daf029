package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/esclusa/esclusa"
)

// Kind says which program made a record; bpf/esclusa.h has the same list.
type Kind uint16

// The kinds.
const (
	Exec Kind = iota + 1
	Fork
	Exit
	Cgroup
	Namespace
	Credential
	Capability
	Connect
	Accept
	Bind
	DNS
	File
	Mount
	Ptrace
	BPF
	IOUring
	Module
	Keyctl
	Userfaultfd
	Sysctl
	Signal
	Guard
	kinds // room is for 32
)

var kindNames = [...]string{
	"", "exec", "fork", "exit", "cgroup", "namespace", "credential", "capability", "connect", "accept", "bind", "dns",
	"file", "mount", "ptrace", "bpf", "io_uring", "module", "keyctl", "userfaultfd", "sysctl", "signal", "guard",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint16(k))
}

// Head is what every record begins with: struct esc_head.
type Head struct {
	Size    uint32
	Kind    Kind
	Flags   uint16
	Time    uint64 // ns since boot
	Start   uint64 // of the thread group's leader, ns since boot
	Cgroup  uint64
	PID     uint32
	TID     uint32
	MountNS uint32
}

// HeadSize is the size of struct esc_head.
const HeadSize = 48

var errShort = errors.New("record is shorter than its head says")

// ReadHead reads the head of a record. The bytes come from our own programs;
// they are checked all the same, since a recording is a file.
func ReadHead(b []byte) (Head, error) {
	if len(b) < HeadSize {
		return Head{}, errShort
	}
	le := binary.LittleEndian
	h := Head{
		Size: le.Uint32(b), Kind: Kind(le.Uint16(b[4:])), Flags: le.Uint16(b[6:]),
		Time: le.Uint64(b[8:]), Start: le.Uint64(b[16:]), Cgroup: le.Uint64(b[24:]),
		PID: le.Uint32(b[32:]), TID: le.Uint32(b[36:]), MountNS: le.Uint32(b[40:]),
	}
	if int(h.Size) > len(b) || h.Size < HeadSize {
		return h, errShort
	}
	return h, nil
}

// Key is the process that a record is of.
func (h *Head) Key() esclusa.ProcessKey {
	return esclusa.ProcessKey{PID: int32(h.PID), Start: h.Start - h.Start%esclusa.ClockTick}
}

// Source is what path.h's enum esc_source says.
func Source(b uint8) esclusa.Source {
	switch b {
	case 1:
		return esclusa.SourceHost
	case 2:
		return esclusa.SourceImage
	case 3:
		return esclusa.SourceUpper
	case 4:
		return esclusa.SourceTmpfs
	case 5:
		return esclusa.SourceMemory
	}
	return esclusa.SourceUnknown
}
