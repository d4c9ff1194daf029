package version

import "strings"

// appendCRAN reads R's package_version: numbers separated by "." or "-", of
// which the longer list is greater.
func appendCRAN(dst []byte, v string) ([]byte, bool) { return appendList(dst, v, ".-") }

// appendHackage reads Cabal's versions: numbers separated by ".".
func appendHackage(dst []byte, v string) ([]byte, bool) { return appendList(dst, v, ".") }

func appendList(dst []byte, v, separators string) ([]byte, bool) {
	const end, number = 1, 2
	v = trimSpace(v)
	for {
		n := digits(v)
		if n == 0 {
			return nil, false
		}
		dst = appendNumber(append(dst, number), v[:n])
		if v = v[n:]; v == "" {
			return append(dst, end), true
		}
		if strings.IndexByte(separators, v[0]) < 0 {
			return nil, false
		}
		v = v[1:]
	}
}

// appendConan reads main[-prerelease][+build], each a list of items: numbers
// before texts, zeros at the end do not count, a prerelease is before none and
// a build behind none. Conan compares a number with a text as texts, which is
// no order; here the number is less.
func appendConan(dst []byte, v string) ([]byte, bool) {
	const final = 9
	v = lowerText(trimSpace(v))
	v, build, _ := strings.Cut(v, "+")
	main, pre, hasPre := strings.Cut(v, "-")
	if main == "" || strings.ContainsAny(v, " \t") {
		return nil, false
	}
	dst = appendItems(dst, main)
	if hasPre {
		dst = appendItems(dst, pre)
	} else {
		dst = append(dst, final)
	}
	return appendItems(dst, build), true
}

func appendItems(dst []byte, s string) []byte {
	const end, number, text = 1, 2, 3
	keep := len(dst)
	for more := s != ""; more; {
		var item string
		item, s, more = strings.Cut(s, ".")
		if allDigits(item) {
			dst = appendNumber(append(dst, number), item)
			if strings.Trim(item, "0") == "" {
				continue
			}
		} else {
			dst = appendText(append(dst, text), item)
		}
		keep = len(dst)
	}
	return append(dst[:keep], end)
}

// lowerText allocates only if there is something to lower.
func lowerText(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

// appendOpenSSL reads the letters of before 3.0 ("1.0.2zh" follows "1.0.2z")
// and SemVer since.
func appendOpenSSL(dst []byte, v string) ([]byte, bool) {
	dst, v, ok := appendNumbers(dst, trimSpace(v), 3, 3)
	if !ok {
		return nil, false
	}
	n := letters(v)
	dst = appendText(dst, v[:n])
	return appendTail(dst, v[n:], false)
}
