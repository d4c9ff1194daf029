//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Signals from one container to another or to the host, and to the sensor.
 * Within one container they are nobody's business.
 */
#include "esclusa.h"

struct signal_record {
	struct esc_head head;
	u64 target_start;
	u64 target_cgroup;
	u32 target_pid;
	u32 signal;
	char target_name[16];
};
ESC_RECORD(signal_record);

#define SIGCHLD 17 /* a child's end is told by exit */

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_sent, int sig, void *info, struct task_struct *target, int group, int result)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct signal_record r = {};

	/* SEND_SIG_NOINFO (0) and real structures are of processes; 1 is the kernel's own */
	if (sig == 0 || sig == SIGCHLD || info == (void *)1 || !esc_wanted(t))
		return 0;
	u32 to = BPF_CORE_READ(target, tgid);
	u64 from = esc_cgroup_id(t), there = esc_cgroup_id(target);
	if (from == there && to != (u32)esc_setting(ESC_SET_SELF))
		return 0;
	esc_head(&r.head, ESC_SIGNAL, t);
	r.target_start = BPF_CORE_READ(target, group_leader, start_boottime);
	r.target_cgroup = there;
	r.target_pid = to;
	r.signal = sig;
	bpf_probe_read_kernel_str(r.target_name, sizeof r.target_name, &target->comm);
	esc_act(&r, sizeof r);
	return 0;
}
