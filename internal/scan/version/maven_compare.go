package version

import "strings"

// mvnCursor reads the items of one list of a flat tree.
type mvnCursor struct{ s string }

func (c *mvnCursor) kind() byte {
	if c.s == "" {
		return mvnClose
	}
	return c.s[0]
}

// item is the encoded item at the cursor, or "" at the end of the list; the
// cursor moves behind it.
func (c *mvnCursor) item() string {
	n := mvnLen(c.s)
	item := c.s[:n]
	c.s = c.s[n:]
	return item
}

func mvnLen(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case mvnInt:
		return 2 + int(s[1])
	case mvnText:
		return 1 + qualifierLen(s[1:])
	case mvnCombo:
		n := 1 + qualifierLen(s[1:])
		return n + 1 + int(s[n])
	case mvnList:
		n := 1
		for s[n] != mvnClose {
			n += mvnLen(s[n:])
		}
		return n + 1
	}
	return 0
}

func qualifierLen(s string) int { return strings.IndexByte(s, 0) + 1 }

// onlyNumbers says that a tree is one list of numbers: two of these are in
// the order of their bytes, as no list ends with zeros.
func onlyNumbers[K string | []byte](key K) bool {
	for i := 0; i < len(key); i += 2 + int(key[i+1]) {
		if key[i] != mvnInt {
			return false
		}
	}
	return true
}

func compareMaven(a, b string) int { return compareLists(mvnCursor{a}, mvnCursor{b}) }

func compareLists(a, b mvnCursor) int {
	for a.kind() != mvnClose || b.kind() != mvnClose {
		x, y := a.item(), b.item()
		var c int
		switch {
		case x == "":
			c = -compareNothing(y)
		case y == "":
			c = compareNothing(x)
		default:
			c = compareItems(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compareNothing compares an item with none: a number other than 0 is more, a
// text is what its rank is to that of a release.
func compareNothing(x string) int {
	switch x[0] {
	case mvnInt:
		return int(min(x[1], 1))
	case mvnText, mvnCombo:
		q := x[1 : 1+qualifierLen(x[1:])]
		return strings.Compare(q, mvnReleased)
	}
	// A list is what the first of its items is that is not nothing (MNG-6964).
	c := mvnCursor{x[1:]}
	for c.kind() != mvnClose {
		if r := compareNothing(c.item()); r != 0 {
			return r
		}
	}
	return 0
}

func compareItems(x, y string) int {
	if x[0] == mvnList && y[0] == mvnList {
		return compareLists(mvnCursor{x[1:]}, mvnCursor{y[1:]})
	}
	if x[0] == mvnInt && y[0] == mvnInt {
		return strings.Compare(x[1:], y[1:])
	}
	text := func(k byte) bool { return k == mvnText || k == mvnCombo }
	if text(x[0]) && text(y[0]) {
		// The same word with a number is behind the word alone.
		n, m := qualifierLen(x[1:]), qualifierLen(y[1:])
		if c := strings.Compare(x[1:1+n], y[1:1+m]); c != 0 {
			return c
		}
		return strings.Compare(x[1+n:], y[1+m:])
	}
	// Text, list, number: from less to greater whatever they hold.
	rank := func(k byte) int {
		if k == mvnCombo {
			k = mvnText
		}
		return int(k)
	}
	if rank(x[0]) < rank(y[0]) {
		return -1
	}
	return 1
}
