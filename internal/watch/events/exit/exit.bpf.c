//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* The last thread of a process ended. */
#include "process.h"

struct exit_record {
	struct esc_head head;
	struct esc_facts facts; /* what it was in the end */
	u32 code; /* as wait(2) tells: status << 8 | signal */
	u32 pad;
};

ESC_RECORD(exit_record);

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *t)
{
	struct exit_record r = {};

	/* The leader may end before its threads, but its exit is what a parent
	 * waits for only when all have ended: count live threads. */
	if (BPF_CORE_READ(t, signal, live.counter) != 0)
		return 0;
	esc_head(&r.head, ESC_EXIT, t);
	esc_facts(&r.facts, t);
	r.code = BPF_CORE_READ(t, group_leader, exit_code);
	esc_emit(&esc_process, &r, sizeof r);
	return 0;
}
