//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses to open files for writing by name, file system and where they are
 * mounted, and by who opens them. An open for reading costs a look at the
 * file's mode; one for writing, a look into a table of names.
 */
#include "../guard.h"

struct open_key {
	char name[GUARD_NAME]; /* of the file, without its folder */
	u32 magic;             /* of the file system; 0 is any */
};
struct open_rules {
	u32 rules;   /* that look at it */
	u32 outside; /* that do where it is mounted outside of the task's own mounts */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct open_key);
	__type(value, struct open_rules);
} open_names SEC(".maps");

struct open_use {
	struct open_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct open_use);
	__type(value, u64);
} open_uses SEC(".maps");

struct guard_open_record {
	struct guard_head g;
	struct open_use use;
	u32 outside;
};
ESC_RECORD(guard_open_record);

struct file___flags {
	unsigned int f_flags;
} __attribute__((preserve_access_index));

#define FMODE_WRITE 2
#define O_TRUNC 01000

static __always_inline u32 rules(struct open_key *k, bool outside)
{
	struct open_rules *r = bpf_map_lookup_elem(&open_names, k);

	return r ? r->rules | (outside ? r->outside : 0) : 0;
}

SEC("lsm/file_open")
int BPF_PROG(guard_open, struct file *file, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct file___flags *flags = (void *)file;
	struct guard_open_record r = {};
	u32 mode, mask, runtimes = 0;

	if (ret)
		return ret;
	if (!(BPF_CORE_READ(file, f_mode) & FMODE_WRITE) && !(BPF_CORE_READ(flags, f_flags) & O_TRUNC))
		return 0;
	bpf_probe_read_kernel_str(r.use.key.name, sizeof r.use.key.name, BPF_CORE_READ(file, f_path.dentry, d_name.name));
	r.outside = guard_outside(t, BPF_CORE_READ(file, f_path.mnt));
	mask = rules(&r.use.key, r.outside);
	r.use.key.magic = BPF_CORE_READ(file, f_path.dentry, d_sb, s_magic);
	mask |= rules(&r.use.key, r.outside);
	if (!mask)
		return 0;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(mask, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&open_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_OPEN, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}
