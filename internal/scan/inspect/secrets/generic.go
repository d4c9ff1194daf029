package secrets

import (
	"bytes"
	"strings"
	"unicode"
)

// detectGeneric takes the value of an assignment to a name that says "secret"
// if it looks made by chance. Names that only mention a secret, and values
// that people read, are what it must stay silent on.
func detectGeneric(s *search, r *rule, start, end int) {
	data := s.file.Data
	as, ok := assigned(data, start, end)
	if s.at == ownExample || !ok || !secretName(as.Name) {
		return
	}
	value := valueAt(data, &as)
	if len(value) < 10 || len(value) > 200 || !chance(value) || placeholder(value) {
		return
	}
	if as.Quote == 0 && (sourceFile(s.file.Path) || strings.ContainsAny(value, ".([")) {
		return // an expression of the language, not a value
	}
	s.add(r, as.Value, as.Value+len(value))
}

// valueAt is the value up to its quote, or up to what cannot be part of it.
func valueAt(data []byte, as *assignment) string {
	rest := data[as.Value:min(len(data), as.Value+256)]
	var stop int
	if as.Quote != 0 {
		stop = bytes.IndexAny(rest, string(rune(as.Quote))+"\n\\")
	} else {
		stop = bytes.IndexAny(rest, "\"'`\n\r\t ;,<>)}]\\&")
	}
	if stop < 0 {
		stop = len(rest)
	}
	return string(rest[:stop])
}

// Parts of names. A name is a secret's when its last telling part is one:
// "api_token" and "todo_secret_do_not_commit" are, "secret_name" and
// "token_url" are not.
var (
	secretParts = map[string]bool{
		"token": true, "secret": true, "password": true, "passwd": true, "passphrase": true, "pass": true, "credential": true,
		"credentials": true, "creds": true, "cred": true, "auth": true, "apikey": true, "accesskey": true, "privatekey": true, "key": true,
		"secretkey": true, "authtoken": true, "accesstoken": true,
	}
	notSecretParts = map[string]bool{
		"id": true, "ids": true, "name": true, "names": true, "url": true, "uri": true, "file": true, "path": true, "type": true, "size": true,
		"length": true, "len": true, "count": true, "hash": true, "public": true, "pub": true, "primary": true, "foreign": true, "ttl": true,
		"field": true, "header": true, "endpoint": true, "version": true, "provider": true, "format": true, "policy": true, "ref": true,
		"regex": true, "pattern": true, "expiry": true, "expires": true, "issuer": true, "source": true, "mode": true, "class": true,
		"author": true, "min": true, "max": true, "prefix": true, "suffix": true, "index": true, "csrf": true, "xsrf": true, "next": true,
		"page": true, "cache": true, "sync": true, "delim": true, "method": true, "host": true, "title": true, "label": true, "message": true,
		"error": true, "placeholder": true, "hint": true, "description": true, "dir": true, "folder": true, "store": true, "ring": true,
		"chksum": true, "checksum": true, "digest": true, "sha": true, "sha1": true, "sha256": true, "md5": true, "alg": true, "curve": true,
	}
)

func secretName(name string) bool {
	found := false
	parts := nameParts(name)
	for i, p := range parts {
		if notSecretParts[p] {
			return false
		}
		// "key" alone names everything; "api key" and "access key" do not.
		if p == "key" && (i == 0 || !keyOwner[parts[i-1]]) {
			continue
		}
		found = found || secretParts[p]
	}
	return found
}

// keyOwner are the words that make a key a secret one.
var keyOwner = map[string]bool{
	"api": true, "access": true, "private": true, "secret": true, "auth": true, "app": true, "encryption": true, "signing": true,
	"account": true, "shared": true, "service": true, "license": true, "master": true, "storage": true, "consumer": true, "client": true,
}

// nameParts splits at _ - . and where the case rises: dbPassWord_x →
// db pass word x; all lower case.
func nameParts(name string) []string {
	var parts []string
	start := 0
	flush := func(end int) {
		if end > start {
			parts = append(parts, strings.ToLower(name[start:end]))
		}
	}
	for i := range len(name) {
		switch c := name[i]; {
		case !alnum(c):
			flush(i)
			start = i + 1
		case i > start && unicode.IsUpper(rune(c)) && !unicode.IsUpper(rune(name[i-1])):
			flush(i)
			start = i
		}
	}
	flush(len(name))
	return parts
}

// chance says whether a value looks made by chance and not by a person: a
// digit, letters, high entropy, and no long stretch of words.
func chance(s string) bool {
	digits, letters, longest, run := 0, 0, 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			digits++
			run = 0
		case alnum(c):
			letters++
			run++
			longest = max(longest, run)
		case strings.IndexByte("_-./+=~!@#^*:", c) >= 0:
			run = 0
		default:
			return false // spaces, brackets: text or code
		}
	}
	if digits == 0 && !(longest == len(s) && mixedCase(s)) || letters < 4 || entropy(s) < 3.4 {
		return false
	}
	if strings.Contains(s, "://") || strings.HasSuffix(s, ".com") || strings.Count(s, "/") > 3 && strings.Count(s, "/")*8 > len(s) {
		return false
	}
	words := 0
	for _, p := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("_-./:@", r) }) {
		if len(p) > 2 && len(p) < 16 && readableWord(p) {
			words++
		}
	}
	return words < 2
}

// mixedCase says whether the case changes too often for a name.
func mixedCase(s string) bool {
	changes := 0
	for i := 1; i < len(s); i++ {
		if (s[i] < 'a') != (s[i-1] < 'a') {
			changes++
		}
	}
	return len(s) >= 20 && changes*3 > len(s)
}

// readableWord says whether a part could be a word: letters of one case (a
// capital may begin it) with vowels, and at most two digits behind.
func readableWord(p string) bool {
	p = strings.TrimRight(p, "0123456789")
	if len(p) < 3 {
		return false
	}
	vowels := 0
	for i := range len(p) {
		if !alnum(p[i]) || '0' <= p[i] && p[i] <= '9' {
			return false
		}
		if strings.IndexByte("aeiouyAEIOUY", p[i]) >= 0 {
			vowels++
		}
	}
	rest := p[1:]
	return vowels > 0 && (strings.ToLower(rest) == rest || strings.ToUpper(p) == p)
}
