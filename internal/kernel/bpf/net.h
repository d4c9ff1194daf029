/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* One address of a socket call. */
#ifndef ESCLUSA_NET_H
#define ESCLUSA_NET_H

#include "esclusa.h"

struct esc_addr {
	u8 ip[16];    /* an IPv4 address takes the first four */
	u32 family;   /* AF_INET 2, AF_INET6 10 */
	u32 protocol; /* IPPROTO_* */
	u16 port;     /* host order */
	u16 type;     /* SOCK_* */
	u32 pad;
};

struct esc_net {
	struct esc_head head;
	struct esc_addr to;
};

/* The context's words are read one by one: the verifier takes nothing else. */
static __always_inline void esc_net4(struct bpf_sock_addr *c, u16 kind)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct esc_net r = {};

	if (!esc_wanted(t))
		return;
	esc_head(&r.head, kind, t);
	r.to.family = 2;
	r.to.protocol = c->protocol;
	r.to.type = c->type;
	r.to.port = __builtin_bswap16(c->user_port);
	*(u32 *)r.to.ip = c->user_ip4;
	esc_act(&r, sizeof r);
}

static __always_inline void esc_net6(struct bpf_sock_addr *c, u16 kind)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct esc_net r = {};
	u32 *ip = (u32 *)r.to.ip;

	if (!esc_wanted(t))
		return;
	esc_head(&r.head, kind, t);
	r.to.family = 10;
	r.to.protocol = c->protocol;
	r.to.type = c->type;
	r.to.port = __builtin_bswap16(c->user_port);
	ip[0] = c->user_ip6[0];
	ip[1] = c->user_ip6[1];
	ip[2] = c->user_ip6[2];
	ip[3] = c->user_ip6[3];
	esc_act(&r, sizeof r);
}

#endif
