package misconfig

import "strings"

// Secret says whether a variable, a label or a build argument holds a secret,
// by its name.
func Secret(name, value string) bool { return secretName(name) && secretValue(value) }

// Secrets are where the values of secrets stand in a line of a build or a
// command, by the names beside them.
func Secrets(line string) [][2]int {
	var out [][2]int
	for _, m := range commandSecretForm().FindAllStringSubmatchIndex(line, -1) {
		if secretValue(line[m[2]:m[3]]) {
			out = append(out, [2]int{m[2], m[3]})
		}
	}
	for i := range len(line) {
		if line[i] != '=' {
			continue
		}
		start, end := i+1, wordEnd(line, i+1)
		if Secret(nameBefore(line[:i]), line[start:end]) {
			out = append(out, [2]int{start, valueEnd(line, end)})
		}
	}
	if name, value, ok := oldPair(line); ok && Secret(name, value) {
		out = append(out, [2]int{len(line) - len(value), len(line)})
	}
	return out
}

// maxName bounds the name of a variable, in bytes.
const maxName = 64

// nameBefore is the name at the end of a text.
func nameBefore(text string) string {
	text = text[max(0, len(text)-maxName):]
	return text[strings.LastIndexFunc(text, func(r rune) bool {
		return !(r == '_' || r == '.' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	})+1:]
}

// wordEnd is where a word of a shell ends that begins at start.
func wordEnd(line string, start int) int {
	stop := " \t\r\n\"'&|;"
	if start < len(line) && (line[start] == '"' || line[start] == '\'') {
		start, stop = start+1, line[start:start+1]
	}
	n := strings.IndexAny(line[start:], stop)
	switch {
	case n < 0:
		return len(line)
	case len(stop) == 1:
		n++ // the quote
	}
	return start + n
}

// valueEnd is where a value ends in a list of NAME=value. Histories write them
// without their quotes: words up to the next name belong to the value.
func valueEnd(line string, end int) int {
	if !listOfPairs(line) {
		return end
	}
	for end < len(line) {
		word, _, _ := strings.Cut(strings.TrimLeft(line[end:], " "), " ")
		if word == "" || strings.Contains(word, "=") || word == "/bin/sh" || word == "#" {
			break
		}
		end += strings.Index(line[end:], word) + len(word)
	}
	return end
}

// listOfPairs says that a line of a history is NAME=value and nothing else.
func listOfPairs(line string) bool {
	line = strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(line, "RUN "), "/bin/sh -c #(nop)"), " ")
	for _, start := range []string{"ENV ", "LABEL ", "ARG ", "|"} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// oldPair reads ENV NAME value, the form without an equals sign.
func oldPair(line string) (name, value string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeft(strings.TrimPrefix(line, "/bin/sh -c #(nop)"), " "), "ENV ")
	if !ok {
		return "", "", false
	}
	name, value, ok = strings.Cut(strings.TrimLeft(rest, " "), " ")
	return name, strings.TrimLeft(value, " "), ok && !strings.Contains(name, "=")
}
