package layer

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
)

// buffers are for files that do not fit in a batch. They are used again: a
// fresh one costs a page fault for every 4 KB, and is cleared twice. What is
// handed out and what is spare is within one limit.
type buffers struct {
	limit  int64
	memory *semaphore.Weighted // what is handed out

	mu    sync.Mutex
	all   int64    // bytes handed out and spare
	spare [][]byte // rising by capacity
}

func newBuffers(limit int64) buffers {
	return buffers{limit: limit, memory: semaphore.NewWeighted(limit)}
}

// get waits until there is room for size bytes. held is for put. A file above
// the limit is alone.
func (b *buffers) get(ctx context.Context, size int64) (data []byte, held int64, err error) {
	if size < b.limit {
		size = min(roomy(size), b.limit)
	}
	held = min(size, b.limit)
	if err := b.memory.Acquire(ctx, held); err != nil {
		return nil, 0, err
	}
	if size > b.limit {
		data, err := lone(size)
		if err != nil {
			b.memory.Release(held)
			return nil, 0, err
		}
		b.mu.Lock()
		b.drop(size)
		b.mu.Unlock()
		return data, held, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, s := range b.spare {
		more := int64(cap(s)) - size
		if more < 0 {
			continue
		}
		if !b.memory.TryAcquire(more) {
			break
		}
		b.spare = slices.Delete(b.spare, i, i+1)
		return s, held + more, nil
	}
	b.drop(size)
	return make([]byte, 0, size), held, nil
}

// drop lets spare buffers go for size bytes more.
func (b *buffers) drop(size int64) {
	b.all += size
	for b.all > b.limit && len(b.spare) > 0 {
		b.all -= int64(cap(b.spare[0]))
		b.spare = slices.Delete(b.spare, 0, 1)
	}
}

// lone is the memory of a file that is alone, straight from the kernel: it
// comes cleared, in large pages where there are some, and goes back at once.
// The heap would clear it again, and keep it until a collection.
func lone(size int64) ([]byte, error) {
	data, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for a file of %d bytes: %w", size, err)
	}
	_ = unix.Madvise(data, unix.MADV_HUGEPAGE) // a kernel without them has small ones
	return data[:0], nil
}

// put makes a buffer spare, unless it is the one that was alone.
func (b *buffers) put(data []byte, held int64) {
	size := int64(cap(data))
	if size > b.limit {
		// It was mapped with this size: this cannot fail.
		_ = unix.Munmap(data[:size])
	}
	b.mu.Lock()
	if size > b.limit {
		b.all -= size
	} else {
		i, _ := slices.BinarySearchFunc(b.spare, size, func(s []byte, size int64) int { return cap(s) - int(size) })
		b.spare = slices.Insert(b.spare, i, data[:0])
	}
	b.mu.Unlock()
	b.memory.Release(held)
}

// roomy rounds up by at most a quarter, so that files of about the same size
// can use the same buffer.
func roomy(size int64) int64 {
	step := int64(1) << max(0, bits.Len64(uint64(size-1))-3)
	return (size + step - 1) / step * step
}
