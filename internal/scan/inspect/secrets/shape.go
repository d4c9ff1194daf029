package secrets

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// assignment is a name and where its value begins.
type assignment struct {
	Name   string
	Value  int  // offset of the first byte
	Quote  byte // the quote before it, or 0
	Spaced bool // there is white space around the operator
}

// The longest name and operator that are read, in bytes.
const (
	maxLeft  = 48
	maxRight = 32
	maxGap   = 24
)

// assigned reads the assignment whose name holds data[start:end], as source,
// shells, JSON, YAML, XML and .ini files write it, and pairs of arguments:
// set("name", "value").
func assigned(data []byte, start, end int) (assignment, bool) {
	left, right := start, end
	for left > 0 && start-left < maxLeft && nameByte(data[left-1]) {
		left--
	}
	for right < len(data) && right-end < maxRight && nameByte(data[right]) {
		right++
	}
	a := assignment{Name: string(data[left:right])}
	i, operator := right, false
	for ; i < len(data) && i-right < maxGap; i++ {
		switch c := data[i]; c {
		case '=', ':', '>', ',', '|', '?':
			operator = true
			continue
		case ' ', '\t', '\n', '\r':
			a.Spaced = true
			continue
		case '"', '\'', '`':
			if operator {
				a.Quote = c
			}
			continue
		case '.', ']', ')', '\\', '@':
			// $x .= "…", a["x"] = …, \"x\": \"…\", @"…"
			continue
		}
		if operator {
			break
		}
		// A type between name and operator: var token string = "…".
		j := i
		for j < len(data) && j-i < 12 && 'a' <= data[j] && data[j] <= 'z' {
			j++
		}
		if !a.Spaced || j == i || j+2 >= len(data) || !bytes.ContainsAny(data[j:j+2], "=:") {
			return a, false
		}
		i = j - 1
	}
	a.Value = i
	return a, operator && i < len(data)
}

func nameByte(c byte) bool { return alnum(c) || c == '_' || c == '-' || c == '.' }

// alnum says whether c is an ASCII letter or digit.
func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// wordBegins says whether a word begins at pos: "lob" does in "myLobKey" and not
// in "blob" or "GLOBAL".
func wordBegins(data []byte, pos int) bool {
	if pos == 0 {
		return true
	}
	p, c := data[pos-1], data[pos]
	lower := 'a' <= p && p <= 'z'
	letter := lower || 'A' <= p && p <= 'Z'
	return !letter || lower && 'A' <= c && c <= 'Z'
}

// nameWords are parts of names whose values are secrets.
var nameWords = []string{
	"key", "token", "secret", "pass", "pwd", "auth", "cred", "api", "client", "access", "id", "sign", "webhook", "pat",
}

// says holds a name to words that must be part of it: those given, "any" for
// none, and the usual words for nil.
func says(name string, words []string) bool {
	if len(words) == 0 {
		words = nameWords
	}
	name = strings.ToLower(name)
	for _, w := range words {
		if w == "any" || strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// entropy is Shannon's, in bits per byte.
func entropy(s string) float64 {
	if s == "" {
		return 0
	}
	var counts [256]int
	for i := range len(s) {
		counts[s[i]]++
	}
	h, n := 0.0, float64(len(s))
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}

// mask shows the first bytes of a secret, at most four and at most a quarter,
// and its length.
func mask(s string) string {
	show := printable(s[:min(4, len(s)/4)])
	return fmt.Sprintf("%s… (%d characters)", show, len(s))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
