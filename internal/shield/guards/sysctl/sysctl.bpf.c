//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses writes to files below /proc/sys by who writes, to which key, and
 * what. Attached to the root cgroup it sees them under every name that a file
 * has: the kernel asks where all of them meet.
 */
#include "../guard.h"

#define KEY 96
#define VALUE 128 /* core_pattern takes no more */
#define EINVAL 22

/* Longest prefix first; the key of the whole name is its search. */
struct sysctl_key {
	u32 bits;
	char name[KEY]; /* "kernel/core_pattern", then NUL */
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sysctl_key);
	__type(value, u32); /* the rules that look at it */
} sysctl_keys SEC(".maps");

/* What a value must begin with to hit: a set of ASCII characters, empty for any. */
struct sysctl_value {
	u64 begins[2];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GUARD_RULES);
	__type(key, u32);
	__type(value, struct sysctl_value);
} sysctl_values SEC(".maps");

struct sysctl_use {
	struct sysctl_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sysctl_use);
	__type(value, u64);
} sysctl_uses SEC(".maps");

struct guard_sysctl_record {
	struct guard_head g;
	struct sysctl_use use;
	char value[VALUE];
	u32 value_len; /* may be more than is kept */
	u32 at;        /* where in the file it is written */
};
ESC_RECORD(guard_sysctl_record);

/*
 * Does the value hit? One that is not known hits: what is written behind the
 * beginning of the file is put together with what stands there (an attacker
 * would write the program of a pipe behind the host's own '|').
 */
static __always_inline bool hits(u32 i, u8 first, bool known)
{
	struct sysctl_value *v = bpf_map_lookup_elem(&sysctl_values, &i);

	if (!v || !known || !(v->begins[0] | v->begins[1]))
		return true;
	return first < 128 && v->begins[first >> 6 & 1] >> (first & 63) & 1;
}

SEC("cgroup/sysctl")
int guard_sysctl(struct bpf_sysctl *c)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_sysctl_record r = {};
	u32 mode = GUARD_OFF, runtimes = 0;

	if (!c->write)
		return 1;
	r.at = c->file_pos;
	r.use.key.bits = KEY * 8;
	bpf_sysctl_get_name(c, r.use.key.name, KEY, 0); /* a cut name is still a prefix */
	long n = bpf_sysctl_get_new_value(c, r.value, VALUE);
	r.value_len = n < 0 ? VALUE : n;
	r.use.by = guard_by(t, &runtimes);

	u32 *rules = bpf_map_lookup_elem(&sysctl_keys, &r.use.key);
	if (rules) {
		/* A value that is cut is known as far as it is asked for. */
		bool known = n != -EINVAL && !r.at;
		u32 mask = *rules;
#pragma unroll
		for (u32 i = 0; i < GUARD_RULES; i++) {
			u32 m = mask >> i & 1 ? guard_mode(i, r.use.by, runtimes) : GUARD_OFF;
			if (m > mode && hits(i, r.value[0], known)) {
				mode = m;
				r.g.rule = i;
			}
		}
	}
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&sysctl_uses, &r.use);
		return 1;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_SYSCTL, t);
	return mode != GUARD_ENFORCE;
}
