// Package dpkgsums reads the md5sums files of dpkg: what a package's files
// should hold. It judges nothing; MD5 proves no origin against an attacker who
// can also write the list, and is used to see that a file was changed later.
package dpkgsums

import (
	"iter"
	"strings"
)

// Parse yields path (relative to the root) and lower-case hex of each line.
// Lines of another form are skipped: they vouch for nothing.
func Parse(data []byte) iter.Seq2[string, string] {
	return func(yield func(path, hex string) bool) {
		for line := range strings.Lines(string(data)) {
			path, hex, ok := cut(strings.TrimRight(line, "\r\n"))
			if ok && !yield(path, hex) {
				return
			}
		}
	}
}

// hexSize is the length of an MD5 sum in hex.
const hexSize = 32

// cut takes "hex  path" apart. md5sum(1) puts a backslash before the line
// when it had to escape a backslash or a newline in the path (systemd's unit
// names have backslashes).
func cut(line string) (path, hex string, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	if len(line) < hexSize+3 || line[hexSize] != ' ' || line[hexSize+1] != ' ' && line[hexSize+1] != '*' {
		return "", "", false
	}
	hex, path = line[:hexSize], line[hexSize+2:]
	for i := range len(hex) {
		if c := hex[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return "", "", false
		}
	}
	if escaped {
		path = unescape.Replace(path)
	}
	path = strings.TrimPrefix(strings.TrimPrefix(path, "./"), "/")
	return path, hex, path != ""
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n")
