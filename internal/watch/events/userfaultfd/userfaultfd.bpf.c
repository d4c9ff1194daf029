//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * userfaultfd(2) for faults inside the kernel: it asks for SYS_PTRACE unless
 * vm.unprivileged_userfaultfd lets everybody (the tracepoint exists since
 * 6.14). Faults of user space alone ask for nothing, and are nobody's business.
 */
#include "syscall.h"

struct userfaultfd_record {
	struct esc_head head;
	u64 flags;
};
ESC_RECORD(userfaultfd_record);

#define CAP_SYS_PTRACE 19

SEC("tp_btf/cap_capable")
int BPF_PROG(userfaultfd_asked_for, const struct cred *cred, struct user_namespace *target,
	     const struct user_namespace *capable, int cap, int ret)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct userfaultfd_record r = {};
	struct esc_call c;

	if (cap != CAP_SYS_PTRACE || ret)
		return 0;
	esc_called(&c);
	if (!esc_is(&c, ESC_NR(323, 374, 282)) || !esc_wanted(t))
		return 0;
	esc_head(&r.head, ESC_USERFAULTFD, t);
	r.flags = c.arg[0];
	esc_act(&r, sizeof r);
	return 0;
}
