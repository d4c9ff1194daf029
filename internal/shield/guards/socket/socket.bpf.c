//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses sockets of a family and protocol by who opens them. A cgroup program
 * sees internet sockets alone; for the others it takes a security module.
 */
#include "../guard.h"

struct socket_key {
	u32 family;
	u32 protocol;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct socket_key);
	__type(value, u32); /* the rules that look at it */
} socket_keys SEC(".maps");

struct socket_use {
	struct socket_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct socket_use);
	__type(value, u64);
} socket_uses SEC(".maps");

struct guard_socket_record {
	struct guard_head g;
	struct socket_use use;
	u32 type;
};
ESC_RECORD(guard_socket_record);

SEC("lsm/socket_create")
int BPF_PROG(guard_socket, int family, int type, int protocol, int kern, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_socket_record r = {};
	u32 mode, runtimes = 0;

	if (ret || kern)
		return ret;
	r.use.key.family = family;
	r.use.key.protocol = protocol;
	u32 *rules = bpf_map_lookup_elem(&socket_keys, &r.use.key);
	if (!rules)
		return 0;
	r.type = type;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(*rules, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&socket_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_SOCKET, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}
