/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * The kernel's types, as far as esclusa's programs read them. Every field is
 * found by BTF when a program is loaded (CO-RE), so only names and types
 * matter here, never offsets. Kernel 5.10 to 6.18; where a name changed, the
 * new one stands beside the old with a triple underscore.
 */
#ifndef ESCLUSA_TYPES_H
#define ESCLUSA_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u16 __sum16;
typedef u32 pid_t;
typedef u16 umode_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_CGROUP_STORAGE = 19,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_NO_PREALLOC = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };
enum { BPF_F_CURRENT_CPU = 0xffffffff };

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#endif

struct ns_common { u32 inum; };
struct uts_namespace { struct ns_common ns; };
struct ipc_namespace { struct ns_common ns; };
struct mnt_namespace { struct ns_common ns; };
struct pid_namespace { struct ns_common ns; u32 level; };
struct net { struct ns_common ns; };
struct cgroup_namespace { struct ns_common ns; };
struct user_namespace { struct ns_common ns; s32 level; struct user_namespace *parent; };
struct nsproxy {
	struct uts_namespace *uts_ns;
	struct ipc_namespace *ipc_ns;
	struct mnt_namespace *mnt_ns;
	struct pid_namespace *pid_ns_for_children;
	struct net *net_ns;
	struct cgroup_namespace *cgroup_ns;
};

struct upid { s32 nr; struct pid_namespace *ns; };
struct pid { u32 level; struct upid numbers[1]; };

typedef struct { u32 val; } kuid_t;
typedef struct { u32 val; } kgid_t;
/* two u32 until 6.2, one u64 since: the same eight bytes on little endian */
typedef struct { u64 val; } kernel_cap_t;
struct cred {
	kuid_t uid, euid;
	kgid_t gid, egid;
	kernel_cap_t cap_effective;
	kernel_cap_t cap_permitted;
	struct user_namespace *user_ns;
};

struct kernfs_node { u64 id; const char *name; struct kernfs_node *parent; };
struct cgroup_root;
struct cgroup { struct kernfs_node *kn; int level; struct cgroup_root *root; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[16]; struct cgroup *dfl_cgrp; };
enum cgroup_subsys_id { cpuset_cgrp_id, pids_cgrp_id, memory_cgrp_id };

struct file_system_type { const char *name; };
struct super_block { u32 s_dev; unsigned long s_magic; struct file_system_type *s_type; };
struct inode {
	umode_t i_mode;
	unsigned int i_nlink;
	unsigned long i_ino;
	s64 i_size;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
};
struct qstr { u32 hash; u32 len; const unsigned char *name; };
struct dentry { struct dentry *d_parent; struct qstr d_name; struct inode *d_inode; struct super_block *d_sb; };
struct vfsmount { struct dentry *mnt_root; struct super_block *mnt_sb; };
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct path f_path; struct inode *f_inode; unsigned int f_mode; void *private_data; };
struct sock_common { unsigned short skc_family; };
struct sock { struct sock_common __sk_common; };
struct socket { struct sock *sk; };
struct fdtable { unsigned int max_fds; struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root, pwd; };
struct ovl_inode { struct inode vfs_inode; struct dentry *__upperdentry; };

struct mm_struct { unsigned long arg_start, arg_end; struct file *exe_file; };
struct linux_binprm { struct file *file; const char *filename; const char *interp; int argc; struct mm_struct *mm; };

typedef struct { int counter; } atomic_t;
struct signal_struct { atomic_t live; };
struct task_struct {
	u32 flags;
	pid_t pid, tgid;
	u64 start_boottime;
	int exit_code;
	char comm[16];
	struct task_struct *real_parent, *group_leader;
	const struct cred *cred, *real_cred;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	struct css_set *cgroups;
	struct signal_struct *signal;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

/* contexts that are part of the kernel's interface: fixed layout */
struct bpf_sysctl { u32 write; u32 file_pos; };

struct bpf_sock_addr {
	u32 user_family;
	u32 user_ip4;
	u32 user_ip6[4];
	u32 user_port;
	u32 family;
	u32 type;
	u32 protocol;
	u32 msg_src_ip4;
	u32 msg_src_ip6[4];
	u64 sk;
};
struct bpf_sockopt { u64 sk; u64 optval; u64 optval_end; s32 level; s32 optname; s32 optlen; s32 retval; };
struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; };

#endif
