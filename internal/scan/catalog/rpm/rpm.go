// Package rpm reads the databases of rpm in the three forms that images have:
// SQLite (Fedora 33, RHEL 9), ndb (SUSE, Photon) and Berkeley DB (RHEL 8 and
// before), and the manifest of distroless images (Azure Linux). It decodes
// only what it needs, read-only: no SQL, no locks, no index is consulted.
//
// Start with Reader; header.go is one package, the other files are the ways
// in which databases store them.
package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const manifestFile = "var/lib/rpmmanifest/container-manifest-2"

// Reader reads the databases of rpm.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	claims := []layer.Claim{{Path: manifestFile}}
	// The second folder is where a database must be so that /var can be left
	// out of an image (SUSE, Fedora 36), the third is rpm-ostree's.
	for _, dir := range [...]string{"var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"} {
		for _, name := range [...]string{"Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal"} {
			claims = append(claims, layer.Claim{Path: dir + name})
		}
	}
	return layer.Spec{
		Name:    "rpm",
		Version: 1,
		Where:   layer.Installed,
		System:  "rpm",
		Claims:  claims,
		MaxSize: 256 << 20,
	}
}

// Read reads a database. Its form is told by its content: the name says only
// what somebody hoped for.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	r := collector{path: f.Path, owned: catalog.NewOwned(len(f.Data))}
	var err error
	switch {
	case path.Ext(f.Path) == ".sqlite-wal":
		return layer.Result{Gaps: pending(f)}, nil
	case f.Path == manifestFile:
		err = readManifest(f.Data, &r)
	default:
		err = walk(f.Data, r.entry)
	}
	if r.owned.Cut {
		r.gaps.Add(f.Path, 0, "paths of rpm packages", "some are too long, or too many for the size of the database")
	}
	if r.stopped {
		err = fmt.Errorf("more than %d packages", catalog.MaxPackages)
	}
	return layer.Result{Packages: r.packages, Gaps: r.gaps.List(), Owned: r.owned.Paths}, err
}

// walk calls entry for each package of a database.
func walk(data []byte, entry entryFunc) error {
	switch {
	case bytes.HasPrefix(data, []byte(sqliteMagic)):
		return readSQLite(data, entry)
	case bytes.HasPrefix(data, []byte(ndbMagic)):
		return readNDB(data, entry)
	case bdbOrder(data) != nil:
		return readBDB(data, entry)
	}
	return errors.New("no database of a known form")
}

// An entryFunc takes the header of one package, or why this one alone could
// not be had. The bytes are valid during the call. False ends the walk.
type entryFunc func(header []byte, err error) bool

// collector makes the result from the entries of a database.
type collector struct {
	path     string
	packages []esclusa.Package
	owned    *catalog.Owned
	gaps     catalog.Gaps
	stopped  bool
}

func (r *collector) entry(blob []byte, err error) bool {
	if err != nil {
		r.gaps.Add(r.path, 0, "rpm package", err.Error())
		return true
	}
	h, err := parseHeader(blob)
	if err != nil {
		r.gaps.Add(r.path, 0, "rpm package", err.Error())
		return true
	}
	p, err := h.pkg()
	if err != nil {
		r.gaps.Add(r.path, 0, strings.TrimSpace("rpm package "+p.Name), err.Error())
		return true
	}
	if p.Name == "gpg-pubkey" { // a key in the form of a package
		return true
	}
	if p.Source.Name == "" && h.sourceRPM.kind != 0 {
		r.gaps.Add(r.path, 0, "source of "+p.Name, "its header names no usable source package")
	}
	if p.Modular == "" && h.modularity.kind != 0 {
		r.gaps.Add(r.path, 0, "module of "+p.Name, "its header has no usable module stream")
	}
	if err := h.files(r.owned); err != nil {
		r.gaps.Add(r.path, 0, "paths of "+p.Name, err.Error())
	}
	return r.add(p)
}

func (r *collector) add(p esclusa.Package) bool {
	if len(r.packages) == catalog.MaxPackages {
		r.stopped = true
		return false
	}
	p.Type, p.Reader, p.Path = "rpm", "rpm", r.path
	r.packages = append(r.packages, p)
	return true
}

// pending looks at the write-ahead log beside an SQLite database. rpm empties
// it when it closes the database; where it did not, packages may be missing
// from the database, or there that were removed. The two files meet in no
// reader, so this is said instead of solved.
func pending(f *layer.File) []esclusa.Gap {
	if len(f.Data) == 0 || !holdsCommit(f.Data) {
		return nil
	}
	return []esclusa.Gap{{
		Scope: esclusa.GapSystem,
		Place: esclusa.Place{Path: f.Path},
		What:  "rpm database",
		Err:   "its write-ahead log holds changes that may not be in the database",
		Hint:  "run \"rpm --rebuilddb\" as the last step of the build that installs packages",
	}}
}

// holdsCommit says whether a write-ahead log (sqlite.org/walformat.html) has
// a whole transaction of its current generation; one that cannot be
// understood counts as such.
func holdsCommit(wal []byte) bool {
	const headSize, frameSize = 32, 24
	be := binary.BigEndian
	if len(wal) < headSize || be.Uint32(wal)&^1 != 0x377f0682 {
		return true
	}
	pageSize := uint64(be.Uint32(wal[8:]))
	if pageSize < 512 || pageSize > 65536 {
		return true
	}
	salt := wal[16:24]
	for rest := wal[headSize:]; uint64(len(rest)) >= frameSize+pageSize; rest = rest[frameSize+pageSize:] {
		if !bytes.Equal(rest[8:16], salt) {
			break // left over from before the last reset
		}
		if be.Uint32(rest[4:]) != 0 { // size after commit
			return true
		}
	}
	return false
}
