package fields

import (
	"net/netip"

	"github.com/esclusa/esclusa"
)

func text(name, doc string, values ...string) *Field {
	return &Field{Path: name, Type: Text, Doc: doc, Values: values, Coarse: values != nil}
}
func number(name, doc string) *Field { return &Field{Path: name, Type: Number, Doc: doc} }
func truth(name, doc string) *Field  { return &Field{Path: name, Type: Bool, Doc: doc} }
func list(name, doc string) *Field   { return &Field{Path: name, Type: List, Doc: doc} }

// kindFields are what the families of events emit, and what is derived from it.
func kindFields(kind esclusa.EventKind) []*Field {
	switch kind {
	case esclusa.EventExec:
		return []*Field{
			text("file", "The path that was asked to be executed: of a script the script, of a link the link."),
			text("script", "The script, where an interpreter runs it."),
			text("interpreter", "The script's interpreter."),
			truth("stdinSocket", "Standard input is a socket."),
			text("stdinFamily", "The family of that socket; empty where there is none.", "", "ip4", "ip6", "unix", "other"),
		}
	case esclusa.EventExit:
		return []*Field{
			number("status", "What it gave to exit, 0 to 255."),
			number("signal", "The number of the signal that ended it; 0 when it ended by itself."),
		}
	case esclusa.EventNamespace:
		return []*Field{
			text("op", "How it came there.", "setns", "unshare", "clone"),
			list("types", "Which namespaces: mnt, pid, net, user, ipc, uts, cgroup, time."),
			truth("initial", "One of them is the host's first."),
		}
	case esclusa.EventCredential:
		return []*Field{
			number("oldUid", "The user id before; process.uid is the new one."),
			number("oldEuid", "The effective user id before; process.euid is the new one."),
			text("oldExe", "What it ran when it was last seen: process.exe, unless it has executed something since."),
			list("gained", "Effective capabilities that it did not have before, such as sys_admin."),
		}
	case esclusa.EventCapability:
		return []*Field{
			text("capability", "The capability that was asked for: lower case, without CAP_, such as sys_admin."),
			truth("granted", "The process had it."),
		}
	case esclusa.EventConnect, esclusa.EventAccept, esclusa.EventBind, esclusa.EventDNS:
		return networkFields(kind)
	case esclusa.EventFile:
		return fileFields()
	case esclusa.EventMount:
		return []*Field{
			text("op", "What was done.", "mount", "bind", "remount", "move", "umount", "pivot_root"),
			text("source", "What is mounted: a device, a path or a word."),
			text("target", "Where, in the process's root."),
			text("type", "The type of file system; empty where there is none to say."),
			list("flags", "ro, nosuid, noexec, nodev, rec, shared, slave, private."),
		}
	case esclusa.EventGuard:
		return []*Field{
			text("guard", "The guard."),
			text("patch", "The patch that set it, such as CVE-2022-0811."),
			truth("refused", "The act was refused; otherwise it would have been."),
			text("detail", "What was tried."),
		}
	case esclusa.EventLoss:
		return []*Field{
			text("kind", "The kind of the events that were lost."),
			text("reason", "Why."),
			number("count", "How many."),
		}
	}
	return interfaceFields(kind)
}

// interfaceFields are those of the rarer kernel interfaces.
func interfaceFields(kind esclusa.EventKind) []*Field {
	switch kind {
	case esclusa.EventPtrace:
		return []*Field{
			text("op", "What was done: read and write are of its memory or registers.",
				"attach", "seize", "read", "write"),
			number("targetPid", "The other process."),
			text("targetName", "Its name."),
			truth("outside", "It runs in another container, or on the host."),
		}
	case esclusa.EventBPF:
		return []*Field{
			text("cmd", "The command in lower case, such as prog_load or map_create."),
			text("type", "The type of the program that is loaded, or the map that is made, such as kprobe."),
		}
	case esclusa.EventIOUring:
		return []*Field{
			text("op", "What was done: create is io_uring_setup.", "create"),
			number("entries", "The size of the ring."),
			number("flags", "The flags of io_uring_setup(2)."),
		}
	case esclusa.EventModule:
		return []*Field{
			text("op", "What was done.", "load", "unload"),
			text("name", "The module."),
		}
	case esclusa.EventKeyctl:
		return []*Field{
			text("op", "The operation in lower case, such as add_key, request_key, join_session_keyring or read."),
			text("type", "The type of key, such as user or keyring."),
			text("description", "The key's description."),
		}
	case esclusa.EventUserfault:
		return []*Field{truth("kernelFaults", "Faults that happen inside the kernel are handed over as well.")}
	case esclusa.EventSysctl:
		return []*Field{
			text("name", "The setting that is written, with dots: kernel.core_pattern."),
			text("value", "What is written, without the line end."),
		}
	case esclusa.EventSignal:
		return []*Field{
			text("signal", "The signal's name, such as SIGKILL."),
			number("targetPid", "Who gets it."),
			text("targetName", "Its name."),
			truth("outside", "It runs in another container, or on the host."),
		}
	}
	return nil // a fork is told by its process alone
}

func fileFields() []*Field {
	mode := func(e *esclusa.Event) int64 {
		if e.Kind != esclusa.EventFile {
			return 0
		}
		f, _ := e.Fields.Get("mode")
		if f == nil {
			return 0
		}
		return f.Number
	}
	return []*Field{
		text("path", "The file, in the process's root; of rename and link the new name."),
		text("op", "What was done: read and write are an open for it.", "read", "create", "write", "rename", "chmod", "link"),
		text("oldPath", "Of rename the name before; of link what it leads to."),
		number("mode", "The permission bits; 0 where they are not known."),
		{
			Path: "setuid", Type: Bool, Derived: true, Doc: "The mode has setuid or setgid with execute permission.",
			flag: func(e *esclusa.Event) bool { m := mode(e); return m&0o6000 != 0 && m&0o111 != 0 },
		},
		{
			Path: "executable", Type: Bool, Derived: true, Doc: "The mode has an execute permission.",
			flag: func(e *esclusa.Event) bool { return mode(e)&0o111 != 0 },
		},
	}
}

func networkFields(kind esclusa.EventKind) []*Field {
	if kind == esclusa.EventDNS {
		return []*Field{
			text("name", "The name that was asked for: lower case, without the last dot."),
			text("type", "The type of record, such as A or TXT."),
		}
	}
	whose := map[esclusa.EventKind]string{
		esclusa.EventConnect: "where it connects to", esclusa.EventAccept: "who connected",
		esclusa.EventBind: "what it binds to",
	}[kind]
	out := []*Field{
		text("address", "The IP address of "+whose+"; IPv4 in IPv6 as IPv4."),
		number("port", "The port of "+whose+"."),
		text("family", "The family of addresses.", "ip4", "ip6", "unix"),
		{Path: "protocol", Type: Text, Coarse: true, Doc: "tcp, udp, icmp, icmp6 or sctp, or IANA's number."},
		text("path", "The path of a unix socket; an abstract name begins with @."),
	}
	switch kind {
	case esclusa.EventConnect:
		out = append(out, text("name", "The name that was looked up for the address, where one was seen."))
	case esclusa.EventAccept:
		out = append(out, number("localPort", "The port that it came in by."))
	}
	return append(out, &Field{
		Path: "scope", Type: Text, Coarse: true, Derived: true, Values: scopes(), Doc: "How far the address reaches; empty for none.",
		text: func(e *esclusa.Event) string {
			if e.Kind != kind {
				return ""
			}
			if f, ok := e.Fields.Get("address"); ok {
				return scope(f.Text)
			}
			return ""
		},
	})
}

func scopes() []string {
	return []string{"", "any", "loopback", "link", "private", "multicast", "public"}
}

func scope(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap()
	switch {
	case ip.IsUnspecified():
		return "any"
	case ip.IsLoopback():
		return "loopback"
	case ip.IsLinkLocalUnicast():
		return "link"
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "multicast"
	// RFC 6598: what providers and some clusters use inside.
	case ip.IsPrivate(), netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(ip):
		return "private"
	}
	return "public"
}
