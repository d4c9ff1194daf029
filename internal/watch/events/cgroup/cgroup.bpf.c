//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Cgroups being made and removed, with their paths: so that the container of a
 * process is known from its first instruction. Of all hierarchies only the one
 * is told that the ids of records are of: two hierarchies have the same ids.
 */
#include "esclusa.h"

struct cgroup_record {
	struct esc_head head; /* cgroup: the one that this is about */
	u32 gone;
	u32 path_len;
	char path[4096];
};
ESC_RECORD(cgroup_record);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cgroup_record);
} cgroup_scratch SEC(".maps");

static __always_inline int tell(struct cgroup *c, const char *path, u32 gone)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u32 zero = 0;
	struct cgroup_record *r = bpf_map_lookup_elem(&cgroup_scratch, &zero);

	if (!r || BPF_CORE_READ(c, root) != BPF_CORE_READ(esc_cgroup(t), root))
		return 0;
	esc_head(&r->head, ESC_CGROUP, t);
	r->head.cgroup = BPF_CORE_READ(c, kn, id);
	r->gone = gone;
	long n = bpf_probe_read_kernel_str(r->path, sizeof r->path, path);
	if (n < 1)
		n = 1;
	r->path_len = n - 1;
	u32 size = sizeof(struct cgroup_record) - sizeof r->path + n;
	if (size <= sizeof(struct cgroup_record))
		esc_emit(&esc_process, r, size);
	return 0;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *c, const char *path)
{
	return tell(c, path, 0);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cgroup_gone, struct cgroup *c, const char *path)
{
	return tell(c, path, 1);
}
