package layer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

func TestRoomy(t *testing.T) {
	for size := int64(1); size < 1<<40; size += size/3 + 1 {
		if got := roomy(size); got < size || got-size > size/4 {
			t.Errorf("roomy(%d) = %d", size, got)
		}
	}
}

// TestBuffers: a buffer comes back for a file of about its size, and what is
// handed out and kept is within the limit.
func TestBuffers(t *testing.T) {
	b := newBuffers(100 << 20)
	get := func(size int64) ([]byte, int64) {
		t.Helper()
		data, held, err := b.get(t.Context(), size)
		if err != nil || int64(cap(data)) < size || len(data) != 0 {
			t.Fatalf("get %d: length %d, capacity %d: %v", size, len(data), cap(data), err)
		}
		return data, held
	}
	first, held := get(10_000_000)
	b.put(first[:7], held)
	again, held := get(10_100_000)
	if &again[:1][0] != &first[:1][0] {
		t.Error("a spare buffer was not used")
	}
	other, otherHeld := get(10_000_000)
	if &other[:1][0] == &first[:1][0] {
		t.Fatal("a buffer was handed out twice")
	}
	b.put(again, held)
	b.put(other, otherHeld)
	whole, held := get(1 << 30)
	if len(b.spare) != 0 {
		t.Errorf("%d spare buffers beside a file that is larger than the limit", len(b.spare))
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := b.get(soon, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second file beside it: %v", err)
	}
	b.put(whole, held)
	if b.all != 0 || !b.memory.TryAcquire(b.limit) {
		t.Errorf("%d bytes are kept", b.all)
	}
}

// TestBuffersMany holds the sums under -race.
func TestBuffersMany(t *testing.T) {
	b := newBuffers(1 << 20)
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for range 500 {
				size := 1 + r.Int64N(1<<(1+r.IntN(21)))
				data, held, err := b.get(t.Context(), size)
				if err != nil || int64(cap(data)) < size {
					t.Errorf("get %d: capacity %d: %v", size, cap(data), err)
					return
				}
				b.put(data[:size], held)
			}
		})
	}
	wg.Wait()
	kept := int64(0)
	for _, s := range b.spare {
		kept += int64(cap(s))
	}
	if kept != b.all || kept > b.limit {
		t.Errorf("%d bytes are spare, %d are counted, the limit is %d", kept, b.all, b.limit)
	}
	if !b.memory.TryAcquire(b.limit) {
		t.Error("not all was given back")
	}
}
