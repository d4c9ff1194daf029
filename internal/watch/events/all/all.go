// Package all lists the families of events.
package all

import (
	"github.com/esclusa/esclusa/internal/watch/events"
	"github.com/esclusa/esclusa/internal/watch/events/exec"
	"github.com/esclusa/esclusa/internal/watch/events/exit"
	"github.com/esclusa/esclusa/internal/watch/events/fork"
)

// Families returns every family. Those of processes are first: without them no
// other event has a subject.
func Families() []events.Family {
	return []events.Family{fork.New(), exec.New(), exit.New()}
}
