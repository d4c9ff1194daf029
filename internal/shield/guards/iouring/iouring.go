// Package iouring guards io_uring: the making of a ring, and of a ring with a
// polling thread in the kernel, by who makes it. What is done through a ring
// passes no filter of system calls.
package iouring

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "io_uring", Number: guards.IOUring, Tier: guards.TierB,
		Does:    "refuses io_uring by use and who makes the ring (Linux 5.16)",
		Spec:    loadIouring,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{"setup": setup},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who makes the ring."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Uses     []use           `yaml:"uses,required" doc:"ring, or only polling: with a polling thread."`
}

// use is what iouring.bpf.c lists.
type use uint32

const (
	ring use = iota + 1
	polling
)

// DecodeText implements yamlread.Scalar.
func (u *use) DecodeText(s string) error {
	var word string
	if err := yamlread.Word(&word, s, []string{ring.String(), polling.String()}); err != nil {
		return err
	}
	if *u = ring; word == polling.String() {
		*u = polling
	}
	return nil
}

func (u use) String() string {
	if u == polling {
		return "polling"
	}
	return "ring"
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	if len(r.Uses) == 0 {
		rd.Fail(r.Pos, "uses is empty", "")
	}
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[use]uint32{}
	for i, r := range rules {
		for _, u := range r.(*rule).Uses {
			masks[u] |= 1 << i
		}
	}
	for u, mask := range masks {
		if err := m["iouring_keys"].Put(uint32(u), mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r iouringGuardIouringRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	e.Fields = append(e.Fields, esclusa.Text("use", use(binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Use):])).String()))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type seen struct{ Use, By uint32 }
	return guards.Counted(m["iouring_uses"], func(s *seen) guards.Use {
		return guards.Use{Guard: "io_uring", Key: use(s.Use).String(), By: guards.Writer(s.By).String()}
	})
}

// setup makes a ring of one entry and closes it, with a polling thread for
// "use: polling".
func setup(with map[string]string) error {
	var params [120]byte // struct io_uring_params; flags are its third word
	if with["use"] == polling.String() {
		binary.LittleEndian.PutUint32(params[8:], 2) // IORING_SETUP_SQPOLL
	}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
	if errno != 0 {
		return fmt.Errorf("make a ring: %w", errno)
	}
	return unix.Close(int(fd))
}
