//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * bpf(2) by who may: the call asks for BPF or SYS_ADMIN, and is looked at where
 * it is granted (the tracepoint exists since 6.14).
 */
#include "syscall.h"

struct bpf_record {
	struct esc_head head;
	u32 cmd;
	u32 type; /* of the program or map, as the caller wrote it */
};
ESC_RECORD(bpf_record);
ESC_ASKED_MAP(bpf_asked);

#define CAP_SYS_ADMIN 21
#define CAP_BPF 39

SEC("tp_btf/cap_capable")
int BPF_PROG(bpf_asked_for, const struct cred *cred, struct user_namespace *target,
	     const struct user_namespace *capable, int cap, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct bpf_record r = {};
	struct esc_call c;

	if ((cap != CAP_BPF && cap != CAP_SYS_ADMIN) || ret)
		return 0;
	esc_called(&c);
	if (!esc_is(&c, ESC_NR(321, 357, 280)) || !esc_wanted(t) || !esc_first(&bpf_asked, &c, BPF_CORE_READ(t, pid)))
		return 0;
	esc_head(&r.head, ESC_BPF, t);
	r.cmd = c.arg[0];
	bpf_probe_read_user(&r.type, sizeof r.type, (void *)c.arg[1]);
	esc_act(&r, sizeof r);
	return 0;
}
