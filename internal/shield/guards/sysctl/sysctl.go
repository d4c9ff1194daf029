// Package sysctl guards writes to files below /proc/sys: by who writes, to
// which key, and what.
package sysctl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "sysctl", Number: guards.Sysctl, Tier: guards.TierA,
		Does:    "refuses writes below /proc/sys by writer, key and value",
		Spec:    loadSysctl,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: acts(), Keep: keep,
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who writes."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a writer is a runtime's helper."`
	Keys     []string        `yaml:"keys,required" doc:"Keys as sysctl(8) writes them; a * at the end stands for any rest."`
	Except   []string        `yaml:"except" doc:"Keys that are let pass; the longest match decides."`
	Begins   characters      `yaml:"begins" doc:"Only a value that begins with one of these characters."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	for _, k := range append(r.Keys, r.Except...) {
		if len(k) >= keySize || strings.Contains(strings.TrimSuffix(k, "*"), "*") || k == "" {
			rd.Fail(r.Pos, fmt.Sprintf("key %q", yamlread.Clip(k, 40)), "a key is like kernel.core_pattern; * stands at the end alone")
		}
	}
}

// characters is a set of ASCII characters, as bits.
type characters [2]uint64

// DecodeText implements yamlread.Scalar.
func (c *characters) DecodeText(s string) error {
	for _, b := range []byte(s) {
		if b == 0 || b >= 128 {
			return errors.New("only ASCII characters are compared")
		}
		c[b/64] |= 1 << (b % 64)
	}
	return nil
}

const keySize = 96

// key is struct sysctl_key.
type key struct {
	Bits uint32
	Name [keySize]byte
}

// pattern is a key as bytes that a name must begin with: a whole name has its
// NUL with it.
func pattern(s string) string {
	if !strings.Contains(s, "/") {
		s = strings.ReplaceAll(s, ".", "/")
	}
	if p, ok := strings.CutSuffix(s, "*"); ok {
		return p
	}
	return s + "\x00"
}

func arm(m guards.Maps, rules []guards.Rule) error {
	for p, mask := range prefixes(rules) {
		k := key{Bits: uint32(len(p) * 8)}
		copy(k.Name[:], p)
		if err := m["sysctl_keys"].Put(k, mask); err != nil {
			return err
		}
	}
	for i, r := range rules {
		r := r.(*rule)
		if err := m["sysctl_values"].Put(uint32(i), r.Begins); err != nil {
			return err
		}
	}
	return nil
}

// prefixes tells for each pattern of any rule which rules look at names that
// it is the longest pattern of: the kernel finds the longest alone, so that
// each must know what the shorter ones of other rules say.
func prefixes(rules []guards.Rule) map[string]uint32 {
	all := map[string]uint32{}
	for _, r := range rules {
		r := r.(*rule)
		for _, k := range append(append([]string{}, r.Keys...), r.Except...) {
			all[pattern(k)] = 0
		}
	}
	for p := range all {
		for i, r := range rules {
			if r.(*rule).looksAt(p) {
				all[p] |= 1 << i
			}
		}
	}
	return all
}

func (r *rule) looksAt(name string) bool {
	best, hit := -1, false
	for _, k := range r.Keys {
		if p := pattern(k); len(p) > best && strings.HasPrefix(name, p) {
			best, hit = len(p), true
		}
	}
	for _, k := range r.Except {
		if p := pattern(k); len(p) > best && strings.HasPrefix(name, p) {
			best, hit = len(p), false
		}
	}
	return hit
}

// dots is a key as sysctl(8) writes it: a dot within a part (of an
// interface's name) becomes a slash.
func dots(name string) string {
	return strings.NewReplacer("/", ".", ".", "/").Replace(name)
}

func decode(b []byte, e *esclusa.Event) error {
	var r sysctlGuardSysctlRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	name := unsafe.Offsetof(r.Use) + unsafe.Offsetof(r.Use.Key) + unsafe.Offsetof(r.Use.Key.Name)
	value := guards.CString(b[unsafe.Offsetof(r.Value):unsafe.Offsetof(r.ValueLen)])
	k := dots(guards.CString(b[name : name+keySize]))
	e.Fields = append(e.Fields, esclusa.Text("name", k), esclusa.Text("value", strings.TrimRight(value, "\n")))
	if n := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.ValueLen):]); int(n) >= len(r.Value) {
		e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: "value of " + k, Err: fmt.Sprintf("longer than %d bytes: cut", len(r.Value)-1)})
	}
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key key
		By  uint32
	}
	return guards.Counted(m["sysctl_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "sysctl", Key: dots(guards.CString(u.Key.Name[:])), By: guards.Writer(u.By).String()}
	})
}
