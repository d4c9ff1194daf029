package esclusa

import (
	"fmt"
	"strconv"
	"time"
)

// ProcessKey names one process for as long as the machine runs: a pid comes
// back after 4 million forks at the latest, a pid with its start never does.
type ProcessKey struct {
	PID int32 `json:"pid"` // in the host's pid namespace; the thread group's
	// Start is the start of the thread group's leader in nanoseconds since
	// boot (CLOCK_BOOTTIME), rounded down to the clock tick of /proc/PID/stat.
	Start uint64 `json:"start"`
}

// String is "1234@5678" with the start in clock ticks.
func (k ProcessKey) String() string { return fmt.Sprintf("%d@%d", k.PID, k.Start/ClockTick) }

// ClockTick is the unit of starts in /proc, in nanoseconds: USER_HZ is 100 on
// every architecture that Go builds for.
const ClockTick = 10_000_000

// Credentials are who a process is to the kernel. Ids are the host's, that is
// of the initial user namespace.
type Credentials struct {
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	EUID uint32 `json:"euid"`
	EGID uint32 `json:"egid"`
	// Effective is the set of effective capabilities, bit N for capability N
	// (capabilities(7)).
	Effective uint64 `json:"capEff"`
}

// Capabilities are the names of the effective capabilities, in order.
func (c Credentials) Capabilities() []string {
	var out []string
	for n := range 64 {
		if c.Effective&(1<<n) != 0 {
			out = append(out, CapabilityName(n))
		}
	}
	return out
}

// CapabilityName is the name of a capability as in capabilities(7), in lower
// case and without CAP_; of one that is newer than Linux 5.9 the number.
func CapabilityName(n int) string {
	names := [...]string{
		"chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "linux_immutable",
		"net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot",
		"sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease",
		"audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read",
		"perfmon", "bpf", "checkpoint_restore",
	}
	if n < 0 || n >= len(names) {
		return strconv.Itoa(n)
	}
	return names[n]
}

// Namespaces are inode numbers of /proc/PID/ns/*.
type Namespaces struct {
	Mount uint32 `json:"mnt"`
	PID   uint32 `json:"pid"`
	Net   uint32 `json:"net"`
	User  uint32 `json:"user"`
	IPC   uint32 `json:"ipc"`
	UTS   uint32 `json:"uts"`
	// Cgroup is the cgroup namespace.
	Cgroup uint32 `json:"cgroup"`
}

// Source says where the content of an executable or a library lives.
type Source string

// The sources. SourceUnknown is said when the kernel could not be asked.
const (
	SourceUnknown Source = ""
	SourceHost    Source = "host"  // a file system that is no container's layer
	SourceImage   Source = "image" // a lower layer of an overlay: as shipped
	SourceUpper   Source = "upper" // the writable layer: made or changed since the start
	SourceTmpfs   Source = "tmpfs"
	SourceMemory  Source = "memfd" // memfd_create(2): no name on any file system
)

// Process is one process as it was at an event.
type Process struct {
	ProcessKey
	Parent ProcessKey `json:"parent,omitzero"`
	// Name is the kernel's comm, at most 15 bytes.
	Name string `json:"name"`
	// Exe is the path of the executable in the process's root, from kernel
	// objects, never from user memory.
	Exe string `json:"exe,omitempty"`
	// ExeSource is where its content lives; ExeDeleted says that no name
	// leads to it any more.
	ExeSource  Source `json:"exeSource,omitempty"`
	ExeDeleted bool   `json:"exeDeleted,omitempty"`
	// Args are argv, at most 64 KiB together; ArgsCut says that there was more.
	Args    []string    `json:"args,omitempty"`
	ArgsCut bool        `json:"argsCut,omitempty"`
	Creds   Credentials `json:"creds"`
	NS      Namespaces  `json:"ns"`
	// Started is wall-clock time, exact to the clock tick.
	Started time.Time `json:"started,omitzero"`
}

// Ancestor is what an event keeps of each process above its own.
type Ancestor struct {
	ProcessKey
	Name string `json:"name"`
	Exe  string `json:"exe,omitempty"`
	// Container is the id of the container it runs in; empty on the host.
	Container string `json:"container,omitempty"`
}
