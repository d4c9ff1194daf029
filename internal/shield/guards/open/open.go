// Package open guards opening files for writing: by name, by the file system,
// by whether they are mounted outside of the opener's own mounts, and by who
// opens them.
package open

import (
	"encoding/binary"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "open", Number: guards.Open, Tier: guards.TierB,
		Does:    "refuses to open files for writing by name, file system, mount and who opens them",
		Spec:    loadOpen,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: acts(), Keep: keep,
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer   `yaml:"by,required" doc:"Who opens it."`
	Runtimes []string          `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Names    []string          `yaml:"names,required" doc:"Names of files, without their folder."`
	On       guards.Filesystem `yaml:"on" doc:"The kind of file system; any if empty."`
	Outside  bool              `yaml:"outside" doc:"Only files that are mounted outside of the opener's own mounts."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// nameSize is GUARD_NAME of guard.h.
const nameSize = 32

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	guards.CheckNames(rd, r.Pos, "file", r.Names, nameSize)
	if len(r.Names) == 0 {
		rd.Fail(r.Pos, "names is empty", "")
	}
}

// key is struct open_key.
type key struct {
	Name  [nameSize]byte
	Magic guards.Filesystem
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[key]openOpenRules{}
	for i, r := range rules {
		r := r.(*rule)
		for _, name := range r.Names {
			k := key{Magic: r.On}
			copy(k.Name[:], name)
			v := masks[k]
			if r.Outside {
				v.Outside |= 1 << i
			} else {
				v.Rules |= 1 << i
			}
			masks[k] = v
		}
	}
	for k, v := range masks {
		if err := m["open_names"].Put(k, v); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r openGuardOpenRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	u := b[unsafe.Offsetof(r.Use):]
	e.Fields = append(e.Fields, esclusa.Text("file", guards.CString(u[:nameSize])),
		esclusa.Text("on", guards.Filesystem(binary.LittleEndian.Uint32(u[nameSize:])).String()),
		esclusa.Bool("outside", binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Outside):]) != 0))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key key
		By  uint32
	}
	return guards.Counted(m["open_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "open", Key: guards.CString(u.Key.Name[:]) + " on " + u.Key.Magic.String(), By: guards.Writer(u.By).String()}
	})
}
