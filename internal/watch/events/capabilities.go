package events

import "strconv"

// capabilities are those of capabilities(7) without CAP_, in lower case, by number.
var capabilities = [...]string{
	"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
	"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
	"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
	"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
	"perfmon", "bpf", "checkpoint_restore",
}

// Capability is the name of a capability, or its number where it has none yet.
func Capability(n int) string {
	if n >= 0 && n < len(capabilities) {
		return capabilities[n]
	}
	return strconv.Itoa(n)
}

// Capabilities are the names of a set, bit N for number N.
func Capabilities(set uint64) (list []string) {
	for n := range 64 {
		if set>>n&1 != 0 {
			list = append(list, Capability(n))
		}
	}
	return list
}
