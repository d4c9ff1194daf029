// Package version orders the versions of every ecosystem as the ecosystem's
// own tool orders them: dpkg, rpm, apk, npm, pip, Maven, NuGet, RubyGems,
// Composer, Go and their relatives. It is what decides whether a package is
// affected.
//
// A version is parsed once into a key, and keys compare byte by byte; what
// holds for strings (antisymmetry, transitivity) then holds for versions.
// Maven alone has an order that no key can carry, and walks its own.
//
// It never guesses: what the ecosystem's tool refuses is an error, and the
// caller makes it a Gap, never "not affected". Start with For and Scheme.Parse.
package version

import (
	"fmt"
	"strings"
)

// Scheme is the way one ecosystem writes and orders versions. The zero value
// parses nothing.
type Scheme uint8

// The schemes. Several ecosystems share one; see For.
const (
	unknown  Scheme = iota
	Deb             // Debian policy 5.6.12
	RPM             // rpmvercmp with ~ and ^ (rpm 4.15)
	APK             // apk-tools
	SemVer          // semver.org 2.0.0, three numbers
	ShortVer        // semver.org with one or two numbers allowed: tags of actions
	NPM             // node-semver, loose as for package.json
	Go              // Go modules, and the versions of Go itself
	Pub             // semver.org, but the build counts
	NuGet           // four numbers, case-insensitive
	PEP440          // PyPI
	Maven           // ComparableVersion of Maven 4
	RubyGems        // Gem::Version
	Composer        // Packagist
	Bitnami         // semver.org whose numeric tail is a revision
	CRAN            // R's package_version
	Hackage         // lists of numbers
	Conan           // Conan 2
	ALPM            // Arch Linux
	Gentoo          // package manager specification 3.3
	OpenSSL         // 1.0.2u and 3.0.1
	schemeEnd
)

var schemeNames = [schemeEnd]string{
	"unknown", "deb", "rpm", "apk", "semver", "short semver", "npm", "go", "pub", "nuget", "pypi", "maven", "gem",
	"composer", "bitnami", "cran", "hackage", "conan", "alpm", "gentoo", "openssl",
}

func (s Scheme) String() string {
	if s >= schemeEnd {
		s = unknown
	}
	return schemeNames[s]
}

// For is the scheme of an ecosystem of the OSV schema, with or without the
// suffix of a release: "Debian:12", "npm".
func For(ecosystem string) (Scheme, bool) {
	name, _, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Debian", "Ubuntu", "Echo":
		return Deb, true
	case "AlmaLinux", "Rocky Linux", "Red Hat", "SUSE", "openSUSE", "Mageia", "openEuler", "Photon OS", "Azure Linux":
		return RPM, true
	case "Alpine", "Wolfi", "Chainguard", "MinimOS", "Alpaquita", "BellSoft Hardened Containers":
		return APK, true
	case "npm":
		return NPM, true
	case "Go":
		return Go, true
	case "crates.io", "Hex":
		return SemVer, true
	case "SwiftURL", "GitHub Actions", "Julia":
		return ShortVer, true
	case "PyPI":
		return PEP440, true
	case "Maven":
		return Maven, true
	case "RubyGems":
		return RubyGems, true
	case "NuGet":
		return NuGet, true
	case "Packagist":
		return Composer, true
	case "Bitnami":
		return Bitnami, true
	case "Pub":
		return Pub, true
	case "CRAN", "Bioconductor":
		return CRAN, true
	case "Hackage", "GHC":
		return Hackage, true
	case "ConanCenter":
		return Conan, true
	}
	return unknown, false
}

// maxLen bounds a version. npm refuses more than 256 characters; no version
// of a real package comes near it.
const maxLen = 256

// Version is a parsed version. The zero value is before every other.
type Version struct {
	key    string
	scheme Scheme
}

// Scheme is the scheme that parsed it.
func (v Version) Scheme() Scheme { return v.scheme }

// IsZero says that it is the zero value: before every version.
func (v Version) IsZero() bool { return v.scheme == unknown }

// Parse reads a version. The error names it and says what is wrong.
func (s Scheme) Parse(v string) (Version, error) {
	var buf [bufLen]byte
	key, err := s.appendKey(buf[:0], v)
	if err != nil {
		return Version{}, err
	}
	return Version{string(key), s}, nil
}

// Compare is -1, 0 or +1 as a is before, the same as or after b. Versions of
// different schemes have no meaningful order; it is total all the same.
func Compare(a, b Version) int {
	if a.scheme != b.scheme {
		if a.scheme < b.scheme {
			return -1
		}
		return 1
	}
	if a.scheme == Maven {
		return compareMaven(a.key, b.key)
	}
	return strings.Compare(a.key, b.key)
}

// CompareTo parses other by the scheme of v and compares v with it, without
// allocation: it is what matching calls for every event of a range.
func (v Version) CompareTo(other string) (int, error) {
	var buf [bufLen]byte
	key, err := v.scheme.appendKey(buf[:0], other)
	if err != nil {
		return 0, err
	}
	if v.scheme == Maven && !(onlyNumbers(v.key) && onlyNumbers(key)) {
		return compareMaven(v.key, string(key)), nil
	}
	switch {
	case v.key < string(key): // the compiler compares without a copy
		return -1, nil
	case v.key > string(key):
		return 1, nil
	}
	return 0, nil
}

// bufLen holds the keys of all versions seen in real feeds, on the stack.
const bufLen = 160

func (s Scheme) appendKey(dst []byte, v string) ([]byte, error) {
	if len(v) > maxLen {
		return nil, fmt.Errorf("%s version %q…: longer than %d bytes", s, v[:32], maxLen)
	}
	var ok bool
	switch s {
	case Deb:
		dst, ok = appendDeb(dst, v)
	case RPM:
		dst, ok = appendRPM(dst, v)
	case APK:
		dst, ok = appendAPK(dst, v, false)
	case Gentoo:
		dst, ok = appendAPK(dst, v, true)
	case SemVer:
		dst, ok = appendSemVer(dst, v, 3)
	case ShortVer:
		dst, ok = appendSemVer(dst, v, 1)
	case NPM:
		dst, ok = appendNPM(dst, v)
	case Go:
		dst, ok = appendGo(dst, v)
	case Pub:
		dst, ok = appendPub(dst, v)
	case Bitnami:
		dst, ok = appendBitnami(dst, v)
	case NuGet:
		dst, ok = appendNuGet(dst, v)
	case PEP440:
		dst, ok = appendPEP440(dst, v)
	case Maven:
		dst, ok = appendMaven(dst, v)
	case RubyGems:
		dst, ok = appendGem(dst, v)
	case Composer:
		dst, ok = appendComposer(dst, v)
	case CRAN:
		dst, ok = appendCRAN(dst, v)
	case Hackage:
		dst, ok = appendHackage(dst, v)
	case Conan:
		dst, ok = appendConan(dst, v)
	case ALPM:
		dst, ok = appendALPM(dst, v)
	case OpenSSL:
		dst, ok = appendOpenSSL(dst, v)
	}
	if !ok {
		return nil, fmt.Errorf("not a %s version: %q", s, v)
	}
	return dst, nil
}
