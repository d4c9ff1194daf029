package layer

import (
	"context"
	"fmt"
	"io/fs"
	"math/bits"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/esclusa/esclusa"
)

// Limits bound what one layer may cost, whatever it states of itself.
type Limits struct {
	Entries  int   // tar entries or files
	Bytes    int64 // uncompressed bytes of one layer
	Items    int   // files about which a reader said something
	Links    int   // symbolic and hard links kept
	Gaps     int   // gaps kept; the rest is counted in the last one
	PathSize int   // bytes of a path
	Memory   int64 // bytes of file content in memory at once, in all layers
	Hits     int   // literals kept for one file
}

// DefaultLimits hold an image of three million files and 256 GiB layers.
func DefaultLimits() Limits {
	return Limits{
		Entries: 20_000_000, Bytes: 256 << 30, Items: 500_000, Links: 1_000_000,
		Gaps: 1_000, PathSize: 4096, Memory: 24 << 20, Hits: 100_000,
	}
}

const (
	// batchSize is how much content is handed to a worker at once: small
	// files travel together, so that a hand-over costs nothing per file.
	batchSize = 256 << 10
	// batchFiles bounds a batch of empty files.
	batchFiles = 1024
)

// Pool runs readers over the files of all layers that are being read. Layers
// are decompressed side by side, each by its own goroutine; the files of all
// of them meet in one set of workers, so that one large layer keeps every
// core busy.
type Pool struct {
	set    *Set
	limits Limits
	jobs   chan *batch
	large  buffers
	spare  sync.Pool // of *batch with batchSize of room
	wg     sync.WaitGroup
}

// NewPool starts the workers; Close ends them.
func NewPool(set *Set, workers int, limits Limits) *Pool {
	p := &Pool{set: set, limits: limits, jobs: make(chan *batch), large: newBuffers(limits.Memory)}
	p.spare.New = func() any { return &batch{data: make([]byte, 0, batchSize)} }
	for range max(1, workers) {
		p.wg.Go(p.work)
	}
	return p
}

// Close waits for the workers. No layer may be under way.
func (p *Pool) Close() {
	close(p.jobs)
	p.wg.Wait()
}

// batch is a few files of one layer, or one large one.
type batch struct {
	data  []byte
	files []member
	into  *collector
	held  int64 // bytes of Pool.large; 0 is a batch of Pool.spare
}

type member struct {
	path     string
	mode     fs.FileMode
	uid      int
	from, to int
	seq      int // place in the layer: a later entry of the same path counts
	read     mask
}

func (p *Pool) get(ctx context.Context, size int64) (*batch, error) {
	if size <= batchSize {
		return p.spare.Get().(*batch), nil
	}
	data, held, err := p.large.get(ctx, size)
	return &batch{data: data, held: held}, err
}

func (p *Pool) put(b *batch) {
	if b.held > 0 {
		p.large.put(b.data, b.held)
		b.data = nil
		return
	}
	b.data, b.files, b.into = b.data[:0], b.files[:0], nil
	p.spare.Put(b)
}

func (p *Pool) submit(ctx context.Context, b *batch) error {
	b.into.wg.Add(1)
	select {
	case p.jobs <- b:
		return nil
	case <-ctx.Done():
		b.into.wg.Done()
		p.put(b)
		return ctx.Err()
	}
}

func (p *Pool) work() {
	w := worker{pool: p}
	for b := range p.jobs {
		for i := range b.files {
			w.file(b, &b.files[i])
		}
		into := b.into
		p.put(b)
		into.wg.Done()
	}
}

// worker holds what is used again from file to file.
type worker struct {
	pool *Pool
	hits []Hit   // of all searchers
	own  [][]Hit // of each reader
}

func (w *worker) file(b *batch, m *member) {
	s := w.pool.set
	f := File{Path: m.path, Mode: m.mode, UID: m.uid, Data: b.data[m.from:m.to:m.to]}
	if m.read&s.searchers != 0 {
		w.search(&f, m.read, b.into)
	}
	for left := m.read; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(uint64(left))
		f.Hits = nil
		if s.searchers&(1<<i) != 0 {
			f.Hits = w.own[i]
			if len(f.Hits) == 0 && !s.always(i, &f) {
				continue
			}
		}
		res, err := readSafely(s.readers[i], &f)
		b.into.add(s, i, m, res, err)
	}
}

// always says whether the searcher wants the file although it holds none of
// its literals.
func (s *Set) always(i int, f *File) bool {
	for j := range s.specs[i].Claims {
		c := &s.specs[i].Claims[j]
		if c.Always && c.MatchPath(f.Path, f.Mode) && c.MatchHead(f.Data) {
			return true
		}
	}
	return false
}

// readSafely turns a panic into an error. A reader that panics is a bug; one
// hostile file must still not take the scan of everything else down.
func readSafely(r Reader, f *File) (res Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = Result{}, fmt.Errorf("reader %s broke: %v\n%s", r.Spec().Name, p, debug.Stack())
		}
	}()
	return r.Read(f)
}

// collector gathers what workers say about one layer.
type collector struct {
	limits Limits
	wg     sync.WaitGroup

	mu   sync.Mutex
	rec  *Record
	lost int // gaps beyond the limit
	cut  bool
}

func (c *collector) add(s *Set, i int, m *member, res Result, err error) {
	path := m.path
	spec := &s.specs[i]
	if err != nil {
		c.gap(spec.Name, unreadable(spec, path, err))
	}
	owned := make(Hashes, len(res.Owned))
	for i, p := range res.Owned {
		owned[i] = pathHash(p, false)
	}
	res.Owned = nil
	for i := range res.Packages {
		place(&res.Packages[i].Place, path)
		res.Packages[i].Reader = spec.Name
	}
	for i := range res.Findings {
		place(&res.Findings[i].Place, path)
	}
	for i := range res.Gaps {
		place(&res.Gaps[i].Place, path)
	}
	empty := len(res.Packages)+len(res.Findings)+len(res.Gaps)+len(res.Facts)+len(res.Symbols) == 0 && res.Distro == nil
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Owned = append(c.rec.Owned, owned...)
	if len(owned) > 0 && !slices.Contains(c.rec.Owners, spec.Name) {
		c.rec.Owners = append(c.rec.Owners, spec.Name)
	}
	switch {
	case empty:
	case len(c.rec.Items) < c.limits.Items:
		c.rec.Items = append(c.rec.Items, Item{Path: path, Reader: spec.Name, Result: res, seq: m.seq})
	case !c.cut:
		c.cut, c.rec.Whole = true, true
		c.addGap(bySet, esclusa.Gap{
			Scope: esclusa.GapLayer, What: "files beyond the limit",
			Err: fmt.Sprintf("more than %d files with packages or findings", c.limits.Items),
		})
	}
}

// place fills in the file where the reader named nothing deeper.
func place(p *esclusa.Place, path string) {
	if p.Path == "" {
		p.Path = path
	}
}

func unreadable(spec *Spec, path string, err error) esclusa.Gap {
	g := esclusa.Gap{Scope: esclusa.GapFile, Place: esclusa.Place{Path: path}, What: spec.Name + " file", Err: oneLine(err.Error())}
	if spec.System != "" {
		g.Scope, g.What = esclusa.GapSystem, "all "+spec.System+" packages"
	}
	return g
}

func (c *collector) gap(by string, g esclusa.Gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addGap(by, g)
}

// whole says that a limit was met: see Record.Whole.
func (c *collector) whole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Whole = true
}

// addGap keeps wide gaps beyond the limit: a flood of broken files must not
// push out the one that hides a package system.
func (c *collector) addGap(by string, g esclusa.Gap) {
	wide := g.Scope == esclusa.GapSystem || g.Scope == esclusa.GapLayer
	if len(c.rec.Gaps) >= c.limits.Gaps && !(wide && len(c.rec.Gaps) < 2*c.limits.Gaps) {
		c.lost++
		return
	}
	c.rec.Gaps, c.rec.GapBy = append(c.rec.Gaps, g), append(c.rec.GapBy, by)
}

// done waits for the workers and closes the record.
func (c *collector) done() *Record {
	c.wg.Wait()
	if c.lost > 0 {
		c.rec.Whole = true
		c.rec.Gaps = append(c.rec.Gaps, esclusa.Gap{
			Scope: esclusa.GapLayer, What: "further gaps", Err: fmt.Sprintf("%d more than are listed", c.lost),
		})
		c.rec.GapBy = append(c.rec.GapBy, bySet)
	}
	c.rec.finish()
	return c.rec
}

// oneLine keeps an error readable in a table; stacks go with the rest of it.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(len(s), 300)]
}
