//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* An io_uring was made: what is done through it passes every filter of system
 * calls unseen. */
#include "esclusa.h"

struct iouring_record {
	struct esc_head head;
	u32 flags; /* IORING_SETUP_* */
	u32 entries;
};
ESC_RECORD(iouring_record);

SEC("tp_btf/io_uring_create")
int BPF_PROG(iouring_made, int fd, void *ring, u32 sq_entries, u32 cq_entries, u32 flags)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct iouring_record r = {};

	if (!esc_wanted(t))
		return 0;
	esc_head(&r.head, ESC_IO_URING, t);
	r.flags = flags;
	r.entries = sq_entries;
	esc_act(&r, sizeof r);
	return 0;
}
