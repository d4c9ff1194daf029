package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes one line of outside text: valid UTF-8, nothing that a terminal or
// a log would obey (escapes, newlines, bidirectional overrides), at most n
// characters. A negative n is no limit.
//
// Bad bytes become U+FFFD, one for each, as encoding/json has it: a report and
// its saved stream must look the same.
func Text(s string, n int) string {
	if n == 0 {
		return ""
	}
	if clean(s) && (n < 0 || len(s) <= n) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if n == 0 {
			return cut(b.String())
		}
		n--
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			r = ' '
		case !unicode.IsPrint(r):
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cut replaces the last character by an ellipsis.
func cut(s string) string {
	_, size := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-size] + "…"
}

// clean says that s needs no work: most texts are plain ASCII.
func clean(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// maxLink is the longest address that is one, in bytes.
const maxLink = 2000

// Link is an http or https address without the bytes that no URI may hold
// (RFC 3986), or nothing.
func Link(s string) string {
	if len(s) > maxLink {
		return ""
	}
	const allowed = "-._~:/?#@!$&'()*+,;=%"
	var b strings.Builder
	for _, c := range []byte(valid(s)) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(allowed, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	u, err := url.Parse(b.String())
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	if _, err := url.QueryUnescape(u.RawQuery); err != nil {
		return ""
	}
	return u.String()
}

// WriteJSON writes a document as people read and compare it.
func WriteJSON(w io.Writer, v any) error {
	enc := NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// NewEncoder writes what it would write again after its bytes were read: of
// itself encoding/json escapes U+FFFD where it stands for a bad byte, and
// does not where it was read.
func NewEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(unescaped{w})
	enc.SetEscapeHTML(false)
	return enc
}

type unescaped struct{ io.Writer }

var escapedBad = []byte(`\ufffd`)

func (u unescaped) Write(p []byte) (int, error) {
	if !bytes.Contains(p, escapedBad) {
		return u.Writer.Write(p)
	}
	n := len(p)
	out := make([]byte, 0, n)
	for i := 0; i < n; i++ {
		switch {
		case p[i] != '\\':
			out = append(out, p[i])
		case bytes.HasPrefix(p[i:], escapedBad):
			out = append(out, "\uFFFD"...)
			i += len(escapedBad) - 1
		default: // an escape is two bytes at least
			out = append(out, p[i:min(i+2, n)]...)
			i++
		}
	}
	if _, err := u.Writer.Write(out); err != nil {
		return 0, err
	}
	return n, nil
}
