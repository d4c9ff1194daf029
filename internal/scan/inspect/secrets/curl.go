package secrets

import (
	"bytes"
	"strings"
)

// maxCommand is how much of a command line is read, in bytes.
const maxCommand = 2 << 10

// arguments calls yield for every word of the command at data[at:], with the
// offset of its first byte; a word is without its quotes. Lines continue
// after a backslash, and where the next line begins with an option.
func arguments(data []byte, at int, yield func(word string, off int) bool) {
	limit := min(len(data), at+maxCommand)
	for at < limit {
		c := data[at]
		switch {
		case c == ' ' || c == '\t' || c == '\\' || c == '\r' || c == '#':
			at++
			continue
		case c == '\n':
			rest := bytes.TrimLeft(data[at:limit], " \t\r\n#")
			if !bytes.HasPrefix(rest, []byte("-")) && !bytes.HasPrefix(rest, []byte("http")) {
				return
			}
			at = limit - len(rest)
			continue
		case c == '|' || c == ';' || c == '&' || c == '<' || c == '>':
			return
		}
		start, quote := at, byte(0)
		if c == '"' || c == '\'' {
			quote, start, at = c, at+1, at+1
		}
		for at < limit && data[at] != quote {
			if quote == 0 && (data[at] == ' ' || data[at] == '\t' || data[at] == '\n' || data[at] == '|' || data[at] == ';' || data[at] == '"') {
				break
			}
			at++
		}
		if !yield(string(data[start:at]), start) {
			return
		}
		if quote != 0 || at < limit && data[at] == '"' {
			at++
		}
	}
}

// option finds the values of an option, joined (-uX, --user=X) or following.
func option(data []byte, at int, short, long string, each func(value string, off int)) {
	wanted := false
	arguments(data, at, func(w string, off int) bool {
		switch {
		case wanted:
			each(w, off)
			wanted = false
		case w == short || w == long:
			wanted = true
		case strings.HasPrefix(w, long+"="):
			each(w[len(long)+1:], off+len(long)+1)
		case strings.HasPrefix(w, short) && !strings.HasPrefix(w, "--") && len(w) > len(short):
			each(w[len(short):], off+len(short))
		case len(w) < 8 && strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.HasSuffix(w, short[1:]):
			wanted = true // -ksu user:password
		}
		return true
	})
}

func detectCurlUser(s *search, r *rule, _, end int) {
	option(s.file.Data, end, "-u", "--user", func(value string, off int) {
		user, password, ok := strings.Cut(value, ":")
		switch {
		case !ok || strings.Contains(value, " ") || user == password:
		case password == "" && len(user) >= 8 && !placeholder(user):
			s.add(r, off, off+len(user)) // a token as the user's name
		case user != "" && (strings.ContainsAny(user[:1], "$<[{%") || strings.Contains(user, "{{")):
		case len(password) >= 4 && !placeholder(password):
			s.add(r, off+len(user)+1, off+len(value))
		}
	})
}

func detectCurlHeader(s *search, r *rule, _, end int) {
	option(s.file.Data, end, "-H", "--header", func(header string, off int) {
		name, value, ok := strings.Cut(header, ":")
		lower := strings.ToLower(name)
		if !ok || !strings.Contains(lower, "auth") && !strings.Contains(lower, "token") && !strings.Contains(lower, "key") {
			return
		}
		value = strings.TrimLeft(value, " ")
		if scheme, rest, ok := strings.Cut(value, " "); ok {
			switch strings.ToLower(scheme) {
			case "basic", "bearer", "token", "api-token", "apikey", "digest":
				value = rest
			}
		}
		if len(value) >= 8 && !strings.Contains(value, " ") && !placeholder(value) {
			a := off + len(header) - len(value)
			s.add(r, a, a+len(value))
		}
	})
}
