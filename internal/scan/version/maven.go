package version

import "strings"

// Maven's ComparableVersion (Maven 4; since 3.9) reads a version into a tree
// of lists and compares item by item, with rules for an item that has no
// partner. "1-alpha" < "1" < "1.sp" < "1-alpha" is one of its circles, so no
// key can carry the order: here the key is the tree written flat, and
// compareMaven walks two of them.
//
//	list     mvnList items… mvnClose
//	number   mvnInt number
//	text     mvnText qualifier
//	text+nr  mvnCombo qualifier number
const (
	mvnClose = 0
	mvnText  = 1
	mvnCombo = 2
	mvnList  = 3
	mvnInt   = 4
)

type mvnItem struct {
	kind byte
	text string // mvnText, mvnCombo
	num  string // mvnInt, mvnCombo
	list []mvnItem
}

func (m *mvnItem) isNull() bool {
	switch m.kind {
	case mvnInt:
		return strings.Trim(m.num, "0") == ""
	case mvnText:
		return m.text == ""
	case mvnList:
		return len(m.list) == 0
	}
	return false
}

// appendMaven accepts everything but the empty version and blanks: Maven
// refuses nothing, and its repositories refuse these.
func appendMaven(dst []byte, v string) ([]byte, bool) {
	v = lowerText(trimSpace(v))
	if v == "" || strings.ContainsAny(v, " \t\n\x00") {
		return nil, false
	}
	if numbers, ok := appendMavenNumbers(dst, v); ok {
		return numbers, true
	}
	for _, item := range parseMaven(v) {
		dst = appendMavenItem(dst, &item)
	}
	return dst, true
}

// appendMavenNumbers writes the tree of a version that has only numbers, as
// nine in ten have, without building it: one list, no zeros at the end.
func appendMavenNumbers(dst []byte, v string) ([]byte, bool) {
	keep := len(dst)
	for {
		n := digits(v)
		if n == 0 {
			return nil, false
		}
		dst = appendNumber(append(dst, mvnInt), v[:n])
		if dst[len(dst)-1] != 0 {
			keep = len(dst)
		}
		if v = v[n:]; v == "" {
			return dst[:keep], true
		}
		if v[0] != '.' {
			return nil, false
		}
		v = v[1:]
	}
}

func appendMavenItem(dst []byte, m *mvnItem) []byte {
	dst = append(dst, m.kind)
	switch m.kind {
	case mvnInt:
		dst = appendNumber(dst, m.num)
	case mvnText:
		dst = appendQualifier(dst, m.text)
	case mvnCombo:
		dst = appendNumber(appendQualifier(dst, m.text), m.num)
	case mvnList:
		for i := range m.list {
			dst = appendMavenItem(dst, &m.list[i])
		}
		dst = append(dst, mvnClose)
	}
	return dst
}

// mvnRelease is the rank of a qualifier that says "release", and of nothing;
// mvnReleased is that qualifier.
const (
	mvnRelease  = '5'
	mvnReleased = "5\x00"
)

// appendQualifier writes the rank of a known word, or of an unknown one and
// the word itself.
func appendQualifier(dst []byte, s string) []byte {
	switch s {
	case "alpha":
		return append(dst, '0', 0)
	case "beta":
		return append(dst, '1', 0)
	case "milestone":
		return append(dst, '2', 0)
	case "rc", "cr":
		return append(dst, '3', 0)
	case "snapshot":
		return append(dst, '4', 0)
	case "", "ga", "final", "release":
		return append(dst, mvnRelease, 0)
	case "sp":
		return append(dst, '6', 0)
	}
	return appendText(append(dst, '7'), s)
}

// mvnParser keeps the path from the root list to the list being filled.
type mvnParser struct {
	stack [][]mvnItem
}

func (p *mvnParser) add(item mvnItem) {
	top := len(p.stack) - 1
	p.stack[top] = append(p.stack[top], item)
}

func (p *mvnParser) empty() bool { return len(p.stack[len(p.stack)-1]) == 0 }
func (p *mvnParser) open()       { p.stack = append(p.stack, nil) }

// close folds the open lists into the root, the innermost first, and removes
// what says nothing from each.
func (p *mvnParser) close() []mvnItem {
	for i := len(p.stack) - 1; ; i-- {
		list := trimMaven(p.stack[i])
		if i == 0 {
			return list
		}
		// A list is added to its parent when it is opened: it is last there.
		p.stack[i-1] = append(p.stack[i-1], mvnItem{kind: mvnList, list: list})
	}
}

func parseMaven(v string) []mvnItem {
	p := mvnParser{stack: make([][]mvnItem, 1, 4)}
	start, digit, combo := 0, false, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '.':
			if i == start {
				p.add(mvnItem{kind: mvnInt})
			} else {
				p.add(mavenItem(combo, digit, v[start:i]))
			}
			start, combo = i+1, false
		case c == '-':
			if i == start {
				p.add(mvnItem{kind: mvnInt})
			} else {
				if !digit && i+1 < len(v) && isDigit(v[i+1]) { // X-1 is X1
					combo = true
					continue
				}
				p.add(mavenItem(combo, digit, v[start:i]))
			}
			start, combo = i+1, false
			p.open()
		case isDigit(c):
			if !digit && i > start { // X1
				combo = true
				if !p.empty() {
					p.open()
				}
			}
			digit = true
		default:
			if digit && i > start {
				p.add(mavenItem(combo, true, v[start:i]))
				start, combo = i, false
				p.open()
			}
			digit = false
		}
	}
	if start < len(v) {
		if !digit && !p.empty() { // .X is -X
			p.open()
		}
		p.add(mavenItem(combo, digit, v[start:]))
	}
	return p.close()
}

func mavenItem(combo, digit bool, s string) mvnItem {
	if combo {
		s = strings.ReplaceAll(s, "-", "")
		i := strings.IndexAny(s, "0123456789")
		if i < 0 {
			return mvnItem{kind: mvnText, text: s}
		}
		text := s[:i]
		switch text { // only in front of a number
		case "a":
			text = "alpha"
		case "b":
			text = "beta"
		case "m":
			text = "milestone"
		}
		return mvnItem{kind: mvnCombo, text: text, num: s[i:]}
	}
	if digit {
		return mvnItem{kind: mvnInt, num: s}
	}
	return mvnItem{kind: mvnText, text: s}
}

// trimMaven removes zeros and empty items at the end of a list, and those in
// front of a text: "1.0.0-a" is "1-a".
func trimMaven(list []mvnItem) []mvnItem {
	for i := len(list) - 1; i >= 0; i-- {
		if !list[i].isNull() {
			continue
		}
		remove := i == len(list)-1
		if !remove {
			next := &list[i+1]
			remove = next.kind == mvnText
			if next.kind == mvnList && len(next.list) > 0 {
				k := next.list[0].kind
				remove = k == mvnText || k == mvnCombo
			}
		}
		if remove {
			list = append(list[:i], list[i+1:]...)
		}
	}
	return list
}
