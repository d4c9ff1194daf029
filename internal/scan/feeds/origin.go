package feeds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/advisory"
)

func newOrigin(o Options) (origin, error) {
	if o.From == "" || strings.HasPrefix(o.From, "https://") || strings.HasPrefix(o.From, "http://") {
		return newWeb(o)
	}
	st, err := os.Stat(o.From)
	if err != nil {
		return nil, fmt.Errorf("mirror %q: %w", o.From, err)
	}
	if st.IsDir() {
		return folder{o.From}, nil
	}
	return openTarball(o.From)
}

// folder is a mirror on a disk; copies are read in place.
type folder struct{ dir string }

func (d folder) fetch(_ context.Context, spec Spec, have advisory.Source, progress func(done, total int64)) (*fetched, error) {
	path := filepath.Join(d.dir, filepath.FromSlash(spec.Path))
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, err
	}
	c, err := d.open(f, path, spec, have)
	if err != nil {
		f.Close()
		return nil, err
	}
	progress(c.Size, c.Size)
	return c, nil
}

func (d folder) open(f *os.File, path string, spec Spec, have advisory.Source) (*fetched, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a file", path)
	}
	if st.Size() > spec.MaxSize {
		return nil, fmt.Errorf("%s: %d bytes: %w", path, st.Size(), ErrTooBig)
	}
	tag := tagOf(st)
	if have.From == path && have.Tag == tag {
		return nil, errUnchanged
	}
	return &fetched{
		File: File{f, st.Size()}, from: path, tag: tag,
		check: func() error {
			now, err := os.Stat(path)
			if err != nil {
				return err
			}
			if tagOf(now) != tag {
				return errors.New("changed while it was read")
			}
			return nil
		},
		close:  f.Close,
		spoilt: func() {},
	}, nil
}

func (folder) done() {}

func tagOf(st fs.FileInfo) string {
	return fmt.Sprintf("%d bytes of %d", st.Size(), st.ModTime().UnixNano())
}
