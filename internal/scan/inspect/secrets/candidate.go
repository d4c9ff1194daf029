package secrets

import (
	"cmp"
	"slices"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// search is the state of one file.
type search struct {
	file  *layer.File
	rules *ruleSet
	at    place
	left  int // expressions that may still be run
	found []candidate
}

// candidate is a stretch of the file that a rule takes for a secret.
type candidate struct {
	data       []byte // of the file
	start, end int
	rule       *rule
	severity   esclusa.Severity
	note       string
}

// try runs one rule around one hit.
func (s *search) try(i, start, end int) error {
	r, err := s.rules.rules[i]()
	if err != nil {
		return err
	}
	if s.at == thirdParty && !r.wide() {
		return nil
	}
	if !r.forPath(s.file.Path) {
		return nil
	}
	switch {
	case r.detect != nil:
		s.left--
		r.detect(s, r, start, end)
	case r.Value != "":
		s.tryValue(r, start, end)
	default:
		s.tryToken(r, start)
	}
	return nil
}

// tryToken matches at the keyword, or searches a short stretch around it.
func (s *search) tryToken(r *rule, start int) {
	data := s.file.Data
	if !r.Glued && start > 0 && alnum(data[start-1]) {
		return
	}
	s.left--
	from, to := max(0, start-r.Before), min(len(data), start+r.Span)
	m := r.re.FindSubmatchIndex(data[from:to])
	if m == nil {
		return
	}
	a, b := from+m[2*r.group], from+m[2*r.group+1]
	// "^" in the expression means the beginning of the file, not of the
	// stretch.
	if a < 0 || r.Before > 0 && a == from && from > 0 {
		return
	}
	if !r.Glued && b < len(data) && alnum(data[b]) {
		return
	}
	s.add(r, a, b)
}

// tryValue matches the right side of an assignment to a name that holds the
// keyword.
func (s *search) tryValue(r *rule, start, end int) {
	data := s.file.Data
	if !wordBegins(data, start) {
		return
	}
	as, ok := assigned(data, start, end)
	if !ok || !says(as.Name, r.Words) {
		return
	}
	s.left--
	m := r.re.FindSubmatchIndex(data[as.Value:min(len(data), as.Value+r.Span)])
	if m == nil {
		return
	}
	a, b := as.Value+m[2*r.group], as.Value+m[2*r.group+1]
	if !placeholder(string(data[a:b])) {
		s.add(r, a, b)
	}
}

// add keeps a stretch unless it is too plain, an example, or refused by the
// rule's check.
func (s *search) add(r *rule, a, b int) {
	secret := string(s.file.Data[a:b])
	least := r.Entropy
	if least == 0 && r.detect == nil {
		least = 2
	}
	if len(s.found) >= 20*maxFindings || entropy(secret) < least || isExample(secret) {
		return
	}
	for _, re := range r.allow {
		if re.MatchString(secret) {
			return
		}
	}
	c := candidate{data: s.file.Data, start: a, end: b, rule: r, severity: r.Severity}
	if r.check != nil && !r.check(&c, secret) {
		return
	}
	s.found = append(s.found, c)
}

// rank orders the kinds of evidence: the form of a token says more than the
// name of a variable.
func (c *candidate) rank() int {
	switch {
	case c.rule.Detect == "generic":
		return 3
	case c.rule.Detect == "url" || c.rule.Detect == "curl-user" || c.rule.Detect == "curl-header":
		return 2
	case c.rule.Value != "":
		return 1
	}
	return 0
}

// best keeps one candidate for every stretch, and one place for a secret that
// the same rule finds again and again in the file.
func best(found []candidate) []candidate {
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.rule.order, b.rule.order), cmp.Compare(a.start, b.start))
	})
	var kept []candidate
	for _, c := range found {
		overlaps := func(k candidate) bool { return c.start < k.end && k.start < c.end }
		if !slices.ContainsFunc(kept, overlaps) {
			kept = append(kept, c)
		}
		if len(kept) > maxFindings {
			break
		}
	}
	slices.SortFunc(kept, func(a, b candidate) int { return cmp.Compare(a.start, b.start) })
	return kept
}
