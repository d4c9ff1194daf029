package version

import "strings"

// The ranks of what can follow in an apk version, from less to greater. An
// apk-tools version that ends is less than one that goes on, except where it
// goes on with a suffix of a prerelease.
const (
	apkBefore   = 1 // _alpha _beta _pre _rc
	apkEnd      = 2
	apkRevision = 3 // -r1
	apkHash     = 4 // ~f00d, a commit (apk-tools 3)
	apkNumber   = 5 // behind a suffix
	apkAfter    = 6 // _cvs _svn _git _hg _p
	apkLetter   = 7
	apkDotted   = 8
)

// appendAPK reads digits{.digits}[letter]{_suffix[digits]}[~hash][-r digits],
// which is also the grammar of Gentoo. A letter may be followed by a number,
// as apk-tools 2 allows ("6.6.2p1": openssh), and a number may be missing as it
// allows too ("0.8.21.r2"): it is 0. What apk-tools calls invalid is refused
// here, though it puts it in some order.
func appendAPK(dst []byte, v string, gentoo bool) ([]byte, bool) {
	v = trimSpace(v)
	n := digits(v)
	if n == 0 && (gentoo || v == "" || v[0] != '.' && !('a' <= v[0] && v[0] <= 'z')) {
		return nil, false
	}
	dst = appendNumber(dst, v[:n])
	v = v[n:]
	for v != "" && v[0] == '.' {
		v = v[1:]
		if n = digits(v); n == 0 && (gentoo || v == "") {
			return nil, false
		}
		dst = appendDotted(dst, v[:n], gentoo)
		v = v[n:]
	}
	if v != "" && 'a' <= v[0] && v[0] <= 'z' {
		dst = append(dst, apkLetter, v[0])
		v = v[1:]
		if n = digits(v); n > 0 && !gentoo {
			dst = appendNumber(append(dst, apkNumber), v[:n])
			v = v[n:]
		}
	}
	for v != "" && v[0] == '_' {
		v = v[1:]
		n = letters(v)
		rank, index := apkSuffix(v[:n])
		if rank == 0 {
			return nil, false
		}
		dst = append(dst, rank, index)
		v = v[n:]
		if n = digits(v); n > 0 {
			dst = appendNumber(append(dst, apkNumber), v[:n])
			v = v[n:]
		}
	}
	if v != "" && v[0] == '~' && !gentoo {
		i := 1
		for i < len(v) && (isDigit(v[i]) || 'a' <= v[i] && v[i] <= 'f') {
			i++
		}
		if i == 1 {
			return nil, false
		}
		dst = appendText(append(dst, apkHash), v[1:i])
		v = v[i:]
	}
	if rest, ok := strings.CutPrefix(v, "-r"); ok {
		if !allDigits(rest) {
			return nil, false
		}
		// In Gentoo no revision is revision 0; in apk it is before it.
		if !gentoo || strings.Trim(rest, "0") != "" {
			dst = appendNumber(append(dst, apkRevision), rest)
		}
		v = ""
	}
	return append(dst, apkEnd), v == ""
}

// appendDotted writes a number behind a dot. One that begins with 0 compares
// as a text (1.02 < 1.1), and is then before all that do not.
func appendDotted(dst []byte, n string, gentoo bool) []byte {
	if n == "" || n[0] != '0' {
		return appendNumber(append(dst, apkDotted, 2), n)
	}
	if gentoo {
		n = strings.TrimRight(n, "0")
	}
	return appendText(append(dst, apkDotted, 1), n)
}

func apkSuffix(s string) (rank, index byte) {
	switch s {
	case "alpha":
		return apkBefore, 1
	case "beta":
		return apkBefore, 2
	case "pre":
		return apkBefore, 3
	case "rc":
		return apkBefore, 4
	case "cvs":
		return apkAfter, 1
	case "svn":
		return apkAfter, 2
	case "git":
		return apkAfter, 3
	case "hg":
		return apkAfter, 4
	case "p":
		return apkAfter, 5
	}
	return 0, 0
}
