// Package osrelease reads which distribution an image is, from os-release
// and, in images that have none, from the files of a single distribution.
// It never decides between two files: the pipeline prefers a Distro with a
// Name, which only os-release gives, so that a leftover debian_version does
// not turn an image into Debian.
//
// Start with Reader; the dates after which a release gets no more security
// fixes are in support.go.
package osrelease

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// maxValue bounds ID and VERSION_ID, which become parts of names.
const maxValue = 64

// Reader reads the file that names the distribution.
type Reader struct{}

// Spec says which files are read.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    "osrelease",
		Version: 2,
		Where:   layer.Installed,
		System:  "distribution",
		Claims: []layer.Claim{
			{Path: "etc/os-release"},
			{Path: "usr/lib/os-release"},
			{Path: "etc/alpine-release"},
			{Path: "etc/debian_version"},
			{Path: "etc/redhat-release"},
			{Path: "etc/centos-release"},
			{Path: "etc/system-release"}, // Amazon Linux 1
		},
		MaxSize: 1 << 20, // the largest known has 800 bytes
	}
}

// Read sets Result.Distro. Only os-release can be in error: the other files
// are a second witness, and one that says nothing hides nothing.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	var (
		d  esclusa.Distro
		ok bool
	)
	switch f.Path {
	case "etc/alpine-release", "etc/debian_version":
		d, ok = single(f.Path, f.Data)
	case "etc/redhat-release", "etc/centos-release", "etc/system-release":
		d, ok = redhat(string(f.Data))
	default:
		var err error
		if d, err = parse(string(f.Data)); err != nil {
			return layer.Result{}, err
		}
		ok = true
	}
	if !ok {
		return layer.Result{}, nil
	}
	return layer.Result{Distro: &d}, nil
}

// parse reads os-release (freedesktop.org, os-release(5)): shell assignments,
// without expansions.
func parse(text string) (esclusa.Distro, error) {
	v := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || key == "" || key[0] == '#' {
			continue
		}
		switch key {
		case "ID", "VERSION_ID", "PRETTY_NAME", "NAME", "VERSION_CODENAME":
			v[key] = unquote(value)
		}
	}
	id := strings.ToLower(v["ID"])
	if !plain(id) || id == "" {
		return esclusa.Distro{}, errors.New("os-release has no usable ID")
	}
	d := esclusa.Distro{ID: id, Version: v["VERSION_ID"], Name: v["PRETTY_NAME"]}
	if d.Name == "" {
		d.Name = strings.TrimSpace(v["NAME"] + " " + d.Version)
	}
	if d.Name == "" {
		d.Name = id
	}
	// Debian's testing and unstable have a code name and no number.
	if d.Version == "" && id == "debian" {
		d.Version = debianNumber(v["VERSION_CODENAME"])
	}
	if !plain(d.Version) {
		return esclusa.Distro{}, errors.New("os-release has no usable VERSION_ID")
	}
	key := id
	if id == "centos" && strings.Contains(v["NAME"]+d.Name, "Stream") {
		key = "centos-stream" // same ID, other dates
	}
	d.EndOfLife = endOfLife(key, d.Version)
	return d, nil
}

// single reads a file that holds the version and nothing else.
func single(path string, data []byte) (esclusa.Distro, bool) {
	version := strings.TrimSpace(string(data[:min(len(data), 4*maxValue)]))
	// Derivatives keep Debian's file with the name of a suite in it
	// ("bookworm/sid" in Ubuntu): that says nothing of themselves.
	if !startsWithDigit(version) || !plain(version) {
		return esclusa.Distro{}, false
	}
	id := "alpine"
	if path == "etc/debian_version" {
		id = "debian"
		version, _, _ = strings.Cut(version, ".") // as VERSION_ID has it
	}
	return esclusa.Distro{ID: id, Version: version, EndOfLife: endOfLife(id, version)}, true
}

// redhatNames are the words before "release" and the ID of os-release.
var redhatNames = [...]struct{ prefix, id string }{
	{"AlmaLinux", "almalinux"},
	{"Rocky Linux", "rocky"},
	{"Red Hat Enterprise Linux", "rhel"},
	{"CentOS", "centos"},
	{"Fedora", "fedora"},
	{"Oracle Linux", "ol"},
	{"Amazon Linux", "amzn"},
	{"Photon", "photon"},
}

// redhat reads "AlmaLinux release 9.4 (Seafoam Ocelot)".
func redhat(text string) (esclusa.Distro, bool) {
	text = strings.TrimSpace(text)
	name, rest, ok := strings.Cut(text, " release ")
	version, _, _ := strings.Cut(rest, " ")
	if !ok || !startsWithDigit(version) || !plain(version) {
		return esclusa.Distro{}, false
	}
	for _, n := range redhatNames {
		if !strings.HasPrefix(name, n.prefix) {
			continue
		}
		key := n.id
		if n.id == "centos" && strings.Contains(name, "Stream") {
			key = "centos-stream"
		}
		return esclusa.Distro{ID: n.id, Version: version, EndOfLife: endOfLife(key, version)}, true
	}
	return esclusa.Distro{}, false
}

// unquote takes a shell word apart. Outside quotes and in double quotes a
// backslash protects the next byte; single quotes protect all.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if !strings.ContainsAny(s, `"'\`) {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// plain says whether s can stand in a name: short, and no spaces, separators
// or control characters.
func plain(s string) bool {
	if len(s) > maxValue || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '.' || r == '_' || r == '-' || r == '+' || r == '~')
	})
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }
