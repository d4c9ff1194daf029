/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * What all guards share: the rules of the loaded patches, who is acting, and
 * the record of what was, or would have been, refused.
 *
 * What a verdict depends on lives on the stack or in maps that only user space
 * writes, never in a scratch buffer of the CPU: these programs can be
 * preempted, and another task's value must not decide about this one.
 */
#ifndef ESCLUSA_GUARD_H
#define ESCLUSA_GUARD_H

#include "esclusa.h"

/* Numbers of guards, in the flags of their records; guards.go has the same list. */
enum { GUARD_SYSCTL = 1, GUARD_SOCKOPT, GUARD_SOCKET, GUARD_OPEN, GUARD_EXEC, GUARD_MOUNT, GUARD_SETXATTR, GUARD_IO_URING };

/* Modes and writers; guards.go has the same lists. */
enum { GUARD_OFF = 0, GUARD_OBSERVE, GUARD_ENFORCE };
enum {
	GUARD_BY_HOST = 1,      /* none of the others */
	GUARD_BY_RUNTIME = 2,   /* below a process that the rule names */
	GUARD_BY_CONTAINER = 4, /* in a pid namespace, or at a root in a mount namespace, of its own */
	GUARD_BY_USERNS = 8,    /* in a user namespace of its own */
};

#define GUARD_RULES 32
#define GUARD_NAME 32

struct guard_rule {
	u32 mode;
	u32 by;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GUARD_RULES);
	__type(key, u32);
	__type(value, struct guard_rule);
} guard_rules SEC(".maps");

/* The file name of an executable → the rules for which it is a runtime. */
struct guard_name {
	char at[GUARD_NAME];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, struct guard_name);
	__type(value, u32);
} guard_runtimes SEC(".maps");

/* Uses that the guard's own table had no room for. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} guard_rest SEC(".maps");

/* The head of every guard's record, 64 bytes. */
struct guard_head {
	struct esc_head head;
	u32 rule;
	u32 mode;
	u32 by;
	u32 pad;
};

#define PF_KTHREAD 0x00200000

/*
 * Who acts: GUARD_BY_* without GUARD_BY_RUNTIME, and in *runtimes the rules
 * for which it is below a runtime. The chain of parents is walked to the first
 * process of the host, whose root is what a container's root differs from: a
 * service with private mounts stands at the same root, a container does not.
 */
static __always_inline u32 guard_by(struct task_struct *t, u32 *runtimes)
{
	struct task_struct *p = t;
	struct dentry *root = NULL;
	u32 by = 0;

	*runtimes = 0;
	/* A worker of the kernel acts for somebody who is not to be seen. */
	if (BPF_CORE_READ(t, flags) & PF_KTHREAD) {
		*runtimes = ~0;
		return GUARD_BY_CONTAINER | GUARD_BY_USERNS;
	}
	for (int i = 0; i < 40; i++) {
		struct file *exe = BPF_CORE_READ(p, mm, exe_file);
		if (exe) {
			struct guard_name name = {};
			bpf_probe_read_kernel_str(name.at, sizeof name.at, BPF_CORE_READ(exe, f_path.dentry, d_name.name));
			u32 *rules = bpf_map_lookup_elem(&guard_runtimes, &name);
			if (rules)
				*runtimes |= *rules;
		}
		if (BPF_CORE_READ(p, tgid) <= 1) {
			root = BPF_CORE_READ(p, fs, root.dentry);
			break;
		}
		p = BPF_CORE_READ(p, real_parent);
	}
	if (BPF_CORE_READ(t, cred, user_ns, level) > 0)
		by |= GUARD_BY_USERNS;
	if (BPF_CORE_READ(t, thread_pid, level) > 0 ||
	    (BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum) != (u32)esc_setting(ESC_SET_MNTNS) &&
	     BPF_CORE_READ(t, fs, root.dentry) != root))
		by |= GUARD_BY_CONTAINER;
	return by;
}

/* Who acts, whole. A container's process may still have the runtime as its
 * parent: it is no helper. */
static __always_inline u32 guard_whole(u32 by, bool runtime)
{
	if (runtime && !(by & GUARD_BY_CONTAINER))
		by |= GUARD_BY_RUNTIME;
	return by ? by : GUARD_BY_HOST;
}

/* Does a rule look at who acts? Its mode if so. */
static __always_inline u32 guard_mode(u32 i, u32 by, u32 runtimes)
{
	struct guard_rule *r = bpf_map_lookup_elem(&guard_rules, &i);

	if (!r)
		return GUARD_OFF;
	return r->by & guard_whole(by, runtimes >> (i & 31) & 1) ? r->mode : GUARD_OFF;
}

/*
 * The strongest mode of the rules in a mask, and its rule. Unrolled: the end of
 * a loop may fall through to its head, which verifiers before 6.3 refuse.
 */
static __always_inline u32 guard_strongest(u32 rules, u32 by, u32 runtimes, u32 *rule)
{
	u32 mode = GUARD_OFF;

#pragma unroll
	for (u32 i = 0; i < GUARD_RULES; i++) {
		u32 m = rules >> i & 1 ? guard_mode(i, by, runtimes) : GUARD_OFF;
		if (m > mode) {
			mode = m;
			*rule = i;
		}
	}
	return mode;
}

/* Counts a lawful use; key is as the guard's table has it. */
static __always_inline void guard_use(void *uses, void *key)
{
	u64 one = 1, *n = bpf_map_lookup_elem(uses, key);

	if (!n && bpf_map_update_elem(uses, key, &one, BPF_NOEXIST) == 0)
		return;
	if (!n)
		n = bpf_map_lookup_elem(uses, key); /* another CPU was first */
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		esc_count(&guard_rest, 0);
}

#define EPERM 1 /* of guards that are security modules */

struct mount___ns {
	struct mnt_namespace *mnt_ns;
	struct vfsmount mnt;
} __attribute__((preserve_access_index));

/*
 * Is a mount none of those that the task sees? So a descriptor that was opened
 * on the other side of a container's border is known, whatever its path says.
 * What was unmounted belongs to nobody (NULL), and what the kernel mounts for
 * itself, for a memfd for instance, neither (an error in the pointer).
 */
static __always_inline bool guard_outside(struct task_struct *t, struct vfsmount *v)
{
	struct mount___ns *m = (void *)v - bpf_core_field_offset(struct mount___ns, mnt);
	struct mnt_namespace *ns = BPF_CORE_READ(m, mnt_ns);

	return ns && (unsigned long)ns < -4095UL && ns != BPF_CORE_READ(t, nsproxy, mnt_ns);
}

/* Tells what was or would have been refused. */
static __always_inline void guard_tell(void *record, u32 size, u16 guard, struct task_struct *t)
{
	struct guard_head *g = record;

	esc_head(&g->head, ESC_GUARD, t);
	g->head.flags = guard;
	esc_emit_now(record, size);
}

#endif
