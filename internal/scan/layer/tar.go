package layer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/tarwalk"
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
// tarwalk.ErrHeader): the record then holds what came before it, with a Gap of
// scope layer, and must not be cached.
func (p *Pool) ReadTar(ctx context.Context, open func() (io.ReadCloser, error)) (*Record, error) {
	return p.walker(ctx).whole(open)
}

// ReadTarIndexed is ReadTar, and keeps in x where the files are. What x holds
// beside an error or a record that is Whole means nothing.
func (p *Pool) ReadTarIndexed(ctx context.Context, open func() (io.ReadCloser, error), x *Index) (*Record, error) {
	w := p.walker(ctx)
	w.index = &indexWriter{}
	rec, err := w.whole(open)
	x.Files = w.index.b
	return rec, err
}

func (w *walker) whole(open func() (io.ReadCloser, error)) (*Record, error) {
	err := w.readTar(open, nil)
	if err == nil && len(w.wanted) > 0 {
		err = w.readTar(open, w.wanted)
	}
	if w.index != nil && w.index.full {
		w.into.whole()
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
	head   [MagicSize]byte // of the file at hand
	looked int             // bytes of it that were read
	only   mask            // the readers that read
	index  *indexWriter    // may be nil
}

func (p *Pool) walker(ctx context.Context) *walker {
	rec := &Record{}
	for i := range p.set.specs {
		rec.Readers = append(rec.Readers, Maker{p.set.specs[i].Name, p.set.specs[i].Version})
	}
	return &walker{ctx: ctx, pool: p, rec: rec, only: ^mask(0), into: &collector{limits: p.limits, rec: rec}}
}

// finish hands over what is left and waits for the workers.
func (w *walker) finish(err error) (*Record, error) {
	if ferr := w.flush(); err == nil {
		err = ferr
	}
	if err != nil {
		w.into.gap(byTar, esclusa.Gap{Scope: esclusa.GapLayer, What: "rest of the layer", Err: oneLine(err.Error())})
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
	src, ok := rc.(tarwalk.Source)
	if !ok {
		src = tarwalk.Chunks(rc)
	}
	tw := tarwalk.New(src)
	var e tarwalk.Entry
	for {
		switch err := tw.Next(&e); {
		case err == io.EOF:
			return drain(src)
		case err != nil:
			return fmt.Errorf("read tar: %w", err)
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if only != nil {
			err = w.again(&e, tw, only)
		} else {
			err = w.entry(&e, tw)
		}
		if err != nil {
			return err
		}
	}
}

// drain reads what follows the end mark: only at the stream's own end are its
// bytes what they claim to be.
func drain(src tarwalk.Source) error {
	for {
		if _, err := src.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// ErrLimit says that a layer is larger than the limits allow.
var ErrLimit = errors.New("limit reached")

func (w *walker) entry(e *tarwalk.Entry, r io.Reader) error {
	w.rec.Entries++
	if w.rec.Entries > w.pool.limits.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, w.pool.limits.Entries)
	}
	if e.Stored > w.pool.limits.Bytes-w.rec.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, w.pool.limits.Bytes)
	}
	w.rec.Bytes += e.Stored
	if e.Type == tarwalk.TypePAXGlobal {
		return nil // no file, whatever its name
	}
	name, ok := w.clean(string(e.Name))
	if !ok {
		return nil
	}
	base := path.Base(name)
	if strings.HasPrefix(base, whiteoutPrefix) {
		w.whiteout(name, base)
		return nil
	}
	switch e.Type {
	case tarwalk.TypeFile, tarwalk.TypeCont, tarwalk.TypeGNUSparse:
		w.seen(name, false)
		return w.content(name, e, r)
	case tarwalk.TypeDir:
		w.seen(name, true)
	case tarwalk.TypeChar, tarwalk.TypeBlock, tarwalk.TypeFifo:
		w.seen(name, false)
	case tarwalk.TypeSymlink:
		w.seen(name, false)
		w.link(&w.rec.Symlinks, name, string(e.Link))
	case tarwalk.TypeHardlink:
		w.seen(name, false)
		if target, ok := w.clean(string(e.Link)); ok {
			w.hardlink(name, target, e.FileMode())
			w.index.add(&entry{kind: entryLink, name: name, mode: e.FileMode(), target: target})
		}
	default:
		// Container runtimes refuse it. It hides nothing of lower layers.
		w.gap(byTar, name, "file", fmt.Errorf("entry of the unknown type %q", e.Type))
	}
	return nil
}

// content reads a regular file and keeps where it is.
func (w *walker) content(name string, e *tarwalk.Entry, r io.Reader) error {
	in := entry{kind: entryFile, name: name, mode: e.FileMode(), uid: e.UID, offset: e.Offset, size: e.Size}
	var err error
	if w.looked = 0; e.Sparse {
		in.kind = entrySparse
		w.sparse(name, in.mode, in.size)
	} else {
		err = w.file(name, in.mode, in.uid, in.size, r)
	}
	if w.index != nil && in.size > 0 {
		in.look(w.head[:w.looked])
		w.index.add(&in)
	}
	return err
}

func (w *walker) seen(name string, dir bool) {
	w.rec.Paths = append(w.rec.Paths, pathHash(name, dir))
}

// sparse tells of a file with holes that a reader wants. No builder writes
// them, so that to read them would be code that only attackers run.
func (w *walker) sparse(name string, mode fs.FileMode, size int64) {
	w.pool.set.claims(name, mode, size, &w.wants)
	if size > 0 && !w.wants.none() {
		w.unread(name, fmt.Errorf("stored as a sparse file, %d bytes with its holes: not read", size))
	}
}

// unread says what a file hides that readers want and that cannot be read: a
// package database hides all of its system.
func (w *walker) unread(name string, err error) {
	hidden := w.wants.sure
	for i := range w.wants.over {
		if c := &w.wants.over[i]; !c.claim.NeedsHead() {
			hidden |= 1 << c.reader
		}
	}
	told := false
	for i := range w.pool.set.specs {
		if spec := &w.pool.set.specs[i]; spec.System != "" && hidden&(1<<i) != 0 {
			w.into.gap(bySet, unreadable(spec, name, err))
			told = true
		}
	}
	if !told {
		w.gap(bySet, name, "file", err)
	}
}

func (w *walker) gap(by, name, what string, err error) {
	w.into.gap(by, esclusa.Gap{Scope: esclusa.GapFile, Place: esclusa.Place{Path: name}, What: what, Err: oneLine(err.Error())})
}

// clean makes a path relative to the root, as extraction inside the root
// would: "../../etc" is "etc".
func (w *walker) clean(name string) (string, bool) {
	if len(name) > w.pool.limits.PathSize || strings.IndexByte(name, 0) >= 0 {
		w.gap(byTar, name[:min(len(name), 200)], "file", fmt.Errorf("path is longer than %d bytes or has a NUL", w.pool.limits.PathSize))
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
	w.into.gap(byTar, esclusa.Gap{Scope: esclusa.GapLayer, What: "whiteouts beyond the limit", Err: fmt.Sprintf("more than %d", w.pool.limits.Links)})
}

func (w *walker) link(list *[]Link, name, target string) {
	if len(*list) < w.pool.limits.Links && len(target) <= w.pool.limits.PathSize {
		*list = append(*list, Link{name, target})
		return
	}
	w.into.whole()
	w.into.gap(bySet, esclusa.Gap{
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
		} else {
			w.into.whole()
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
func (w *walker) again(e *tarwalk.Entry, r io.Reader, only map[string][]string) error {
	if e.Type != tarwalk.TypeFile || len(e.Name) > w.pool.limits.PathSize {
		return nil
	}
	name := path.Clean("/" + string(e.Name))[1:]
	if strings.HasPrefix(path.Base(name), whiteoutPrefix) {
		return nil // no file
	}
	in := entry{kind: entryFile, name: name, mode: e.FileMode(), uid: e.UID, size: e.Size}
	if e.Sparse {
		in.kind = entrySparse
	}
	return w.linked(&in, only[name], r)
}

// linked reads a file for the names that link to it.
func (w *walker) linked(e *entry, links []string, r io.Reader) error {
	switch {
	case len(links) == 0:
		return nil
	case e.kind == entrySparse:
		for _, l := range links {
			w.sparse(l, e.mode, e.size)
		}
		return nil
	case e.size > maxLinked:
		w.gap(bySet, links[0], "hard link", errors.New("the linked file is too large to read twice"))
		return nil
	}
	data := make([]byte, e.size)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("read %s: %w", e.name, err)
	}
	for _, l := range links {
		if err := w.file(l, e.mode, e.uid, e.size, bytes.NewReader(data)); err != nil {
			return err
		}
	}
	return nil
}

// maxLinked is the largest file that is read for a hard link's name.
const maxLinked = 64 * batchSize

// file hands a regular file to the readers that want it.
func (w *walker) file(name string, mode fs.FileMode, uid int, size int64, r io.Reader) error {
	w.seq++
	if size == 0 {
		return nil
	}
	w.pool.set.claims(name, mode, size, &w.wants)
	w.wants.limit(w.only)
	if w.wants.none() {
		return nil
	}
	n := 0
	if len(w.wants.maybe) > 0 || len(w.wants.over) > 0 {
		var err error
		if n, err = io.ReadFull(r, w.head[:min(size, MagicSize)]); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	w.looked = n
	read, tooLarge := w.wants.decide(w.head[:n])
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
	b.data = append(b.data, w.head[:n]...)
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
			w.into.gap(spec.Name, unreadable(spec, name, fmt.Errorf("%d bytes, more than the %d that are read", size, spec.Limit())))
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
