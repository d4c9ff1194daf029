package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
)

// Tags and types of the rpm header, version 4
// (rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagName         = 1000
	tagVersion      = 1001
	tagRelease      = 1002
	tagEpoch        = 1003
	tagLicense      = 1014
	tagArch         = 1022
	tagOldFilenames = 1027
	tagFileModes    = 1030
	tagFileDigests  = 1035
	tagFileFlags    = 1037
	tagSourceRPM    = 1044
	tagFileVerify   = 1045
	tagDirIndexes   = 1116
	tagBasenames    = 1117
	tagDirnames     = 1118
	tagModularity   = 5096

	typeInt16   = 3
	typeInt32   = 4
	typeString  = 6
	typeStrings = 8
)

// value is where the value of a tag stands.
type value struct {
	kind, offset, count uint32
}

// header is one package as the database stores it: without the magic of the
// package file, an index of tags and the data that it points into.
type header struct {
	data []byte

	name, version, release, epoch, license, arch, sourceRPM, modularity value
	basenames, dirnames, dirIndexes, modes, oldFilenames                value
	digests, flags, verify                                              value
}

// parseHeader reads the index. Nothing of the data is touched yet.
func parseHeader(blob []byte) (*header, error) {
	const headSize, entrySize = 8, 16
	be := binary.BigEndian
	if len(blob) < headSize {
		return nil, errors.New("its header is cut")
	}
	entries, size := uint64(be.Uint32(blob)), uint64(be.Uint32(blob[4:]))
	start := headSize + entrySize*entries
	if start+size > uint64(len(blob)) {
		return nil, errors.New("its header is cut")
	}
	h := &header{data: blob[start : start+size]}
	for index := blob[headSize:start]; len(index) > 0; index = index[entrySize:] {
		v := h.slot(be.Uint32(index))
		if v == nil || v.kind != 0 { // the first of a tag counts
			continue
		}
		*v = value{kind: be.Uint32(index[4:]), offset: be.Uint32(index[8:]), count: be.Uint32(index[12:])}
	}
	return h, nil
}

func (h *header) slot(tag uint32) *value {
	switch tag {
	case tagName:
		return &h.name
	case tagVersion:
		return &h.version
	case tagRelease:
		return &h.release
	case tagEpoch:
		return &h.epoch
	case tagLicense:
		return &h.license
	case tagArch:
		return &h.arch
	case tagSourceRPM:
		return &h.sourceRPM
	case tagModularity:
		return &h.modularity
	case tagBasenames:
		return &h.basenames
	case tagDirnames:
		return &h.dirnames
	case tagDirIndexes:
		return &h.dirIndexes
	case tagFileModes:
		return &h.modes
	case tagOldFilenames:
		return &h.oldFilenames
	case tagFileDigests:
		return &h.digests
	case tagFileFlags:
		return &h.flags
	case tagFileVerify:
		return &h.verify
	}
	return nil
}

// pkg is the package. Its Name is set as far as it is known, even beside an
// error.
func (h *header) pkg() (esclusa.Package, error) {
	var p esclusa.Package
	name, version, release := h.text(h.name), h.text(h.version), h.text(h.release)
	if !catalog.Token(name) {
		return p, errors.New("its header has no usable name")
	}
	p.Name = string(name)
	if !catalog.Token(version) || !catalog.Token(release) {
		return p, errors.New("its header has no usable version")
	}
	p.Version = string(version) + "-" + string(release)
	epoch, err := h.number(h.epoch)
	if err != nil {
		return p, fmt.Errorf("its epoch: %w", err)
	}
	if epoch != 0 {
		p.Version = strconv.FormatUint(uint64(epoch), 10) + ":" + p.Version
	}
	if arch := h.text(h.arch); catalog.Token(arch) {
		p.Arch = string(arch)
	}
	if license := catalog.Text(h.text(h.license)); license != "" {
		p.Licenses = []string{license}
	}
	p.Source = cutSourceRPM(string(h.text(h.sourceRPM)))
	p.Modular = cutModularity(string(h.text(h.modularity)))
	return p, nil
}

// cutSourceRPM takes "openssl-3.0.7-24.el9.src.rpm" apart: neither a version
// nor a release has a hyphen in it.
func cutSourceRPM(file string) esclusa.SourcePackage {
	file = strings.TrimSuffix(file, ".rpm")
	if dot := strings.LastIndexByte(file, '.'); dot >= 0 {
		file = file[:dot] // src or nosrc
	}
	release := strings.LastIndexByte(file, '-')
	if release < 0 {
		return esclusa.SourcePackage{}
	}
	version := strings.LastIndexByte(file[:release], '-')
	if version <= 0 || !catalog.Token(file) {
		return esclusa.SourcePackage{}
	}
	return esclusa.SourcePackage{Name: file[:version], Version: file[version+1:]}
}

// cutModularity keeps name and stream of "nodejs:18:8030020200:9edba152".
func cutModularity(label string) string {
	name, rest, ok := strings.Cut(label, ":")
	if !ok || !catalog.Token(label) {
		return ""
	}
	stream, _, _ := strings.Cut(rest, ":")
	return name + ":" + stream
}

// files adds the paths of the package, its folders left out.
func (h *header) files(owned *catalog.Owned) error {
	if h.basenames.kind == 0 {
		return h.oldFiles(owned)
	}
	modes, err := h.array(h.modes, typeInt16, 2)
	if err != nil {
		return err
	}
	return h.each(func(i int, dir, base []byte) {
		if !isFolder(modes, i) {
			owned.Add(dir, base)
		}
	})
}

// each visits the files with their folders, in the order of the header.
func (h *header) each(visit func(i int, dir, base []byte)) error {
	var dirs [][]byte
	rest, err := h.strings(h.dirnames)
	if err != nil {
		return err
	}
	for range h.dirnames.count {
		var dir []byte
		if dir, rest, err = cutString(rest); err != nil {
			return err
		}
		dirs = append(dirs, dir)
	}
	indexes, err := h.array(h.dirIndexes, typeInt32, 4)
	if err != nil {
		return err
	}
	if rest, err = h.strings(h.basenames); err != nil {
		return err
	}
	for i := 0; i < int(h.basenames.count); i++ {
		var base []byte
		if base, rest, err = cutString(rest); err != nil {
			return err
		}
		if len(indexes) < 4*(i+1) {
			return errors.New("a file has no folder")
		}
		dir := binary.BigEndian.Uint32(indexes[4*i:])
		if uint64(dir) >= uint64(len(dirs)) {
			return errors.New("a file has no folder")
		}
		visit(i, dirs[dir], base)
	}
	return nil
}

// oldFiles reads whole paths: rpm 3, and packages without files.
func (h *header) oldFiles(owned *catalog.Owned) error {
	rest, err := h.strings(h.oldFilenames)
	if err != nil {
		return err
	}
	for range h.oldFilenames.count {
		var path []byte
		if path, rest, err = cutString(rest); err != nil {
			return err
		}
		owned.Add(nil, path)
	}
	return nil
}

func isFolder(modes []byte, i int) bool {
	const typeMask, folder = 0o170000, 0o040000
	return len(modes) >= 2*(i+1) && binary.BigEndian.Uint16(modes[2*i:])&typeMask == folder
}

// text is the string of a tag; nil where there is none.
func (h *header) text(v value) []byte {
	if v.kind != typeString || uint64(v.offset) >= uint64(len(h.data)) {
		return nil
	}
	s, _, err := cutString(h.data[v.offset:])
	if err != nil {
		return nil
	}
	return s
}

// number is the number of a tag; 0 where there is none.
func (h *header) number(v value) (uint32, error) {
	b, err := h.array(v, typeInt32, 4)
	if err != nil || len(b) < 4 {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

// array is the bytes of an array of numbers; nil where there is none.
func (h *header) array(v value, kind uint32, size uint64) ([]byte, error) {
	if v.kind == 0 {
		return nil, nil
	}
	end := uint64(v.offset) + size*uint64(v.count)
	if v.kind != kind || end > uint64(len(h.data)) {
		return nil, errors.New("a value of its header is broken")
	}
	return h.data[v.offset:end], nil
}

// strings is where an array of strings begins, checked to have room for
// them; nil where there is none.
func (h *header) strings(v value) ([]byte, error) {
	if v.kind == 0 {
		return nil, nil
	}
	if v.kind != typeStrings || uint64(v.offset)+uint64(v.count) > uint64(len(h.data)) {
		return nil, errors.New("a value of its header is broken")
	}
	return h.data[v.offset:], nil
}

func cutString(b []byte) (s, rest []byte, err error) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return nil, nil, errors.New("a text of its header has no end")
	}
	return b[:end], b[end+1:], nil
}
