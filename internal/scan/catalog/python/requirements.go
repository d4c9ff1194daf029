package python

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// readRequirements reads pip's format. Options (-r, --hash) are left to pip:
// a file that -r names is read by itself.
func (l *lock) readRequirements(data []byte) error {
	text := decode(data)
	for line := 1; text != ""; {
		at := line
		var req string
		req, text, line = logicalLine(text, line)
		l.requirement(strings.TrimSpace(req), at)
	}
	return nil
}

// decode is pip's: UTF-8, or what the byte order mark says. PowerShell's
// "pip freeze > requirements.txt" writes UTF-16.
func decode(data []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return string(bytes.TrimPrefix(data, utf8BOM))
	}
	units := make([]uint16, 0, len(data)/2)
	for d := data[2:]; len(d) >= 2; d = d[2:] {
		units = append(units, order.Uint16(d))
	}
	return string(utf16.Decode(units))
}

// logicalLine joins lines that end in a backslash and cuts comments: a # at
// the start or behind white space. A comment line ends a joined line, as in
// pip.
func logicalLine(text string, line int) (logical, rest string, next int) {
	var joined strings.Builder
	for {
		physical, after, _ := strings.Cut(text, "\n")
		text = after
		line++
		physical = strings.TrimSuffix(physical, "\r")
		if head, ok := strings.CutSuffix(physical, `\`); ok && text != "" && !isComment(physical) {
			joined.WriteString(head)
			continue
		}
		joined.WriteString(physical)
		return uncommented(joined.String()), text, line
	}
}

func isComment(line string) bool {
	return strings.HasPrefix(strings.TrimLeft(line, " \t"), "#")
}

func uncommented(s string) string {
	for i := range len(s) {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return s[:i]
		}
	}
	return s
}

// requirement reads "name[extras] == version ; marker --option".
func (l *lock) requirement(req string, line int) {
	if req == "" {
		return
	}
	if req[0] == '-' {
		if strings.HasPrefix(req, "-e") || strings.HasPrefix(req, "--editable") {
			l.unpinned++
		}
		return
	}
	if i := strings.Index(req, " --"); i >= 0 {
		req = req[:i]
	}
	req, _, _ = strings.Cut(req, ";")
	end := strings.IndexAny(req, "[(<>=!~@ \t")
	if end < 0 {
		end = len(req)
	}
	name, spec := req[:end], strings.TrimSpace(req[end:])
	if strings.HasPrefix(spec, "[") {
		_, spec, _ = strings.Cut(spec, "]")
	}
	version := pin(spec)
	if version == "" || !isName(name) {
		l.unpinned++
		return
	}
	l.add(name, version, line, false, false)
}

// pin is the version that a specifier allows alone: "==1.0" or "===1.0",
// perhaps among others; "==1.*" is a range.
func pin(spec string) string {
	spec = strings.TrimSpace(spec)
	if inner, ok := strings.CutPrefix(spec, "("); ok {
		spec, _, _ = strings.Cut(inner, ")")
	}
	for spec != "" {
		var clause string
		clause, spec, _ = strings.Cut(spec, ",")
		v, ok := strings.CutPrefix(strings.TrimSpace(clause), "==")
		if !ok {
			continue
		}
		v = strings.TrimSpace(strings.TrimPrefix(v, "="))
		if v != "" && !strings.ContainsAny(v, "* \t") {
			return v
		}
	}
	return ""
}
