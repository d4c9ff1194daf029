package kernel

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// isolateName marks our programs among those of a cgroup.
const isolateName = "esc_isolate"

// isolations are the ways of packets: out of a cgroup and into it.
func isolations() []ebpf.AttachType {
	return []ebpf.AttachType{ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInetIngress}
}

// Isolate cuts a cgroup of the unified hierarchy, and all below it, from the
// network: no packet passes but on the loopback device. It holds until
// Reconnect, also when this process ends (that is why no link is used); open
// connections stall and go on afterwards. Packets that a process with
// CAP_NET_RAW writes to a device by itself (AF_PACKET) are not held.
func Isolate(cgroup string) error {
	have, err := isolating(cgroup)
	if err != nil {
		return err
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		return err
	}
	defer dir.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: isolateName, Type: ebpf.CGroupSKB, License: "GPL",
		// lo is the first device of every network namespace, since Linux 2.6.25.
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, ifindexOfSkb, asm.Word),
			asm.Mov.Imm(asm.R0, 1),
			asm.JEq.Imm(asm.R2, 1, "out"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return().WithSymbol("out"),
		},
	})
	if err != nil {
		return fmt.Errorf("load: %w", explain(err))
	}
	defer p.Close()
	for _, at := range isolations() {
		if len(have[at]) > 0 {
			continue
		}
		err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: at, Flags: allowMulti})
		if err != nil {
			return errors.Join(fmt.Errorf("attach to cgroup %s: %w", cgroup, explain(err)), Reconnect(cgroup))
		}
	}
	return nil
}

const (
	ifindexOfSkb = 40     // struct __sk_buff
	allowMulti   = 1 << 1 // BPF_F_ALLOW_MULTI: beside what others attached
)

// Isolated says whether Isolate holds.
func Isolated(cgroup string) (bool, error) {
	have, err := isolating(cgroup)
	return len(have) == len(isolations()), err
}

// Reconnect takes back Isolate, also half of it.
func Reconnect(cgroup string) error {
	have, err := isolating(cgroup)
	if err != nil {
		return err
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		return err
	}
	defer dir.Close()
	for at, ids := range have {
		for _, id := range ids {
			p, err := ebpf.NewProgramFromID(id)
			if err != nil {
				return fmt.Errorf("program %d: %w", id, explain(err))
			}
			err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: at})
			p.Close()
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("detach from cgroup %s: %w", cgroup, err)
			}
		}
	}
	return nil
}

// isolating finds our programs at a cgroup.
func isolating(cgroup string) (map[ebpf.AttachType][]ebpf.ProgramID, error) {
	dir, err := os.Open(cgroup)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	out := map[ebpf.AttachType][]ebpf.ProgramID{}
	for _, at := range isolations() {
		q, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: at})
		if err != nil {
			return nil, fmt.Errorf("programs of cgroup %s: %w", cgroup, explain(err))
		}
		for _, a := range q.Programs {
			p, err := ebpf.NewProgramFromID(a.ID)
			if err != nil {
				continue // detached meanwhile
			}
			info, err := p.Info()
			p.Close()
			if err == nil && info.Name == isolateName {
				out[at] = append(out[at], a.ID)
			}
		}
	}
	return out, nil
}
