// Package sockopt guards setsockopt(2): by option, and by who sets it.
package sockopt

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// New is the guard.
func New() guards.Guard {
	return guards.Guard{
		Name: "sockopt", Number: guards.Sockopt, Tier: guards.TierA,
		Does:    "refuses socket options by who sets them",
		Spec:    loadSockopt,
		NewRule: func() guards.Rule { return &rule{} },
		Arm:     arm, Decode: decode, Uses: uses,
		Acts: map[string]func(map[string]string) error{"iptables": iptables},
	}
}

// rule is what a patch says.
type rule struct {
	yamlread.Pos
	By       []guards.Writer `yaml:"by,required" doc:"Who sets it."`
	Runtimes []string        `yaml:"runtimes" doc:"Executables below which a process is a runtime's helper."`
	Options  []option        `yaml:"options,required" doc:"LEVEL/OPTION, as in ip/64."`
}

// Writers implements guards.Rule.
func (r *rule) Writers() (guards.Writer, []string) { return guards.Join(r.By), r.Runtimes }

// Check implements guards.Rule.
func (r *rule) Check(rd *yamlread.Reader) {
	guards.CheckWriters(rd, r.Pos, r)
	if len(r.Options) == 0 {
		rd.Fail(r.Pos, "options is empty", "")
	}
}

// option is struct sockopt_key.
type option struct{ Level, Name uint32 }

// levels are the words for levels that patches need.
func levels() map[string]uint32 {
	return map[string]uint32{"ip": unix.SOL_IP, "ipv6": unix.SOL_IPV6, "socket": unix.SOL_SOCKET, "tcp": unix.SOL_TCP}
}

// DecodeText implements yamlread.Scalar.
func (o *option) DecodeText(s string) error {
	for word, level := range levels() {
		if len(s) <= len(word) || s[:len(word)] != word || s[len(word)] != '/' {
			continue
		}
		n, err := strconv.ParseUint(s[len(word)+1:], 10, 31)
		if err != nil {
			return fmt.Errorf("%q is no number of an option", yamlread.Clip(s[len(word)+1:], 40))
		}
		*o = option{level, uint32(n)}
		return nil
	}
	return yamlread.Hinted{Msg: fmt.Sprintf("unknown option %q", yamlread.Clip(s, 40)), Hint: "ip/64: a level (ip, ipv6, socket, tcp) and a number"}
}

func (o option) String() string {
	for word, level := range levels() {
		if level == o.Level {
			return fmt.Sprintf("%s/%d", word, o.Name)
		}
	}
	return fmt.Sprintf("%d/%d", o.Level, o.Name)
}

func arm(m guards.Maps, rules []guards.Rule) error {
	masks := map[option]uint32{}
	for i, r := range rules {
		for _, o := range r.(*rule).Options {
			masks[o] |= 1 << i
		}
	}
	for o, mask := range masks {
		if err := m["sockopt_keys"].Put(o, mask); err != nil {
			return err
		}
	}
	return nil
}

func decode(b []byte, e *esclusa.Event) error {
	var r sockoptGuardSockoptRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return guards.ErrShort
	}
	u32 := func(off uintptr) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	key := unsafe.Offsetof(r.Use)
	e.Fields = append(e.Fields,
		esclusa.Text("option", option{u32(key), u32(key + 4)}.String()), esclusa.Number("bytes", int64(int32(u32(unsafe.Offsetof(r.Len))))))
	return nil
}

func uses(m guards.Maps) ([]guards.Use, error) {
	type use struct {
		Key option
		By  uint32
	}
	return guards.Counted(m["sockopt_uses"], func(u *use) guards.Use {
		return guards.Use{Guard: "sockopt", Key: u.Key.String(), By: guards.Writer(u.By).String()}
	})
}
