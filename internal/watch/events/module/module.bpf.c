//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* Kernel modules coming and going, by whose call. A kernel without modules has
 * neither tracepoint. */
#include "esclusa.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct module { char name[56]; };
#pragma clang attribute pop

struct module_record {
	struct esc_head head;
	u32 gone;
	u32 pad;
	char name[56];
};
ESC_RECORD(module_record);

static __always_inline int tell(struct module *m, u32 gone)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct module_record r = {};

	if (!esc_wanted(t))
		return 0;
	esc_head(&r.head, ESC_MODULE, t);
	r.gone = gone;
	bpf_probe_read_kernel_str(r.name, sizeof r.name, &m->name);
	esc_act(&r, sizeof r);
	return 0;
}

SEC("tp_btf/module_load")
int BPF_PROG(module_loaded, struct module *m)
{
	return tell(m, 0);
}

SEC("tp_btf/module_free")
int BPF_PROG(module_unloaded, struct module *m)
{
	return tell(m, 1);
}
