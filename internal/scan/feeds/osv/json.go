package osv

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks through one JSON text (RFC 8259) without building a tree:
// the records are 140 MB in all and most of it is skipped. It checks the
// whole text, what is skipped included, because a record that is broken in
// one place is not believed in another.
//
// The first error sticks; after it every method returns zero and consumes
// nothing, so that callers need to look once.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

// maxDepth is far above the schema's own depth of about eight.
const maxDepth = 64

var (
	errSyntax = errors.New("not valid JSON")
	errDeep   = errors.New("nested too deeply")
)

func (s *scanner) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("%w at byte %d", err, s.i)
	}
	s.i = len(s.b)
}

// peek is the next byte that is no white space; 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.err == nil && s.peek() != 0 || s.i < len(s.b) {
		s.fail(errSyntax)
	}
	return s.err
}

// object calls field for every key, which must consume the value. A null is
// an object without fields.
func (s *scanner) object(field func(key []byte)) {
	if !s.open('{') {
		return
	}
	if s.peek() == '}' {
		s.close()
		return
	}
	for s.err == nil {
		if s.peek() != '"' {
			s.fail(errSyntax)
			return
		}
		key := s.text()
		if s.peek() != ':' {
			s.fail(errSyntax)
			return
		}
		s.i++
		field(key)
		if !s.more('}') {
			return
		}
	}
}

// array calls item for every element, which must consume it. A null is an
// empty array.
func (s *scanner) array(item func()) {
	if !s.open('[') {
		return
	}
	if s.peek() == ']' {
		s.close()
		return
	}
	for s.err == nil {
		item()
		if !s.more(']') {
			return
		}
	}
}

func (s *scanner) open(c byte) bool {
	switch s.peek() {
	case c:
	case 'n':
		s.literal("null")
		return false
	default:
		s.fail(fmt.Errorf("want %c", c))
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.fail(errDeep)
		return false
	}
	s.i++
	return s.err == nil
}

func (s *scanner) close() {
	s.i++
	s.depth--
}

// more steps over a comma, or closes.
func (s *scanner) more(end byte) bool {
	if s.err != nil {
		return false
	}
	switch s.peek() {
	case ',':
		s.i++
		return true
	case end:
		s.close()
	default:
		s.fail(errSyntax)
	}
	return false
}

// string is a string value. A null is "".
func (s *scanner) string() string {
	switch s.peek() {
	case '"':
		return string(s.text())
	case 'n':
		s.literal("null")
	default:
		s.fail(errors.New("want a string"))
	}
	return ""
}

// stringIf is a string value, and "" for a value of any other kind, which is
// skipped: for the fields that the schema leaves to each database.
func (s *scanner) stringIf() string {
	if s.peek() == '"' {
		return string(s.text())
	}
	s.skip()
	return ""
}

// strings is an array of strings.
func (s *scanner) strings() []string {
	var list []string
	s.array(func() {
		if v := s.string(); v != "" {
			list = append(list, v)
		}
	})
	return list
}

// text reads a string at its quote. The result is part of the text where it
// has no escape, and is valid until the next call.
func (s *scanner) text() []byte {
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return validUTF8(s.b[start:i])
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			s.i = i
			s.fail(errSyntax)
			return nil
		}
	}
	s.fail(errSyntax)
	return nil
}

func validUTF8(b []byte) []byte {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			if utf8.Valid(b) {
				return b
			}
			return []byte(string([]rune(string(b))))
		}
	}
	return b
}

// escaped goes on at the first backslash.
func (s *scanner) escaped(start, i int) []byte {
	out := append(make([]byte, 0, 2*(i-start)+32), s.b[start:i]...)
	for i < len(s.b) {
		c := s.b[i]
		switch {
		case c == '"':
			s.i = i + 1
			return validUTF8(out)
		case c < ' ':
			s.i = i
			s.fail(errSyntax)
			return nil
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		var n int
		if out, n = unescape(out, s.b[i:]); n == 0 {
			s.i = i
			s.fail(errSyntax)
			return nil
		}
		i += n
	}
	s.fail(errSyntax)
	return nil
}

// unescape appends what the escape at the start of b means and says how long
// it is; 0 when it is none. Half a surrogate pair becomes U+FFFD.
func unescape(out, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return out, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return append(out, b[1]), 2
	case 'b':
		return append(out, '\b'), 2
	case 'f':
		return append(out, '\f'), 2
	case 'n':
		return append(out, '\n'), 2
	case 'r':
		return append(out, '\r'), 2
	case 't':
		return append(out, '\t'), 2
	case 'u':
		r := hex4(b[2:])
		if r < 0 {
			return out, 0
		}
		if utf16.IsSurrogate(r) {
			if len(b) >= 8 && b[6] == '\\' && b[7] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(b[8:])); pair != utf8.RuneError {
					return utf8.AppendRune(out, pair), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(out, r), 6
	}
	return out, 0
}

// hex4 reads four hex digits; -1 when they are not.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// skip checks and passes over any value.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		s.array(s.skip)
	case '"':
		s.skipText()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

// skipText is text without the copy.
func (s *scanner) skipText() {
	for i := s.i + 1; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return
		case c < ' ':
			s.i = i
			s.fail(errSyntax)
			return
		case c == '\\':
			i++
			if i < len(s.b) && s.b[i] == 'u' {
				if hex4(s.b[i+1:]) < 0 {
					s.fail(errSyntax)
					return
				}
				i += 4
			} else if i < len(s.b) && !isEscape(s.b[i]) {
				s.fail(errSyntax)
				return
			}
		}
	}
	s.fail(errSyntax)
}

func isEscape(c byte) bool {
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}

func (s *scanner) literal(word string) {
	if end := s.i + len(word); end <= len(s.b) && string(s.b[s.i:end]) == word {
		s.i = end
		return
	}
	s.fail(errSyntax)
}

// number passes over a number and returns its text.
func (s *scanner) number() string {
	s.peek()
	start := s.i
	if s.at('-') {
		s.i++
	}
	switch {
	case s.at('0'):
		s.i++
	case s.digits() == 0:
		s.fail(errSyntax)
		return ""
	}
	if s.at('.') {
		s.i++
		if s.digits() == 0 {
			s.fail(errSyntax)
			return ""
		}
	}
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		if s.digits() == 0 {
			s.fail(errSyntax)
			return ""
		}
	}
	return string(s.b[start:s.i])
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}
