// Package scan takes a target to a report: it reads each layer once, merges
// what was read, matches packages with advisories and puts the findings in the
// order in which they should be fixed.
//
// It decides nothing (gate does), prints nothing (report does) and leaves no
// file behind but cache entries. What it could not examine is a Gap in the
// report; an error means that there is no report.
//
// Start with Scanner.Image, which reads top to bottom like the page.
package scan

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan/cache"
	catalog "github.com/esclusa/esclusa/internal/scan/catalog/all"
	"github.com/esclusa/esclusa/internal/scan/contents"
	inspect "github.com/esclusa/esclusa/internal/scan/inspect/all"
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/literal"
	"github.com/esclusa/esclusa/internal/scan/match"
	"golang.org/x/sync/errgroup"
)

// Config says how to scan. The zero value reads everything, with no cache and
// no advisories.
type Config struct {
	// Tool is what reports name as their maker: "esclusa 1.2.3".
	Tool string
	// PackagesOnly leaves secrets, malware and misconfiguration out.
	PackagesOnly bool
	// Malware are rules that the user brought, beside the built-in ones.
	Malware []*malware.Rules
	// Cache may be nil: every layer is read anew.
	Cache *cache.Cache
	// Advisories may be nil: that no package was matched is then a Gap.
	Advisories match.Advisories
	// Feeds are the states of the sources behind Advisories.
	Feeds []esclusa.Feed
	// MaxFeedAge is how old a feed may be before that is a Gap; 0 is
	// DefaultFeedAge.
	MaxFeedAge time.Duration
	// VEX are statements that apply beside those of Advisories.
	VEX []match.Statement
	// Gaps are what could not be read of them; every report has them.
	Gaps []esclusa.Gap
	// Workers is how many layers are unpacked and how many files are read at
	// once; 0 is the number of cores.
	Workers int
	// Limits bound each layer; the zero value is layer.DefaultLimits.
	Limits layer.Limits
	// Progress, if set, is called with the compressed bytes read so far and
	// in all. It is called often and from several goroutines.
	Progress func(done, total int64)
	// Now is the time of the scan; the zero value is the current time.
	Now time.Time
}

// DefaultFeedAge is the age at which a feed's silence stops being believable:
// every source that esclusa reads by default says something each week.
const DefaultFeedAge = 14 * 24 * time.Hour

// Scanner scans targets one after the other or side by side.
type Scanner struct {
	Config
}

// New returns a scanner.
func New(c Config) *Scanner {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Limits == (layer.Limits{}) {
		c.Limits = layer.DefaultLimits()
	}
	if c.MaxFeedAge == 0 {
		c.MaxFeedAge = DefaultFeedAge
	}
	return &Scanner{c}
}

// readers are those for targets of a kind, and their index.
func (s *Scanner) readers(where layer.Where) ([]layer.Reader, *layer.Set, error) {
	all := catalog.Readers()
	if !s.PackagesOnly {
		all = append(all, inspect.Readers(s.Malware...)...)
	}
	set, err := layer.NewSet(all, where, func(l []layer.Literal) layer.Finder { return literal.Compile(l) })
	return all, set, err
}

// Image scans an image.
func (s *Scanner) Image(ctx context.Context, img *oci.Image) (*esclusa.Report, error) {
	start := s.now()
	readers, set, err := s.readers(layer.Installed)
	if err != nil {
		return nil, err
	}
	image := img.Image
	s.origins(img, &image)
	key := s.key(set, &image)
	held, end := s.unchanged(key, set, &image)
	if held == nil {
		read, err := s.layers(ctx, img, set)
		if err != nil {
			return nil, err
		}
		var ids []esclusa.Digest
		for _, l := range img.Layers {
			ids = append(ids, l.DiffID)
		}
		held = s.contents(&image, layer.Merge(read.records, ids), readers)
		if s.Cache != nil && !read.partial {
			// A cache that cannot be written costs time, not the answer.
			_ = s.Cache.PutContents(key, held)
		}
		// What could not be read today may be readable tomorrow.
		held.Gaps = append(held.Gaps, read.gaps...)
		end = esclusa.End{
			LayersRead: read.fresh, LayersCached: read.cached, LayersInPart: read.inPart, IndexesRefused: read.refused,
			BytesRead: read.bytes.Load(), InflateDoubts: img.Doubts(),
		}
	}
	s.remember(img)
	return s.report(start, image, held, end), nil
}

// layersRead is what came of the layers of an image.
type layersRead struct {
	records       []*layer.Record // by index; nil where nothing could be read
	gaps          []esclusa.Gap
	partial       bool // a layer was not read to its end
	fresh, cached int
	inPart        int // of fresh
	refused       int // indexes that led nowhere
	bytes         atomic.Int64
	mu            sync.Mutex
}

// layers reads what the cache does not know, largest layer first, so that it
// does not run alone at the end.
func (s *Scanner) layers(ctx context.Context, img *oci.Image, set *layer.Set) (*layersRead, error) {
	out := &layersRead{records: make([]*layer.Record, len(img.Layers))}
	todo := map[esclusa.Digest][]int{} // one layer may stand in an image twice
	var order []int
	var total int64
	for i, l := range img.Layers {
		if rec, ok := s.cached(set, l.DiffID); ok {
			out.records[i] = rec
			out.cached++
			continue
		}
		if len(todo[l.DiffID]) == 0 {
			order = append(order, i)
			total += l.Size
		}
		todo[l.DiffID] = append(todo[l.DiffID], i)
	}
	if len(order) == 0 {
		return out, nil
	}
	pool := layer.NewPool(set, s.Workers, s.Limits)
	defer pool.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.Workers)
	serial, err := img.Serial(ctx)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", img.Ref, err)
	}
	if serial != nil {
		g.SetLimit(1)
		order = slices.DeleteFunc(slices.Clone(serial), func(i int) bool { return !slices.Contains(order, i) })
	} else {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(img.Layers[b].Size, img.Layers[a].Size) })
	}
	for _, i := range order {
		g.Go(func() error {
			l := &img.Layers[i]
			dominant := s.Workers > 1 && l.Size >= total/int64(s.Workers)
			count := func(n int) { s.progress(&out.bytes, n, total) }
			rec, refused := s.reread(ctx, pool, set, l, count)
			inPart := rec != nil
			var err error
			if !inPart {
				rec, err = s.layer(ctx, pool, set, l, dominant, count)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			out.mu.Lock()
			defer out.mu.Unlock()
			out.fresh++
			if inPart {
				out.inPart++
			}
			if refused != nil {
				out.refused++
			}
			for _, j := range todo[img.Layers[i].DiffID] {
				out.records[j] = rec
			}
			out.partial = out.partial || err != nil
			if err != nil && rec == nil {
				out.gaps = append(out.gaps, layerGap(img.Layers[i].DiffID, err))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("scan %s: %w", img.Ref, err)
	}
	return out, nil
}

func (s *Scanner) progress(sum *atomic.Int64, n int, total int64) {
	done := sum.Add(int64(n))
	if s.Progress != nil {
		s.Progress(done, total)
	}
}

func (s *Scanner) cached(set *layer.Set, id esclusa.Digest) (*layer.Record, bool) {
	if s.Cache == nil {
		return nil, false
	}
	return s.Cache.Get(set.Key(), id)
}

// now is the time of the scan. Config.Now makes two scans comparable.
func (s *Scanner) now() time.Time {
	if !s.Now.IsZero() {
		return s.Now
	}
	return time.Now()
}

// report is what the contents of a target mean today: matching is done anew,
// for advisories, statements and the date change without the target.
func (s *Scanner) report(start time.Time, image esclusa.Image, held *contents.Contents, end esclusa.End) *esclusa.Report {
	image.Distro = held.Distro
	r := &esclusa.Report{
		Start: esclusa.Start{Stream: esclusa.StreamVersion, Tool: s.Tool, At: start.UTC()},
		Image: masked(image), Feeds: s.Feeds, Packages: held.Packages,
		Findings: held.Findings, Gaps: append(held.Gaps, s.Gaps...), End: end,
	}
	s.match(r, held.Symbols)
	r.Findings = match.Order(r.Findings)
	slices.SortStableFunc(r.Gaps, func(x, y esclusa.Gap) int { return cmp.Compare(scopeOrder(x.Scope), scopeOrder(y.Scope)) })
	r.End.Packages, r.End.Findings, r.End.Gaps = len(r.Packages), len(r.Findings), len(r.Gaps)
	if s.Now.IsZero() {
		r.End.Took = time.Since(start)
	}
	return r
}

func scopeOrder(s esclusa.GapScope) int {
	return slices.Index([]esclusa.GapScope{esclusa.GapSystem, esclusa.GapLayer, esclusa.GapFeed, esclusa.GapFile, esclusa.GapItem}, s)
}
