/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Which system call a task is in, where a tracepoint that few calls reach does
 * not say: no system call pays for being looked at. Needs bpf_task_pt_regs
 * (5.15).
 */
#ifndef ESCLUSA_SYSCALL_H
#define ESCLUSA_SYSCALL_H

#include "esclusa.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#if defined(__TARGET_ARCH_x86)
struct thread_info___esc { u32 status; };
struct task_struct___esc { struct thread_info___esc thread_info; };
struct pt_regs___esc { unsigned long orig_ax, di, si, dx, r10, r8, bx, cx, bp; };
#define ESC_TS_COMPAT 2 /* came in by the 32-bit entry */
#define ESC_NR(amd64, i386, generic) ((struct esc_nr){amd64, i386})
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs___esc { u64 regs[31]; u64 orig_x0; s32 syscallno; };
#define ESC_NR(amd64, i386, generic) ((struct esc_nr){generic, -1})
#endif
#pragma clang attribute pop

/* A call's number, of 64-bit and 32-bit programs; -1 is none. */
struct esc_nr {
	s32 native, compat;
};

/* A call as it was entered: the arguments are the registers, which the caller
 * cannot change any more. What they point to it can. */
struct esc_call {
	s32 nr;
	bool compat;
	u64 arg[5];
};

static __always_inline void esc_called(struct esc_call *c)
{
	struct task_struct *t = bpf_get_current_task_btf();
	struct pt_regs___esc *r = (void *)bpf_task_pt_regs(t);

#if defined(__TARGET_ARCH_x86)
	c->nr = BPF_CORE_READ(r, orig_ax);
	c->compat = BPF_CORE_READ((struct task_struct___esc *)t, thread_info.status) & ESC_TS_COMPAT;
	if (c->compat) {
		c->arg[0] = (u32)BPF_CORE_READ(r, bx);
		c->arg[1] = (u32)BPF_CORE_READ(r, cx);
		c->arg[2] = (u32)BPF_CORE_READ(r, dx);
		c->arg[3] = (u32)BPF_CORE_READ(r, si);
		c->arg[4] = (u32)BPF_CORE_READ(r, di);
		return;
	}
	c->arg[0] = BPF_CORE_READ(r, di);
	c->arg[1] = BPF_CORE_READ(r, si);
	c->arg[2] = BPF_CORE_READ(r, dx);
	c->arg[3] = BPF_CORE_READ(r, r10);
	c->arg[4] = BPF_CORE_READ(r, r8);
#elif defined(__TARGET_ARCH_arm64)
	c->nr = BPF_CORE_READ(r, syscallno);
	c->compat = false;
	c->arg[0] = BPF_CORE_READ(r, orig_x0);
	c->arg[1] = BPF_CORE_READ(r, regs[1]);
	c->arg[2] = BPF_CORE_READ(r, regs[2]);
	c->arg[3] = BPF_CORE_READ(r, regs[3]);
	c->arg[4] = BPF_CORE_READ(r, regs[4]);
#endif
}

static __always_inline bool esc_is(const struct esc_call *c, struct esc_nr nr)
{
	return c->nr == (c->compat ? nr.compat : nr.native);
}

/*
 * One call may ask several times. The same call of the same thread, with the
 * same arguments, is told once in ESC_CALL_AGAIN.
 */
#define ESC_CALL_AGAIN 10000000ULL /* ns */
struct esc_asked {
	u32 tid;
	s32 nr;
	u64 arg[4];
};
#define ESC_ASKED_MAP(name)                                                                                            \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);                                                                   \
		__uint(max_entries, 1024);                                                                             \
		__type(key, struct esc_asked);                                                                         \
		__type(value, u64);                                                                                    \
	} name SEC(".maps")

static __always_inline bool esc_first(void *map, const struct esc_call *c, u32 tid)
{
	struct esc_asked k = {.tid = tid, .nr = c->nr, .arg = {c->arg[0], c->arg[1], c->arg[2], c->arg[3]}};
	u64 now = bpf_ktime_get_boot_ns(), *last = bpf_map_lookup_elem(map, &k);

	if (last && now - *last < ESC_CALL_AGAIN)
		return false;
	bpf_map_update_elem(map, &k, &now, BPF_ANY);
	return true;
}

#endif
