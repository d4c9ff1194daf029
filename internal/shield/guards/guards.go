// Package guards says what a guard is: a folder here with a program for the
// kernel (x.bpf.c) that refuses one narrow use of one interface, and with what
// patches say to it (x.go). It knows nothing of a CVE: a patch names a guard
// and gives it rules. The list is in guards/all.
//
// A guard tells each use that it refuses, or would have refused, and counts
// the lawful ones, so that what a broader measure would have broken is known.
//
// Start with Guard and Instance.
package guards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Tier says which kernel interface a guard needs.
type Tier string

// The tiers.
const (
	TierA Tier = "A" // cgroup programs: every kernel since 5.10
	TierB Tier = "B" // BPF as a security module
)

// Number tells records of guards apart; guard.h has the same list.
type Number uint16

// The numbers.
const (
	Sysctl Number = iota + 1
	Sockopt
	Socket
	Open
	Exec
	Mount
	Setxattr
	IOUring
)

// Mode is what happens on a hit.
type Mode uint32

// The modes; guard.h has the same list.
const (
	Off     Mode = iota
	Observe      // it is told, and goes on
	Enforce      // it is told, and refused with EPERM
)

var modeNames = []string{"off", "observe", "enforce"}

func (m Mode) String() string { return modeNames[m] }

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(b []byte) error {
	i := slices.Index(modeNames, string(b))
	if i < 0 {
		return fmt.Errorf("unknown mode %q", yamlread.Clip(string(b), 40))
	}
	*m = Mode(i)
	return nil
}

// Writer is who acts, as bits.
type Writer uint32

// The writers; guard.h has the same list.
const (
	ByHost      Writer = 1 << iota // none of the others
	ByRuntime                      // below a process that the rule names
	ByContainer                    // pid namespace or root of its own
	ByUserNS                       // user namespace of its own
)

var writerNames = []string{"host", "runtime", "container", "userns"}

// DecodeText implements yamlread.Scalar.
func (w *Writer) DecodeText(s string) error {
	for i, n := range writerNames {
		if n == s {
			*w = 1 << i
			return nil
		}
	}
	return yamlread.Hinted{Msg: fmt.Sprintf("unknown writer %q", yamlread.Clip(s, 40)), Hint: yamlread.DidYouMean(s, writerNames)}
}

func (w Writer) String() string {
	var out []string
	for i, n := range writerNames {
		if w>>i&1 != 0 {
			out = append(out, n)
		}
	}
	return strings.Join(out, "+")
}

// Rule is one rule of a patch, in the guard's own struct.
type Rule interface {
	// Writers are whom it looks at, and which executables are runtimes to it.
	Writers() (by Writer, runtimes []string)
	// Check says what is wrong in it beyond its shape.
	Check(r *yamlread.Reader)
}

// Maps are the maps of a guard's object.
type Maps map[string]*ebpf.Map

// Use is a lawful use that was seen: it hit no rule.
type Use struct {
	Guard string `json:"guard"`
	Key   string `json:"key"`
	By    string `json:"by"` // writers, joined by +
	Count uint64 `json:"count"`
}

// Guard is one folder.
type Guard struct {
	Name   string
	Number Number
	Tier   Tier
	Does   string // one line for people
	Spec   func() (*ebpf.CollectionSpec, error)
	// NewRule is where a patch's rule is read into.
	NewRule func() Rule
	// Arm writes rules into the guard's own maps.
	Arm func(maps Maps, rules []Rule) error
	// Decode adds the guard's own fields to an event.
	Decode func(rec []byte, e *esclusa.Event) error
	// Uses reads what was counted.
	Uses func(maps Maps) ([]Use, error)
	// Acts are the uses of the interface that a proof tries, by name. They are
	// done by a process of their own.
	Acts map[string]func(with map[string]string) error
	// Keep notes what an act may change on this host, and answers how it is put
	// back; may be nil.
	Keep func(with map[string]string) (restore func() error, err error)
}

// maxRules is the size of the table in guard.h.
const maxRules = 32

// Instance is a guard with the rules of the patches that use it.
type Instance struct {
	Guard
	rules []Rule
	modes []Mode
	maps  Maps
}

// NewInstance makes a guard of rules and their modes. It is in force when its
// object is loaded.
func NewInstance(g Guard, rules []Rule, modes []Mode) (*Instance, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("guard %s: %d rules, more than %d", g.Name, len(rules), maxRules)
	}
	return &Instance{Guard: g, rules: rules, modes: modes}, nil
}

// Object is the program with its rules. It is not optional: who asks for a
// guard does not get less.
func (i *Instance) Object() kernel.Object {
	return kernel.Object{
		Name: "guard " + i.Name, Spec: i.Spec,
		Loaded: func(maps map[string]*ebpf.Map) error {
			i.maps = maps
			return i.arm()
		},
	}
}

func (i *Instance) arm() error {
	runtimes := map[[nameSize]byte]uint32{}
	for n, r := range i.rules {
		_, names := r.Writers()
		for _, name := range names {
			runtimes[exeName(name)] |= 1 << n
		}
	}
	for name, rules := range runtimes {
		if err := i.maps["guard_runtimes"].Put(name, rules); err != nil {
			return fmt.Errorf("arm guard %s: %w", i.Name, err)
		}
	}
	if err := i.Arm(i.maps, i.rules); err != nil {
		return fmt.Errorf("arm guard %s: %w", i.Name, err)
	}
	for n, m := range i.modes {
		if err := i.SetMode(n, m); err != nil {
			return err
		}
	}
	return nil
}

// nameSize is GUARD_NAME of guard.h. The kernel side cuts longer names there.
const nameSize = 32

func exeName(s string) (name [nameSize]byte) {
	copy(name[:nameSize-1], s)
	return name
}

// SetMode changes what a rule does, at once.
func (i *Instance) SetMode(rule int, m Mode) error {
	by, _ := i.rules[rule].Writers()
	if err := i.maps["guard_rules"].Put(uint32(rule), struct{ Mode, By uint32 }{uint32(m), uint32(by)}); err != nil {
		return fmt.Errorf("set mode of guard %s: %w", i.Name, err)
	}
	i.modes[rule] = m
	return nil
}

// Seen is what was counted; a gap says that the table was full.
func (i *Instance) Seen() ([]Use, []esclusa.Gap, error) {
	uses, err := i.Uses(i.maps)
	if err != nil {
		return nil, nil, fmt.Errorf("read uses of guard %s: %w", i.Name, err)
	}
	var per []uint64
	if err := i.maps["guard_rest"].Lookup(uint32(0), &per); err != nil {
		return nil, nil, fmt.Errorf("read uses of guard %s: %w", i.Name, err)
	}
	rest := uint64(0)
	for _, n := range per {
		rest += n
	}
	if rest == 0 {
		return uses, nil, nil
	}
	return uses, []esclusa.Gap{{
		Scope: esclusa.GapItem, What: "lawful uses at guard " + i.Name,
		Err: fmt.Sprintf("%d more uses were of kinds that the table had no room for", rest),
	}}, nil
}

// Hit is the head of a guard's record.
type Hit struct {
	Guard Number
	Rule  int
	Mode  Mode
	By    Writer
}

// HitSize is the size of struct guard_head.
const HitSize = kernel.HeadSize + 16

// ErrShort is a record with less in it than it should have.
var ErrShort = errors.New("record of a guard is cut")

// ReadHit reads the head of a guard's record.
func ReadHit(rec []byte) (Hit, error) {
	if len(rec) < HitSize {
		return Hit{}, ErrShort
	}
	u32 := func(i int) uint32 { return binary.LittleEndian.Uint32(rec[kernel.HeadSize+i:]) }
	h := Hit{Number(binary.LittleEndian.Uint16(rec[6:])), int(u32(0)), Mode(u32(4)), Writer(u32(8))}
	if h.Rule >= maxRules || h.Mode > Enforce {
		return h, fmt.Errorf("record of a guard: rule %d, mode %d", h.Rule, h.Mode)
	}
	return h, nil
}

// Counted reads a table of uses whose keys are K and whose values are counts.
func Counted[K any](m *ebpf.Map, use func(*K) Use) ([]Use, error) {
	var (
		out []Use
		key K
		n   uint64
	)
	it := m.Iterate()
	for it.Next(&key, &n) {
		u := use(&key)
		u.Count = n
		out = append(out, u)
	}
	return out, it.Err()
}

// CString is the text before the first NUL.
func CString(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}

// Join is a set of writers.
func Join(ws []Writer) (all Writer) {
	for _, w := range ws {
		all |= w
	}
	return all
}

// CheckWriters holds that a rule names its runtimes where it looks at them,
// and only there.
func CheckWriters(rd *yamlread.Reader, at yamlread.Pos, r Rule) {
	by, names := r.Writers()
	switch {
	case by == 0:
		rd.Fail(at, "by names nobody", "known are "+strings.Join(writerNames, ", "))
	case (by&ByRuntime != 0) != (len(names) > 0):
		rd.Fail(at, "by: runtime and runtimes belong together", "runtimes: [crio, pinns] names the executables")
	}
	for _, n := range names {
		if n == "" || len(n) >= nameSize || strings.Contains(n, "/") {
			rd.Fail(at, fmt.Sprintf("runtime %q", yamlread.Clip(n, 40)), fmt.Sprintf("the file name of an executable, at most %d bytes", nameSize-1))
		}
	}
}
