//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0 OR Apache-2.0) */
/* What connect(2) is asked for, before it is done. Attached to the root cgroup. */
#include "net.h"

SEC("cgroup/connect4")
int connect_ip4(struct bpf_sock_addr *c)
{
	esc_net4(c, ESC_CONNECT);
	return 1; /* never refuses */
}

SEC("cgroup/connect6")
int connect_ip6(struct bpf_sock_addr *c)
{
	esc_net6(c, ESC_CONNECT);
	return 1;
}
