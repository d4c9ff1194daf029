// Package osv reads the advisories of the OSV project's bucket: one zip for
// every ecosystem, in it one JSON file for every record.
//
// It never decides what a version means; ranges are handed on as they are.
// What it changes is said in record.go: summaries are cut, commits are left
// out, and what databases put in fields of their own is brought to one form.
//
// Start with Parse, then parse in record.go.
package osv

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/esclusa/esclusa/internal/inflate"
	"github.com/esclusa/esclusa/internal/scan/feeds"
)

const bucket = "https://osv-vulnerabilities.storage.googleapis.com/"

// Limits. The largest real zip (npm) is about 200 MB with 250,000 records of
// at most 1 MB; the directory of a zip takes about 70 bytes a record.
const (
	maxZip       = 2 << 30
	maxDirectory = 128 << 20
	maxRecord    = 16 << 20
	maxTotal     = 16 << 30
)

// Ecosystems are those that there is a feed for.
var Ecosystems = []string{
	"AlmaLinux", "Alpine", "Bitnami", "Chainguard", "crates.io", "Debian", "Go", "Maven",
	"npm", "NuGet", "openSUSE", "Packagist", "PyPI", "Red Hat", "Rocky Linux", "RubyGems",
	"SUSE", "Ubuntu", "Wolfi",
}

// New is the feed of one ecosystem.
func New(ecosystem string) feeds.Feed { return feed{ecosystem} }

type feed struct{ ecosystem string }

func (f feed) Spec() feeds.Spec {
	return feeds.Spec{
		Name:       "osv/" + f.ecosystem,
		URL:        bucket + strings.ReplaceAll(f.ecosystem, " ", "%20") + "/all.zip",
		Path:       "osv/" + f.ecosystem + "/all.zip",
		Ecosystems: []string{f.ecosystem},
		MaxSize:    maxZip,
	}
}

// Parse reads the zip. Records are inflated and parsed by all processors; a
// record that cannot be read does not touch the others.
func (f feed) Parse(ctx context.Context, in feeds.File, sink feeds.Sink) error {
	if in.Size > maxZip {
		return fmt.Errorf("zip of %d bytes: %w", in.Size, feeds.ErrTooBig)
	}
	directory := &capped{ReaderAt: in, left: maxDirectory}
	z, err := zip.NewReader(directory, in.Size)
	if err != nil {
		return fmt.Errorf("open zip: %w", err)
	}
	directory.left = -1 // the records have limits of their own
	z.RegisterDecompressor(zip.Deflate, decompress)

	var next, total atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), 8) {
		g.Go(func() error {
			var buf []byte
			var err error
			for {
				i := next.Add(1) - 1
				if i >= int64(len(z.File)) {
					return nil
				}
				if err = ctx.Err(); err != nil {
					return err
				}
				file := z.File[i]
				if !strings.HasSuffix(file.Name, ".json") {
					continue
				}
				buf, err = read(file, buf)
				if errors.Is(err, feeds.ErrTooBig) {
					sink.Skip(path.Base(file.Name), err)
					continue
				}
				if err != nil {
					// Not a bad record but a damaged zip: the next download
					// may be whole, and this one must not pass for it.
					return fmt.Errorf("read %q: %w", file.Name, err)
				}
				if total.Add(int64(len(buf))) > maxTotal {
					return fmt.Errorf("inflated records: %w", feeds.ErrTooBig)
				}
				if err := hand(buf, sink); err != nil {
					sink.Skip(path.Base(file.Name), err)
				}
			}
		})
	}
	return g.Wait()
}

// hand parses one record and gives it to the sink.
func hand(text []byte, sink feeds.Sink) error {
	a, err := parse(text)
	if err != nil {
		return err
	}
	return sink.Advisory(a)
}

// read inflates a file of the zip into buf, whatever size its header claims.
func read(file *zip.File, buf []byte) ([]byte, error) {
	buf = buf[:0]
	r, err := file.Open()
	if err != nil {
		return buf, err
	}
	defer r.Close()
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
		if len(buf) > maxRecord {
			return nil, fmt.Errorf("record: %w", feeds.ErrTooBig)
		}
	}
}

// capped fails a reader that reads too much: the directory of a hostile zip
// can claim millions of files.
type capped struct {
	io.ReaderAt
	left int64 // -1: no limit
}

func (c *capped) ReadAt(p []byte, off int64) (int, error) {
	if c.left >= 0 {
		if c.left -= int64(len(p)); c.left < 0 {
			return 0, fmt.Errorf("directory of the zip: %w", feeds.ErrTooBig)
		}
	}
	return c.ReaderAt.ReadAt(p, off)
}

// decompress unpacks an entry; archive/zip holds it to its checksum.
func decompress(r io.Reader) io.ReadCloser { return inflate.NewReader(r, inflate.Raw) }
