package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
)

// OCI image specification, layer: whiteouts.
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh." // of aufs, no file of the image
)

// ReadTar reads a layer, uncompressed, to its end. open is called a second
// time in the rare case that a hard link has a name that a reader wants and
// its content stood under a name that nobody claimed.
//
// What is wrong with the layer's content is a Gap in the record. An error is
// an error of the stream itself (it wraps what the reader returned, or
// tar.ErrHeader): the record then holds what came before it, with a Gap of
// scope layer, and must not be cached.
func (p *Pool) ReadTar(ctx context.Context, open func() (io.ReadCloser, error)) (*Record, error) {
	w := p.walker(ctx)
	err := w.readTar(open, nil)
	if err == nil && len(w.wanted) > 0 {
		err = w.readTar(open, w.wanted)
	}
	return w.finish(err)
}

// walker goes through one layer.
type walker struct {
	ctx    context.Context
	pool   *Pool
	into   *collector
	rec    *Record
	batch  *batch
	wants  wants
	wanted map[string][]string // hard link targets to be read again → their links
	seq    int
}

func (p *Pool) walker(ctx context.Context) *walker {
	rec := &Record{}
	return &walker{ctx: ctx, pool: p, rec: rec, into: &collector{limits: p.limits, rec: rec}}
}

// finish hands over what is left and waits for the workers.
func (w *walker) finish(err error) (*Record, error) {
	if ferr := w.flush(); err == nil {
		err = ferr
	}
	if err != nil {
		w.into.gap(esclusa.Gap{Scope: esclusa.GapLayer, What: "rest of the layer", Err: oneLine(err.Error())})
	}
	return w.into.done(), err
}

// readTar reads the stream; with only set, nothing but those files.
func (w *walker) readTar(open func() (io.ReadCloser, error), only map[string][]string) (err error) {
	rc, err := open()
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rc.Close(); err == nil {
			err = cerr
		}
	}()
	var r io.Reader = rc
	if c, ok := rc.(chunked); ok {
		r = &skipper{src: c}
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			// What follows the end mark must still pass: its digest is checked.
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if only != nil {
			err = w.again(h, tr, only)
		} else {
			err = w.entry(h, tr)
		}
		if err != nil {
			return err
		}
	}
}

// ErrLimit says that a layer is larger than the limits allow.
var ErrLimit = errors.New("limit reached")

func (w *walker) entry(h *tar.Header, r io.Reader) error {
	w.rec.Entries++
	w.rec.Bytes += h.Size
	if w.rec.Entries > w.pool.limits.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, w.pool.limits.Entries)
	}
	if w.rec.Bytes > w.pool.limits.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, w.pool.limits.Bytes)
	}
	name, ok := w.clean(h.Name)
	if !ok {
		return nil
	}
	base := path.Base(name)
	if strings.HasPrefix(base, whiteoutPrefix) {
		w.whiteout(name, base)
		return nil
	}
	w.rec.Paths = append(w.rec.Paths, pathHash(name, h.Typeflag == tar.TypeDir))
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return w.file(name, h.FileInfo().Mode(), h.Uid, h.Size, r)
	case tar.TypeSymlink:
		w.link(&w.rec.Symlinks, name, h.Linkname)
	case tar.TypeLink:
		if target, ok := w.clean(h.Linkname); ok {
			w.hardlink(name, target, h.FileInfo().Mode())
		}
	}
	return nil
}

// clean makes a path relative to the root, as extraction inside the root
// would: "../../etc" is "etc".
func (w *walker) clean(name string) (string, bool) {
	if len(name) > w.pool.limits.PathSize || strings.IndexByte(name, 0) >= 0 {
		w.into.gap(esclusa.Gap{
			Scope: esclusa.GapFile, Place: esclusa.Place{Path: name[:min(len(name), 200)]},
			What: "file", Err: fmt.Sprintf("path is longer than %d bytes or has a NUL", w.pool.limits.PathSize),
		})
		return "", false
	}
	// Most names are clean, or nearly: those are not copied.
	if p := path.Clean(strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")); p[0] != '.' && p[0] != '/' {
		return p, true
	}
	p := path.Clean("/" + name)[1:]
	return p, p != ""
}

func (w *walker) whiteout(name, base string) {
	dir := path.Dir(name)
	if dir == "." {
		dir = ""
	}
	switch {
	case base == whiteoutOpaque:
		w.limited(&w.rec.Opaque, dir)
	case strings.HasPrefix(base, whiteoutMeta):
	default:
		w.limited(&w.rec.Whiteouts, path.Join(dir, base[len(whiteoutPrefix):]))
	}
}

func (w *walker) limited(list *[]string, s string) {
	if len(*list) < w.pool.limits.Links {
		*list = append(*list, s)
		return
	}
	w.into.gap(esclusa.Gap{Scope: esclusa.GapLayer, What: "whiteouts beyond the limit", Err: fmt.Sprintf("more than %d", w.pool.limits.Links)})
}

func (w *walker) link(list *[]Link, name, target string) {
	if len(*list) < w.pool.limits.Links && len(target) <= w.pool.limits.PathSize {
		*list = append(*list, Link{name, target})
		return
	}
	w.into.gap(esclusa.Gap{
		Scope: esclusa.GapLayer, Place: esclusa.Place{Path: name}, What: "link", Err: "too many links, or its target is too long",
	})
}

// hardlink keeps the link when a reader wants its name; the content stands
// under the target's name.
func (w *walker) hardlink(name, target string, mode fs.FileMode) {
	w.pool.set.claims(name, mode, 1, &w.wants)
	if w.wants.none() {
		return
	}
	w.link(&w.rec.Hardlinks, name, target)
	if w.wants.sure != 0 && !w.claimedByName(target, mode) {
		if w.wanted == nil {
			w.wanted = map[string][]string{}
		}
		if len(w.wanted) < w.pool.limits.Items {
			w.wanted[target] = append(w.wanted[target], name)
		}
	}
}

// claimedByName says whether the same readers that want the link by its name
// have seen the target by its own.
func (w *walker) claimedByName(target string, mode fs.FileMode) bool {
	want := w.wants.sure
	var t wants
	w.pool.set.claims(target, mode, 1, &t)
	return want&^t.sure == 0
}

// again reads a file for the names that link to it.
func (w *walker) again(h *tar.Header, r io.Reader, only map[string][]string) error {
	name := path.Clean("/" + h.Name)[1:]
	links := only[name]
	if len(links) == 0 || h.Typeflag != tar.TypeReg {
		return nil
	}
	if h.Size > batchSize*64 {
		w.into.gap(esclusa.Gap{Scope: esclusa.GapFile, Place: esclusa.Place{Path: links[0]}, What: "hard link", Err: "the linked file is too large to read twice"})
		return nil
	}
	data := make([]byte, h.Size)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, l := range links {
		if err := w.file(l, h.FileInfo().Mode(), h.Uid, h.Size, strings.NewReader(string(data))); err != nil {
			return err
		}
	}
	return nil
}

// file hands a regular file to the readers that want it.
func (w *walker) file(name string, mode fs.FileMode, uid int, size int64, r io.Reader) error {
	w.seq++
	if size == 0 {
		return nil
	}
	w.pool.set.claims(name, mode, size, &w.wants)
	if w.wants.none() {
		return nil
	}
	var head [MagicSize]byte
	n := 0
	if len(w.wants.maybe) > 0 || len(w.wants.over) > 0 {
		var err error
		if n, err = io.ReadFull(r, head[:min(size, MagicSize)]); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	read, tooLarge := w.wants.decide(head[:n])
	if tooLarge != 0 {
		w.tooLarge(name, size, tooLarge)
	}
	if read == 0 {
		return nil
	}
	b, err := w.room(size)
	if err != nil {
		return err
	}
	from := len(b.data)
	b.data = append(b.data, head[:n]...)
	b.data = b.data[:from+int(size)]
	if _, err := io.ReadFull(r, b.data[from+n:]); err != nil {
		b.data = b.data[:from]
		return fmt.Errorf("read %s: %w", name, err)
	}
	b.files = append(b.files, member{path: name, mode: mode, uid: uid, from: from, to: len(b.data), seq: w.seq, read: read})
	if len(b.data) >= batchSize || len(b.files) >= batchFiles {
		return w.flush()
	}
	return nil
}

func (w *walker) tooLarge(name string, size int64, readers mask) {
	for i := range w.pool.set.specs {
		if readers&(1<<i) != 0 {
			spec := &w.pool.set.specs[i]
			w.into.gap(unreadable(spec, name, fmt.Errorf("%d bytes, more than the %d that are read", size, spec.Limit())))
		}
	}
}

// room is a batch with place for size bytes.
func (w *walker) room(size int64) (*batch, error) {
	if w.batch != nil && int64(cap(w.batch.data)-len(w.batch.data)) < size {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	if w.batch == nil {
		b, err := w.pool.get(w.ctx, size)
		if err != nil {
			return nil, err
		}
		b.into, w.batch = w.into, b
	}
	return w.batch, nil
}

func (w *walker) flush() error {
	b := w.batch
	w.batch = nil
	switch {
	case b == nil:
		return nil
	case len(b.files) == 0:
		w.pool.put(b)
		return nil
	}
	return w.pool.submit(w.ctx, b)
}
