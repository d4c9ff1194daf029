//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Refuses extended attributes by name, file system and who sets them: when
 * they are set, and when an overlay copies them into its upper layer, which
 * the kernel does with the rights of who mounted it.
 */
#include "../guard.h"

#define ATTRIBUTE 64

struct setxattr_key {
	char name[ATTRIBUTE];
	u32 magic; /* of the file system; 0 is any */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct setxattr_key);
	__type(value, u32); /* the rules that look at it */
} setxattr_names SEC(".maps");

struct setxattr_use {
	struct setxattr_key key;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct setxattr_use);
	__type(value, u64);
} setxattr_uses SEC(".maps");

struct guard_setxattr_record {
	struct guard_head g;
	struct setxattr_use use;
	u32 copied;
};
ESC_RECORD(guard_setxattr_record);

extern int LINUX_KERNEL_VERSION __kconfig;
#define KERNEL(a, b) (((a) << 16) + ((b) << 8))
#define OVERLAY 0x794c7630

static __always_inline u32 rules(struct setxattr_key *k)
{
	u32 *r = bpf_map_lookup_elem(&setxattr_names, k);

	return r ? *r : 0;
}

static __always_inline int decide(const char *name, u32 magic, bool copied)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct guard_setxattr_record r = {};
	u32 mode, mask, runtimes = 0;

	bpf_probe_read_kernel_str(r.use.key.name, ATTRIBUTE, name);
	mask = rules(&r.use.key);
	r.use.key.magic = magic;
	mask |= rules(&r.use.key);
	if (!mask)
		return 0;
	r.copied = copied;
	r.use.by = guard_by(t, &runtimes);
	mode = guard_strongest(mask, r.use.by, runtimes, &r.g.rule);
	r.use.by = guard_whole(r.use.by, runtimes);
	if (mode == GUARD_OFF) {
		guard_use(&setxattr_uses, &r.use);
		return 0;
	}
	r.g.mode = mode;
	r.g.by = r.use.by;
	guard_tell(&r, sizeof r, GUARD_SETXATTR, t);
	return mode == GUARD_ENFORCE ? -EPERM : 0;
}

/*
 * Since 5.12 the arguments begin with what maps the mount's identities. All
 * are read, then chosen: the verifier takes no other way. What an earlier
 * module refused, nobody asks of the next.
 */
SEC("lsm/inode_setxattr")
int guard_setxattr(u64 *c)
{
	u64 first = c[0], second = c[1], third = c[2];
	bool mapped = LINUX_KERNEL_VERSION >= KERNEL(5, 12);
	struct dentry *d = (void *)(mapped ? second : first);

	return decide((void *)(mapped ? third : second), BPF_CORE_READ(d, d_sb, s_magic), false);
}

/* Since 6.9 the file that is copied comes first. */
SEC("lsm/inode_copy_up_xattr")
int guard_setxattr_copied(u64 *c)
{
	u64 first = c[0], second = c[1];

	return decide((void *)(LINUX_KERNEL_VERSION >= KERNEL(6, 9) ? second : first), OVERLAY, true);
}
