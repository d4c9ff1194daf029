package version

import "strings"

// The ranks of a prerelease: none at all is the greatest (semver.org 11.3),
// a list that ends is less than one that goes on (11.4.4).
const (
	preEnd     = 1
	preNumber  = 2
	preText    = 3
	preRelease = 9
)

// appendSemVer reads semver.org's form with at least min of its numbers; the
// missing are 0. A "v" in front is accepted, because tags carry it and no
// version means anything else by it. Numbers may have leading zeros.
func appendSemVer(dst []byte, v string, min int) ([]byte, bool) {
	v = trimSpace(v)
	if v != "" && (v[0] == 'v' || v[0] == 'V') {
		v = v[1:]
	}
	dst, v, ok := appendNumbers(dst, v, min, 3)
	if !ok {
		return nil, false
	}
	return appendTail(dst, v, false)
}

// appendNumbers reads min to max dotted numbers and writes max of them.
func appendNumbers(dst []byte, v string, min, max int) ([]byte, string, bool) {
	for i := range max {
		n := digits(v)
		if n == 0 {
			return nil, "", false
		}
		dst = appendNumber(dst, v[:n])
		v = v[n:]
		if v == "" || v[0] != '.' || i == max-1 {
			if i+1 < min {
				return nil, "", false
			}
			for range max - 1 - i {
				dst = append(dst, 0)
			}
			return dst, v, true
		}
		v = v[1:]
	}
	return nil, "", false
}

// appendTail reads [-prerelease][+build] and forgets the build.
func appendTail(dst []byte, v string, fold bool) ([]byte, bool) {
	v, build, hasBuild := strings.Cut(v, "+")
	if hasBuild && !identifiers(build) {
		return nil, false
	}
	if v == "" {
		return append(dst, preRelease), true
	}
	if v[0] != '-' {
		return nil, false
	}
	return appendIdentifiers(dst, v[1:], fold)
}

// appendIdentifiers writes dotted identifiers: numbers before texts.
func appendIdentifiers(dst []byte, s string, fold bool) ([]byte, bool) {
	for {
		id, rest, more := strings.Cut(s, ".")
		switch {
		case !identifier(id):
			return nil, false
		case allDigits(id):
			dst = appendNumber(append(dst, preNumber), id)
		case fold:
			dst = appendLower(append(dst, preText), id)
		default:
			dst = appendText(append(dst, preText), id)
		}
		if !more {
			return append(dst, preEnd), true
		}
		s = rest
	}
}

func identifiers(s string) bool {
	for {
		id, rest, more := strings.Cut(s, ".")
		if !identifier(id) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) && !isAlpha(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// appendNPM is node-semver in its loose form, which npm uses for the versions
// in package.json: "v", "=" and blanks in front, and a prerelease without its
// hyphen ("1.2.3beta"). Numbers above 2⁵³-1 are refused, as there.
func appendNPM(dst []byte, v string) ([]byte, bool) {
	v = strings.TrimLeft(trimSpace(v), "v= \t")
	for rest, i := v, 0; i < 3; i++ {
		n := digits(rest)
		const maxSafe = "9007199254740991"
		if len(rest) < n || n > len(maxSafe) || n == len(maxSafe) && rest[:n] > maxSafe {
			return nil, false
		}
		if rest = rest[n:]; rest != "" {
			rest = rest[1:]
		}
	}
	dst, v, ok := appendNumbers(dst, v, 3, 3)
	if !ok {
		return nil, false
	}
	if v != "" && v[0] != '-' && v[0] != '+' {
		pre, build, hasBuild := strings.Cut(v, "+")
		if hasBuild && !identifiers(build) {
			return nil, false
		}
		return appendIdentifiers(dst, pre, false)
	}
	return appendTail(dst, v, false)
}

// appendGo reads module versions ("v1.2.3-0.20200101000000-abcdef123456",
// "+incompatible") and those of Go itself ("go1.22.3", "go1.21rc2",
// "go1.20.4 X:boringcrypto"). OSV writes both without prefix, and a release
// candidate of Go as "1.21.0-rc.2". "(devel)" is refused: it is no version,
// and what it holds is not known. So is the name of a vendor behind Go's
// version ("go1.19.4-acme"): by SemVer it would be before the release that it
// was made from.
func appendGo(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	goRelease := false
	if rest, ok := strings.CutPrefix(v, "go"); ok {
		// runtime.Version() appends experiments behind a blank.
		rest, _, _ = strings.Cut(rest, " ")
		v, goRelease = rest, true
	} else if v != "" && v[0] == 'v' {
		v = v[1:]
	}
	dst, v, ok := appendNumbers(dst, v, 1, 3)
	if !ok {
		return nil, false
	}
	for _, word := range [...]string{"rc", "beta"} {
		if n, ok := strings.CutPrefix(v, word); ok && allDigits(n) {
			dst = appendText(append(dst, preText), word)
			return append(appendNumber(append(dst, preNumber), n), preEnd), true
		}
	}
	if goRelease && v != "" && v[0] != '+' {
		return nil, false
	}
	return appendTail(dst, v, false)
}

// appendPub is semver.org where the build counts, as in pub_semver: none is
// before any.
func appendPub(dst []byte, v string) ([]byte, bool) {
	dst, ok := appendSemVer(dst, v, 1)
	if !ok {
		return nil, false
	}
	if _, build, ok := strings.Cut(v, "+"); ok {
		return appendIdentifiers(dst, trimSpace(build), false)
	}
	return append(dst, preEnd), true
}

// appendBitnami is semver.org, but a number behind the hyphen is the revision
// of Bitnami's build and comes after the release: the fix 17.2.0 is in
// 17.2.0-3.
func appendBitnami(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	if v != "" && v[0] == 'v' {
		v = v[1:]
	}
	dst, v, ok := appendNumbers(dst, v, 1, 4)
	if !ok {
		return nil, false
	}
	if rest, ok := strings.CutPrefix(v, "-"); ok {
		rest = strings.TrimPrefix(rest, "r")
		if allDigits(rest) {
			return append(appendNumber(append(dst, preRelease, preNumber), rest), preEnd), true
		}
	}
	dst, ok = appendTail(dst, v, false)
	return append(dst, preEnd), ok
}

// appendNuGet reads one to four numbers; case and build do not matter.
func appendNuGet(dst []byte, v string) ([]byte, bool) {
	dst, v, ok := appendNumbers(dst, trimSpace(v), 1, 4)
	if !ok {
		return nil, false
	}
	return appendTail(dst, v, true)
}
