package gate

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Texts of an image are written by whoever built it: they may hold terminal
// sequences, direction overrides and megabytes. All of them pass through here
// before they reach a verdict or a terminal.

// clean makes one harmless line of s that takes at most limit bytes in JSON.
func clean(s string, limit int) string {
	if plainASCII(s, limit) {
		return s
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		r, cost := harmless(r)
		if used+cost > limit-3 {
			// Room for the three bytes of the ellipsis was kept.
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
		used += cost
	}
	return b.String()
}

// cleanEnd is clean, but keeps the end of a long text: of a path, that is the
// telling part.
func cleanEnd(s string, limit int) string {
	if plainASCII(s, limit) {
		return s
	}
	used, from := 0, len(s)
	for from > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:from])
		_, cost := harmless(r)
		if used+cost > limit-3 {
			return "…" + clean(s[from:], limit)
		}
		used += cost
		from -= size
	}
	return clean(s, limit)
}

func plainASCII(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// harmless replaces what a terminal or an editor would obey, and gives the
// bytes that the character takes in JSON as encoding/json writes it.
func harmless(r rune) (rune, int) {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' ', 1
	case r == utf8.RuneError || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
		return '?', 1
	case r == '"' || r == '\\':
		return r, 2
	case r == '<' || r == '>' || r == '&':
		return r, 6
	}
	return r, utf8.RuneLen(r)
}

// jsonLen is the size of a clean text in JSON.
func jsonLen(s string) int {
	n := 0
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			n += 2
		case '<', '>', '&':
			n += 6
		default:
			n++
		}
	}
	return n
}

func plural(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y") && noun != "day":
		return strconv.Itoa(n) + " " + strings.TrimSuffix(noun, "y") + "ies"
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// list writes a few names and counts the rest: "a, b and 7 more".
func list(names []string, total int) string {
	if total > len(names) {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), total-len(names))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
