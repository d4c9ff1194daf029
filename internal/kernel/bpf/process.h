/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* What is told of a process wherever one is new or changed. */
#ifndef ESCLUSA_PROCESS_H
#define ESCLUSA_PROCESS_H

#include "esclusa.h"

struct esc_facts {
	u64 parent_start;
	u32 parent_pid;
	u32 uid, gid, euid, egid;
	u32 ns_mnt, ns_pid, ns_net, ns_user, ns_ipc, ns_uts, ns_cgroup;
	u64 cap_effective;
	char comm[16];
};

static __always_inline void esc_facts(struct esc_facts *f, struct task_struct *t)
{
	struct task_struct *parent = BPF_CORE_READ(t, real_parent);
	const struct cred *c = BPF_CORE_READ(t, real_cred);
	struct nsproxy *ns = BPF_CORE_READ(t, nsproxy);
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid up = {};

	f->parent_pid = BPF_CORE_READ(parent, tgid);
	f->parent_start = BPF_CORE_READ(parent, group_leader, start_boottime);
	f->uid = BPF_CORE_READ(c, uid.val);
	f->gid = BPF_CORE_READ(c, gid.val);
	f->euid = BPF_CORE_READ(c, euid.val);
	f->egid = BPF_CORE_READ(c, egid.val);
	bpf_probe_read_kernel(&f->cap_effective, sizeof f->cap_effective, &c->cap_effective);
	f->ns_user = BPF_CORE_READ(c, user_ns, ns.inum);
	f->ns_mnt = BPF_CORE_READ(ns, mnt_ns, ns.inum);
	f->ns_net = BPF_CORE_READ(ns, net_ns, ns.inum);
	f->ns_ipc = BPF_CORE_READ(ns, ipc_ns, ns.inum);
	f->ns_uts = BPF_CORE_READ(ns, uts_ns, ns.inum);
	f->ns_cgroup = BPF_CORE_READ(ns, cgroup_ns, ns.inum);
	bpf_core_read(&up, bpf_core_type_size(struct upid), &pid->numbers[level & 31]);
	f->ns_pid = BPF_CORE_READ(up.ns, ns.inum);
	bpf_probe_read_kernel_str(f->comm, sizeof f->comm, &t->comm);
}

#endif
