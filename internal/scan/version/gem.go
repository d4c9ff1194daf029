package version

import "strings"

// The ranks of a segment of Gem::Version. A missing segment counts as 0, so a
// run of zeros is placed around the end: below it when a text follows, above
// it when a number does; the canonical form has no other zeros.
const (
	gemText       = 1
	gemZerosText  = 2
	gemEnd        = 3
	gemZerosNum   = 4
	gemNumber     = 5
	gemMaxZeroRun = 255
)

// appendGem follows Gem::Version: dotted alphanumerics, of which every run of
// digits or of letters is a segment, and "-" stands for ".pre.".
func appendGem(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	main, tail, hyphen := strings.Cut(v, "-")
	if !gemForm(main, false) || hyphen && !gemForm(tail, true) {
		return nil, false
	}
	var w gemWriter
	dst = w.segments(dst, main)
	if hyphen {
		dst = w.segment(dst, "pre")
		dst = w.segments(dst, strings.ReplaceAll(tail, "-", ".pre."))
	}
	return append(dst, gemEnd), true
}

// gemWriter is what has to be known of the segments before the next. It does
// not hold the key: that would move the caller's buffer to the heap.
type gemWriter struct {
	zeros int
	text  bool // a text was seen
}

func (w *gemWriter) segments(dst []byte, s string) []byte {
	for s != "" {
		n := digits(s)
		if n == 0 {
			n = letters(s)
		}
		if n == 0 {
			s = s[1:]
			continue
		}
		dst = w.segment(dst, s[:n])
		s = s[n:]
	}
	return dst
}

func (w *gemWriter) segment(dst []byte, s string) []byte {
	switch {
	case strings.Trim(s, "0") == "":
		w.zeros = min(w.zeros+1, gemMaxZeroRun)
	case isDigit(s[0]):
		if w.zeros > 0 {
			dst = append(dst, gemZerosNum, byte(gemMaxZeroRun-w.zeros))
		}
		dst = appendNumber(append(dst, gemNumber), s)
		w.zeros = 0
	default:
		// canonical_segments drops the zeros before the first text: 1.0.a is 1.a.
		if w.zeros > 0 && w.text {
			dst = append(dst, gemZerosText, byte(w.zeros))
		}
		dst = appendText(append(dst, gemText), s)
		w.zeros, w.text = 0, true
	}
	return dst
}

// gemForm checks VERSION_PATTERN: the part before the hyphen begins with a
// digit, the one behind it may have more hyphens.
func gemForm(s string, tail bool) bool {
	if s == "" || !tail && !isDigit(s[0]) {
		return false
	}
	last := byte('.')
	first := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c), tail && c == '-':
		case isAlpha(c):
			if first && !tail { // the first part is a number
				return false
			}
		case c == '.' && last != '.':
			first = false
		default:
			return false
		}
		last = s[i]
	}
	return last != '.'
}
