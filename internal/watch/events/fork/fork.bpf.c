//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* A new process (not a thread), before it first runs. */
#include "process.h"

struct fork_record {
	struct esc_head head; /* of the child */
	struct esc_facts facts;
};

#define ESC_FORK_CLONED 1 /* events.Cloned */

ESC_RECORD(fork_record);

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct fork_record r = {};

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	esc_head(&r.head, ESC_FORK, child);
	esc_facts(&r.facts, child);
	/* new namespaces by clone itself, as against those that the parent has */
	if (BPF_CORE_READ(child, nsproxy) != BPF_CORE_READ(parent, nsproxy) ||
	    BPF_CORE_READ(child, real_cred, user_ns) != BPF_CORE_READ(parent, real_cred, user_ns))
		r.head.flags = ESC_FORK_CLONED;
	esc_emit(&esc_process, &r, sizeof r);
	return 0;
}
