package file

import (
	"bufio"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// overlay is the root of a container, or what may become one.
type overlay struct {
	point, upper, work string
	lower              []string
	gone               time.Time // when it was seen to be unmounted
}

// maxOverlays bounds what is remembered of the host's mounts.
const maxOverlays = 4096

// overlays reads mountinfo: overlays that can be written, by their upper
// folder.
func overlays(r io.Reader) (map[string]*overlay, error) {
	found := map[string]*overlay{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20) // lower layers are many, and their paths long
	for sc.Scan() && len(found) < maxOverlays {
		// … root mountpoint options … - type source superoptions
		before, after, ok := strings.Cut(sc.Text(), " - overlay ")
		fields, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(super) < 2 || fields[3] != "/" {
			continue
		}
		o := &overlay{point: unescape(fields[4])}
		for opt := range strings.SplitSeq(super[1], ",") {
			switch k, v, _ := strings.Cut(opt, "="); k {
			case "upperdir":
				o.upper = path.Clean(unescape(v))
			case "workdir":
				o.work = path.Clean(unescape(v))
			case "lowerdir", "lowerdir+":
				for l := range strings.SplitSeq(unescape(v), ":") {
					o.lower = append(o.lower, path.Clean(l))
				}
			}
		}
		if path.IsAbs(o.upper) && found[o.upper] == nil {
			found[o.upper] = o
		}
	}
	return found, sc.Err()
}

// unescape undoes the octal numbers that mountinfo has for blanks.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// below is the path of what lies in a folder, seen from there.
func below(p, folder string) (string, bool) {
	if rest, ok := strings.CutPrefix(p, folder); ok && (rest == "" || rest[0] == '/') {
		return rest, true
	}
	return "", false
}
