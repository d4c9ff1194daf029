// Package purl reads and writes package URLs (purl-spec, ECMA-427) and turns
// packages into them and back. It accepts what the specification's own tests
// accept, and holds the rules of each type in one table.
//
// Start with Parse, Of and Package.
package purl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PURL is a package URL in its parts, decoded and normalised for its type.
type PURL struct {
	Type       string
	Namespace  string // segments joined by "/"
	Name       string
	Version    string
	Qualifiers []Qualifier // sorted by key, no empty values
	Subpath    string
}

// Qualifier is one key=value.
type Qualifier struct{ Key, Value string }

// Qualifier is the value of a key, or "".
func (p *PURL) Qualifier(key string) string {
	for _, q := range p.Qualifiers {
		if q.Key == key {
			return q.Value
		}
	}
	return ""
}

// Limits: a purl longer than maxLen or with more qualifiers is an attack.
const (
	maxLen        = 4096
	maxQualifiers = 64
)

// Parse reads a purl. The parts are normalised: what String gives back is the
// canonical form.
func Parse(s string) (PURL, error) {
	p, err := parse(s)
	if err != nil {
		if len(s) > 200 {
			s = s[:200] + "…"
		}
		return PURL{}, fmt.Errorf("purl %q: %w", s, err)
	}
	return p, nil
}

func parse(s string) (p PURL, err error) {
	if len(s) > maxLen {
		return p, fmt.Errorf("longer than %d bytes", maxLen)
	}
	if len(s) < 4 || !strings.EqualFold(s[:4], "pkg:") {
		return p, errors.New(`does not begin with "pkg:"`)
	}
	s = strings.TrimLeft(s[4:], "/")

	s, sub, _ := strings.Cut(s, "#")
	if p.Subpath, err = segments(sub, true); err != nil {
		return p, err
	}
	s, query, _ := strings.Cut(s, "?")
	if p.Qualifiers, err = qualifiers(query); err != nil {
		return p, err
	}
	typ, rest, ok := strings.Cut(s, "/")
	if !ok {
		return p, fmt.Errorf("no name")
	}
	p.Type = strings.ToLower(typ)
	// An @ in front of the last slash is a scope that nobody encoded.
	if i := strings.LastIndexByte(rest, '@'); i > strings.LastIndexByte(rest, '/') {
		if p.Version, err = decode(rest[i+1:]); err != nil {
			return p, err
		}
		rest = rest[:i]
	}
	if strings.HasSuffix(rest, "/") {
		return p, fmt.Errorf("no name")
	}
	name := rest
	i := strings.LastIndexByte(rest, '/')
	if p.Type == "git" { // the namespace is the host, the name is a path
		i = strings.IndexByte(rest, '/')
	}
	if i >= 0 {
		name = rest[i+1:]
		if p.Namespace, err = segments(rest[:i], false); err != nil {
			return p, err
		}
	}
	if p.Type == "git" {
		p.Name, err = segments(name, false)
	} else {
		p.Name, err = decode(name)
	}
	if err != nil {
		return p, err
	}
	return p, p.normalise()
}

// segments decodes what stands between slashes. Empty segments, and in a
// subpath "." and "..", say nothing and are dropped.
func segments(s string, subpath bool) (string, error) {
	if s == "" {
		return "", nil
	}
	var out []string
	for seg := range strings.SplitSeq(s, "/") {
		d, err := decode(seg)
		if err != nil {
			return "", err
		}
		if d == "" || subpath && (d == "." || d == "..") {
			continue
		}
		if strings.Contains(d, "/") { // written out it would be two segments
			return "", fmt.Errorf("slash in segment %q", seg)
		}
		out = append(out, d)
	}
	return strings.Join(out, "/"), nil
}

func qualifiers(s string) ([]Qualifier, error) {
	if s == "" {
		return nil, nil
	}
	var out []Qualifier
	for pair := range strings.SplitSeq(s, "&") {
		k, v, ok := strings.Cut(pair, "=")
		if k = strings.ToLower(k); !ok || !isKey(k) {
			return nil, fmt.Errorf("bad qualifier %q", pair)
		}
		v, err := decode(v)
		if err != nil {
			return nil, err
		}
		if v == "" {
			continue
		}
		if len(out) == maxQualifiers {
			return nil, fmt.Errorf("more than %d qualifiers", maxQualifiers)
		}
		out = append(out, Qualifier{k, v})
	}
	return sorted(out)
}

func sorted(qs []Qualifier) ([]Qualifier, error) {
	slices.SortFunc(qs, func(a, b Qualifier) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(qs); i++ {
		if qs[i].Key == qs[i-1].Key {
			return nil, fmt.Errorf("qualifier %q twice", qs[i].Key)
		}
	}
	return qs, nil
}

// isKey: lower-case letters, digits, ".", "-" and "_"; not a digit first.
func isKey(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9'), c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// New is the purl of the given parts, normalised; an error says which part
// the specification refuses.
func New(typ, namespace, name, version string, qs []Qualifier, subpath string) (PURL, error) {
	p := PURL{Type: strings.ToLower(typ), Name: name, Version: version}
	trim := func(s string, sub bool) string {
		var out []string
		for seg := range strings.SplitSeq(s, "/") {
			if seg != "" && (!sub || seg != "." && seg != "..") {
				out = append(out, seg)
			}
		}
		return strings.Join(out, "/")
	}
	p.Namespace, p.Subpath = trim(namespace, false), trim(subpath, true)
	for _, q := range qs {
		if !isKey(q.Key) {
			return PURL{}, fmt.Errorf("purl qualifier %q: not a key", q.Key)
		}
		if q.Value != "" {
			p.Qualifiers = append(p.Qualifiers, q)
		}
	}
	var err error
	if p.Qualifiers, err = sorted(p.Qualifiers); err == nil {
		err = p.normalise()
	}
	if err != nil {
		return PURL{}, fmt.Errorf("purl of %s %q: %w", typ, name, err)
	}
	return p, nil
}

// String is the canonical form.
func (p PURL) String() string {
	b := make([]byte, 0, 16+len(p.Type)+len(p.Namespace)+len(p.Name)+len(p.Version))
	b = append(append(append(b, "pkg:"...), p.Type...), '/')
	if p.Namespace != "" {
		for seg := range strings.SplitSeq(p.Namespace, "/") {
			b = append(encode(b, seg), '/')
		}
	}
	b = encode(b, p.Name)
	if p.Type == "git" {
		b = append(b[:0], strings.ReplaceAll(string(b), "%2F", "/")...)
	}
	if p.Version != "" {
		b = encode(append(b, '@'), p.Version)
	}
	for i, q := range p.Qualifiers {
		b = append(b, "?&"[min(i, 1)])
		b = encode(append(append(b, q.Key...), '='), q.Value)
	}
	if p.Subpath != "" {
		sep := byte('#')
		for seg := range strings.SplitSeq(p.Subpath, "/") {
			b = encode(append(b, sep), seg)
			sep = '/'
		}
	}
	return string(b)
}

// encode percent-encodes all but the unreserved characters of RFC 3986 and
// the colon.
func encode(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_', c == '~', c == ':':
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

func decode(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("cut percent encoding in %q", s)
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi > 15 || lo > 15 {
			return "", fmt.Errorf("bad percent encoding in %q", s)
		}
		b = append(b, hi<<4|lo)
		i += 2
	}
	return string(b), nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
