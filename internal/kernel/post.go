package kernel

import (
	"encoding/binary"
	"sync"
)

// Posts are records of what is seen without a program in the kernel. They are
// handed over by Run with those of the rings, in the order of their time. The
// zero value is ready.
type Posts struct {
	mu    sync.Mutex
	queue [][]byte
	lost  map[Kind]uint64
}

// maxPosts is how many records wait; a turn of the reader is 10 ms at most.
const maxPosts = 16384

// Add posts a record of what a process did just now. It waits for nothing:
// when there is no room, the record is lost and counted.
func (p *Posts) Add(k Kind, pid int32, body []byte) {
	rec := make([]byte, HeadSize, HeadSize+len(body))
	le := binary.LittleEndian
	le.PutUint32(rec, uint32(HeadSize+len(body)))
	le.PutUint16(rec[4:], uint16(k))
	le.PutUint32(rec[32:], uint32(pid))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) >= maxPosts {
		p.lose(k)
		return
	}
	le.PutUint64(rec[8:], bootTime()) // under the lock: the queue is in order
	p.queue = append(p.queue, append(rec, body...))
}

// Lose counts a record that could not be made.
func (p *Posts) Lose(k Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose(k)
}

func (p *Posts) lose(k Kind) {
	if p.lost == nil {
		p.lost = map[Kind]uint64{}
	}
	p.lost[k]++
}

// oldest is the time of the first record, none when the queue is empty.
func (p *Posts) oldest() (at uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(p.queue[0][8:]), true
}

func (p *Posts) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	rec := p.queue[0]
	p.queue = p.queue[1:]
	return rec
}

// losses are those that Add and Lose counted.
func (p *Posts) losses() (out []Loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range p.lost {
		out = append(out, Loss{k, LossRing, 0, n})
	}
	return out
}
