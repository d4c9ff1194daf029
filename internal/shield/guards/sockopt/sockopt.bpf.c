//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses socket options by who sets them. Attached to the root cgroup. An
 * option that no rule names costs one look into a table.
 */
#include "../guard.h"

struct sockopt_key {
	u32 level;
	u32 name;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct sockopt_key);
	__type(value, u32); /* the rules that look at it */
} sockopt_keys SEC(".maps");

struct sockopt_use {
	struct sockopt_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sockopt_use);
	__type(value, u64);
} sockopt_uses SEC(".maps");

struct guard_sockopt_record {
	struct guard_head g;
	struct sockopt_use use;
	s32 len;
};
ESC_RECORD(guard_sockopt_record);

SEC("cgroup/setsockopt")
int guard_sockopt(struct bpf_sockopt *c)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_sockopt_record r = {};
	u32 mode, runtimes = 0;

	r.use.key.level = c->level;
	r.use.key.name = c->optname;
	r.len = c->optlen;
	/* Of a longer value only a page is shown, and before 6.4 the call would
	 * fail; 0 says that the caller's own bytes are meant, whole. */
	if (c->optlen > 4096)
		c->optlen = 0;
	u32 *rules = bpf_map_lookup_elem(&sockopt_keys, &r.use.key);
	if (!rules)
		return 1;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(*rules, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&sockopt_uses, &r.use);
		return 1;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_SOCKOPT, t);
	return mode != GUARD_ENFORCE;
}
