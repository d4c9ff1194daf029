package version

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Range is a set of versions of one scheme, written as constraints: what VEX
// documents say where OSV records have events.
type Range struct {
	scheme Scheme
	all    bool
	bounds []constraint // < <= > >=, in rising order
	in     []Version    // exactly these
	out    []Version    // these never
}

type constraint struct {
	op operator
	at Version
}

type operator uint8

const (
	equal operator = iota
	unequal
	less
	atMost
	greater
	atLeast
)

func (o operator) isLower() bool { return o >= greater }

// Limits: a purl, where ranges stand, has 4 KiB.
const (
	maxRangeLen    = 16 << 10
	maxConstraints = 1000
)

// ForPURL is the scheme of a package URL's type, and of the range specifiers
// ("vers:npm/…") that are named after it.
func ForPURL(typ string) (Scheme, bool) {
	switch typ {
	case "deb":
		return Deb, true
	case "rpm":
		return RPM, true
	case "apk":
		return APK, true
	case "alpm":
		return ALPM, true
	case "npm":
		return NPM, true
	case "golang":
		return Go, true
	case "pypi":
		return PEP440, true
	case "maven":
		return Maven, true
	case "gem":
		return RubyGems, true
	case "cargo", "hex":
		return SemVer, true
	case "nuget":
		return NuGet, true
	case "composer":
		return Composer, true
	case "bitnami":
		return Bitnami, true
	case "pub":
		return Pub, true
	case "cran":
		return CRAN, true
	case "hackage":
		return Hackage, true
	case "conan":
		return Conan, true
	case "swift", "githubactions", "julia":
		return ShortVer, true
	}
	return unknown, false
}

// ParseRange reads a version range specifier ("vers:npm/>=1.0.0|<1.2.3"), or
// its constraints alone. One whose type has another scheme is refused: two
// tools would not put its versions in one order. So is an empty one, which
// could mean all versions or none.
func (s Scheme) ParseRange(text string) (Range, error) {
	if len(text) > maxRangeLen {
		return Range{}, fmt.Errorf("%s range: longer than %d bytes", s, maxRangeLen)
	}
	r := Range{scheme: s}
	if err := r.parse(text); err != nil {
		return Range{}, fmt.Errorf("%s range %q: %w", s, text, err)
	}
	return r, nil
}

func (r *Range) parse(text string) error {
	list := strings.ReplaceAll(text, " ", "")
	if rest, ok := strings.CutPrefix(list, "vers:"); ok {
		typ, constraints, ok := strings.Cut(rest, "/")
		if scheme, known := ForPURL(typ); !ok || !known || scheme != r.scheme {
			return fmt.Errorf("its type is %q", typ)
		}
		list = constraints
	}
	if list == "*" {
		r.all = true
		return nil
	}
	if strings.Count(list, "|") >= maxConstraints {
		return fmt.Errorf("more than %d constraints", maxConstraints)
	}
	for c := range strings.SplitSeq(list, "|") {
		if err := r.add(c); err != nil {
			return err
		}
	}
	// Stable: of "<2|>=2" each half keeps its place.
	slices.SortStableFunc(r.bounds, func(a, b constraint) int { return Compare(a.at, b.at) })
	return nil
}

func (r *Range) add(text string) error {
	op, text := cutOperator(text)
	text, err := url.PathUnescape(text)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("a constraint without version")
	}
	at, err := r.scheme.Parse(text)
	if err != nil {
		return err
	}
	switch op {
	case equal:
		r.in = append(r.in, at)
	case unequal:
		r.out = append(r.out, at)
	default:
		r.bounds = append(r.bounds, constraint{op, at})
	}
	return nil
}

func cutOperator(s string) (operator, string) {
	for _, o := range [...]struct {
		sign string
		op   operator
	}{{"<=", atMost}, {">=", atLeast}, {"!=", unequal}, {"<", less}, {">", greater}, {"=", equal}} {
		if rest, ok := strings.CutPrefix(s, o.sign); ok {
			return o.op, rest
		}
	}
	return equal, s
}

// Contains says whether the range holds a version. It holds none of another
// scheme.
func (r *Range) Contains(v Version) bool {
	if v.scheme != r.scheme || v.IsZero() {
		return false
	}
	same := func(w Version) bool { return Compare(v, w) == 0 }
	switch {
	case slices.ContainsFunc(r.out, same):
		return false
	case r.all, slices.ContainsFunc(r.in, same):
		return true
	case len(r.bounds) == 0:
		return len(r.out) > 0 && len(r.in) == 0 // all but these
	}
	// Each interval is a run of lower bounds, of which the first counts, and
	// a run of upper bounds, of which the last does; the others say less.
	for b := r.bounds; len(b) > 0; {
		above, below := true, true
		if b[0].op.isLower() {
			above = b[0].holds(v)
		}
		for len(b) > 0 && b[0].op.isLower() {
			b = b[1:]
		}
		for len(b) > 0 && !b[0].op.isLower() {
			below = b[0].holds(v)
			b = b[1:]
		}
		if above && below {
			return true
		}
	}
	return false
}

func (c *constraint) holds(v Version) bool {
	n := Compare(v, c.at)
	switch c.op {
	case less:
		return n < 0
	case atMost:
		return n <= 0
	case greater:
		return n > 0
	}
	return n >= 0
}
