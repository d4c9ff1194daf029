package respond_test

import (
	"slices"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/respond"
	"github.com/esclusa/esclusa/internal/respond/actions/all"
)

// BenchmarkFreeze is the time from a detection's arrival to a container that
// is verified to stand, its intent durable before: a real container, undone
// each time.
func BenchmarkFreeze(b *testing.B) {
	kerneltest.Needs(b)
	for name, wish := range map[string][]string{"freeze": {"freeze"}, "evidence+freeze": {"evidence", "freeze"}} {
		b.Run(name, func(b *testing.B) { benchFreeze(b, wish) })
	}
}

func benchFreeze(b *testing.B, wish []string) {
	x := start(b, "bench")
	e := run(b, b.TempDir(), respond.Options{Enforce: true, Policy: policy(b, "limits: {workload: 10000, node: 10000}"), Actors: all.Actors()})
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		d := x.detection("bench", wish...)
		c := *x.c
		c.ID = x.name + "-" + time.Now().String() // each time another story
		d.Events[0].Container = &c
		time.Sleep(50 * time.Millisecond) // as on an idle machine: nothing is under way
		b.StartTimer()
		e.Offer(d)
		o := e.next(b)
		took = append(took, o.Took)
		b.StopTimer()
		if err := respond.Ask(b.Context(), e.dir, respond.Request{Undo: o.Action.Incident}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) }
	b.ReportMetric(at(0.5), "µs-p50")
	b.ReportMetric(at(0.9), "µs-p90")
	b.ReportMetric(at(0.99), "µs-p99")
	b.ReportMetric(at(1), "µs-max")
}

// next waits for the next freeze and forgets what was told.
func (e *engine) next(b *testing.B) esclusa.Outcome {
	o := e.wait(b, esclusa.ActionFreeze, esclusa.OutcomeDone)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = nil
	return o
}
