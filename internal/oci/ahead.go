package oci

import "sync"

// aheadChunks is how many chunks may wait for the reader. Each is as large as
// a chunk of the stream.
const aheadChunks = 3

// Ahead reads a stream in a goroutine of its own, so that decompressing it and
// what is made of it share two cores. It copies each chunk, which costs two
// percent more: for a layer that would run alone in the end.
func Ahead(s Stream) Stream {
	a := &ahead{
		src: s, full: make(chan []byte, aheadChunks), free: make(chan []byte, aheadChunks), stop: make(chan struct{}),
	}
	for range aheadChunks {
		a.free <- nil
	}
	a.done.Go(a.run)
	return a
}

type ahead struct {
	src  Stream
	full chan []byte // closed at the end; err then says why
	free chan []byte
	stop chan struct{}
	done sync.WaitGroup
	err  error // of src; written before full is closed

	last   []byte // what the caller holds
	rest   []byte
	closed bool
}

func (a *ahead) run() {
	defer close(a.full)
	for {
		c, err := a.src.Next()
		if err != nil {
			a.err = err
			return
		}
		select {
		case b := <-a.free:
			a.full <- append(b[:0], c...) // there is room: free and full share it
		case <-a.stop:
			return
		}
	}
}

func (a *ahead) Next() ([]byte, error) {
	if len(a.rest) > 0 {
		c := a.rest
		a.rest = nil
		return c, nil
	}
	if a.closed {
		return nil, errClosed
	}
	if a.last != nil {
		a.free <- a.last
		a.last = nil
	}
	c, ok := <-a.full
	if !ok {
		return nil, a.err
	}
	a.last = c
	return c, nil
}

func (a *ahead) Read(p []byte) (int, error) { return readChunks(a.Next, &a.rest, p) }

// Close waits for the goroutine: at most for one chunk of the source.
func (a *ahead) Close() error {
	if !a.closed {
		a.closed, a.rest = true, nil
		close(a.stop)
		a.done.Wait()
	}
	return a.src.Close()
}
