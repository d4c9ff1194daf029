package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/esclusa/esclusa"
)

const (
	maxEntries = 100_000 // of the tar that an image comes in
	maxHops    = 8       // of links inside it
	// A tar that can only be read forwards keeps its small files from the
	// first pass: manifests and configurations, mostly.
	keepFile = 1 << 20
	keepAll  = 32 << 20
)

// archive is a tar that is read by name. Names are keys of a map and nothing
// else: no name of it ever reaches a file system.
//
// Or it is a folder into which one was unpacked, out of which no name leads.
type archive struct {
	folder  *os.Root
	entries map[string]entry
	// at reads anywhere; if nil, reopen starts the tar again.
	at     io.ReaderAt
	reopen func(ctx context.Context) (io.ReadCloser, error)

	mu   sync.Mutex
	idle *cursor // a stream that nobody reads at the moment
}

type entry struct {
	offset, size int64
	link         string // the name it stands for
	kept         []byte
	bad          string // why it cannot be read
}

// cursor is a position in the tar's stream.
type cursor struct {
	io.ReadCloser
	offset int64
}

func (c *cursor) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.offset += int64(n)
	return n, err
}

// indexFile lists a tar that can be read anywhere.
func indexFile(at io.ReaderAt, size int64) (*archive, error) {
	a := &archive{at: at, entries: map[string]entry{}}
	r := io.NewSectionReader(at, 0, size)
	return a, a.index(r, func() int64 {
		offset, _ := r.Seek(0, io.SeekCurrent) // cannot fail
		return offset
	})
}

// indexStream lists a tar by reading it once through.
func indexStream(ctx context.Context, reopen func(ctx context.Context) (io.ReadCloser, error)) (*archive, error) {
	a := &archive{reopen: reopen, entries: map[string]entry{}}
	r, err := reopen(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c := &cursor{ReadCloser: r}
	return a, a.index(c, func() int64 { return c.offset })
}

func (a *archive) index(r io.Reader, offset func() int64) error {
	kept := int64(0)
	tr := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if n >= maxEntries {
			return &LimitError{"number of files in the archive", maxEntries, "files"}
		}
		e := entry{offset: offset(), size: h.Size}
		name := clean(h.Name)
		switch h.Typeflag {
		case tar.TypeReg, '\x00':
			if isSparse(h) {
				e.bad = "a sparse file"
			} else if a.at == nil && h.Size <= keepFile && kept+h.Size <= keepAll {
				kept += h.Size
				if e.kept, err = io.ReadAll(tr); err != nil {
					return fmt.Errorf("read archive: %q: %w", h.Name, err)
				}
			}
		case tar.TypeSymlink: // docker save before 25: the same layer twice
			e.link = clean(path.Join(path.Dir(name), h.Linkname))
		case tar.TypeLink:
			e.link = clean(h.Linkname)
		default:
			continue
		}
		// The last one of a name wins, as for everyone who unpacks it.
		a.entries[name] = e
	}
}

// clean makes "./a", "/a" and "a" one name, and keeps ".." inside.
func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

func (a *archive) has(name string) bool {
	_, err := a.find(name)
	return err == nil
}

func (a *archive) find(name string) (entry, error) {
	at := clean(name)
	if a.folder != nil {
		info, err := a.folder.Stat(at)
		if err != nil {
			return entry{}, err
		}
		return entry{size: info.Size()}, nil
	}
	for range maxHops {
		e, ok := a.entries[at]
		switch {
		case !ok:
			return e, fmt.Errorf("%q in the archive: %w", name, ErrNotFound)
		case e.bad != "":
			return e, fmt.Errorf("%q in the archive is %s", name, e.bad)
		case e.link == "":
			return e, nil
		}
		at = e.link
	}
	return entry{}, fmt.Errorf("%q in the archive: links go in circles", name)
}

// open streams one file.
func (a *archive) open(ctx context.Context, name string) (io.ReadCloser, error) {
	e, err := a.find(name)
	if err != nil {
		return nil, err
	}
	switch {
	case a.folder != nil:
		return openRegular(a.folder, clean(name))
	case e.kept != nil:
		return io.NopCloser(bytes.NewReader(e.kept)), nil
	case a.at != nil:
		return section{io.NewSectionReader(a.at, e.offset, e.size)}, nil
	}
	c, err := a.seek(ctx, e.offset)
	if err != nil {
		return nil, fmt.Errorf("%q in the archive: %w", name, err)
	}
	s := &span{a: a, c: c, left: e.size}
	s.stop = context.AfterFunc(ctx, func() { c.Close() })
	return s, nil
}

// section keeps Seek, which io.NopCloser would hide.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

// seek gives a stream that stands at offset: the idle one if it has not gone
// too far, else a new one.
func (a *archive) seek(ctx context.Context, offset int64) (*cursor, error) {
	a.mu.Lock()
	c := a.idle
	if c != nil && c.offset <= offset {
		a.idle = nil
	} else {
		c = nil
	}
	a.mu.Unlock()
	if c == nil {
		r, err := a.reopen(ctx)
		if err != nil {
			return nil, err
		}
		c = &cursor{ReadCloser: r}
	}
	if _, err := io.CopyN(io.Discard, c, offset-c.offset); err != nil {
		c.Close()
		return nil, noEOF(err)
	}
	return c, nil
}

// park keeps a stream for the next reader.
func (a *archive) park(c *cursor) {
	a.mu.Lock()
	old := a.idle
	a.idle = c
	a.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// close lets go of the folder or the idle stream; what is under at belongs to
// the opener.
func (a *archive) close() error {
	if a.folder != nil {
		return a.folder.Close()
	}
	a.park(nil)
	return nil
}

func (a *archive) read(ctx context.Context, name, what string, limit int64) ([]byte, error) {
	r, err := a.open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q of the archive: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, &LimitError{"size of a " + what, limit, "bytes"}
	}
	return b, nil
}

// span is one file of a forward stream.
type span struct {
	a    *archive
	c    *cursor
	left int64
	stop func() bool
}

func (s *span) Read(p []byte) (int, error) {
	if s.c == nil {
		return 0, errClosed
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.c.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if s.left > 0 {
		err = noEOF(err)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (s *span) Close() error {
	if s.c != nil && s.stop() { // else the context has closed it
		s.a.park(s.c)
	}
	s.c = nil
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// digestName is the digest that a file is named after ("<hex>.json",
// "blobs/sha256/<hex>", "sha256:<hex>"), or empty.
func digestName(name string) esclusa.Digest {
	base, _, _ := strings.Cut(path.Base(name), ".")
	d := esclusa.Digest("sha256:" + strings.TrimPrefix(base, "sha256:"))
	if newHash(d) == nil {
		return ""
	}
	return d
}
