// Package terminal makes text fit for a terminal: words of a process, a file
// or a container are an attacker's.
package terminal

import (
	"strings"
	"unicode"
)

// Clean shows what a terminal would obey as "?", and line ends and tabs as
// blanks. Bytes that are no UTF-8 become "?", too.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			return '?'
		}
		return r
	}, s)
}

// Cut shortens to width characters, the last of which then says so. A width of
// 0 or less is none.
func Cut(s string, width int) string {
	r := []rune(s)
	if width <= 0 || len(r) <= width {
		return s
	}
	return string(r[:width-1]) + "…"
}
