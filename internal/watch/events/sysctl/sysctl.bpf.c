//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Writes to files below /proc/sys, before they take effect. At the root cgroup
 * every mount and alias of them is seen. */
#include "esclusa.h"

struct sysctl_record {
	struct esc_head head;
	char name[64];   /* "kernel/core_pattern" */
	char value[256]; /* what is written */
	u32 value_len;   /* may be more than is kept */
	u32 pad;
};
ESC_RECORD(sysctl_record);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sysctl_record);
} sysctl_scratch SEC(".maps");

SEC("cgroup/sysctl")
int sysctl_write(struct bpf_sysctl *c)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	u32 zero = 0;
	struct sysctl_record *r = bpf_map_lookup_elem(&sysctl_scratch, &zero);

	if (!c->write || !r || esc_self())
		return 1; /* never refuses */
	esc_head(&r->head, ESC_SYSCTL, t);
	__builtin_memset(r->name, 0, sizeof r->name);
	if (bpf_sysctl_get_name(c, r->name, sizeof r->name, 0) < 0)
		r->name[sizeof r->name - 1] = 0; /* cut: the end is missing */
	long n = bpf_sysctl_get_new_value(c, r->value, sizeof r->value);
	if (n < 0) { /* longer than the buffer: what fits is there */
		r->value_len = sizeof r->value;
		r->value[sizeof r->value - 1] = 0;
	} else {
		r->value_len = n;
	}
	esc_act(r, sizeof *r);
	return 1;
}
