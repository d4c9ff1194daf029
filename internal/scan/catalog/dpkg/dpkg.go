// Package dpkg reads what Debian's package manager knows: the packages of its
// status file (and the one-file-a-package form of distroless images) and the
// paths that they own. OpenWrt's opkg keeps the same format and is read too.
// It reads no licences: they are prose in /usr/share/doc.
//
// Start with Reader; stanza.go is the format.
package dpkg

import (
	"bytes"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/dpkgsums"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	statusFile = "var/lib/dpkg/status"
	statusDir  = "var/lib/dpkg/status.d/" // distroless
	infoDir    = "var/lib/dpkg/info/"
	diversions = "var/lib/dpkg/diversions"
	opkgStatus = "usr/lib/opkg/status"
	opkgInfo   = "usr/lib/opkg/info/"
)

// Reader reads the databases of dpkg and opkg.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    "dpkg",
		Version: 1,
		Where:   layer.Installed,
		System:  "dpkg",
		Claims: []layer.Claim{
			{Path: statusFile},
			{Under: statusDir},
			{Under: infoDir, Suffix: ".list"},
			{Path: diversions},
			{Path: opkgStatus},
			{Under: opkgInfo, Suffix: ".list"},
		},
		MaxSize: 256 << 20,
	}
}

// Read reads packages from a status file and owned paths from the others.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	switch {
	case f.Path == diversions:
		return layer.Result{Owned: diverted(f.Data)}, nil
	case strings.HasPrefix(f.Path, statusDir) && strings.HasSuffix(f.Path, ".md5sums"):
		return layer.Result{Owned: summed(f.Data)}, nil
	case strings.HasSuffix(f.Path, ".list") && !strings.HasPrefix(f.Path, statusDir):
		return layer.Result{Owned: listed(f.Data)}, nil
	}
	return packages(f)
}

// listed reads the paths of a .list file, one a line. A folder that stands
// right before what is in it, as most do, is left out: it says nothing of a
// file, and every package lists /usr.
func listed(data []byte) []string {
	text := string(data) // the one copy that all paths are parts of
	owned := make([]string, 0, bytes.Count(data, []byte{'\n'})+1)
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if len(text) > len(line) && text[len(line)] == '/' && text[:len(line)] == line {
			continue
		}
		path, _, _ := strings.Cut(line, "\t") // opkg adds modes and targets
		owned = catalog.AppendOwned(owned, path)
	}
	return owned
}

// summed reads the paths of an md5sums file: distroless images have no lists.
func summed(data []byte) []string {
	var owned []string
	for path := range dpkgsums.Parse(data) {
		owned = catalog.AppendOwned(owned, path)
	}
	return owned
}

// diverted reads where dpkg-divert(1) made dpkg put files of packages whose
// own path another package took: three lines each, from, to, and by whom.
func diverted(data []byte) []string {
	var owned []string
	n := 0
	for line := range strings.Lines(string(data)) {
		if n%3 == 1 {
			owned = catalog.AppendOwned(owned, strings.TrimSuffix(line, "\n"))
		}
		n++
	}
	return owned
}
