package feeds

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// sink collects one feed.
type sink struct {
	feed  string
	now   time.Time
	batch *advisory.Batch

	mu      sync.Mutex
	said    time.Time // by the feed as a whole
	record  time.Time // the newest record
	skipped int
	bad     []badRecord
}

type badRecord struct{ what, err string }

func (k *sink) Advisory(a *esclusa.Advisory) error {
	if err := k.batch.Add(a); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// A record from the future says nothing about the age of the feed: it
	// would make an old copy look new for years. Some sources (Go) write no
	// modification dates; publication is then all that there is.
	for _, t := range []time.Time{a.Modified, a.Published} {
		if t.After(k.record) && !t.After(k.now) {
			k.record = t
		}
	}
	return nil
}

func (k *sink) KEV(cve string, e esclusa.KEV) error {
	return k.batch.AddKEV(cve, e)
}

func (k *sink) EPSS(cve string, score float64) error {
	return k.batch.AddEPSS(cve, score)
}

// Skip keeps the first names in order, whatever order the goroutines of the
// feed come in, so that two updates from the same data report the same.
func (k *sink) Skip(what string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.skipped++
	b := badRecord{what, err.Error()}
	i, _ := slices.BinarySearchFunc(k.bad, b, func(x, y badRecord) int {
		return cmp.Or(cmp.Compare(x.what, y.what), cmp.Compare(x.err, y.err))
	})
	if i >= maxGaps {
		return
	}
	k.bad = slices.Insert(k.bad, i, b)
	k.bad = k.bad[:min(len(k.bad), maxGaps)]
}

func (k *sink) Date(t time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !t.After(k.now) {
		k.said = t
	}
}

func (k *sink) newest() time.Time {
	if !k.said.IsZero() {
		return k.said
	}
	return k.record
}

func (k *sink) gaps() []esclusa.Gap {
	var gaps []esclusa.Gap
	for _, b := range k.bad {
		gaps = append(gaps, esclusa.Gap{
			Scope: esclusa.GapItem,
			What:  fmt.Sprintf("record %q of feed %s", b.what, k.feed),
			Err:   b.err,
		})
	}
	if n := k.skipped - len(k.bad); n > 0 {
		gaps = append(gaps, esclusa.Gap{
			Scope: esclusa.GapItem,
			What:  fmt.Sprintf("%d more records of feed %s", n, k.feed),
			Err:   "could not be read",
		})
	}
	return gaps
}
