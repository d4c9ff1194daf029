//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses io_uring by who makes a ring. A ring is a file of no file system,
 * whose making is asked for since 5.16, as is its polling thread: both
 * programs together load where both are asked for, and nowhere else.
 */
#include "../guard.h"

enum { IOURING_RING = 1, IOURING_POLLING };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, u32); /* which use */
	__type(value, u32); /* the rules that look at it */
} iouring_keys SEC(".maps");

struct iouring_use {
	u32 key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct iouring_use);
	__type(value, u64);
} iouring_uses SEC(".maps");

struct guard_iouring_record {
	struct guard_head g;
	struct iouring_use use;
};
ESC_RECORD(guard_iouring_record);

static __always_inline int decide(u32 use)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_iouring_record r = {};
	u32 mode, runtimes = 0;

	r.use.key = use;
	u32 *rules = bpf_map_lookup_elem(&iouring_keys, &r.use.key);
	if (!rules)
		return 0;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(*rules, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&iouring_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_IO_URING, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}

SEC("lsm/inode_init_security_anon")
int BPF_PROG(guard_iouring_ring, struct inode *inode, struct qstr *name, struct inode *context, int ret)
{
	static const char ring[] = "[io_uring]";
	char is[sizeof ring] = {};

	if (ret)
		return ret;
	bpf_probe_read_kernel_str(is, sizeof is, BPF_CORE_READ(name, name));
	for (int i = 0; i < sizeof ring; i++)
		if (is[i] != ring[i])
			return 0; /* a userfaultfd, a guest's memory */
	return decide(IOURING_RING);
}

SEC("lsm/uring_sqpoll")
int BPF_PROG(guard_iouring_sqpoll, int ret)
{
	return ret ? ret : decide(IOURING_POLLING);
}
