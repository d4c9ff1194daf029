package version

import "strings"

// pep440 is a version of PyPI in its parts. An absent part has its flag unset.
type pep440 struct {
	epoch   string
	release string // dotted numbers
	pre     byte   // 'a', 'b', 'c' (rc) or 0
	preN    string
	hasPost bool
	postN   string
	hasDev  bool
	devN    string
	local   string // as written, without '+'
}

// The ranks of PEP 440's parts, as packaging's _cmpkey has them.
const (
	pepEnd      = 1
	pepNumber   = 2
	pepDevOnly  = 1 // 1.0.dev1 is before 1.0a1
	pepAlpha    = 2
	pepFinal    = 5
	pepNoPost   = 1
	pepPost     = 2
	pepDev      = 1
	pepNoDev    = 2
	pepText     = 2
	pepLocalNum = 3
)

// appendPEP440 accepts what packaging accepts and refuses what it refuses:
// the legacy versions of before 2014 have had no order since packaging 22.
func appendPEP440(dst []byte, v string) ([]byte, bool) {
	p, ok := parsePEP440(v)
	if !ok {
		return nil, false
	}
	dst = appendNumber(dst, p.epoch)
	dst = appendRelease(dst, p.release)
	switch {
	case p.pre != 0:
		dst = appendNumber(append(dst, pepAlpha+p.pre-'a'), p.preN)
	case !p.hasPost && p.hasDev:
		dst = append(dst, pepDevOnly)
	default:
		dst = append(dst, pepFinal)
	}
	if p.hasPost {
		dst = appendNumber(append(dst, pepPost), p.postN)
	} else {
		dst = append(dst, pepNoPost)
	}
	if p.hasDev {
		dst = appendNumber(append(dst, pepDev), p.devN)
	} else {
		dst = append(dst, pepNoDev)
	}
	return appendLocal(dst, p.local), true
}

// appendRelease writes dotted numbers without the zeros at the end.
func appendRelease(dst []byte, s string) []byte {
	keep := len(dst)
	for s != "" {
		n := digits(s)
		zero := strings.Trim(s[:n], "0") == ""
		dst = appendNumber(append(dst, pepNumber), s[:n])
		if !zero {
			keep = len(dst)
		}
		if s = s[n:]; s != "" {
			s = s[1:]
		}
	}
	return append(dst[:keep], pepEnd)
}

func appendLocal(dst []byte, s string) []byte {
	for s != "" {
		i := 0
		for i < len(s) && !isSeparator(s[i]) {
			i++
		}
		if allDigits(s[:i]) {
			dst = appendNumber(append(dst, pepLocalNum), s[:i])
		} else {
			dst = appendLower(append(dst, pepText), s[:i])
		}
		s = s[min(i+1, len(s)):]
	}
	return append(dst, pepEnd)
}

func isSeparator(c byte) bool { return c == '.' || c == '-' || c == '_' }

// parsePEP440 is the grammar of appendix B, read from left to right.
func parsePEP440(v string) (p pep440, ok bool) {
	v = trimSpace(v)
	if v != "" && lower(v[0]) == 'v' {
		v = v[1:]
	}
	n := digits(v)
	if n > 0 && n < len(v) && v[n] == '!' {
		p.epoch, v = v[:n], v[n+1:]
		n = digits(v)
	}
	if n == 0 {
		return p, false
	}
	end := n
	for end+1 < len(v) && v[end] == '.' && isDigit(v[end+1]) {
		end += 1 + digits(v[end+1:])
	}
	p.release, v = v[:end], v[end:]

	if word, num, rest, ok := pepPart(v, "alpha", "a", "beta", "b", "preview", "pre", "rc", "c"); ok {
		switch word[0] {
		case 'a', 'b':
			p.pre = word[0]
		default:
			p.pre = 'c'
		}
		p.preN, v = num, rest
	}
	if len(v) > 1 && v[0] == '-' && isDigit(v[1]) {
		n = digits(v[1:])
		p.hasPost, p.postN, v = true, v[1:1+n], v[1+n:]
	} else if _, num, rest, ok := pepPart(v, "post", "rev", "r"); ok {
		p.hasPost, p.postN, v = true, num, rest
	}
	if _, num, rest, ok := pepPart(v, "dev"); ok {
		p.hasDev, p.devN, v = true, num, rest
	}
	if v != "" && v[0] == '+' {
		p.local, v = v[1:], ""
		if !isLocal(p.local) {
			return p, false
		}
	}
	return p, v == ""
}

// pepPart reads [separator] word [[separator] digits].
func pepPart(v string, words ...string) (word, num, rest string, ok bool) {
	s := v
	if s != "" && isSeparator(s[0]) {
		s = s[1:]
	}
	for _, w := range words {
		if len(s) < len(w) || !strings.EqualFold(s[:len(w)], w) {
			continue
		}
		rest = s[len(w):]
		after := rest
		if after != "" && isSeparator(after[0]) {
			after = after[1:]
		}
		if n := digits(after); n > 0 {
			return w, after[:n], after[n:], true
		}
		return w, "", rest, true
	}
	return "", "", v, false
}

func isLocal(s string) bool {
	last := byte('.')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c) || isAlpha(c):
		case isSeparator(c) && !isSeparator(last):
		default:
			return false
		}
		last = s[i]
	}
	return !isSeparator(last)
}
