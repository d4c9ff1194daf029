//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* What bind(2) is asked for, before it is done. Attached to the root cgroup. */
#include "net.h"

SEC("cgroup/bind4")
int bind_ip4(struct bpf_sock_addr *c)
{
	esc_net4(c, ESC_BIND);
	return 1; /* never refuses */
}

SEC("cgroup/bind6")
int bind_ip6(struct bpf_sock_addr *c)
{
	esc_net6(c, ESC_BIND);
	return 1;
}
