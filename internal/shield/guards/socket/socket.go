// Package socket guards socket(2): by family and protocol, and by who opens.
package socket

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "socket", Number: guards.Socket, Tier: guards.TierB,
		Does:    "refuses sockets by family, protocol and who opens them",
		Spec:    loadSocket,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{"open": open},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who opens it."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Sockets  []kind          `yaml:"sockets,required" doc:"FAMILY/PROTOCOL, as in netlink/12."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	if len(r.Sockets) == 0 {
		rd.Fail(r.Pos, "sockets is empty", "")
	}
}

// kind is struct socket_key.
type kind struct{ Family, Protocol uint32 }

// families are the words for families that patches need.
func families() map[string]uint32 {
	return map[string]uint32{
		"inet": unix.AF_INET, "inet6": unix.AF_INET6, "netlink": unix.AF_NETLINK, "packet": unix.AF_PACKET,
		"alg": unix.AF_ALG, "vsock": unix.AF_VSOCK, "tipc": unix.AF_TIPC, "rds": unix.AF_RDS,
	}
}

// DecodeText implements yamlread.Scalar.
func (k *kind) DecodeText(s string) error {
	word, number, _ := strings.Cut(s, "/")
	family, ok := families()[word]
	n, err := strconv.ParseUint(number, 10, 16)
	if !ok || err != nil {
		return yamlread.Hinted{Msg: fmt.Sprintf("unknown socket %q", yamlread.Clip(s, 40)), Hint: "netlink/12: a family and the number of a protocol"}
	}
	*k = kind{family, uint32(n)}
	return nil
}

func (k kind) String() string {
	for word, family := range families() {
		if family == k.Family {
			return fmt.Sprintf("%s/%d", word, k.Protocol)
		}
	}
	return fmt.Sprintf("%d/%d", k.Family, k.Protocol)
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[kind]uint32{}
	for i, r := range rules {
		for _, k := range r.(*rule).Sockets {
			masks[k] |= 1 << i
		}
	}
	for k, mask := range masks {
		if err := m["socket_keys"].Put(k, mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r socketGuardSocketRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	key := unsafe.Offsetof(r.Use)
	e.Fields = append(e.Fields, esclusa.Text("socket", kind{binary.LittleEndian.Uint32(b[key:]), binary.LittleEndian.Uint32(b[key+4:])}.String()))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key kind
		By  uint32
	}
	return guards.Counted(m["socket_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "socket", Key: u.Key.String(), By: guards.Writer(u.By).String()}
	})
}

// open opens a socket and closes it.
func open(with map[string]string) error {
	var k kind
	if err := k.DecodeText(with["socket"]); err != nil {
		return err
	}
	fd, err := unix.Socket(int(k.Family), unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(k.Protocol))
	if err != nil {
		return fmt.Errorf("open a socket of %s: %w", k, err)
	}
	return unix.Close(fd)
}
