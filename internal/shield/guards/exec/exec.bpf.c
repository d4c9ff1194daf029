//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses to execute programs by name, by where the working directory is, and
 * by who executes them.
 */
#include "../guard.h"

struct exec_key {
	char name[GUARD_NAME]; /* of the executable's file */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct exec_key);
	__type(value, u32); /* the rules that look at it */
} exec_names SEC(".maps");

/* Index 0: the rules that look at every program; 1: those that want the
 * working directory to be outside of the task's own mounts. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u32);
} exec_rules SEC(".maps");

struct exec_use {
	struct exec_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct exec_use);
	__type(value, u64);
} exec_uses SEC(".maps");

struct guard_exec_record {
	struct guard_head g;
	struct exec_use use;
	u32 outside;
};
ESC_RECORD(guard_exec_record);

static __always_inline u32 rules(u32 i)
{
	u32 *v = bpf_map_lookup_elem(&exec_rules, &i);
	return v ? *v : 0;
}

SEC("lsm/bprm_check_security")
int BPF_PROG(guard_exec, struct linux_binprm *bprm, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_exec_record r = {};
	u32 mode, mask, runtimes = 0;

	if (ret)
		return ret;
	bpf_probe_read_kernel_str(r.use.key.name, sizeof r.use.key.name, BPF_CORE_READ(bprm, file, f_path.dentry, d_name.name));
	u32 *named = bpf_map_lookup_elem(&exec_names, &r.use.key);
	mask = rules(0) | (named ? *named : 0);
	if (!mask)
		return 0;
	r.outside = guard_outside(t, BPF_CORE_READ(t, fs, pwd.mnt));
	if (!r.outside)
		mask &= ~rules(1);
	if (!mask)
		return 0; /* what every process does is not counted */
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(mask, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&exec_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_EXEC, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}
