package version

import "strings"

// The ranks of rpmvercmp's segments.
const (
	rpmTilde  = 1
	rpmEnd    = 2
	rpmCaret  = 3
	rpmAlpha  = 4
	rpmNumber = 5
)

// appendRPM reads [epoch:]version[-release]. As in rpm, what stands before a
// colon is an epoch only if it is a number, and a version without a release
// is before the same version with one. rpm itself orders any bytes; only what
// has nothing to compare by is refused.
func appendRPM(dst []byte, v string) ([]byte, bool) {
	v = trimSpace(v)
	epoch := ""
	if n := digits(v); n < len(v) && v[n] == ':' {
		epoch, v = v[:n], v[n+1:]
	}
	if v == "" || strings.IndexByte(v, ' ') >= 0 {
		return nil, false
	}
	ver, release := v, ""
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		ver, release = v[:i], v[i+1:]
	}
	dst = appendNumber(dst, epoch)
	dst = appendRPMPart(dst, ver)
	return appendRPMPart(dst, release), true
}

func appendRPMPart(dst []byte, s string) []byte {
	for s != "" {
		switch c := s[0]; {
		case c == '~':
			dst = append(dst, rpmTilde)
			s = s[1:]
		case c == '^':
			dst = append(dst, rpmCaret)
			s = s[1:]
		case isDigit(c):
			n := digits(s)
			dst = appendNumber(append(dst, rpmNumber), s[:n])
			s = s[n:]
		case isAlpha(c):
			n := letters(s)
			dst = appendText(append(dst, rpmAlpha), s[:n])
			s = s[n:]
		default: // separators, and all that is not ASCII
			s = s[1:]
		}
	}
	return append(dst, rpmEnd)
}

// appendALPM follows Arch's older rpmvercmp: letters right behind a number
// make it less ("1.0rc" < "1.0"), letters behind a separator make it more.
// It deviates in one thing: vercmp ignores the release where one side has
// none, which is no order (1-1 = 1 = 1-2); here none is before any.
func appendALPM(dst []byte, v string) ([]byte, bool) {
	const glued, end, alpha, number = 1, 2, 3, 4
	v = trimSpace(v)
	epoch := ""
	if n := digits(v); n < len(v) && v[n] == ':' {
		epoch, v = v[:n], v[n+1:]
	}
	if v == "" || strings.IndexByte(v, ' ') >= 0 {
		return nil, false
	}
	ver, release, _ := strings.Cut(v, "-")
	dst = appendNumber(dst, epoch)
	for _, s := range [...]string{ver, release} {
		separated := true
		for s != "" {
			switch c := s[0]; {
			case isDigit(c):
				n := digits(s)
				dst = appendNumber(append(dst, number), s[:n])
				s, separated = s[n:], false
			case isAlpha(c):
				n := letters(s)
				rank := byte(glued)
				if separated {
					rank = alpha
				}
				dst = appendText(append(dst, rank), s[:n])
				s, separated = s[n:], false
			default:
				s, separated = s[1:], true
			}
		}
		dst = append(dst, end)
	}
	return dst, true
}
