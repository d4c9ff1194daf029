// Package setxattr guards extended attributes of files: by name, by the file
// system, and by who sets them.
package setxattr

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "setxattr", Number: guards.Setxattr, Tier: guards.TierB,
		Does:    "refuses extended attributes by name, file system and who sets them",
		Spec:    loadSetxattr,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{"set": set, "copy": copyUp},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By         []guards.Writer   `yaml:"by,required" doc:"Who sets it; for a copy of an overlay, who mounted that."`
	Runtimes   []string          `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Attributes []string          `yaml:"attributes,required" doc:"Names, as security.capability."`
	On         guards.Filesystem `yaml:"on" doc:"The kind of file system; any if empty."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

const nameSize = 64

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	guards.CheckNames(rd, r.Pos, "attribute", r.Attributes, nameSize)
	if len(r.Attributes) == 0 {
		rd.Fail(r.Pos, "attributes is empty", "")
	}
}

// key is struct setxattr_key.
type key struct {
	Name  [nameSize]byte
	Magic guards.Filesystem
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[key]uint32{}
	for i, r := range rules {
		r := r.(*rule)
		for _, name := range r.Attributes {
			k := key{Magic: r.On}
			copy(k.Name[:], name)
			masks[k] |= 1 << i
		}
	}
	for k, mask := range masks {
		if err := m["setxattr_names"].Put(k, mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r setxattrGuardSetxattrRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	u := b[unsafe.Offsetof(r.Use):]
	e.Fields = append(e.Fields, esclusa.Text("attribute", guards.CString(u[:nameSize])),
		esclusa.Text("on", guards.Filesystem(binary.LittleEndian.Uint32(u[nameSize:])).String()),
		esclusa.Bool("copied", binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Copied):]) != 0))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key key
		By  uint32
	}
	return guards.Counted(m["setxattr_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "setxattr", Key: guards.CString(u.Key.Name[:]) + " on " + u.Key.Magic.String(), By: guards.Writer(u.By).String()}
	})
}

// bindLow are the capabilities of a program that may listen on low ports, as
// setcap(8) writes them (version 2, effective, CAP_NET_BIND_SERVICE).
func bindLow() []byte {
	b := make([]byte, 20)
	binary.LittleEndian.PutUint32(b, 0x02000001)
	binary.LittleEndian.PutUint32(b[4:], 1<<unix.CAP_NET_BIND_SERVICE)
	return b
}

// set sets the attribute "name" of a file of its own, on an overlay of its own
// with "on: overlay".
func set(with map[string]string) error {
	value := []byte("x")
	if with["name"] == "security.capability" {
		value = bindLow()
	}
	return inOverlay(nil, func(lower, merged string) error {
		dir := lower
		if with["on"] == "overlay" {
			dir = merged
		}
		file := filepath.Join(dir, "new")
		if err := os.WriteFile(file, nil, 0o700); err != nil {
			return err
		}
		return setxattr(file, with["name"], value)
	})
}

// copyUp changes the mode of a file in the lower layer, which copies it with
// its attributes; with "capabilities: yes" they are among those.
func copyUp(with map[string]string) error {
	return inOverlay(func(lower string) error {
		file := filepath.Join(lower, "old")
		if err := os.WriteFile(file, nil, 0o700); err != nil {
			return err
		}
		if with["capabilities"] == "yes" {
			return setxattr(file, "security.capability", bindLow())
		}
		return nil
	}, func(_, merged string) error {
		return os.Chmod(filepath.Join(merged, "old"), 0o755)
	})
}

func setxattr(file, name string, value []byte) error {
	if err := unix.Setxattr(file, name, value, 0); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}

// inOverlay makes an overlay for do; fill puts files into its lower layer.
func inOverlay(fill func(lower string) error, do func(lower, merged string) error) error {
	return guards.Scratch(guards.Nothing, func(dir string) error {
		for _, d := range []string{"lower", "upper", "work"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		lower := filepath.Join(dir, "lower")
		if fill != nil {
			if err := fill(lower); err != nil {
				return err
			}
		}
		options := fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, dir, dir)
		return guards.Mounted(dir, "overlay", options, func(at string) error { return do(lower, at) })
	})
}
