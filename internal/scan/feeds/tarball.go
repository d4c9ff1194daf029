package feeds

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// tarball is a mirror in one file, to be carried into a closed network. It is
// not unpacked: copies are read where they lie in it. It is not compressed,
// because what is in it is.
type tarball struct {
	path  string
	files []tarFile
}

type tarFile struct {
	name     string
	at, size int64
	modified int64
}

// maxMembers is above what any mirror holds.
const maxMembers = 10_000

func openTarball(name string) (*tarball, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("mirror %q: %w", name, err)
	}
	defer f.Close()
	t := &tarball{path: name}
	r := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("mirror %q: read tar: %w", name, err)
		}
		if n >= maxMembers {
			return nil, fmt.Errorf("mirror %q: members: %w", name, ErrTooBig)
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("mirror %q: %w", name, err)
		}
		if holes(h) {
			// Its bytes do not lie in the tar as they are in the file.
			return nil, fmt.Errorf("mirror %q: %q is stored with holes (hint: pack it without tar's --sparse)", name, h.Name)
		}
		if h.Typeflag == tar.TypeReg {
			t.files = append(t.files, tarFile{path.Clean("/" + h.Name), at, h.Size, h.ModTime.Unix()})
		}
	}
}

// holes says of a file that its zeros are left out: in GNU's old format or in
// those that GNU tar writes into PAX records.
func holes(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// fetch finds the file by the end of its path: the tar may have been made
// from inside the mirror or from above it.
func (t *tarball) fetch(_ context.Context, spec Spec, have advisory.Source, progress func(done, total int64)) (*fetched, error) {
	for _, m := range t.files {
		if !strings.HasSuffix(m.name, "/"+spec.Path) {
			continue
		}
		if m.size > spec.MaxSize {
			return nil, fmt.Errorf("%s in %s: %d bytes: %w", m.name, t.path, m.size, ErrTooBig)
		}
		from, tag := t.path+"!"+m.name, fmt.Sprintf("%d bytes of %d", m.size, m.modified)
		if have.From == from && have.Tag == tag {
			return nil, errUnchanged
		}
		f, err := os.Open(t.path)
		if err != nil {
			return nil, err
		}
		progress(m.size, m.size)
		return &fetched{
			File: File{io.NewSectionReader(f, m.at, m.size), m.size}, from: from, tag: tag,
			check: func() error { return nil }, close: f.Close, spoilt: func() {},
		}, nil
	}
	return nil, errAbsent
}

func (*tarball) done() {}
