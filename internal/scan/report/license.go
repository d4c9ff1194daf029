package report

import (
	_ "embed"
	"strings"
	"sync"
)

// The ids of the SPDX licence list (CC0-1.0), deprecated ones included, and
// its exceptions.
var (
	//go:embed spdx_licenses.txt
	spdxLicenses string
	//go:embed spdx_exceptions.txt
	spdxExceptions string
)

type licenseIDs struct{ licenses, exceptions map[string]string }

var spdxIDs = sync.OnceValue(func() licenseIDs {
	index := func(list string) map[string]string {
		m := map[string]string{}
		for id := range strings.Lines(list) {
			id = strings.TrimSpace(id)
			m[strings.ToLower(id)] = id
		}
		return m
	}
	return licenseIDs{index(spdxLicenses), index(spdxExceptions)}
})

// Limits of a licence expression.
const (
	maxExpression = 2000
	maxNesting    = 20
)

// License is an SPDX licence expression in its canonical spelling. Id says
// that it is a single id of the list; ok is false for everything that is no
// expression, and for LicenseRef-, which means nothing without its text.
func License(s string) (expression string, id, ok bool) {
	if len(s) > maxExpression {
		return "", false, false
	}
	p := licenseParser{tokens: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s))}
	if !p.or(0) || len(p.tokens) > 0 {
		return "", false, false
	}
	text := strings.NewReplacer("( ", "(", " )", ")").Replace(strings.Join(p.out, " "))
	return text, len(p.out) == 1 && !strings.HasSuffix(text, "+"), true
}

// licenseParser follows annex D of SPDX 2.3: OR binds weakest, then AND, then
// WITH.
type licenseParser struct {
	tokens []string
	out    []string
}

// next takes the token if it is want.
func (p *licenseParser) next(want string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != want {
		return false
	}
	p.out = append(p.out, want)
	p.tokens = p.tokens[1:]
	return true
}

func (p *licenseParser) or(depth int) bool {
	for {
		if !p.and(depth) {
			return false
		}
		if !p.next("OR") {
			return true
		}
	}
}

func (p *licenseParser) and(depth int) bool {
	for {
		if !p.with(depth) {
			return false
		}
		if !p.next("AND") {
			return true
		}
	}
}

func (p *licenseParser) with(depth int) bool {
	if depth > maxNesting {
		return false
	}
	if p.next("(") {
		return p.or(depth+1) && p.next(")")
	}
	ids := spdxIDs()
	if !p.id(ids.licenses, true) {
		return false
	}
	return !p.next("WITH") || p.id(ids.exceptions, false)
}

// id takes a licence or an exception. "+" is "or later": GPL-2.0+ is an id
// of its own, Apache-2.0+ an expression.
func (p *licenseParser) id(known map[string]string, plus bool) bool {
	if len(p.tokens) == 0 {
		return false
	}
	low := strings.ToLower(p.tokens[0])
	id, ok := known[low]
	if !ok && plus && strings.HasSuffix(low, "+") {
		id, ok = known[strings.TrimSuffix(low, "+")]
		id += "+"
	}
	if ok {
		p.out = append(p.out, id)
		p.tokens = p.tokens[1:]
	}
	return ok
}
