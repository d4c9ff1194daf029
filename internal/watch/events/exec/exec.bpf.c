//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * A program was executed: after the point of no return, before its first
 * instruction. Source of every word is the kernel, but for argv, which is read
 * from the new stack that the kernel has just written.
 */
#include "process.h"
#include "path.h"

#define MAX_ARGS (64 << 10)

struct exec_record {
	struct esc_head head;
	struct esc_facts facts;
	u32 args_len; /* as read; NUL between arguments */
	u32 argc;
	u16 exe_len, filename_len, interp_len; /* without NUL */
	u8 source;     /* enum esc_source */
	u8 path_flags; /* ESC_PATH_* of exe */
	u8 args_cut;
	u8 args_unread;
	u8 stdin_socket;
	u8 stdin_family; /* AF_*, of a socket */
	u8 pad[4];
};

/* exe, filename, interp and args follow the record. */
struct exec_buffer {
	struct exec_record r;
	char tail[3 * ESC_PATH + MAX_ARGS + ESC_PATH];
};

/* One entry a CPU (an entry of a per-CPU map may not exceed 32 KiB); made so
 * long by Go. The tracepoint runs with preemption off. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct exec_buffer);
} esc_cpu_exec SEC(".maps");

#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* Is standard input a socket, and of which family? */
static __always_inline void stdin_socket(struct exec_record *r, struct task_struct *t)
{
	struct fdtable *ft = BPF_CORE_READ(t, files, fdt);
	struct file **fds = BPF_CORE_READ(ft, fd);
	struct file *f = NULL;

	r->stdin_socket = r->stdin_family = 0;
	if (!BPF_CORE_READ(ft, max_fds) || bpf_probe_read_kernel(&f, sizeof f, fds) || !f)
		return;
	if ((BPF_CORE_READ(f, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return;
	struct socket *s = BPF_CORE_READ(f, private_data);
	r->stdin_socket = 1;
	r->stdin_family = BPF_CORE_READ(s, sk, __sk_common.skc_family);
}

ESC_RECORD(exec_record);

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *t, pid_t old, struct linux_binprm *bprm)
{
	u32 cpu = bpf_get_smp_processor_id(), zero = 0, from = 0, off = 0;
	struct exec_buffer *b = bpf_map_lookup_elem(&esc_cpu_exec, &cpu);
	struct esc_pathbuf *p = bpf_map_lookup_elem(&esc_paths, &zero);

	if (!b || !p) {
		esc_lose(ESC_EXEC, ESC_LOSS_READ, esc_cgroup_id(t));
		return 0;
	}
	struct exec_record *r = &b->r;
	esc_head(&r->head, ESC_EXEC, t);
	esc_facts(&r->facts, t);

	struct file *exe = BPF_CORE_READ(t, mm, exe_file);
	r->source = esc_source(BPF_CORE_READ(exe, f_inode));
	stdin_socket(r, t);
	int flags = esc_path(p, &exe->f_path, &t->fs->root, &from);
	r->path_flags = flags < 0 ? 0 : flags;
	r->exe_len = 0;
	if (flags >= 0 && from < ESC_PATH) {
		u32 len = (ESC_PATH - from) & (2 * ESC_PATH - 1);
		if (len <= ESC_PATH && bpf_probe_read_kernel(b->tail, len, p->at + (from & (ESC_PATH - 1))) == 0)
			r->exe_len = off = len;
	}

	long n = bpf_probe_read_kernel_str(b->tail + (off & (2 * ESC_PATH - 1)), ESC_PATH, BPF_CORE_READ(bprm, filename));
	r->filename_len = n > 0 ? n - 1 : 0;
	off += r->filename_len;
	n = bpf_probe_read_kernel_str(b->tail + (off & (4 * ESC_PATH - 1)), ESC_PATH, BPF_CORE_READ(bprm, interp));
	r->interp_len = n > 0 ? n - 1 : 0;
	off += r->interp_len;

	u64 start = BPF_CORE_READ(t, mm, arg_start), end = BPF_CORE_READ(t, mm, arg_end);
	u64 len = end - start;
	r->argc = BPF_CORE_READ(bprm, argc);
	r->args_cut = len > MAX_ARGS - 1;
	r->args_unread = 0;
	if (len > MAX_ARGS - 1)
		len = MAX_ARGS - 1;
	len &= MAX_ARGS - 1;
	off &= 4 * ESC_PATH - 1;
	if (off > 3 * ESC_PATH)
		off = 3 * ESC_PATH;
	if (bpf_probe_read_user(b->tail + off, len, (void *)start)) {
		r->args_unread = 1;
		len = 0;
	}
	r->args_len = len;
	u32 size = sizeof(struct exec_record) + off + len;
	if (size <= sizeof(struct exec_buffer))
		esc_emit(&esc_process, b, size);
	return 0;
}
