package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/scan/catalog/sbom"
)

// maxFile is the largest single file that is taken as a target, in bytes.
const maxFile = 256 << 20

// Scan finds out what the target is and scans it: an image (a file, a folder,
// a name), a root file system, a folder of sources, a lock file or an SBOM.
// kind, if not empty, says it instead.
func (s *Scanner) Scan(ctx context.Context, target string, kind esclusa.TargetKind, opt oci.Options) (*esclusa.Report, error) {
	if kind == "" || kind == esclusa.TargetImage {
		r, err := s.tryImage(ctx, target, kind, opt)
		if !errors.Is(err, oci.ErrNotImage) || kind == esclusa.TargetImage || target == "-" {
			return r, err
		}
		if _, gone := os.Stat(target); gone != nil {
			return nil, err // oci:FOLDER, say: it can be nothing else
		}
	}
	info, err := os.Stat(target)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return s.file(ctx, target, info)
	case kind == esclusa.TargetRoot, kind == "" && IsRoot(target):
		dir, err := filepath.Abs(target)
		if err != nil {
			return nil, err
		}
		return s.Root(ctx, dir, target)
	case kind == esclusa.TargetSBOM:
		return nil, fmt.Errorf("%s is a folder, not an SBOM", target)
	}
	return s.Source(ctx, target, target)
}

func (s *Scanner) tryImage(ctx context.Context, target string, kind esclusa.TargetKind, opt oci.Options) (*esclusa.Report, error) {
	// A folder that exists is looked at here before anything is asked of a
	// registry: "." is not the name of an image.
	if info, err := os.Stat(target); err == nil && info.IsDir() && kind == "" && !oci.IsFolder(target) {
		return nil, oci.ErrNotImage
	}
	img, err := oci.Open(ctx, target, opt)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return s.Image(ctx, img)
}

// IsRoot says whether a folder looks like the root of a Linux system.
func IsRoot(dir string) bool {
	if abs, err := filepath.Abs(dir); err == nil && abs == "/" {
		return true
	}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status", "var/lib/dpkg/status.d", "lib/apk/db/installed", "var/lib/rpm", "usr/lib/sysimage/rpm"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

func (s *Scanner) file(ctx context.Context, name string, info fs.FileInfo) (*esclusa.Report, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than the %d that a single file may have", name, info.Size(), maxFile)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	if !sbom.Is(data) {
		return s.File(ctx, base, data, esclusa.TargetSource, name)
	}
	// The reader goes by name inside of images; here the content tells. The
	// report has the name that people know.
	read := sbomName(base)
	r, err := s.File(ctx, read, data, esclusa.TargetSBOM, name)
	if r != nil && read != base {
		rename(r, read, base)
	}
	return r, err
}

func sbomName(base string) string {
	for _, suffix := range []string{".cdx.json", ".spdx.json", ".spdx"} {
		if strings.HasSuffix(base, suffix) {
			return base
		}
	}
	return base + ".cdx.json"
}

// rename gives a file of the report another name.
func rename(r *esclusa.Report, from, to string) {
	at := func(p *esclusa.Place) {
		if p.Path == from {
			p.Path = to
		}
	}
	for i := range r.Packages {
		at(&r.Packages[i].Place)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if at(&f.Place); f.Package != nil {
			at(&f.Package.Place)
		}
	}
	for i := range r.Gaps {
		at(&r.Gaps[i].Place)
	}
}
