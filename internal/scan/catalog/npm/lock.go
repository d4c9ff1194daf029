package npm

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// declared reads the lock files of the JavaScript package managers.
type declared struct{}

// maxLock bounds lock files; those of very large monorepos reach 10 MiB.
const maxLock = 64 << 20

// lockReaders is the reader of each lock file.
var lockReaders = map[string]func([]byte, *found) error{
	"package-lock.json":   readPackageLock,
	"npm-shrinkwrap.json": readPackageLock,
	"yarn.lock":           readYarn,
	"pnpm-lock.yaml":      readPnpm,
	"bun.lock":            readBun,
	"bun.lockb":           readBunBinary,
}

func (declared) Spec() layer.Spec {
	return layer.Spec{
		Name:    declaredName,
		Version: 1,
		Where:   layer.Declared,
		MaxSize: maxLock,
		Claims: []layer.Claim{
			{Base: "package-lock.json"},
			{Base: "npm-shrinkwrap.json"},
			{Base: "yarn.lock"},
			{Base: "pnpm-lock.yaml"},
			{Base: "bun.lock"},
			{Base: "bun.lockb"},
		},
	}
}

const declaredName = "npm/lock"

func (declared) Read(f *layer.File) (layer.Result, error) {
	// A lock file that a dependency ships says what its authors used.
	if _, _, inside := cutModules(f.Path); inside {
		return layer.Result{}, nil
	}
	base := path.Base(f.Path)
	read, ok := lockReaders[base]
	if !ok {
		return layer.Result{}, fmt.Errorf("no lock file is called %q", base)
	}
	fd := found{path: f.Path, reader: declaredName, seen: map[string]int{}}
	err := read(f.Data, &fd)
	if err != nil {
		err = fmt.Errorf("read %s: %w", base, err)
	}
	return layer.Result{Packages: fd.packages, Gaps: fd.gaps.List()}, err
}

// found collects the packages of one lock file, each version once.
type found struct {
	path     string
	reader   string
	packages []esclusa.Package
	gaps     catalog.Gaps
	seen     map[string]int // name@version → index in packages
}

var errTooMany = fmt.Errorf("more than %d packages: the rest was not read", catalog.MaxPackages)

// add notes a package. A version that anything but development needs is no
// development dependency. The error is errTooMany.
func (fd *found) add(p esclusa.Package, line int) error {
	if !validName(p.Name) {
		fd.gaps.Add(fd.path, line, "name of a package", fmt.Sprintf("%q is no package name", clip(p.Name)))
		return nil
	}
	p.Version = cleanVersion(p.Version)
	if !exactVersion(p.Version) {
		fd.unknown(p.Name, p.Version, line)
		return nil
	}
	key := p.Name + "@" + p.Version
	if i, ok := fd.seen[key]; ok {
		old := &fd.packages[i]
		old.Dev = old.Dev && p.Dev
		old.Main = old.Main || p.Main
		return nil
	}
	if len(fd.packages) == catalog.MaxPackages {
		return errTooMany
	}
	fd.seen[key] = len(fd.packages)
	p.Type, p.Reader = purlType, fd.reader
	p.Path, p.Line = fd.path, line
	fd.packages = append(fd.packages, p)
	return nil
}

// unknown notes a package whose version the file does not tell.
func (fd *found) unknown(name, source string, line int) {
	why := "the lock file gives no version"
	if source != "" {
		why = fmt.Sprintf("%q is no version", clip(source))
	}
	fd.gaps.Add(fd.path, line, "version of "+clip(name), why)
}

// exactVersion says whether v is a version of the registry ("1.…"), rather
// than a range, a tag, an address, a path or a commit.
func exactVersion(v string) bool {
	digits := 0
	for digits < len(v) && '0' <= v[digits] && v[digits] <= '9' {
		digits++
	}
	return digits > 0 && digits < len(v) && v[digits] == '.' &&
		len(v) <= 256 && !strings.ContainsAny(v, " \t\r\n:/\\<>|^~*()\"\x00\x1b")
}

// cutSpec splits "name@version" or "@scope/name@version" at the first @ that
// is not a scope's.
func cutSpec(s string) (name, version string, ok bool) {
	if s == "" {
		return "", "", false
	}
	i := strings.IndexByte(s[1:], '@')
	if i < 0 {
		return s, "", false
	}
	return s[:i+1], s[i+2:], true
}

// alias resolves "npm:real@1.2.3", which npm and Yarn write where a package is
// installed under another name.
func alias(name, version string) (realName, realVersion string) {
	rest, ok := strings.CutPrefix(version, "npm:")
	if !ok {
		return name, version
	}
	if n, v, ok := cutSpec(rest); ok || strings.HasPrefix(n, "@") {
		return n, v
	}
	return name, rest
}

// local says whether a dependency is a folder of the same project: its own
// code, whose dependencies stand in the same lock file. A tarball is not.
func local(source string) bool {
	scheme, rest, _ := strings.Cut(source, ":")
	switch scheme {
	case "link", "portal", "workspace":
		return true
	case "file":
		return !strings.Contains(rest, ".tgz") && !strings.Contains(rest, ".tar.gz")
	}
	return false
}

func readBunBinary([]byte, *found) error {
	return errors.New("bun.lockb is Bun's private binary format (hint: bun install --save-text-lockfile --frozen-lockfile --lockfile-only writes bun.lock)")
}
