/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Paths from kernel objects, and where a file's content lives. */
#ifndef ESCLUSA_PATH_H
#define ESCLUSA_PATH_H

#include "esclusa.h"

#define ESC_PATH 4096      /* PATH_MAX */
#define ESC_PATH_PARTS 64  /* deeper paths keep their end, and are marked */

/* A scratch buffer of its own for each CPU: twice the length, so that the
 * verifier sees that a name of 255 bytes stays inside. */
struct esc_pathbuf {
	char at[ESC_PATH * 2];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct esc_pathbuf);
} esc_paths SEC(".maps");

/* What a path's result says beside its bytes. */
enum {
	ESC_PATH_CUT = 1,     /* more parts than ESC_PATH_PARTS */
	ESC_PATH_DELETED = 2, /* no name leads to it any more */
};

/*
 * esc_path writes the path of p below root at the end of b->at[0..ESC_PATH)
 * and says in *from where it begins. root may be NULL: then the path is that
 * of the mount namespace. It answers flags, or a negative number when the
 * kernel could not be read.
 */
static __always_inline int esc_path(struct esc_pathbuf *b, struct path *p, struct path *root, u32 *from)
{
	struct dentry *d = BPF_CORE_READ(p, dentry), *rd = NULL;
	struct vfsmount *v = BPF_CORE_READ(p, mnt), *rv = NULL;
	struct mount *m = (void *)v - bpf_core_field_offset(struct mount, mnt);
	u32 off = ESC_PATH;
	int flags = ESC_PATH_CUT;

	if (root) {
		rd = BPF_CORE_READ(root, dentry);
		rv = BPF_CORE_READ(root, mnt);
	}
	if (BPF_CORE_READ(d, d_inode) && BPF_CORE_READ(d, d_inode, i_nlink) == 0)
		flags |= ESC_PATH_DELETED;

	for (int i = 0; i < ESC_PATH_PARTS; i++) {
		struct dentry *parent = BPF_CORE_READ(d, d_parent);

		if (d == rd && v == rv) {
			flags &= ~ESC_PATH_CUT;
			break;
		}
		if (d == BPF_CORE_READ(v, mnt_root)) {
			struct mount *up = BPF_CORE_READ(m, mnt_parent);
			if (up == m) {
				flags &= ~ESC_PATH_CUT;
				break;
			}
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = up;
			v = (void *)m + bpf_core_field_offset(struct mount, mnt);
			continue;
		}
		if (d == parent) {
			flags &= ~ESC_PATH_CUT;
			break;
		}
		u32 len = BPF_CORE_READ(d, d_name.len) & 255;
		if (off < len + 1)
			break;
		off -= len + 1;
		off &= ESC_PATH - 1;
		b->at[off] = '/';
		if (bpf_probe_read_kernel(b->at + off + 1, len, BPF_CORE_READ(d, d_name.name)))
			return -1;
		d = parent;
	}
	if (off == ESC_PATH) { /* a root, or what hangs nowhere: memfd:x */
		char first = 0;
		u32 len = BPF_CORE_READ(d, d_name.len) & 255;

		bpf_probe_read_kernel(&first, 1, BPF_CORE_READ(d, d_name.name));
		if (first == '/')
			len = 0;
		off = ESC_PATH - 1 - len;
		b->at[off] = '/';
		if (bpf_probe_read_kernel(b->at + off + 1, len, BPF_CORE_READ(d, d_name.name)))
			return -1;
	}
	*from = off;
	return flags;
}

#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994

/* Where content lives; internal/kernel/record.go has the same list. */
enum esc_source {
	ESC_SRC_UNKNOWN = 0,
	ESC_SRC_HOST,
	ESC_SRC_IMAGE, /* lower layer of an overlay */
	ESC_SRC_UPPER,
	ESC_SRC_TMPFS,
	ESC_SRC_MEMFD,
};

static __always_inline u8 esc_source(struct inode *i)
{
	unsigned long magic = BPF_CORE_READ(i, i_sb, s_magic);

	if (magic == OVERLAYFS_SUPER_MAGIC) {
		/* overlayfs may be a module whose types are not those of the kernel's
		 * own BTF: then only "unknown" can be said here */
		if (!bpf_core_type_exists(struct ovl_inode))
			return ESC_SRC_UNKNOWN;
		struct ovl_inode *o = (void *)i - bpf_core_field_offset(struct ovl_inode, vfs_inode);
		return BPF_CORE_READ(o, __upperdentry) ? ESC_SRC_UPPER : ESC_SRC_IMAGE;
	}
	if (magic == TMPFS_MAGIC)
		return BPF_CORE_READ(i, i_nlink) ? ESC_SRC_TMPFS : ESC_SRC_MEMFD;
	return ESC_SRC_HOST;
}

#endif
