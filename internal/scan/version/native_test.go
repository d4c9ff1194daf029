package version_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
)

// The ranges that package managers write ("^1.2", "~=2.0", "[1.0,2.0)") are
// in no input of ours: advisories say events and VEX documents say vers. The
// vectors write them, so here they are turned into comparators, which the
// product's order then has to decide.

// comparator is one bound; an empty op and version hold for everything.
type comparator struct{ op, v string }

// native is a list of alternatives, each of comparators that all hold.
type native [][]comparator

// holds decides by the product's order; a version that it refuses is found
// by check.
func (c comparator) holds(v version.Version) bool {
	if c.v == "" {
		return true
	}
	n, err := v.CompareTo(c.v)
	if err != nil {
		return false
	}
	switch c.op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case ">=":
		return n >= 0
	case "!=":
		return n != 0
	}
	return n == 0
}

func (r native) contains(v version.Version) bool {
	return slices.ContainsFunc(r, func(all []comparator) bool {
		return !slices.ContainsFunc(all, func(c comparator) bool { return !c.holds(v) })
	})
}

// check is the error of the first version that the scheme refuses.
func (r native) check(s version.Scheme) error {
	for _, c := range slices.Concat(r...) {
		if _, err := s.Parse(c.v); err != nil && c.v != "" {
			return err
		}
	}
	return nil
}

var plainComparator = regexp.MustCompile(`^\s*(<=|>=|!=|==|=|<|>)?\s*([^\s<>=!|,]+)\s*,?`)

// plain reads ">=1.0,<2.0 || 3.0": what all but npm's notation come down to.
func plain(text string) (native, bool) {
	var r native
	for alternative := range strings.SplitSeq(strings.TrimSuffix(text, "||"), "||") {
		var all []comparator
		for strings.TrimSpace(alternative) != "" {
			m := plainComparator.FindStringSubmatch(alternative)
			if m == nil {
				return nil, false
			}
			all = append(all, comparator{m[1], m[2]})
			alternative = alternative[len(m[0]):]
		}
		r = append(r, all)
	}
	return r, true
}

var npmPartial = regexp.MustCompile(`^\s*(\^|~>?|<=|>=|<|>|=)?[v=\s]*([0-9]+|[xX*])?(?:\.([0-9]+|[xX*]))?(?:\.([0-9]+|[xX*]))?(?:(-?)([0-9A-Za-z-][0-9A-Za-z.-]*))?(?:\+[0-9A-Za-z.-]+)?(?:\s+|$)`)

// partial is a version of which the end may be left open.
type partial struct {
	op  string
	n   [3]int // -1: any
	pre string
}

func (p *partial) text(z string) string {
	s := ""
	for i, n := range p.n {
		s += map[bool]string{true: "."}[i > 0] + strconv.Itoa(max(n, 0))
	}
	if p.pre != "" {
		return s + "-" + p.pre
	}
	return s + z
}

// next is the first version, prereleases included, behind all that share the
// numbers up to i.
func (p *partial) next(i int) string {
	q := partial{n: p.n}
	q.n[i]++
	for j := i + 1; j < 3; j++ {
		q.n[j] = 0
	}
	return q.text("-0")
}

func readPartial(s string, loose bool) (p partial, rest string, ok bool) {
	m := npmPartial.FindStringSubmatch(s)
	if m == nil || m[2] == "" && (m[3] != "" || m[6] != "" || m[1] == "") || !loose && m[6] != "" && m[5] == "" {
		return p, s, false
	}
	p.op, p.pre = m[1], m[6]
	for i := range 3 {
		n, err := strconv.Atoi(m[2+i])
		if err != nil {
			n = -1
		}
		if n >= 0 && i > 0 && p.n[i-1] < 0 {
			return p, s, false // 1.x.5
		}
		p.n[i] = n
	}
	_, err := version.NPM.Parse(p.next(0))
	ok = (p.op != "^" || err == nil) && (p.pre == "" || m[4] != "")
	if p.n[2] < 0 {
		p.pre = ""
	}
	return p, s[len(m[0]):], ok
}

// npmRange reads node-semver's notation; z is "-0" where prereleases count.
func npmRange(text string, loose bool, z string) (native, bool) {
	var r native
	for alternative := range strings.SplitSeq(text, "||") {
		all := []comparator{}
		if from, to, ok := strings.Cut(alternative, " - "); ok {
			f, _, ok1 := readPartial(from, loose)
			u, _, ok2 := readPartial(to, loose)
			if !ok1 || !ok2 {
				return nil, false
			}
			r = append(r, hyphen(&f, &u, z))
			continue
		}
		for rest := strings.TrimSpace(alternative); rest != ""; {
			p, after, ok := readPartial(rest, loose)
			if !ok {
				return nil, false
			}
			all = append(all, p.comparators(z)...)
			rest = after
		}
		r = append(r, all)
	}
	return r, true
}

func hyphen(f, u *partial, z string) []comparator {
	var all []comparator
	if f.n[0] >= 0 {
		all = append(all, comparator{">=", f.text(z)})
	}
	switch i := slices.Index(u.n[:], -1); {
	case i == 0:
	case i > 0:
		all = append(all, comparator{"<", u.next(i - 1)})
	case z != "" && u.pre == "":
		all = append(all, comparator{"<", u.next(2)})
	default:
		all = append(all, comparator{"<=", u.text("")})
	}
	return all
}

func (p *partial) comparators(z string) []comparator {
	open := slices.Index(p.n[:], -1) // the first number left open
	if open < 0 {
		open = 3
	}
	if open == 3 {
		z = "" // a version that is written out means itself
	}
	upTo := func(i int) []comparator { return []comparator{{">=", p.text(z)}, {"<", p.next(i)}} }
	switch {
	case open == 0 && (p.op == "<" || p.op == ">"):
		return []comparator{{"<", "0.0.0-0"}}
	case open == 0:
		return nil
	case p.op == "^":
		i := slices.IndexFunc(p.n[:open], func(n int) bool { return n > 0 })
		if i < 0 {
			i = open - 1
		}
		return upTo(i)
	case strings.HasPrefix(p.op, "~"):
		return upTo(min(open-1, 1))
	case open == 3:
		return []comparator{{p.op, p.text("")}}
	case p.op == "" || p.op == "=":
		return upTo(open - 1)
	case p.op == ">":
		return []comparator{{">=", strings.TrimSuffix(p.next(open-1), "-0") + z}}
	case p.op == "<=":
		return []comparator{{"<", p.next(open - 1)}}
	case p.op == "<":
		return []comparator{{"<", p.text("-0")}}
	}
	return []comparator{{">=", p.text(z)}}
}

// npmContains is contains with node-semver's rule for prereleases: without
// the option only those of a version that a comparator names with one.
func npmContains(t testing.TB, r native, text, z string) bool {
	v, err := version.NPM.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	core, pre := npmCore(text)
	return slices.ContainsFunc(r, func(all []comparator) bool {
		if !(native{all}).contains(v) {
			return false
		}
		return !pre || z != "" || slices.ContainsFunc(all, func(c comparator) bool {
			named, isPre := npmCore(c.v)
			return isPre && named == core
		})
	})
}

var npmText = regexp.MustCompile(`^[v=\s]*(\d+\.\d+\.\d+)(-?[0-9A-Za-z])?`)

func npmCore(v string) (core string, pre bool) {
	m := npmText.FindStringSubmatch(v)
	if m == nil {
		return "", false
	}
	return m[1], m[2] != ""
}

var pepText = regexp.MustCompile(`(?i)^v?((?:\d+!)?)(\d+(?:\.\d+)*)([^+]*)(\+.*)?$`)

// pepParts are epoch, release, what follows it, and the local label.
func pepParts(t testing.TB, v string) (epoch, release, suffix, local string) {
	m := pepText.FindStringSubmatch(strings.TrimSpace(v))
	if m == nil {
		t.Fatalf("no version of PEP 440: %q", v)
	}
	return strings.TrimSuffix(m[1], "!"), m[2], strings.ToLower(m[3]), m[4]
}

var (
	pepPre  = regexp.MustCompile(`a|b|c|dev|pre`)
	pepPost = regexp.MustCompile(`post|rev|r\d|-\d`)
)

// pepContains decides one specifier of PEP 440, prereleases allowed.
func pepContains(t testing.TB, text, spec string) bool {
	spec = strings.TrimSpace(spec)
	op := spec[:len(spec)-len(strings.TrimLeft(spec, "<>=!~"))]
	want := strings.TrimSpace(spec[len(op):])
	if op == "===" {
		return strings.EqualFold(text, want)
	}
	epoch, release, suffix, local := pepParts(t, text)
	public := strings.TrimSuffix(text, local)
	if op == "~=" {
		e, r, _, _ := pepParts(t, want)
		prefix := r[:strings.LastIndexByte(r, '.')] + ".*"
		if e != "" {
			prefix = e + "!" + prefix
		}
		return pepContains(t, text, ">="+want) && pepContains(t, text, "=="+prefix)
	}
	compare := func(a, b string) int {
		v, err := version.PEP440.Parse(a)
		if err != nil {
			t.Fatal(err)
		}
		n, err := v.CompareTo(b)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if prefix, ok := strings.CutSuffix(want, ".*"); ok {
		e, r, s, _ := pepParts(t, prefix)
		segments := strings.Count(r, ".")
		padded := strings.Split(release+strings.Repeat(".0", segments), ".")[:segments+1]
		same := compare(orZero(epoch)+"!"+strings.Join(padded, ".")+s, orZero(e)+"!"+r+s) == 0
		return same == (op == "==") && (s == "" || strings.HasPrefix(suffix, s) == (op == "=="))
	}
	_, wantRelease, wantSuffix, wantLocal := pepParts(t, want)
	sameRelease := compare(orZero(epoch)+"!"+release, want[:strings.Index(want, wantRelease)]+wantRelease) == 0
	switch op {
	case "==", "!=":
		if wantLocal == "" {
			text = public
		}
		return (compare(text, want) == 0) == (op == "==")
	case "<=":
		return compare(public, want) <= 0
	case ">=":
		return compare(public, want) >= 0
	case "<":
		return compare(text, want) < 0 && !(sameRelease && pepPre.MatchString(suffix) && !pepPre.MatchString(wantSuffix))
	}
	return compare(text, want) > 0 &&
		!(local != "" && compare(public, want) == 0) && !(sameRelease && pepPost.MatchString(suffix) && !pepPost.MatchString(wantSuffix))
}

func orZero(s string) string {
	if s == "" {
		return "0"
	}
	return s
}
