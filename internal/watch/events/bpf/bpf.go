// Package bpf sees bpf(2) being called by who may.
package bpf

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventBPF, Record: kernel.BPF,
		Object: kernel.Object{Name: "bpf", Spec: loadBpf, Optional: true},
		Decode: decode,
		Lost:   "programs being loaded into the kernel",
	}
}

func decode(b []byte, e *esclusa.Event) error {
	var r bpfBpfRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	cmd := name(commands[:], binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Cmd):]))
	e.Fields = append(e.Fields, esclusa.Text("cmd", cmd))
	typ := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Type):])
	switch cmd { // the attributes of these two begin with the type
	case "prog_load":
		e.Fields = append(e.Fields, esclusa.Text("type", name(programs[:], typ)))
	case "map_create":
		e.Fields = append(e.Fields, esclusa.Text("type", name(maps[:], typ)))
	}
	return nil
}

// name is the word for a number, or the number where it has none yet.
func name(list []string, n uint32) string {
	if int64(n) < int64(len(list)) {
		return list[n]
	}
	return strconv.FormatUint(uint64(n), 10)
}

// The lists are those of enum bpf_cmd, bpf_prog_type and bpf_map_type.
var (
	commands = [...]string{
		"map_create", "map_lookup_elem", "map_update_elem", "map_delete_elem", "map_get_next_key", "prog_load", "obj_pin", "obj_get",
		"prog_attach", "prog_detach", "prog_test_run", "prog_get_next_id", "map_get_next_id", "prog_get_fd_by_id", "map_get_fd_by_id",
		"obj_get_info_by_fd", "prog_query", "raw_tracepoint_open", "btf_load", "btf_get_fd_by_id", "task_fd_query",
		"map_lookup_and_delete_elem", "map_freeze", "btf_get_next_id", "map_lookup_batch", "map_lookup_and_delete_batch",
		"map_update_batch", "map_delete_batch", "link_create", "link_update", "link_get_fd_by_id", "link_get_next_id", "enable_stats",
		"iter_create", "link_detach", "prog_bind_map", "token_create",
	}
	programs = [...]string{
		"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb", "cgroup_sock",
		"lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr",
		"lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt",
		"tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
	}
	maps = [...]string{
		"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace", "cgroup_array",
		"lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap", "sockhash",
		"cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage", "devmap_hash", "struct_ops",
		"ringbuf", "inode_storage", "task_storage", "bloom_filter", "user_ringbuf", "cgrp_storage", "arena",
	}
)
