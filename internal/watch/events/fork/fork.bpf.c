//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* A new process (not a thread), before it first runs. */
#include "process.h"

struct fork_record {
	struct esc_head head;  /* of the child */
	struct esc_facts facts;
	/* Who called clone: not the parent where that one asked for CLONE_PARENT.
	 * What it is now may differ from what it was when it was last seen. */
	struct esc_facts creator;
	u64 creator_start;
	u32 creator_pid;
	u32 pad;
};
ESC_RECORD(fork_record);

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *creator, struct task_struct *child)
{
	struct fork_record r = {};

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	esc_head(&r.head, ESC_FORK, child);
	esc_facts(&r.facts, child);
	esc_facts(&r.creator, creator);
	r.creator_pid = BPF_CORE_READ(creator, tgid);
	r.creator_start = BPF_CORE_READ(creator, group_leader, start_boottime);
	esc_emit(&esc_process, &r, sizeof r);
	return 0;
}
