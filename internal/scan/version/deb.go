package version

import "strings"

// appendDeb follows dpkg's verrevcmp and parseversion. Stricter than the
// order, as parseversion is: an epoch is a number below 2³¹, the upstream
// version begins with a digit (a warning in dpkg, and true of the archive)
// or, for what third parties build, a letter.
func appendDeb(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	epoch := ""
	if e, rest, ok := strings.Cut(v, ":"); ok {
		if !allDigits(e) || len(e) > 10 {
			return nil, false
		}
		epoch, v = e, rest
	}
	upstream, revision := v, ""
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		upstream, revision = v[:i], v[i+1:]
		if revision == "" {
			return nil, false
		}
	}
	if upstream == "" || !debChars(upstream, ":-") || !debChars(revision, "") {
		return nil, false
	}
	dst = appendNumber(dst, epoch)
	dst = appendVerrev(dst, upstream)
	return appendVerrev(dst, revision), true
}

func debChars(s, more string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isDigit(c) && !isAlpha(c) && c != '.' && c != '+' && c != '~' && c != '_' && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// appendVerrev writes pairs of a text and a number. A text ends with debEnd,
// which '~' precedes and everything else follows; missing pairs are an empty
// text and 0, which is what the end stands for.
func appendVerrev(dst []byte, s string) []byte {
	for first := true; first || s != ""; first = false {
		i := 0
		for ; i < len(s) && !isDigit(s[i]); i++ {
			dst = append(dst, debOrder(s[i]))
		}
		s = s[i:]
		n := digits(s)
		dst = append(dst, debEnd)
		dst = appendNumber(dst, s[:n])
		s = s[n:]
	}
	return append(dst, debEnd)
}

const debEnd = 2

func debOrder(c byte) byte {
	switch {
	case c == '~':
		return 1
	case isAlpha(c):
		return c
	}
	return c + 128 // behind all letters
}
