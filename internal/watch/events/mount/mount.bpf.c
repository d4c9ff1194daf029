//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Mounts being changed by who may. Every call that changes them asks for
 * SYS_ADMIN, and of all that asks for it few are mounts: so the call is looked
 * at where the capability is granted (the tracepoint exists since 6.14).
 *
 * What the older calls name is read from the caller's memory, which another of
 * its threads can change. What is moved into place by move_mount is told by
 * the kernel's own objects.
 */
#include "syscall.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mount___esc { struct mount *mnt_parent; struct vfsmount mnt; const char *mnt_devname; };
#pragma clang attribute pop

enum {
	MOUNT_MOUNT = 1,
	MOUNT_MOVE_MOUNT,
	MOUNT_UMOUNT,
	MOUNT_PIVOT_ROOT,
	MOUNT_SETATTR,
};

struct mount_record {
	struct esc_head head;
	u32 call;  /* MOUNT_* */
	u32 fresh; /* of move_mount: it was mounted nowhere before */
	u64 flags; /* MS_* of mount */
	char source[256];
	char target[512];
	char type[32];
};
ESC_RECORD(mount_record);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct mount_record);
} mount_scratch SEC(".maps");
ESC_ASKED_MAP(mount_asked);

#define CAP_SYS_ADMIN 21

/* What move_mount(fd, "", …) moves, from the file of the descriptor. */
static __always_inline void moved(struct mount_record *r, struct task_struct *t, u32 fd)
{
	struct fdtable *ft = BPF_CORE_READ(t, files, fdt);
	struct file **fds = BPF_CORE_READ(ft, fd), *f = NULL;

	if (fd >= BPF_CORE_READ(ft, max_fds) || bpf_probe_read_kernel(&f, sizeof f, fds + fd) || !f)
		return;
	struct vfsmount *v = BPF_CORE_READ(f, f_path.mnt);
	struct mount___esc *m = (void *)v - bpf_core_field_offset(struct mount, mnt);
	r->fresh = (void *)BPF_CORE_READ(m, mnt_parent) == (void *)m;
	bpf_probe_read_kernel_str(r->source, sizeof r->source, BPF_CORE_READ(m, mnt_devname));
	bpf_probe_read_kernel_str(r->type, sizeof r->type, BPF_CORE_READ(v, mnt_sb, s_type, name));
}

SEC("tp_btf/cap_capable")
int BPF_PROG(mount_asked_for, const struct cred *cred, struct user_namespace *target,
	     const struct user_namespace *capable, int cap, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct esc_call c;
	u32 call, zero = 0;

	if (cap != CAP_SYS_ADMIN || ret)
		return 0;
	esc_called(&c);
	if (esc_is(&c, ESC_NR(165, 21, 40)))
		call = MOUNT_MOUNT;
	else if (esc_is(&c, ESC_NR(429, 429, 429)))
		call = MOUNT_MOVE_MOUNT;
	else if (esc_is(&c, ESC_NR(166, 52, 39)))
		call = MOUNT_UMOUNT;
	else if (esc_is(&c, ESC_NR(155, 217, 41)))
		call = MOUNT_PIVOT_ROOT;
	else if (esc_is(&c, ESC_NR(442, 442, 442)))
		call = MOUNT_SETATTR;
	else
		return 0;
	struct mount_record *r = bpf_map_lookup_elem(&mount_scratch, &zero);
	if (!r || !esc_wanted(t) || !esc_first(&mount_asked, &c, BPF_CORE_READ(t, pid)))
		return 0;
	esc_head(&r->head, ESC_MOUNT, t);
	r->call = call;
	r->fresh = 0;
	r->flags = 0;
	r->source[0] = r->target[0] = r->type[0] = 0;
	u64 at = c.arg[1], from = c.arg[0];
	switch (call) {
	case MOUNT_MOUNT:
		r->flags = c.arg[3];
		bpf_probe_read_user_str(r->type, sizeof r->type, (void *)c.arg[2]);
		bpf_probe_read_user_str(r->source, sizeof r->source, (void *)from);
		break;
	case MOUNT_MOVE_MOUNT:
		moved(r, t, from);
		at = c.arg[3];
		break;
	case MOUNT_PIVOT_ROOT:
		bpf_probe_read_user_str(r->source, sizeof r->source, (void *)from);
		break;
	case MOUNT_UMOUNT:
		at = from;
		break;
	}
	bpf_probe_read_user_str(r->target, sizeof r->target, (void *)at);
	esc_act(r, sizeof *r);
	return 0;
}
