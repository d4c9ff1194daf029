package version

// A key is built of ranks (small bytes whose order is the order of what they
// stand for), numbers and texts. Every list in it ends with a rank of its own,
// so that "shorter" can be less (most schemes) or greater (a prerelease).

// appendNumber writes a run of decimal digits so that keys compare as the
// numbers do, at any length: the count of digits without leading zeros, then
// the digits. maxLen keeps the count in one byte.
func appendNumber(dst []byte, digits string) []byte {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	dst = append(dst, byte(len(digits)))
	return append(dst, digits...)
}

// appendText writes a text that ends with NUL, so that a prefix is less.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, s...)
	return append(dst, 0)
}

// appendLower is appendText of the ASCII lower case.
func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, lower(s[i]))
	}
	return append(dst, 0)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// digits is the length of the run of digits at the start of s.
func digits(s string) int {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return i
}

// letters is the length of the run of ASCII letters at the start of s.
func letters(s string) int {
	i := 0
	for i < len(s) && isAlpha(s[i]) {
		i++
	}
	return i
}

func allDigits(s string) bool { return s != "" && digits(s) == len(s) }

// trimSpace removes ASCII white space only: anything else in a version is an
// attack or a mistake, and an error.
func trimSpace(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
