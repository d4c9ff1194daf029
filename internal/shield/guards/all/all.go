// Package all lists the guards.
package all

import (
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/shield/guards/exec"
	"github.com/esclusa/esclusa/internal/shield/guards/iouring"
	"github.com/esclusa/esclusa/internal/shield/guards/mount"
	"github.com/esclusa/esclusa/internal/shield/guards/open"
	"github.com/esclusa/esclusa/internal/shield/guards/setxattr"
	"github.com/esclusa/esclusa/internal/shield/guards/socket"
	"github.com/esclusa/esclusa/internal/shield/guards/sockopt"
	"github.com/esclusa/esclusa/internal/shield/guards/sysctl"
)

// Guards returns every guard.
func Guards() []guards.Guard {
	return []guards.Guard{
		sysctl.New(), sockopt.New(), socket.New(),
		open.New(), exec.New(), mount.New(), setxattr.New(), iouring.New(),
	}
}
