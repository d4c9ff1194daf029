//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * ptrace(2) on another process. Two tracepoints tell of it that little else
 * reaches: the stop that an attach sends, and the wait for the stopped one with
 * which every later request begins. Hold, read and write of one process by
 * another are each told once a second.
 *
 * process_vm_readv, process_vm_writev and /proc/PID/mem reach neither.
 */
#include "syscall.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct___ptrace { unsigned int ptrace; };
#pragma clang attribute pop

enum {
	PTRACE_OP_ATTACH = 1,
	PTRACE_OP_SEIZE,
	PTRACE_OP_READ,
	PTRACE_OP_WRITE,
};

struct ptrace_record {
	struct esc_head head;
	u64 target_cgroup;
	u32 target_pid;
	u32 op; /* PTRACE_OP_* */
	char target_name[16];
};
ESC_RECORD(ptrace_record);

struct held {
	u32 tracer, target, op;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct held);
	__type(value, u64);
} ptrace_held SEC(".maps");

#define SIGSTOP 19
#define PT_SEIZED 0x10000

static __always_inline int tell(struct task_struct *target, u32 op)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct ptrace_record r = {};

	if (!esc_wanted(t))
		return 0;
	struct held k = {bpf_get_current_pid_tgid() >> 32, BPF_CORE_READ(target, tgid), op};
	u64 now = bpf_ktime_get_boot_ns(), *last = bpf_map_lookup_elem(&ptrace_held, &k);
	if (last && now - *last < 1000000000)
		return 0;
	bpf_map_update_elem(&ptrace_held, &k, &now, BPF_ANY);
	esc_head(&r.head, ESC_PTRACE, t);
	r.target_cgroup = esc_cgroup_id(target);
	r.target_pid = k.target;
	r.op = op;
	bpf_probe_read_kernel_str(r.target_name, sizeof r.target_name, &target->comm);
	esc_act(&r, sizeof r);
	return 0;
}

static __always_inline bool tracing(struct esc_call *c)
{
	esc_called(c);
	return esc_is(c, ESC_NR(101, 26, 117));
}

SEC("tp_btf/signal_generate")
int BPF_PROG(ptrace_attached, int sig, void *info, struct task_struct *target, int group, int result)
{
	struct esc_call c;

	/* 1 is the kernel's own */
	if (sig != SIGSTOP || info != (void *)1 || !tracing(&c))
		return 0;
	return tell(target, PTRACE_OP_ATTACH);
}

SEC("tp_btf/sched_wait_task")
int BPF_PROG(ptrace_requested, struct task_struct *target)
{
	struct esc_call c;

	if (!tracing(&c))
		return 0;
	if (BPF_CORE_READ((struct task_struct___ptrace *)target, ptrace) & PT_SEIZED)
		tell(target, PTRACE_OP_SEIZE);
	switch (c.arg[0]) {
	case 1: /* PEEKTEXT */
	case 2: /* PEEKDATA */
		return tell(target, PTRACE_OP_READ);
	case 4: /* POKETEXT */
	case 5: /* POKEDATA */
	case 6: /* POKEUSER */
	case 13: /* SETREGS */
	case 15: /* SETFPREGS */
	case 0x4205: /* SETREGSET */
		return tell(target, PTRACE_OP_WRITE);
	}
	return 0;
}
