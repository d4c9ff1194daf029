package secrets

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Mask shortens the secrets of a text that is no file (a variable, a line of a
// build) as they are in findings. Also are stretches that the caller knows to
// be secret. A text with more of them than are looked for is hidden whole.
func Mask(text string, also [][2]int) string {
	s := search{file: &layer.File{Data: []byte(text)}, rules: builtin(), left: maxTries + len(text)/32}
	for _, h := range s.rules.hits(text) {
		for _, i := range s.rules.byLiteral[h.Literal] {
			// A rule that cannot be prepared is a Gap of the files, and a test's matter.
			_ = s.try(i, h.End-len(s.rules.literals[h.Literal].Bytes), h.End)
		}
		if s.left <= 0 {
			return mask(text)
		}
	}
	kept := best(s.found)
	if len(kept) > maxFindings {
		return mask(text)
	}
	for _, c := range kept {
		also = append(also, [2]int{c.start, c.end})
	}
	slices.SortFunc(also, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(b[1], a[1])) })
	var out strings.Builder
	at := 0
	for i := 0; i < len(also); {
		start, end := also[i][0], also[i][1]
		for i++; i < len(also) && also[i][0] < end; i++ {
			end = max(end, also[i][1])
		}
		out.WriteString(text[at:start])
		out.WriteString(mask(text[start:end]))
		at = end
	}
	return out.String() + text[at:]
}

// heads are the literals by their first three bytes, in lower case.
var heads = sync.OnceValue(func() map[[3]byte][]int {
	by := map[[3]byte][]int{}
	for i, l := range builtin().literals {
		head := [3]byte([]byte(lower(l.Bytes)))
		by[head] = append(by[head], i)
	}
	return by
})

// hits are the literals in a short text. The shared search is for files: to
// build it costs more than to look at a history.
func (set *ruleSet) hits(text string) []layer.Hit {
	low := lower(text)
	var hits []layer.Hit
	for at := range max(0, len(low)-2) {
		for _, i := range heads()[[3]byte([]byte(low[at:at+3]))] {
			l := set.literals[i]
			if strings.HasPrefix(text[at:], l.Bytes) || l.Fold && strings.HasPrefix(low[at:], lower(l.Bytes)) {
				hits = append(hits, layer.Hit{Literal: i, End: at + len(l.Bytes)})
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b layer.Hit) int { return cmp.Compare(a.End, b.End) })
	return hits
}

// lower is of ASCII alone: no byte moves.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
