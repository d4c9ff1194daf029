package watch

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// fileJudge is a judge that asks for files: no others are watched.
type fileJudge interface{ Files() events.Files }

// openSources opens what sees events without a program in the kernel. What
// cannot be opened is missing.
func (s *Sensor) openSources() {
	scope := events.Scope{Host: s.config.Kernel.Host}
	for _, j := range s.config.Judges {
		if j, ok := j.(fileJudge); ok {
			scope.Files = append(scope.Files, j.Files()...)
		}
	}
	if scope.Files == nil {
		return
	}
	for i := range s.config.Families {
		f := &s.config.Families[i]
		if f.Source == nil {
			continue
		}
		src, err := f.Source(scope)
		if err != nil {
			s.missing = append(s.missing, kernel.Missing{Name: f.Object.Name, Err: err})
			continue
		}
		s.sources = append(s.sources, src)
	}
}

// runSources returns when all of them have posted their last.
func (s *Sensor) runSources(ctx context.Context) error {
	g, each := errgroup.WithContext(ctx)
	for _, src := range s.sources {
		g.Go(func() error { return src.Run(each, &s.set.Posts) })
	}
	err := g.Wait()
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// subject fills in the process of a record that only knows its number: the one
// that has it, or had it last.
func (s *Sensor) subject(h kernel.Head) kernel.Head {
	if h.Start != 0 {
		return h
	}
	if p := s.config.Host.ByPID(int32(h.PID)); p != nil {
		h.Start, h.Cgroup = p.Start, p.Cgroup
	}
	return h
}
