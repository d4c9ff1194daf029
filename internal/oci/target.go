package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// locate tells the forms of a target apart.
func (o *Options) locate(ctx context.Context, target string) (*Image, error) {
	kind, rest, ok := strings.Cut(target, ":")
	if ok {
		switch kind {
		case "oci", "docker-archive":
			return o.openPath(ctx, rest, kind)
		case "docker":
			return o.openDocker(ctx, rest)
		case "containerd":
			return o.openContainerd(ctx, rest)
		case "registry":
			return o.openRegistry(ctx, strings.TrimPrefix(rest, "//"))
		}
	}
	if target == "-" {
		return o.openStdin(ctx, "")
	}
	if path, _ := splitPath(target); path != "" {
		return o.openPath(ctx, target, "")
	}
	if looksLikePath(target) {
		return nil, hint(fmt.Errorf("%q: %w", target, fs.ErrNotExist), "check the path")
	}
	return o.openName(ctx, target)
}

// openName looks where a bare name may be: in the stores of this machine, if
// they are there and know it, then in its registry.
func (o *Options) openName(ctx context.Context, name string) (*Image, error) {
	if _, err := parseReference(name); err != nil {
		return nil, err
	}
	var local []error
	stores := []struct {
		socket string
		open   func(context.Context, string) (*Image, error)
	}{{dockerSocket(o.DockerHost), o.openDocker}, {o.Containerd, o.openContainerd}}
	for _, s := range stores {
		if _, err := os.Stat(s.socket); s.socket == "" || err != nil {
			continue
		}
		img, err := s.open(ctx, name)
		if err == nil {
			return img, nil
		}
		if !errors.Is(err, ErrNotFound) {
			local = append(local, err)
		}
	}
	img, err := o.openRegistry(ctx, name)
	if err != nil && len(local) > 0 {
		return nil, fmt.Errorf("%w (before that: %v)", err, errors.Join(local...))
	}
	return img, err
}

// splitPath divides "path:selector" at the longest path that exists; the path
// is empty when none does.
func splitPath(target string) (path, selector string) {
	for end := len(target); end > 0; end = strings.LastIndexAny(target[:end], ":@") {
		if _, err := os.Stat(target[:end]); err == nil {
			return target[:end], strings.TrimLeft(target[end:], ":@")
		}
	}
	return "", ""
}

// looksLikePath is true for what no one would write for an image's name.
func looksLikePath(s string) bool {
	for _, p := range []string{"/", "./", "../", "~"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	for _, ext := range []string{".tar", ".tgz", ".tar.gz", ".tar.zst", ".oci", ".json", ".lock", ".txt"} {
		if strings.HasSuffix(s, ext) {
			return true
		}
	}
	return s == "" || s == "." || s == ".."
}

func (o *Options) openPath(ctx context.Context, target, kind string) (*Image, error) {
	if target == "-" {
		return o.openStdin(ctx, kind)
	}
	path, selector := splitPath(target)
	if path == "" {
		return nil, hint(fmt.Errorf("%q: %w", target, fs.ErrNotExist), "check the path")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if kind == "docker-archive" || kind == "" && !isLayout(path) && isDockerFolder(path) {
			return o.openDockerFolder(ctx, path, selector)
		}
		return o.openLayoutFolder(ctx, path, selector)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q: %w: %s", path, ErrNotImage, info.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	img, err := o.openTar(ctx, f, info.Size(), selector, kind)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	img.onClose(f.Close)
	return img, nil
}

func (img *Image) onClose(f func() error) {
	before := img.close
	img.close = func() error {
		if before == nil {
			return f()
		}
		return errors.Join(before(), f())
	}
}

// openStdin reads a redirected file like any other. A pipe passes once, with
// the layers of a docker archive before the manifest that names them, so it
// is held in memory if it is small and refused if not: a temporary copy on
// disk is the user's to make.
func (o *Options) openStdin(ctx context.Context, kind string) (*Image, error) {
	if o.Stdin == nil {
		return nil, errors.New("no standard input")
	}
	if f, ok := o.Stdin.(*os.File); ok {
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() {
			return o.openTar(ctx, f, info.Size(), "", kind)
		}
	}
	m, err := readPages(o.Stdin, o.Limits.Pipe)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	img, err := o.openTar(ctx, m, m.size, "", kind)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return img, nil
}

// pages are bytes in memory that grew without being copied.
type pages struct {
	page [][]byte
	size int64
}

const pageSize = 1 << 20

func readPages(r io.Reader, limit int64) (*pages, error) {
	m := &pages{}
	for {
		p := make([]byte, pageSize)
		n, err := io.ReadFull(r, p)
		m.size += int64(n)
		if m.size > limit {
			return nil, hint(&LimitError{"size of what comes through the pipe", limit, "bytes"},
				"a pipe cannot be read twice: save the image to a file and name it, or name the image (docker:NAME)")
		}
		m.page = append(m.page, p)
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return m, nil
		default:
			return nil, err
		}
	}
}

// ReadAt reads like a file.
func (m *pages) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < m.size {
		page := m.page[off/pageSize]
		last := min(int64(pageSize), m.size-off/pageSize*pageSize)
		c := copy(p[n:], page[off%pageSize:last])
		n, off = n+c, off+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// openTar opens a tar, as it is or compressed as a whole.
func (o *Options) openTar(ctx context.Context, at io.ReaderAt, size int64, selector, kind string) (*Image, error) {
	var head [512]byte
	n, err := at.ReadAt(head[:], 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var a *archive
	switch {
	case isPacked(head[:n]):
		a, err = indexStream(ctx, func(context.Context) (io.ReadCloser, error) {
			return o.unpack(io.NewSectionReader(at, 0, size))
		})
	case n == len(head) && string(head[257:262]) == "ustar", n == len(head) && bytes.IndexByte(head[:100], 0) > 0 && !isOther(head[:]):
		a, err = indexFile(at, size)
	default:
		return nil, hint(ErrNotImage, "an image is an OCI layout or the output of docker save")
	}
	if err != nil {
		return nil, err
	}
	return o.openArchive(ctx, a, selector, kind)
}

// isOther knows files that are not taken for a tar of before 1988, which had
// nothing but a name at its head: programs and zip archives.
func isOther(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\x7fELF")) || bytes.HasPrefix(head, []byte("PK\x03\x04"))
}

func isPacked(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) || len(head) >= 4 && isZstd(head[:4])
}

// unpack is the whole archive, uncompressed, within the limits of a layer.
func (o *Options) unpack(r *io.SectionReader) (io.ReadCloser, error) {
	v := &verifier{r: io.NopCloser(r), name: "archive", size: -1}
	s, err := Decompress(v, "")
	if err != nil {
		return nil, err
	}
	return &tarStream{Stream: s, blob: v, limits: o.Limits}, nil
}

func (o *Options) openArchive(ctx context.Context, a *archive, selector, kind string) (*Image, error) {
	var img *Image
	var err error
	switch layout, docker := a.has(ocispec.ImageIndexFile), a.has(dockerManifestFile); {
	case kind == "oci" || kind == "" && layout:
		img, err = o.openLayoutTar(ctx, a, selector, kind == "")
	case kind == "docker-archive" && docker || docker:
		img, err = o.openDockerArchive(ctx, a, selector)
	default:
		err = hint(fmt.Errorf("%w: the archive has neither index.json nor manifest.json", ErrNotImage),
			"an image is an OCI layout or the output of docker save; unpack a root file system and name its folder")
	}
	if err != nil {
		a.close()
		return nil, err
	}
	img.onClose(a.close)
	return img, nil
}

// IsFolder says whether a folder is an image: an OCI layout, or an unpacked
// docker archive.
func IsFolder(dir string) bool { return isLayout(dir) || isDockerFolder(dir) }

// isLayout says whether a folder is an OCI layout.
func isLayout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, ocispec.ImageLayoutFile))
	return err == nil
}
