//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/*
 * Names that are asked for: what goes out by UDP to port 53. Attached to the
 * root cgroup; a datagram leaves while its sender is still in the call, so the
 * task at hand is who asks.
 */
#include "esclusa.h"

struct __sk_buff { u32 len; };

#define DNS_KEPT 512 /* more than a head, the longest name, a type and a class */

struct dns_record {
	struct esc_head head;
	u32 len; /* of data */
	u32 pad;
	u8 data[DNS_KEPT];
};
ESC_RECORD(dns_record);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct dns_record);
} dns_scratch SEC(".maps");

#define UDP 17
#define DNS_PORT 53

SEC("cgroup_skb/egress")
int dns_asked(struct __sk_buff *skb)
{
	u8 b[4], proto = 0;
	u32 off = 40, zero = 0;

	if (bpf_skb_load_bytes(skb, 0, b, 1))
		return 1; /* never refuses */
	if (b[0] >> 4 == 4) {
		off = (b[0] & 15) * 4;
		bpf_skb_load_bytes(skb, 9, &proto, 1);
	} else {
		bpf_skb_load_bytes(skb, 6, &proto, 1);
	}
	if (proto != UDP || bpf_skb_load_bytes(skb, off, b, 4) || (b[2] << 8 | b[3]) != DNS_PORT)
		return 1;
	struct task_struct *t = (void *)bpf_get_current_task();
	struct dns_record *r = bpf_map_lookup_elem(&dns_scratch, &zero);
	off += 8;
	if (!r || skb->len <= off || BPF_CORE_READ(t, tgid) == (u32)esc_setting(ESC_SET_SELF) || !esc_wanted(t))
		return 1;
	u32 len = skb->len - off;
	if (len > DNS_KEPT - 1)
		len = DNS_KEPT - 1;
	barrier_var(len); /* else the bound is lost on the verifier */
	len &= DNS_KEPT - 1;
	esc_head(&r->head, ESC_DNS, t);
	r->len = len;
	if (len < 1 || bpf_skb_load_bytes(skb, off, r->data, len)) {
		esc_lose(ESC_DNS, ESC_LOSS_READ, r->head.cgroup);
		return 1;
	}
	esc_act(r, sizeof *r);
	return 1;
}
