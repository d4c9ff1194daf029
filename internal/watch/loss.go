package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
)

// countLosses reads the counters once a second.
func (s *Sensor) countLosses(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.tellLosses(); err != nil {
			return err
		}
	}
}

// tellLosses makes an event of each counter that grew. It is a gap on what is
// detected around that time: what was lost may have been the other half.
func (s *Sensor) tellLosses() error {
	now, err := s.set.Losses()
	if err != nil {
		return err
	}
	s.counting.Lock()
	defer s.counting.Unlock()
	for _, l := range now {
		key := l
		key.Count = 0
		n := l.Count - s.lost[key]
		if n == 0 {
			continue
		}
		s.lost[key] = l.Count
		at := time.Now()
		c, _ := s.config.Host.Container(l.Cgroup)
		where := "of the host"
		if c != nil {
			where = "of container " + c.ID
		}
		gap := esclusa.Gap{
			Scope: esclusa.GapSystem, What: fmt.Sprintf("%d %s events %s", n, l.Kind, where), Err: l.Reason.String(),
			Hint: "give the sensor a larger ring or the container a larger budget (docs/watch.md)",
		}
		s.telling.Lock()
		s.gaps.add(at, gap)
		s.telling.Unlock()
		e := &esclusa.Event{
			Kind: esclusa.EventLoss, At: at.UTC(), Host: s.config.Name, Container: c,
			Fields: esclusa.Fields{
				esclusa.Text("kind", l.Kind.String()), esclusa.Text("reason", l.Reason.String()), esclusa.Number("count", int64(n)),
			},
		}
		s.tell(e)
	}
	return nil
}

// recentGaps are what was lost in the last seconds.
type recentGaps struct {
	gaps []esclusa.Gap
	ends []time.Time
}

// gapWindow is how long a loss is told with detections; losses are counted
// once a second, so it happened at most that long before.
const gapWindow = 10 * time.Second

// maxGaps bounds what one detection carries.
const maxGaps = 16

func (r *recentGaps) add(at time.Time, g esclusa.Gap) {
	if len(r.gaps) >= maxGaps {
		r.gaps, r.ends = r.gaps[1:], r.ends[1:]
	}
	r.gaps, r.ends = append(r.gaps, g), append(r.ends, at.Add(gapWindow))
}

func (r *recentGaps) at(t time.Time) []esclusa.Gap {
	for len(r.ends) > 0 && r.ends[0].Before(t) {
		r.gaps, r.ends = r.gaps[1:], r.ends[1:]
	}
	return r.gaps
}
