//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * A capability was asked for that opens a kernel interface: modules, BPF,
 * ptrace, raw packets, devices. The tracepoint exists since 6.14; before, the
 * interfaces are seen by their own families (tier B) or not at all.
 *
 * SYS_ADMIN is not among them: each mmap(2) asks for it to know how much
 * memory is left, and the tracepoint does not tell that from a mount.
 */
#include "esclusa.h"

struct capability_record {
	struct esc_head head;
	u32 cap;
	u32 granted;
	u32 userns; /* of what is to be done with it */
	u32 pad;
};
ESC_RECORD(capability_record);

/* The same answer for the same process is told once a second. */
struct asked {
	u32 pid;
	u16 cap;
	u16 granted;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct asked);
	__type(value, u64);
} capability_asked SEC(".maps");

#define WANTED                                                                                                         \
	((1ULL << 12) | /* NET_ADMIN */ (1ULL << 13) | /* NET_RAW */ (1ULL << 16) | /* SYS_MODULE */                   \
	 (1ULL << 17) | /* SYS_RAWIO */ (1ULL << 18) | /* SYS_CHROOT */ (1ULL << 19) | /* SYS_PTRACE */                \
	 (1ULL << 22) | /* SYS_BOOT */ (1ULL << 25) | /* SYS_TIME */                    \
	 (1ULL << 27) | /* MKNOD */ (1ULL << 32) | /* MAC_OVERRIDE */ (1ULL << 34) | /* SYSLOG */                      \
	 (1ULL << 38) | /* PERFMON */ (1ULL << 39) /* BPF */)

SEC("tp_btf/cap_capable")
int BPF_PROG(capability_asked_for, const struct cred *cred, struct user_namespace *target,
	     const struct user_namespace *capable, int cap, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct capability_record r = {};

	if (cap < 0 || cap > 63 || !(WANTED >> cap & 1) || !esc_wanted(t))
		return 0;
	struct asked key = {.pid = bpf_get_current_pid_tgid() >> 32, .cap = cap, .granted = ret == 0};
	u64 now = bpf_ktime_get_boot_ns(), *last = bpf_map_lookup_elem(&capability_asked, &key);
	if (last && now - *last < 1000000000)
		return 0;
	bpf_map_update_elem(&capability_asked, &key, &now, BPF_ANY);
	esc_head(&r.head, ESC_CAPABILITY, t);
	r.cap = cap;
	r.granted = ret == 0;
	r.userns = BPF_CORE_READ(target, ns.inum);
	esc_act(&r, sizeof r);
	return 0;
}
