// Package all lists the families of events.
package all

import (
	"github.com/esclusa/esclusa/internal/watch/events"
	"github.com/esclusa/esclusa/internal/watch/events/bind"
	"github.com/esclusa/esclusa/internal/watch/events/bpf"
	"github.com/esclusa/esclusa/internal/watch/events/capability"
	"github.com/esclusa/esclusa/internal/watch/events/cgroup"
	"github.com/esclusa/esclusa/internal/watch/events/connect"
	"github.com/esclusa/esclusa/internal/watch/events/dns"
	"github.com/esclusa/esclusa/internal/watch/events/exec"
	"github.com/esclusa/esclusa/internal/watch/events/exit"
	"github.com/esclusa/esclusa/internal/watch/events/file"
	"github.com/esclusa/esclusa/internal/watch/events/fork"
	"github.com/esclusa/esclusa/internal/watch/events/iouring"
	"github.com/esclusa/esclusa/internal/watch/events/module"
	"github.com/esclusa/esclusa/internal/watch/events/mount"
	"github.com/esclusa/esclusa/internal/watch/events/ptrace"
	"github.com/esclusa/esclusa/internal/watch/events/signal"
	"github.com/esclusa/esclusa/internal/watch/events/sysctl"
	"github.com/esclusa/esclusa/internal/watch/events/userfaultfd"
)

// Families returns every family. Those of processes are first: without them no
// other event has a subject.
func Families() []events.Family {
	return []events.Family{
		cgroup.New(), fork.New(), exec.New(), exit.New(),
		connect.New(), bind.New(), sysctl.New(), capability.New(), signal.New(), iouring.New(),
		mount.New(), ptrace.New(), bpf.New(), module.New(), userfaultfd.New(), dns.New(), file.New(),
	}
}
