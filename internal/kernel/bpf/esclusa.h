/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * What every program of esclusa shares: the rings, the counters, the head of a
 * record, and careful ways to read the kernel. The maps declared here are made
 * once and are the same for all programs that are loaded together.
 */
#ifndef ESCLUSA_H
#define ESCLUSA_H

#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Kinds of records; internal/kernel/record.go has the same list. */
enum esc_kind {
	ESC_EXEC = 1,
	ESC_FORK,
	ESC_EXIT,
	ESC_CGROUP,
	ESC_NAMESPACE,
	ESC_CREDENTIAL,
	ESC_CAPABILITY,
	ESC_CONNECT,
	ESC_ACCEPT,
	ESC_BIND,
	ESC_DNS,
	ESC_FILE,
	ESC_MOUNT,
	ESC_PTRACE,
	ESC_BPF,
	ESC_IO_URING,
	ESC_MODULE,
	ESC_KEYCTL,
	ESC_USERFAULTFD,
	ESC_SYSCTL,
	ESC_SIGNAL,
	ESC_GUARD,
	ESC_KINDS = 32, /* room */
};

/* Why a record was not delivered. */
enum esc_loss {
	ESC_LOSS_RING = 0, /* its ring was full */
	ESC_LOSS_BUDGET,   /* its container had spent its share of this second */
	ESC_LOSS_READ,     /* the kernel could not be read */
	ESC_LOSSES,
};

/* The head of every record, 48 bytes. */
struct esc_head {
	u32 size; /* of the whole record */
	u16 kind;
	u16 flags;
	u64 time;   /* ns since boot */
	u64 start;  /* of the thread group's leader, ns since boot */
	u64 cgroup; /* see esc_cgroup_id */
	u32 pid;    /* thread group */
	u32 tid;
	u32 mntns; /* which mount namespace: a container whose cgroup tells nothing */
	u32 pad;
};

/* Keeps a record's type in the object, where bpf2go finds it for Go. */
#define ESC_RECORD(t) const struct t *t##_kept __attribute__((unused))

struct esc_lost {
	u64 cgroup;
	u16 kind;
	u16 reason;
	u32 pad;
};

/* Three rings: a flood of one does not drown another. Sizes are set by Go. */
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } esc_process SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } esc_activity SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } esc_detection SEC(".maps");

/* Losses by kind, reason and container; when even that table is full, by kind
 * alone, so that the sum always holds. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct esc_lost);
	__type(value, u64);
} esc_losses SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ESC_KINDS * 4);
	__type(key, u32);
	__type(value, u64);
} esc_losses_rest SEC(".maps");

/* How many records of a kind were put into a ring. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ESC_KINDS);
	__type(key, u32);
	__type(value, u64);
} esc_emitted SEC(".maps");

/* Settings: index 0 is the sensor's own thread group, which is not reported;
 * index 1 is 1 when processes of the host are wanted; index 2 is the budget of
 * a container, in records a second, of the activity ring (0: none); index 3
 * is the host's mount namespace. */
enum { ESC_SET_SELF = 0, ESC_SET_HOST, ESC_SET_BUDGET, ESC_SET_MNTNS, ESC_SETTINGS = 8 };
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ESC_SETTINGS);
	__type(key, u32);
	__type(value, u64);
} esc_settings SEC(".maps");

/* A container's spending: the second that it is about, and what was spent. */
struct esc_spent {
	u64 second;
	u64 count;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct esc_spent);
} esc_budget SEC(".maps");

static __always_inline u64 esc_setting(u32 i)
{
	u64 *v = bpf_map_lookup_elem(&esc_settings, &i);
	return v ? *v : 0;
}

static __always_inline void esc_count(void *percpu, u32 i)
{
	u64 *v = bpf_map_lookup_elem(percpu, &i);
	if (v)
		*v += 1;
}

static __always_inline void esc_lose(u16 kind, u16 reason, u64 cgroup)
{
	struct esc_lost key = {.cgroup = cgroup, .kind = kind, .reason = reason};
	u64 one = 1, *v = bpf_map_lookup_elem(&esc_losses, &key);
	if (v) {
		*v += 1;
		return;
	}
	if (bpf_map_update_elem(&esc_losses, &key, &one, BPF_NOEXIST) == 0)
		return;
	v = bpf_map_lookup_elem(&esc_losses, &key); /* another CPU was first */
	if (v)
		*v += 1;
	else
		esc_count(&esc_losses_rest, kind * 4 + reason);
}

/*
 * A task's cgroup. On a host with version 1 controllers containers have no
 * cgroup of the unified hierarchy worth the name, so the one of the pids
 * controller is taken. On a unified host it is the unified one: there the pids
 * controller may be off at the place where the task is.
 */
static __always_inline struct cgroup *esc_cgroup(struct task_struct *t)
{
	int i = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	struct cgroup *pids = BPF_CORE_READ(t, cgroups, subsys[i], cgroup), *dfl = BPF_CORE_READ(t, cgroups, dfl_cgrp);

	if (!pids || BPF_CORE_READ(pids, root) == BPF_CORE_READ(dfl, root))
		return dfl;
	return pids;
}

static __always_inline u64 esc_cgroup_id(struct task_struct *t)
{
	return BPF_CORE_READ(esc_cgroup(t), kn, id);
}

static __always_inline void esc_head(struct esc_head *h, u16 kind, struct task_struct *t)
{
	h->kind = kind;
	h->flags = 0;
	h->time = bpf_ktime_get_boot_ns();
	h->start = BPF_CORE_READ(t, group_leader, start_boottime);
	h->cgroup = esc_cgroup_id(t);
	h->pid = BPF_CORE_READ(t, tgid);
	h->tid = BPF_CORE_READ(t, pid);
	h->mntns = BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum);
	h->pad = 0;
}

/* Is this task the sensor itself? Its own work is not news. */
static __always_inline bool esc_self(void)
{
	return bpf_get_current_pid_tgid() >> 32 == esc_setting(ESC_SET_SELF);
}

/* One more of a container's records this second: false when it spent all. */
static __always_inline bool esc_spend(u64 cgroup)
{
	u64 budget = esc_setting(ESC_SET_BUDGET);
	if (!budget)
		return true;
	u64 now = bpf_ktime_get_boot_ns() >> 30; /* seconds of 1.07 s */
	struct esc_spent *s = bpf_map_lookup_elem(&esc_budget, &cgroup);
	if (!s || s->second != now) {
		struct esc_spent first = {.second = now, .count = 1};
		bpf_map_update_elem(&esc_budget, &cgroup, &first, BPF_ANY);
		return true;
	}
	return __sync_fetch_and_add(&s->count, 1) < budget;
}

/*
 * Is what this task does wanted? A container is told by what makes it one: a
 * pid, mount or user namespace of its own. That holds before anybody has heard
 * of the container, so that one that lives for 10 ms is not missed.
 */
static __always_inline bool esc_wanted(struct task_struct *t)
{
	if (esc_self())
		return false;
	return esc_setting(ESC_SET_HOST) || BPF_CORE_READ(t, thread_pid, level) > 0 ||
	       BPF_CORE_READ(t, nsproxy, mnt_ns, ns.inum) != (u32)esc_setting(ESC_SET_MNTNS) ||
	       BPF_CORE_READ(t, real_cred, user_ns, level) > 0;
}

/* A record is written whole (output) or not at all, and counted either way. */
static __always_inline void esc_output(void *ring, void *record, u32 size, u64 wake)
{
	struct esc_head *h = record;
	h->size = size;
	if (bpf_ringbuf_output(ring, record, size, wake) == 0)
		esc_count(&esc_emitted, h->kind);
	else
		esc_lose(h->kind, ESC_LOSS_RING, h->cgroup);
}
/* One wake-up an event costs more than the event: the reader looks by itself
 * every few milliseconds. Only a detection wakes it at once. */
#define esc_emit(ring, record, size) esc_output(ring, record, size, BPF_RB_NO_WAKEUP)
/* What a process does, as against what it is, has a budget for each container. */
static __always_inline void esc_act(void *record, u32 size)
{
	struct esc_head *h = record;
	if (esc_spend(h->cgroup))
		esc_emit(&esc_activity, record, size);
	else
		esc_lose(h->kind, ESC_LOSS_BUDGET, h->cgroup);
}
#define esc_emit_now(record, size) esc_output(&esc_detection, record, size, BPF_RB_FORCE_WAKEUP)

#endif
