package misconfig

import (
	"encoding/json"
	"errors"
	"strings"
)

// Limits of a Dockerfile; the largest of public repositories has some 600
// instructions.
const (
	maxDockerfile   = 1 << 20
	maxInstructions = 5000
)

var errTooMany = errors.New("more than 5000 instructions")

// instruction is one line of a Dockerfile, continued lines joined, or of a
// history.
type instruction struct {
	line  int    // 1 is the first; 0 in a history
	cmd   string // upper case
	args  string // without flags; here-documents behind a line break
	flags []string
	text  string // as written, for evidence
}

// stage is what begins with FROM.
type stage struct {
	from         instruction
	base, name   string
	instructions []instruction
}

// flag is the value of --name=value.
func (in *instruction) flag(name string) (string, bool) {
	for _, f := range in.flags {
		if v, ok := strings.CutPrefix(f, "--"+name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// words are the arguments: of the JSON form where it is one, else split at
// white space, without quotes.
func (in *instruction) words() []string {
	args := strings.TrimSpace(in.args)
	if strings.HasPrefix(args, "[") {
		var list []string
		if json.Unmarshal([]byte(args), &list) == nil {
			return list
		}
	}
	first, _, _ := strings.Cut(args, "\n")
	words := strings.Fields(first)
	for i, w := range words {
		words[i] = strings.Trim(w, `"'`)
	}
	return words
}

// parseDockerfile splits a Dockerfile into stages. What stands before the
// first FROM is a stage without a base. It accepts what no builder would, but
// reports an unknown instruction only by its name.
func parseDockerfile(text string) ([]stage, error) {
	stages := []stage{{}}
	lines := strings.Split(text, "\n")
	escape := byte('\\')
	if d := strings.ToLower(strings.ReplaceAll(lines[0], " ", "")); strings.HasPrefix(d, "#escape=`") {
		escape = '`'
	}
	count := 0
	for i := 0; i < len(lines); i++ {
		raw := strings.TrimSpace(lines[i])
		if raw == "" || raw[0] == '#' {
			continue
		}
		if count++; count > maxInstructions {
			return stages, errTooMany
		}
		start := i
		var b strings.Builder
		for {
			continued := raw != "" && raw[len(raw)-1] == escape
			b.WriteString(strings.TrimSuffix(raw, string(escape)))
			if !continued {
				break
			}
			for i++; i < len(lines) && (strings.TrimSpace(lines[i]) == "" || strings.TrimSpace(lines[i])[0] == '#'); i++ {
			}
			if i >= len(lines) {
				break
			}
			b.WriteByte(' ')
			raw = strings.TrimSpace(lines[i])
		}
		in := parseInstruction(b.String())
		in.line = start + 1
		i = in.hereDocuments(lines, i)
		if in.cmd == "ONBUILD" {
			inner := parseInstruction(in.args)
			inner.line = in.line
			in = inner
		}
		if in.cmd == "FROM" {
			stages = append(stages, newStage(in))
			continue
		}
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, in)
	}
	return stages, nil
}

func newStage(in instruction) stage {
	s := stage{from: in}
	words := in.words()
	if len(words) > 0 {
		s.base = words[0]
	}
	if len(words) > 2 && strings.EqualFold(words[1], "as") {
		s.name = words[2]
	}
	return s
}

func parseInstruction(line string) instruction {
	cmd, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if i := strings.IndexByte(cmd, '\t'); i >= 0 {
		cmd, rest = cmd[:i], cmd[i:]+" "+rest
	}
	in := instruction{cmd: strings.ToUpper(cmd), text: line}
	rest = strings.TrimSpace(rest)
	for strings.HasPrefix(rest, "--") {
		f, more, _ := strings.Cut(rest, " ")
		in.flags = append(in.flags, f)
		rest = strings.TrimSpace(more)
	}
	in.args = rest
	return in
}

// hereDocuments appends the lines of <<NAME to the arguments of RUN, COPY and
// ADD (Dockerfile syntax 1.4) and says which line was the last.
func (in *instruction) hereDocuments(lines []string, i int) int {
	if in.cmd != "RUN" && in.cmd != "COPY" && in.cmd != "ADD" {
		return i
	}
	args := in.args
	for {
		_, rest, ok := strings.Cut(args, "<<")
		if !ok {
			return i
		}
		args = rest
		rest = strings.TrimPrefix(rest, "-")
		if i := strings.IndexAny(rest, " \t)>&|;"); i >= 0 {
			rest = rest[:i]
		}
		name := strings.Trim(rest, "\"'")
		if !isWord(name) {
			continue
		}
		end := i + 1
		for end < len(lines) && strings.TrimSpace(lines[end]) != name {
			end++
		}
		if end == len(lines) {
			return i // no end: not a here-document
		}
		in.args += "\n" + strings.Join(lines[i+1:end], "\n")
		i = end
	}
}

func isWord(s string) bool {
	for _, r := range s {
		if r != '_' && (r < 'A' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
