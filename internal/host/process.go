package host

import (
	"cmp"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// maxAncestors is how many processes above its own an event keeps.
const maxAncestors = 32

// Arguments in the table are bounded together; past the bound each new
// program keeps its first kibibyte. An exec event itself has them whole.
const (
	maxArgs = 64 << 20
	cutArgs = 1 << 10
)

// Process is one process as it was at a moment. It is never changed: what
// changes a process makes a new value.
type Process struct {
	esclusa.Process
	// Ancestors are those who made it, nearest first. The slice is shared.
	Ancestors []esclusa.Ancestor
	// Incomplete says that the chain ends early: a process in it was not seen
	// being made and was gone when /proc was read.
	Incomplete bool
	// Cgroup is the id that the kernel gave with it.
	Cgroup uint64

	group *cgroup
}

// Container is the container that it is in with all that is known of it by
// now, nil for a process of the host. known is false when nobody can say (yet)
// where it is. The container is shared: do not change.
func (p *Process) Container() (c *esclusa.Container, known bool) { return p.group.container() }

// Fork is a process being made.
type Fork struct {
	Key, Parent esclusa.ProcessKey
	// Creator called fork where that is not the parent (CLONE_PARENT); zero
	// where it is. Ancestors follow the creator, who cannot step aside.
	Creator esclusa.ProcessKey
	Name    string
	Creds   esclusa.Credentials
	NS      esclusa.Namespaces
	Cgroup  uint64
	At      uint64 // ns since boot
}

// Exec is a process taking up another program.
type Exec struct {
	Key, Parent esclusa.ProcessKey
	Name        string
	Exe         string
	ExeSource   esclusa.Source
	ExeDeleted  bool
	Args        []string
	ArgsCut     bool
	Creds       esclusa.Credentials
	NS          esclusa.Namespaces
	Cgroup      uint64
	At          uint64 // ns since boot
}

// node is a process's place in the table.
type node struct {
	now   *Process
	maker esclusa.ProcessKey
	up    *node // the maker; nil when it is not known
	older *node // had the same pid before
	// below is the chain that its children share, made for the first of them.
	below    []esclusa.Ancestor
	children int
	exited   uint64 // ns since boot; 0 while it runs
	dropped  bool
	args     *argsCost

	list       *list
	prev, next *node
}

// argsCost counts the bytes of one argv that processes share after a fork.
type argsCost struct{ refs, bytes int }

// list is a queue from which a member can leave in the middle.
type list struct{ first, last *node }

func (l *list) push(n *node) {
	n.list, n.prev, n.next = l, l.last, nil
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
}

// leave takes a node out of its list, if it is in one.
func (n *node) leave() {
	l := n.list
	if l == nil {
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
}

// table holds the processes. Its caller holds the lock.
type table struct {
	byPID map[int32]*node
	n     int
	max   int
	grace uint64 // ns
	// dead have ended within the grace; held have ended before, and are kept
	// for children that still run.
	dead, held list
	argBytes   int
	stats      *Stats
}

func (t *table) find(key esclusa.ProcessKey) *node {
	n := t.byPID[key.PID]
	for n != nil && n.now.Start != key.Start {
		n = n.older
	}
	return n
}

// add makes a node for a process; a table full of running processes does not
// keep it, but the answer is whole all the same.
func (t *table) add(p *Process, maker esclusa.ProcessKey, now uint64) *node {
	n := &node{now: p, maker: maker}
	n.link(t.find(maker))
	if t.n >= t.max && !t.evict() {
		t.stats.ProcessesRefused++
		n.dropped = true
		return n
	}
	if old := t.byPID[p.PID]; old != nil {
		if old.exited == 0 { // its exit was lost
			t.exit(old, now)
		}
		n.older = old
	}
	t.byPID[p.PID] = n
	t.n++
	if n.up != nil {
		n.up.children++
	}
	return n
}

// link gives a new node its maker and the chain above it.
func (n *node) link(up *node) {
	if up == nil {
		n.now.Incomplete = n.maker != esclusa.ProcessKey{}
		return
	}
	n.up = up
	n.now.Ancestors, n.now.Incomplete = up.chain(), up.now.Incomplete
}

// chain is what a child keeps of a process and those above it.
func (n *node) chain() []esclusa.Ancestor {
	if n.below == nil {
		p := n.now
		keep := min(len(p.Ancestors), maxAncestors-1)
		n.below = make([]esclusa.Ancestor, 1, keep+1)
		n.below[0] = esclusa.Ancestor{ProcessKey: p.ProcessKey, Name: p.Name, Exe: p.Exe, Container: p.group.containerID()}
		n.below = append(n.below, p.Ancestors[:keep]...)
	}
	return n.below
}

// set replaces what is known of a process.
func (n *node) set(p *Process) { n.now, n.below = p, nil }

func (t *table) exit(n *node, now uint64) {
	if n.exited != 0 || n.dropped {
		return
	}
	n.exited = max(now, 1)
	t.dead.push(n)
}

// reap forgets whose grace is over. It costs nothing when there are none.
func (t *table) reap(now uint64) {
	for n := t.dead.first; n != nil && n.exited+t.grace <= now; n = t.dead.first {
		n.leave()
		if n.children > 0 {
			t.held.push(n)
		} else {
			t.drop(n)
		}
	}
}

// evict makes room: first for who ended longest ago, never for who runs.
func (t *table) evict() bool {
	n := t.dead.first
	if n == nil {
		n = t.held.first
	}
	if n == nil {
		return false
	}
	t.stats.ProcessesEvicted++
	t.drop(n)
	return true
}

// drop takes a node out, and the dead above it that were held for it alone.
func (t *table) drop(n *node) {
	for n != nil && !n.dropped {
		n.dropped = true
		n.leave()
		if first := t.byPID[n.now.PID]; first == n && n.older == nil {
			delete(t.byPID, n.now.PID)
		} else if first == n {
			t.byPID[n.now.PID] = n.older
		} else {
			for first.older != n {
				first = first.older
			}
			first.older = n.older
		}
		t.n--
		t.free(n)
		up := n.up
		n.up = nil
		if up == nil {
			return
		}
		if up.children--; up.children > 0 || up.list != &t.held {
			return
		}
		n = up
	}
}

func (t *table) free(n *node) {
	if n.args == nil {
		return
	}
	if n.args.refs--; n.args.refs == 0 {
		t.argBytes -= n.args.bytes
	}
	n.args = nil
}

// charge counts the arguments of a process that took up a program, and cuts
// them when the table holds too many.
func (t *table) charge(n *node) {
	t.free(n)
	if n.dropped {
		return
	}
	if t.argBytes+argsSize(n.now.Args) > maxArgs {
		p := *n.now // whoever asked for n.now keeps the whole
		p.Args, p.ArgsCut = firstArgs(p.Args), true
		n.now = &p
		t.stats.ArgsCut++
	}
	n.args = &argsCost{refs: 1, bytes: argsSize(n.now.Args)}
	t.argBytes += n.args.bytes
}

// argsSize is what arguments take in memory, their headers included.
func argsSize(args []string) int {
	size := 16 * len(args)
	for _, a := range args {
		size += len(a)
	}
	return size
}

// firstArgs copies what fits into cutArgs, so that the rest can be freed.
func firstArgs(args []string) []string {
	var kept []string
	for left := cutArgs; len(args) > 0 && left > 16; args = args[1:] {
		left -= 16
		a := args[0][:min(len(args[0]), left)]
		left -= len(a)
		kept = append(kept, strings.Clone(a))
	}
	return kept
}

func (t *table) fork(f *Fork, g *cgroup, h *Host) *Process {
	maker := f.Creator
	if maker == (esclusa.ProcessKey{}) {
		maker = f.Parent
	}
	p := &Process{Cgroup: f.Cgroup, group: g}
	p.ProcessKey, p.Parent, p.Name, p.Creds, p.NS, p.Started = f.Key, f.Parent, f.Name, f.Creds, f.NS, h.Wall(f.Key.Start)
	if n := t.find(f.Key); n != nil { // read from /proc before its record came
		return n.now
	}
	n := t.add(p, maker, f.At)
	if n.up != nil {
		like := n.up.now
		p.Exe, p.ExeSource, p.ExeDeleted, p.Args, p.ArgsCut = like.Exe, like.ExeSource, like.ExeDeleted, like.Args, like.ArgsCut
		if n.up.args != nil && !n.dropped {
			n.args = n.up.args
			n.args.refs++
		}
	}
	return p
}

func (t *table) exec(e *Exec, g *cgroup, h *Host) *Process {
	p := &Process{Cgroup: e.Cgroup, group: g}
	p.Process = esclusa.Process{
		ProcessKey: e.Key, Parent: e.Parent, Name: e.Name, Exe: e.Exe, ExeSource: e.ExeSource, ExeDeleted: e.ExeDeleted,
		Args: e.Args, ArgsCut: e.ArgsCut, Creds: e.Creds, NS: e.NS, Started: h.Wall(e.Key.Start),
	}
	n := t.find(e.Key)
	if n == nil {
		n = t.add(p, e.Parent, e.At)
	} else {
		p.Ancestors, p.Incomplete = n.now.Ancestors, n.now.Incomplete
		if n.up == nil && p.Incomplete { // the maker may be known by now
			t.adopt(n, p)
		}
		n.set(p)
	}
	t.charge(n)
	return p
}

// adopt finds a node's maker late.
func (t *table) adopt(n *node, p *Process) {
	up := t.find(n.maker)
	if up == nil || up == n || up.now.Start > n.now.Start {
		return
	}
	n.up = up
	up.children++
	p.Ancestors, p.Incomplete = up.chain(), up.now.Incomplete
}

// byAge sorts makers before those whom they made.
func byAge(a, b *Process) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.PID, b.PID))
}

// seeded is a process that /proc told of.
type seeded struct {
	p   Process
	now uint64
}

// seed adds what was found in /proc. What records have said is newer and
// wins; what they have not said is filled in.
func (t *table) seed(found []seeded, group func(cgroup uint64) *cgroup) {
	slices.SortFunc(found, func(a, b seeded) int { return byAge(&a.p, &b.p) })
	for i := range found {
		p := &found[i].p
		n := t.find(p.ProcessKey)
		if n == nil {
			p.group = group(p.Cgroup)
			t.charge(t.add(p, p.Parent, found[i].now))
			continue
		}
		if n.now.Exe == "" && p.Exe != "" { // forked by a process not yet known, or ended before
			q := *n.now
			q.Exe, q.ExeSource, q.ExeDeleted, q.Args, q.ArgsCut = p.Exe, p.ExeSource, p.ExeDeleted, p.Args, p.ArgsCut
			if n.maker == (esclusa.ProcessKey{}) {
				n.maker, q.Parent = p.Parent, p.Parent
			}
			n.set(&q)
			t.charge(n)
		}
	}
	t.repair()
}

// repair joins chains that were cut because /proc was not read yet.
func (t *table) repair() {
	var cut []*node
	for _, n := range t.byPID {
		for ; n != nil; n = n.older {
			if n.now.Incomplete {
				cut = append(cut, n)
			}
		}
	}
	slices.SortFunc(cut, func(a, b *node) int { return byAge(a.now, b.now) })
	for _, n := range cut {
		p := *n.now
		if n.up == nil {
			t.adopt(n, &p)
		} else {
			p.Ancestors, p.Incomplete = n.up.chain(), n.up.now.Incomplete
		}
		n.set(&p)
	}
}
