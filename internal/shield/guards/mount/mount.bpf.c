//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses mounts of new file systems by type, by option, and by who mounts.
 * Both hooks are where mount(2) and fsconfig(2) meet.
 */
#include "../guard.h"

#define TYPE 16

struct mount_key {
	char type[TYPE];
	char option[GUARD_NAME]; /* empty: the mount itself */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct mount_key);
	__type(value, u32); /* the rules that look at it */
} mount_keys SEC(".maps");

struct mount_use {
	struct mount_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct mount_use);
	__type(value, u64);
} mount_uses SEC(".maps");

struct guard_mount_record {
	struct guard_head g;
	struct mount_use use;
};
ESC_RECORD(guard_mount_record);

struct fs_context {
	struct file_system_type *fs_type;
} __attribute__((preserve_access_index));
struct fs_parameter {
	const char *key;
} __attribute__((preserve_access_index));

static __always_inline int decide(struct file_system_type *type, const char *option)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_mount_record r = {};
	u32 mode, runtimes = 0;

	bpf_probe_read_kernel_str(r.use.key.type, TYPE, BPF_CORE_READ(type, name));
	if (option)
		bpf_probe_read_kernel_str(r.use.key.option, GUARD_NAME, option);
	u32 *rules = bpf_map_lookup_elem(&mount_keys, &r.use.key);
	if (!rules)
		return 0;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(*rules, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&mount_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_MOUNT, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}

/* 0 lets the next module look: "not mine" is said by the kernel itself. */
SEC("lsm/fs_context_parse_param")
int BPF_PROG(guard_mount_option, struct fs_context *fc, struct fs_parameter *param, int ret)
{
	return ret ? ret : decide(BPF_CORE_READ(fc, fs_type), BPF_CORE_READ(param, key));
}

SEC("lsm/sb_kern_mount")
int BPF_PROG(guard_mount_type, struct super_block *sb, int ret)
{
	return ret ? ret : decide(BPF_CORE_READ(sb, s_type), NULL);
}
