package secrets

import "strings"

// isExample says whether a token shows that it is one: the word "example", a
// filler, or hardly any different bytes. It is meant for tokens whose form is
// their proof; passwords are held to placeholder.
func isExample(s string) bool {
	lower := strings.ToLower(s)
	for _, w := range []string{"example", "xxxxxxxx", "redacted", "placeholder", "********", "........", "your_", "your-", "yourtoken", "yourkey"} {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}

// fillers are the words that placeholders are made of.
var fillers = []string{
	"password", "passphrase", "passwd", "passw", "pass", "pwd", "word", "secret", "token", "key", "api", "user", "username", "name",
	"my", "your", "the", "a", "an", "some", "any", "test", "testing", "tests", "tester", "dummy", "fake", "foo", "bar", "baz", "qux",
	"example", "sample", "demo", "default", "change", "changeme", "me", "it", "here", "this", "that", "to", "be", "is", "not", "replace",
	"insert", "enter", "put", "set", "use", "from", "for", "of", "in", "on", "by", "with", "and", "or", "admin", "administrator", "root",
	"guest", "client", "server", "access", "auth", "oauth", "bearer", "basic", "login", "account", "db", "database", "postgres", "mysql",
	"redis", "mongo", "null", "nil", "none", "undefined", "true", "false", "empty", "string", "value", "todo", "tbd", "redacted", "hidden",
	"masked", "private", "public", "id", "credential", "credentials", "app", "application", "service", "env", "var", "variable", "config",
	"abc", "abcd", "abcdef", "xyz", "asdf", "qwerty", "hello", "world", "super", "no", "yes", "new", "old", "real", "valid", "invalid",
	"generated", "random", "hash", "hashed", "encrypted", "base", "encoded", "string", "text", "data", "file", "path", "url", "host",
	"local", "localhost", "dev", "prod", "staging", "ci", "x", "xx", "xxx", "yyy", "zzz", "s", "p", "u", "t", "k", "openssl", "required",
	"optional", "missing", "unknown", "never", "wrong", "bad", "good", "correct", "incorrect", "expired", "first", "second", "other",
	"another", "long", "short", "jwt", "session", "refresh", "csrf", "github", "gitlab", "aws", "google", "azure", "npm", "docker",
}

// placeholder says whether a password or value is none: a variable, a
// template, a filler, or words like "changeme" and "your-password-here".
func placeholder(s string) bool {
	if len(s) < 4 || isExample(s) || strings.ContainsAny(s[:1], "$%<[{(*#@&|/~?") ||
		strings.HasPrefix(s, "__") || strings.HasSuffix(s, ">") || strings.HasSuffix(s, "...") {
		return true
	}
	for _, w := range []string{"${", "$(", "{{", "#{", "}}", "<%", "%>", "%(", "%s", "{0}"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	if distinct(s) < 3 {
		return true
	}
	return onlyFillers(s)
}

// distinct counts the different bytes.
func distinct(s string) int {
	var seen [256]bool
	n := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			n++
		}
	}
	return n
}

// onlyFillers says whether the letters of s can be read as fillers one after
// the other; digits count only up to "123" or a year.
func onlyFillers(s string) bool {
	digits := 0
	var runs []string
	run := strings.Builder{}
	for i := range len(s) {
		c := s[i] | 0x20
		switch {
		case 'a' <= c && c <= 'z' && s[i] >= 'A':
			run.WriteByte(c)
			continue
		case '0' <= s[i] && s[i] <= '9':
			digits++
		}
		if run.Len() > 0 {
			runs = append(runs, run.String())
			run.Reset()
		}
	}
	if run.Len() > 0 {
		runs = append(runs, run.String())
	}
	if len(runs) == 0 {
		return len(s) < 8 || strings.Contains("01234567890123456789", s)
	}
	if digits > 4 {
		return false
	}
	for _, r := range runs {
		if len(r) > 64 || !readable(r) {
			return false
		}
	}
	return true
}

// readable splits a run of letters into fillers, longest paths included: it
// marks every offset that can be reached.
func readable(s string) bool {
	reach := make([]bool, len(s)+1)
	reach[0] = true
	for i := range s {
		if !reach[i] {
			continue
		}
		for _, w := range fillers {
			if strings.HasPrefix(s[i:], w) {
				reach[i+len(w)] = true
			}
		}
	}
	return reach[len(s)]
}
