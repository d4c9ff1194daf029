package watch

import (
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/drift"
)

// maxDrift is how many executables wait to be compared.
const maxDrift = 256

// executed tells an exec. The kernel says that an executable lies in the
// writable layer; whether the image brought its content is found out by
// reading it, beside the stream, and the event is told when that is known.
func (s *Sensor) executed(e *esclusa.Event) {
	if e.Process.ExeSource != esclusa.SourceUpper || e.Container == nil {
		s.tell(e)
		return
	}
	later := *e
	select {
	case s.drift <- &later:
	default:
		s.gap(e, "content of "+e.Process.Exe, "too many executables wait to be compared with the image")
		s.tell(e)
	}
}

// compare tells the execs that wait, until there are no more. What cannot be
// compared, because the process has ended, counts as changed, with a gap.
func (s *Sensor) compare() {
	c := drift.Checker{Proc: "/proc", Host: "/"}
	for e := range s.drift {
		changed, err := c.Changed(e.Process.PID, e.Process.Exe)
		switch {
		case err != nil:
			s.gap(e, "content of "+e.Process.Exe, err.Error())
		case !changed:
			e.Process.ExeSource = esclusa.SourceImage
		}
		s.tell(e)
	}
}
