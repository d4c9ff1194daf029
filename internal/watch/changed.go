package watch

import (
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// change is what a process became without anybody telling: an event that is
// derived from two others. A process gets other namespaces and ids by setns,
// unshare or setuid; a hook on those calls the whole host would pay for. So
// what it is at a fork, an exec and its end is compared with what it was known
// to be: a change is told no later than its first consequence outside of it.
type change struct {
	kind   esclusa.EventKind
	fields esclusa.Fields
}

// namespaces counts in which ones processes live, to tell one that is entered
// from one that is made: the kernel gives the number of one that ended to the
// next. One that is kept by a file alone (ip netns) is taken for a new one.
type namespaces struct {
	live map[esclusa.Namespaces]int
	host esclusa.Namespaces
}

// maxLive bounds the search: a container that lives in thousands of namespaces
// does not slow the sensor, and setns is then called by the wrong name.
const maxLive = 4096

func (n *namespaces) enter(ns *esclusa.Namespaces) {
	if n.live == nil {
		n.live = map[esclusa.Namespaces]int{}
	}
	n.live[*ns]++
}

func (n *namespaces) leave(ns *esclusa.Namespaces) {
	if n.live[*ns]--; n.live[*ns] <= 0 {
		delete(n.live, *ns)
	}
}

// changes tells what is different. made is the word for namespaces in which
// nobody lives yet; it is asked before they are entered.
func (n *namespaces) changes(was, is *esclusa.Process, made string) (list []change) {
	if was.NS != is.NS {
		names, known, initial := n.differ(&was.NS, &is.NS)
		op := made
		if known {
			op = "setns"
		}
		list = append(list, change{esclusa.EventNamespace, esclusa.Fields{
			esclusa.Text("op", op), esclusa.List("types", names), esclusa.Bool("initial", initial),
		}})
	}
	if a, b := &was.Creds, &is.Creds; *a != *b {
		list = append(list, change{esclusa.EventCredential, esclusa.Fields{
			esclusa.Number("oldUid", int64(a.UID)), esclusa.Number("oldEuid", int64(a.EUID)),
			esclusa.List("gained", events.Capabilities(b.Effective&^a.Effective)), esclusa.Text("oldExe", was.Exe),
		}})
	}
	return list
}

// numbers are the namespaces in the order in which differ names them.
func numbers(n *esclusa.Namespaces) [7]uint32 {
	return [7]uint32{n.Mount, n.PID, n.Net, n.User, n.IPC, n.UTS, n.Cgroup}
}

// differ names the kinds that changed, and says whether somebody lives in one
// of the new ones, or it is the host's.
func (n *namespaces) differ(a, b *esclusa.Namespaces) (names []string, known, initial bool) {
	was, is, first := numbers(a), numbers(b), numbers(&n.host)
	for i, name := range [...]string{"mnt", "pid", "net", "user", "ipc", "uts", "cgroup"} {
		if was[i] == is[i] {
			continue
		}
		names = append(names, name)
		initial = initial || is[i] == first[i]
		if len(n.live) > maxLive {
			continue
		}
		for other := range n.live {
			known = known || numbers(&other)[i] == is[i]
		}
	}
	return names, known, initial
}
