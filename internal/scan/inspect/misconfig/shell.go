package misconfig

import "strings"

// maxCommands bounds the commands of one RUN.
const maxCommands = 2000

// command is one simple command of a shell line.
type command struct {
	words []string // without quotes
	piped bool     // its input is the output of the command before
}

// commands splits a shell line into simple commands. It knows quotes, lists,
// pipes, line breaks, and the shell in "sh -c '…'" only by its words; it
// expands nothing.
func commands(line string) []command {
	var out []command
	var words []string
	var word strings.Builder
	inWord, piped := false, false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	end := func(pipe bool) {
		endWord()
		if len(words) > 0 && len(out) < maxCommands {
			out = append(out, command{words: leading(words), piped: piped})
		}
		words, piped = nil, pipe
	}
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == '\\' && i+1 < len(line):
			i++
			if line[i] != '\n' {
				word.WriteByte(line[i])
				inWord = true
			}
		case c == ' ' || c == '\t' || c == '\r':
			endWord()
		case c == ';' || c == '\n' || c == '&' || c == '(' || c == ')':
			end(false)
		case c == '|':
			end(i+1 >= len(line) || line[i+1] != '|')
			if i+1 < len(line) && line[i+1] == '|' {
				i++
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end(false)
	return out
}

// leading drops what stands before the name of a command: keywords,
// assignments, env and exec.
func leading(words []string) []string {
	for len(words) > 1 {
		w := words[0]
		switch {
		case w == "then", w == "do", w == "if", w == "else", w == "!", w == "{", w == "exec", w == "env", w == "command", w == "time", w == "eval":
		case strings.IndexByte(w, '=') > 0 && isWord(w[:strings.IndexByte(w, '=')]):
		default:
			return words
		}
		words = words[1:]
	}
	return words
}

// name is the command without its folder.
func (c *command) name() string {
	return c.words[0][strings.LastIndexByte(c.words[0], '/')+1:]
}

// verb is the first word that is no option: "install" of "apt-get -qq
// install".
func (c *command) verb() string {
	for _, w := range c.words[1:] {
		if !strings.HasPrefix(w, "-") {
			return w
		}
	}
	return ""
}

// has says whether one of the words is there.
func (c *command) has(wanted ...string) bool {
	for _, w := range c.words[1:] {
		for _, x := range wanted {
			if w == x {
				return true
			}
		}
	}
	return false
}

// short says whether an option letter is there, alone or in a group (-fmy).
func (c *command) short(letter string) bool {
	for _, w := range c.words[1:] {
		if len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.Contains(w, letter) {
			return true
		}
	}
	return false
}
