package version

import "strings"

// The ranks of the parts that PHP's version_compare knows. A text that it
// does not know is before all that it does, and all such texts are equal.
const (
	phpUnknown = 1
	phpDev     = 2
	phpAlpha   = 3
	phpBeta    = 4
	phpRC      = 5
	phpEnd     = 6
	phpNumber  = 7
	phpPatch   = 8
)

// appendComposer normalises as Composer's VersionParser does (four numbers,
// one word for each stability, no build) and writes the parts as PHP's
// version_compare orders them: 1.0 and 1.0.0 are the same release, though
// version_compare alone would tell them apart. A branch ("dev-main") is
// before every release; "2.x-dev" is behind all of 2.
//
// Where Composer refuses a version it is read by the rules of version_compare
// alone if it begins with a number: feeds name such tags, and a package of
// that tag cannot be installed.
func appendComposer(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	if len(v) > 4 && strings.EqualFold(v[:4], "dev-") {
		return appendLower(append(dst, 0), v[4:]), true
	}
	v, _, _ = strings.Cut(v, "+")
	v, _, _ = strings.Cut(v, "@") // a stability flag
	if v != "" && lower(v[0]) == 'v' {
		v = v[1:]
	}
	if digits(v) == 0 {
		return nil, false
	}
	dst = append(dst, 1)
	count, wild := 0, false
	for {
		n := digits(v)
		if n == 0 && count > 0 && v != "" && (lower(v[0]) == 'x' || v[0] == '*') && (len(v) == 1 || !isAlpha(v[1])) {
			// Composer's number for "any": nothing real reaches it.
			dst, wild, n = appendNumber(append(dst, phpNumber), "9999999"), true, 1
		} else if n == 0 {
			return nil, false
		} else {
			dst = appendNumber(append(dst, phpNumber), v[:n])
		}
		count++
		v = v[n:]
		if len(v) < 2 || v[0] != '.' || !isDigit(v[1]) && lower(v[1]) != 'x' && v[1] != '*' {
			break
		}
		v = v[1:]
	}
	for ; count < 4; count++ {
		if wild {
			dst = appendNumber(append(dst, phpNumber), "9999999")
		} else {
			dst = appendNumber(append(dst, phpNumber), "0")
		}
	}
	return appendStability(dst, v)
}

// appendStability writes what follows the numbers: runs of digits and of
// letters, separated or not.
func appendStability(dst []byte, v string) ([]byte, bool) {
	for v != "" {
		n := digits(v)
		if n > 0 {
			dst = appendNumber(append(dst, phpNumber), v[:n])
			v = v[n:]
			continue
		}
		if n = letters(v); n > 0 {
			rank := phpForm(v[:n])
			if rank != phpEnd { // "stable" says nothing
				dst = append(dst, rank)
			}
			v = v[n:]
			continue
		}
		if !isSeparator(v[0]) {
			return nil, false
		}
		v = v[1:]
	}
	return append(dst, phpEnd), true
}

// phpForm finds the form by its beginning, as version_compare does: "post" is
// a "p". Unlike it, case does not matter: Composer lowers every word.
func phpForm(s string) byte {
	if strings.EqualFold(s, "stable") {
		return phpEnd
	}
	for _, f := range [...]struct {
		word string
		rank byte
	}{{"dev", phpDev}, {"a", phpAlpha}, {"b", phpBeta}, {"rc", phpRC}, {"p", phpPatch}} {
		if len(s) >= len(f.word) && strings.EqualFold(s[:len(f.word)], f.word) {
			return f.rank
		}
	}
	return phpUnknown
}
