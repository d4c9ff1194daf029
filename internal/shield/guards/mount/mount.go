// Package mount guards mounts of new file systems: by type, by option, and by
// who mounts. A bind mount, or one that is moved, is no new file system.
package mount

import (
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "mount", Number: guards.Mount, Tier: guards.TierB,
		Does:    "refuses mounts of new file systems by type, option and who mounts",
		Spec:    loadMount,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{"mount": mount},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who mounts."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Types    []string        `yaml:"types,required" doc:"Types of file systems, as mount(8) has them."`
	Options  []string        `yaml:"options" doc:"Only mounts with one of these options; all if empty."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

const (
	typeSize   = 16
	optionSize = 32 // GUARD_NAME of guard.h
)

// key is struct mount_key.
type key struct {
	Type   [typeSize]byte
	Option [optionSize]byte
}

func (k *key) String() string {
	if o := guards.CString(k.Option[:]); o != "" {
		return guards.CString(k.Type[:]) + " with " + o
	}
	return guards.CString(k.Type[:])
}

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	guards.CheckNames(rd, r.Pos, "type", r.Types, typeSize)
	guards.CheckNames(rd, r.Pos, "option", r.Options, optionSize)
	if len(r.Types) == 0 {
		rd.Fail(r.Pos, "types is empty", "")
	}
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[key]uint32{}
	for i, r := range rules {
		r := r.(*rule)
		for _, t := range r.Types {
			var k key
			copy(k.Type[:], t)
			if len(r.Options) == 0 {
				masks[k] |= 1 << i
			}
			for _, o := range r.Options {
				k.Option = [optionSize]byte{}
				copy(k.Option[:], o)
				masks[k] |= 1 << i
			}
		}
	}
	for k, mask := range masks {
		if err := m["mount_keys"].Put(k, mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r mountGuardMountRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	var k key
	use := b[unsafe.Offsetof(r.Use):]
	copy(k.Type[:], use)
	copy(k.Option[:], use[typeSize:])
	e.Fields = append(e.Fields, esclusa.Text("mount", k.String()))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key key
		By  uint32
	}
	return guards.Counted(m["mount_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "mount", Key: u.Key.String(), By: guards.Writer(u.By).String()}
	})
}

// mount mounts a file system on a folder of its own, and ends it.
func mount(with map[string]string) error {
	return guards.Scratch(guards.Nothing, func(dir string) error {
		return guards.Mounted(dir, with["type"], with["options"], guards.Nothing)
	})
}
