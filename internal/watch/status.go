package watch

import (
	"cmp"
	"slices"
	"time"

	"github.com/esclusa/esclusa"
)

// Status is how a sensor is.
type Status struct {
	Since time.Time `json:"since"`
	Stats
	// Lost is what did not arrive since the start, by kind and reason.
	Lost []Lost `json:"lost,omitempty"`
	// Missing is what this kernel does not let be seen.
	Missing []esclusa.Gap `json:"missing,omitempty"`
}

// Lost counts events that did not arrive.
type Lost struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Status may be asked from any goroutine.
func (s *Sensor) Status() Status {
	st := Status{Since: s.since, Stats: s.Stats(), Missing: s.Missing()}
	s.counting.Lock()
	defer s.counting.Unlock()
	for l, n := range s.lost {
		kind, reason := l.Kind.String(), l.Reason.String()
		i := slices.IndexFunc(st.Lost, func(x Lost) bool { return x.Kind == kind && x.Reason == reason })
		if i < 0 {
			i, st.Lost = len(st.Lost), append(st.Lost, Lost{Kind: kind, Reason: reason})
		}
		st.Lost[i].Count += n
	}
	slices.SortFunc(st.Lost, func(a, b Lost) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return st
}
