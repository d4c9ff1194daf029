// Package exec guards the execution of programs: by name, by where the working
// directory is, and by who executes them.
package exec

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "exec", Number: guards.Exec, Tier: guards.TierB,
		Does:    "refuses to execute programs by name, working directory and who executes them",
		Spec:    loadExec,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{
			"run":  run,
			"done": func(map[string]string) error { return nil },
		},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who executes."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Programs []string        `yaml:"programs" doc:"File names of executables; all if empty."`
	Workdir  workdir         `yaml:"workdir" doc:"outside: only with a working directory that is mounted outside of the process's own mounts."`
}

type workdir bool

// DecodeText implements yamlread.Scalar.
func (w *workdir) DecodeText(s string) error {
	*w = true
	var word string
	return yamlread.Word(&word, s, []string{"outside"})
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// nameSize is GUARD_NAME of guard.h.
const nameSize = 32

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	guards.CheckNames(rd, r.Pos, "program", r.Programs, nameSize)
	if len(r.Programs) == 0 && !bool(r.Workdir) {
		rd.Fail(r.Pos, "the rule would refuse every program", "programs: [name], or workdir: outside")
	}
}

func arm(m guards.Maps, rules []guards.Rule) error {
	named := map[[nameSize]byte]uint32{}
	var all, outside uint32
	for i, r := range rules {
		r := r.(*rule)
		for _, name := range r.Programs {
			var key [nameSize]byte
			copy(key[:], name)
			named[key] |= 1 << i
		}
		if len(r.Programs) == 0 {
			all |= 1 << i
		}
		if r.Workdir {
			outside |= 1 << i
		}
	}
	for key, mask := range named {
		if err := m["exec_names"].Put(key, mask); err != nil {
			return err
		}
	}
	for i, mask := range []uint32{all, outside} {
		if err := m["exec_rules"].Put(uint32(i), mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r execGuardExecRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	e.Fields = append(e.Fields, esclusa.Text("program", guards.CString(b[unsafe.Offsetof(r.Use):][:nameSize])),
		esclusa.Bool("workdirOutside", binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Outside):]) != 0))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Name [nameSize]byte
		By   uint32
	}
	return guards.Counted(m["exec_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "exec", Key: guards.CString(u.Name[:]), By: guards.Writer(u.By).String()}
	})
}

// run executes this program anew, which then says that all went well. The
// working directory is in its own mounts; or "outside", by a descriptor from
// before it had them; or "entered": it goes to the other mounts as a whole, as
// nsenter(1) does.
func run(with map[string]string) error {
	before, mounts := -1, -1
	err := guards.Scratch(func(string) (err error) {
		if before, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
			return err
		}
		mounts, err = unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	}, func(string) error {
		switch with["workdir"] {
		case "outside":
			return unix.Fchdir(before)
		case "entered":
			return unix.Setns(mounts, unix.CLONE_NEWNS)
		}
		return nil
	})
	if err != nil {
		return err
	}
	args := append(append([]string{}, os.Args[:len(os.Args)-2]...), "exec.done", "{}")
	return fmt.Errorf("execute: %w", unix.Exec("/proc/self/exe", args, nil))
}
