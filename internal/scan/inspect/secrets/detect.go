package secrets

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// detectFunc finds what no expression can: it looks around the keyword at
// data[start:end] and calls add.
type detectFunc func(s *search, r *rule, start, end int)

var detectors = map[string]detectFunc{
	"private-key":       detectPrivateKey,
	"file":              detectFile,
	"kubernetes-secret": detectKubernetesSecret,
	"url":               detectURL,
	"curl-user":         detectCurlUser,
	"curl-header":       detectCurlHeader,
	"generic":           detectGeneric,
}

func isBase64(c byte) bool { return alnum(c) || c == '+' || c == '/' || c == '=' }

// maxKey is the longest private key that is looked at, in bytes of PEM.
const maxKey = 16 << 10

// publicKeys are the beginnings of private keys that everybody has.
var publicKeys = []string{
	"MIIEogIBAAKCAQEA6NF8iallvQVp22WDkTkyrtvp9eWW6A8YVr",    // Vagrant boxes, since 2010
	"MHcCAQEEIHhv8LVzb9gqJzAY0P442+FW0oqbfBrLnfqxyyAujOFSo", // Go, crypto/x509/platform_root_key.pem
}

// detectPrivateKey wants the armour, a body of base64 and an end: source code
// is full of the armour alone. It reads through line breaks, "\n" in strings
// and joined string literals.
func detectPrivateKey(s *search, r *rule, start, end int) {
	data := s.file.Data
	begin := bytes.LastIndex(data[max(0, start-32):start], []byte("-----BEGIN "))
	if begin < 0 {
		return
	}
	begin += max(0, start-32)
	head := data[begin:min(len(data), begin+maxKey)]
	_, body, ok := bytes.Cut(head[11:], []byte("-----"))
	if !ok || len(head)-len(body) > 60 {
		return
	}
	stop := bytes.Index(body, []byte("-----END"))
	if stop < 0 {
		return
	}
	text, encrypted := pemText(body[:stop])
	switch {
	case len(text) < 64 || entropy(text) < 4 || isExample(text):
		return
	case slices.ContainsFunc(publicKeys, func(k string) bool { return strings.HasPrefix(text, k) }):
		return
	}
	n := len(s.found)
	s.add(r, begin, len(data)-len(data[begin:])+len(head)-len(body)+stop)
	if len(s.found) == n {
		return
	}
	c := &s.found[n]
	c.note = string(bytes.TrimSpace(head[11 : start-begin+len("PRIVATE KEY")]))
	if encrypted || strings.Contains(c.note, "ENCRYPTED") {
		c.severity, c.note = esclusa.SeverityLow, c.note+", encrypted with a passphrase"
	}
}

// pemText is the base64 of a body, without headers, white space and the marks
// of source code, and whether the key is encrypted.
func pemText(body []byte) (text string, encrypted bool) {
	var b strings.Builder
	body = bytes.ReplaceAll(body, []byte(`\r`), nil)
	body = bytes.ReplaceAll(body, []byte(`\n`), []byte("\n"))
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if bytes.Contains(line, []byte(": ")) {
			encrypted = encrypted || bytes.Contains(line, []byte("ENCRYPTED"))
			continue
		}
		line = bytes.Trim(line, " \t\r\"'`+,;.&_#*/>|")
		for _, c := range line {
			if !isBase64(c) {
				return b.String(), encrypted
			}
		}
		b.Write(line)
	}
	// OpenSSH: "openssh-key-v1\0", the length and the name of the cipher.
	if raw, err := base64.StdEncoding.DecodeString(b.String()[:min(b.Len(), 40)/4*4]); err == nil {
		if rest, ok := bytes.CutPrefix(raw, []byte("openssh-key-v1\x00\x00\x00\x00")); ok && len(rest) > 5 {
			encrypted = encrypted || !bytes.HasPrefix(rest[1:], []byte("none"))
		}
	}
	return b.String(), encrypted
}

// detectFile reports a file for its name and its being there.
func detectFile(s *search, r *rule, _, _ int) {
	s.found = append(s.found, candidate{start: 0, end: len(s.file.Data), rule: r, severity: r.Severity})
}

// detectKubernetesSecret wants "kind: Secret" at the left edge of a YAML
// document and a value under data or stringData.
func detectKubernetesSecret(s *search, r *rule, start, end int) {
	data := s.file.Data
	line := data[bytes.LastIndexByte(data[:start], '\n')+1:]
	line, _, _ = bytes.Cut(line, []byte("\n"))
	kind, ok := bytes.CutPrefix(bytes.TrimLeft(line, " "), []byte("kind:"))
	if !ok || len(line)-len(bytes.TrimLeft(line, " ")) > 1 || !bytes.EqualFold(bytes.Trim(kind, " \t\r\"'"), []byte("secret")) {
		return
	}
	from := bytes.LastIndex(data[:start], []byte("\n---")) + 1
	to := len(data)
	if i := bytes.Index(data[end:], []byte("\n---")); i >= 0 {
		to = end + i
	}
	from, to = max(from, start-64<<10), min(to, end+64<<10)
	within, block := false, false
	for at := from; at < to; {
		next := bytes.IndexByte(data[at:to], '\n')
		if next < 0 {
			next = to - at
		}
		l := data[at : at+next]
		trimmed := bytes.TrimLeft(l, " \t")
		key, value, isPair := bytes.Cut(trimmed, []byte(":"))
		switch {
		case len(trimmed) == 0 || trimmed[0] == '#':
		case block && within && len(l)-len(trimmed) > 2:
			if v := bytes.TrimRight(trimmed, " \r"); len(v) >= 10 && !placeholder(string(v)) {
				s.add(r, at+len(l)-len(trimmed), at+len(l)-len(trimmed)+len(v))
				return
			}
		case len(l)-len(trimmed) <= 1 && isPair && (len(trimmed) == len(l) || len(bytes.TrimSpace(value)) == 0):
			k := string(bytes.Trim(key, `"'`))
			within = (k == "data" || k == "stringData") && len(bytes.TrimSpace(value)) == 0
		case within && isPair:
			v := bytes.Trim(value, " \t\r\"'")
			block = len(v) > 0 && len(v) <= 2 && (v[0] == '|' || v[0] == '>')
			if len(v) >= 10 && !placeholder(string(v)) {
				a := at + bytes.Index(l, v)
				s.add(r, a, a+len(v))
				return
			}
		}
		at += next + 1
	}
}

// detectURL reads user and password out of an URL of the rule's schemes.
func detectURL(s *search, r *rule, start, end int) {
	data := s.file.Data
	rest := data[end:min(len(data), end+300)]
	stop := bytes.IndexAny(rest, "@/ \t\r\n\"'`<>{}()\\,;|")
	if stop < 1 || rest[stop] != '@' {
		return
	}
	user, password, ok := bytes.Cut(rest[:stop], []byte(":"))
	if !ok || len(password) == 0 {
		return
	}
	from := start
	for from > 0 && start-from < 24 && (alnum(data[from-1]) || data[from-1] == '+') {
		from--
	}
	scheme := strings.ToLower(string(data[from:start]))
	known := false
	for _, w := range r.Words {
		known = known || w == scheme
	}
	host, _, _ := strings.Cut(string(rest[stop+1:]), "/")
	if i := strings.IndexAny(host, " \t\r\n\"'`<>\\,;)?"); i >= 0 {
		host = host[:i]
	}
	pw := string(password)
	switch {
	case !known || host == "" || exampleHost(host):
	case placeholder(pw) || string(user) == pw || len(user) > 0 && strings.ContainsAny(string(user[:1]), "$%<[{"):
	case strings.HasPrefix(scheme, "http") && (len(pw) < 6 || !strings.Contains(host, ".")):
	default:
		a := end + len(user) + 1
		s.add(r, a, a+len(password))
	}
}

// exampleHost names hosts that stand in manuals and tests (RFC 2606, 6761).
func exampleHost(h string) bool {
	h = strings.ToLower(h)
	if i := strings.LastIndexByte(h, ':'); i > 0 {
		h = h[:i]
	}
	switch h {
	case "host", "hostname", "server", "domain.com", "foo.com", "bar.com", "test.com", "host.com", "a.com", "a.b", "x.com", "my-host", "myhost",
		"ip", "address", "url", "site.com", "mysite.com", "somewhere.com", "proxy.com", "foo", "bar":
		return true
	}
	for _, part := range []string{"example", "yourdomain", "your-", "yourhost", "mydomain", "localhost.", "placeholder"} {
		if strings.Contains(h, part) {
			return true
		}
	}
	return strings.HasSuffix(h, ".test") || strings.HasSuffix(h, ".invalid") || strings.ContainsAny(h, "$%{<[")
}
