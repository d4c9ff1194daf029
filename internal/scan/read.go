package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// layer reads one layer and keeps it in the cache. A dominant one is larger
// than what the other cores have to do beside it: it gets two. A record beside
// an error is what could be read of it, with the gap that says where it ended.
// No record: nothing of the layer can be believed.
func (s *Scanner) layer(ctx context.Context, pool *layer.Pool, set *layer.Set, l *oci.Layer, dominant bool, count func(int)) (*layer.Record, error) {
	m := meter{count: count}
	m.left.Store(l.Size)
	blob := l.Counted(m.read)
	read, openTar := pool.ReadTar, blob.OpenTar
	var x layer.Index
	if s.Cache != nil {
		read = func(ctx context.Context, open func() (io.ReadCloser, error)) (*layer.Record, error) {
			return pool.ReadTarIndexed(ctx, open, &x)
		}
		openTar = func(ctx context.Context) (oci.Stream, error) {
			if x.Table.Whole { // a second look, for hard links
				return blob.OpenTar(ctx)
			}
			return blob.OpenTarMarked(ctx, &x.Table)
		}
	}
	rec, err := read(ctx, func() (io.ReadCloser, error) {
		st, err := openTar(ctx)
		if err != nil {
			return nil, err
		}
		if dominant {
			st = oci.Ahead(st)
		}
		// A blob may be what its digest says and still unpack to something
		// else than the configuration claims. What is kept under a diff-ID
		// must be that diff-ID's, or one image could speak for another; and the
		// answer is the same without a cache.
		return oci.VerifyDiffID(st, l.DiffID), nil
	})
	switch {
	case errors.Is(err, oci.ErrDigest), rec.Entries == 0 && err != nil:
		return nil, err
	case err != nil && ctx.Err() == nil:
		// A stream that breaks is broken before its digest is known. A blob
		// that is not what its digest names says nothing that can be believed.
		if derr := verifyBlob(ctx, l); errors.Is(derr, oci.ErrDigest) {
			return nil, derr
		}
		return rec, err
	case err != nil:
		return rec, err
	}
	if s.Cache != nil {
		// A cache that cannot be written costs time, not the answer.
		_ = s.Cache.Put(set.Key(), l.DiffID, rec)
		if x.Table.Whole && !rec.Whole {
			_ = s.Cache.PutIndex(l.DiffID, &x)
		}
	}
	return rec, nil
}

// reread makes the record from one that other readers left, where that takes
// at most half of the blob; else it is nil. An error says that it should have
// worked. The layer is then read whole, so that it can change no result.
func (s *Scanner) reread(ctx context.Context, pool *layer.Pool, set *layer.Set, l *oci.Layer, count func(int)) (*layer.Record, error) {
	if s.Cache == nil {
		return nil, nil
	}
	x, ok := s.Cache.Index(l.DiffID)
	if !ok || x.Table.Digest != l.Digest {
		return nil, nil
	}
	var least *layer.Reread
	cost := l.Size/2 + 1
	for _, old := range s.Cache.Older(l.DiffID) {
		r, err := pool.Reread(ctx, old, x)
		if err != nil {
			return nil, err
		}
		if c := x.Table.Cost(r.Parts()); c < cost {
			least, cost = r, c
		}
	}
	if least == nil {
		return nil, nil
	}
	seeker, err := l.OpenSeeker(ctx, &x.Table)
	if err != nil {
		return nil, err
	}
	defer seeker.Close()
	rec, err := least.Run(seeker)
	if err != nil {
		return nil, err
	}
	count(int(seeker.Fetched()))
	_ = s.Cache.Put(set.Key(), l.DiffID, rec) // costs time, not the answer
	return rec, nil
}

// verifyBlob reads the blob for nothing but its digest.
func verifyBlob(ctx context.Context, l *oci.Layer) error {
	blob, err := l.Open(ctx)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	return err
}

// layerGap says that a whole layer is unknown.
func layerGap(id esclusa.Digest, err error) esclusa.Gap {
	g := esclusa.Gap{Scope: esclusa.GapLayer, Place: esclusa.Place{Layer: id}, What: "layer", Err: err.Error()}
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		g.Hint = h.Hint()
	case errors.Is(err, oci.ErrDigest):
		g.Hint = "the content is not what its digest names: pull or build the image again"
	}
	return g
}

// meter reports progress in the bytes of a blob. What is read a second time is
// no progress.
type meter struct {
	left  atomic.Int64
	count func(int)
}

func (m *meter) read(n int) {
	left := m.left.Add(-int64(n))
	if n = min(n, n+int(left)); n > 0 {
		m.count(n)
	}
}

// Root scans a root file system; "/" is the live host.
func (s *Scanner) Root(ctx context.Context, dir, ref string) (*esclusa.Report, error) {
	opt := layer.FolderOptions{}
	if dir == "/" {
		opt.Skip = layer.HostSkips()
	}
	image := esclusa.Image{Kind: esclusa.TargetRoot, Ref: ref}
	return s.single(ctx, image, layer.Installed, func(p *layer.Pool) (*layer.Record, error) {
		return p.ReadFolder(ctx, dir, opt)
	})
}

// Source scans a folder of sources: what its lock files ask for, and what
// lies in it.
func (s *Scanner) Source(ctx context.Context, dir, ref string) (*esclusa.Report, error) {
	opt := layer.FolderOptions{SkipNames: []string{".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__"}}
	image := esclusa.Image{Kind: esclusa.TargetSource, Ref: ref}
	return s.single(ctx, image, layer.Declared, func(p *layer.Pool) (*layer.Record, error) {
		return p.ReadFolder(ctx, dir, opt)
	})
}

// File scans one lock file, manifest, SBOM, program or Java archive.
func (s *Scanner) File(ctx context.Context, name string, data []byte, kind esclusa.TargetKind, ref string) (*esclusa.Report, error) {
	// What is there to run is read as it is in an image.
	where, mode := layer.Declared, fs.FileMode(0o644)
	if bytes.HasPrefix(data, []byte("\x7fELF")) || bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		where, mode = layer.Installed, 0o755
	}
	r, err := s.single(ctx, esclusa.Image{Kind: kind, Ref: ref}, where, func(p *layer.Pool) (*layer.Record, error) {
		return p.ReadFile(ctx, name, mode, data)
	})
	if err == nil && len(r.Packages)+len(r.Findings)+len(r.Gaps) == 0 {
		return r, fmt.Errorf("%s: %w", ref, ErrNothing)
	}
	return r, err
}

// ErrNothing says that a single file held nothing that a reader knows; the
// report beside it is empty, which must not be taken for clean.
var ErrNothing = errors.New("no packages, findings or known format")

func (s *Scanner) single(ctx context.Context, image esclusa.Image, where layer.Where, read func(*layer.Pool) (*layer.Record, error)) (*esclusa.Report, error) {
	start := s.now()
	readers, set, err := s.readers(where)
	if err != nil {
		return nil, err
	}
	pool := layer.NewPool(set, s.Workers, s.Limits)
	defer pool.Close()
	rec, err := read(pool)
	if err != nil && (rec == nil || ctx.Err() != nil) {
		return nil, err
	}
	held := s.contents(&image, layer.Merge([]*layer.Record{rec}, []esclusa.Digest{""}), readers)
	return s.report(start, image, held, esclusa.End{LayersRead: 1}), nil
}
