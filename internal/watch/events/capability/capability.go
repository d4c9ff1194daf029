// Package capability sees dangerous capabilities being asked for.
package capability

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventCapability, Record: kernel.Capability,
		Object: kernel.Object{Name: "capability", Spec: loadCapability, Optional: true},
		Decode: decode,
		Lost:   "attempts at mounts, modules, ptrace and BPF by way of their capabilities",
	}
}

// names are those of capabilities(7) without CAP_, in lower case, by number.
var names = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
	"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
	"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
	"perfmon", "bpf", "checkpoint_restore",
}

func decode(b []byte, e *esclusa.Event) error {
	var r capabilityCapabilityRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	u32 := func(off uintptr) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	name := strconv.Itoa(int(u32(unsafe.Offsetof(r.Cap))))
	if n := u32(unsafe.Offsetof(r.Cap)); int(n) < len(names) {
		name = names[n]
	}
	e.Fields = append(e.Fields,
		esclusa.Text("capability", name), esclusa.Bool("granted", u32(unsafe.Offsetof(r.Granted)) != 0))
	return nil
}
