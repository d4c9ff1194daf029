package watch

import (
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/host"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// change is what a process became without anybody telling: an event that is
// derived from two others.
type change struct {
	kind   esclusa.EventKind
	fields esclusa.Fields
}

// namespaces remembers which were seen, to tell one that is entered from one
// that is made.
type namespaces struct {
	seen map[uint32]struct{}
	host esclusa.Namespaces
}

// maxNamespaces bounds what is remembered; when it is reached, all is
// forgotten, and for a while setns is called unshare.
const maxNamespaces = 1 << 16

func (n *namespaces) add(ns *esclusa.Namespaces) {
	if n.seen == nil || len(n.seen) > maxNamespaces {
		n.seen = make(map[uint32]struct{}, 64)
	}
	for _, id := range [...]uint32{ns.Mount, ns.PID, ns.Net, ns.User, ns.IPC, ns.UTS, ns.Cgroup} {
		n.seen[id] = struct{}{}
	}
}

// changes compares what a process was known to be with what it, or a child of
// it, is now. A child has its parent's ids, capabilities and namespaces unless
// clone(2) gave it new ones, and both may have got others by setns, unshare or
// setuid since they were last seen. Without a hook on system calls, which the
// whole host would pay for, this tells a change no later than its first
// consequence outside the process.
func (n *namespaces) changes(was *host.Process, is *esclusa.Process, cloned bool) (list []change) {
	defer n.add(&is.NS)
	if was == nil || was.NS == (esclusa.Namespaces{}) {
		return nil
	}
	if was.NS != is.NS {
		names, known, initial := n.differ(&was.NS, &is.NS)
		op := "unshare"
		switch {
		case cloned:
			op = "clone"
		case known:
			op = "setns"
		}
		list = append(list, change{esclusa.EventNamespace, esclusa.Fields{
			esclusa.Text("op", op), esclusa.List("types", names), esclusa.Bool("initial", initial),
		}})
	}
	if a, b := &was.Creds, &is.Creds; *a != *b {
		list = append(list, change{esclusa.EventCredential, esclusa.Fields{
			esclusa.Number("oldUid", int64(a.UID)), esclusa.Number("oldEuid", int64(a.EUID)),
			esclusa.List("gained", events.Capabilities(b.Effective&^a.Effective)),
		}})
	}
	return list
}

// differ names the namespaces that changed, and says whether one of the new
// ones was seen before, or is the host's.
func (n *namespaces) differ(a, b *esclusa.Namespaces) (names []string, known, initial bool) {
	for _, k := range [...]struct {
		name       string
		a, b, host uint32
	}{
		{"mnt", a.Mount, b.Mount, n.host.Mount},
		{"pid", a.PID, b.PID, n.host.PID},
		{"net", a.Net, b.Net, n.host.Net},
		{"user", a.User, b.User, n.host.User},
		{"ipc", a.IPC, b.IPC, n.host.IPC},
		{"uts", a.UTS, b.UTS, n.host.UTS},
		{"cgroup", a.Cgroup, b.Cgroup, n.host.Cgroup},
	} {
		if k.a == k.b {
			continue
		}
		names = append(names, k.name)
		_, seen := n.seen[k.b]
		known, initial = known || seen, initial || k.b == k.host
	}
	return names, known, initial
}
