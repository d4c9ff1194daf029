package osv

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/semver"

	"github.com/esclusa/esclusa"
)

// maxSummary is what a line of a report holds, in bytes.
const maxSummary = 160

// maxURL is above every address that works in practice.
const maxURL = 2 << 10

// parse reads one record of the OSV schema (1.7.x). Fields that it does not
// know are checked for syntax and ignored. A record without an id, or with a
// field of the wrong kind, is an error: half a record could match less than
// the whole.
func parse(text []byte) (*esclusa.Advisory, error) {
	p := parser{scanner: scanner{b: text}}
	p.object(p.field)
	if err := p.end(); err != nil {
		return nil, err
	}
	if p.a.ID == "" {
		return nil, errors.New("no id")
	}
	p.finish()
	return &p.a, nil
}

type parser struct {
	scanner
	a       esclusa.Advisory
	details string
	word    string // the database's own severity word
	related []string
	site    string // the database's own page
	refs    []reference
	cvss    vectors
}

type reference struct{ kind, url string }

func (p *parser) field(key []byte) {
	switch string(key) {
	case "id":
		p.a.ID = p.string()
	case "aliases":
		p.a.Aliases = p.strings()
	case "upstream":
		p.a.Upstream = p.strings()
	case "related":
		p.related = p.strings()
	case "summary":
		p.a.Summary = p.string()
	case "details":
		p.details = p.start(8 * maxSummary)
	case "published":
		p.a.Published = p.time()
	case "modified":
		p.a.Modified = p.time()
	case "withdrawn":
		p.a.Withdrawn = p.time()
	case "severity":
		p.a.Severity = max(p.a.Severity, p.severity(&p.cvss))
	case "affected":
		p.array(p.affected)
	case "references":
		p.array(p.reference)
	case "database_specific":
		p.ifObject(p.databaseField)
	default:
		p.skip()
	}
}

// start is the beginning of a string value: details can be long, and only a
// line of them is used.
func (p *parser) start(limit int) string {
	if p.peek() != '"' {
		return p.string()
	}
	t := p.text()
	return string(t[:min(len(t), limit)])
}

// time is a date of RFC 3339. One that cannot be read is "not known": the
// date decides nothing about what is affected. A withdrawal with a date that
// cannot be read does not count as one.
func (p *parser) time() time.Time {
	t, err := time.Parse(time.RFC3339, p.string())
	if err != nil || t.Year() < 1970 {
		return time.Time{}
	}
	return t.UTC()
}

// ifObject reads an object and skips anything else.
func (p *parser) ifObject(field func(key []byte)) {
	if p.peek() != '{' {
		p.skip()
		return
	}
	p.object(field)
}

func (p *parser) databaseField(key []byte) {
	switch string(key) {
	case "severity", "ubuntu_priority":
		p.word = p.stringIf()
	case "url":
		p.site = p.stringIf()
	default:
		p.skip()
	}
}

func (p *parser) reference() {
	var r reference
	p.object(func(key []byte) {
		switch string(key) {
		case "type":
			r.kind = p.stringIf()
		case "url":
			r.url = p.stringIf()
		default:
			p.skip()
		}
	})
	if len(r.url) <= maxURL && isWeb(r.url) {
		p.refs = append(p.refs, r)
	}
}

// isWeb keeps addresses out that a console must not make a link of.
func isWeb(url string) bool {
	rest, ok := strings.CutPrefix(url, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(url, "http://")
	}
	return ok && rest != "" && !strings.ContainsFunc(url, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '"' || r == '<' || r == '>' || r == utf8.RuneError
	})
}

// vectors are the newest vector of each version of CVSS.
type vectors struct{ v4, v3, v2 string }

func (v vectors) list() []string {
	var list []string
	for _, s := range []string{v.v4, v.v3, v.v2} {
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}

// severity reads a list of scores: vectors, and the word of those databases
// that put one there ("Ubuntu").
func (p *parser) severity(v *vectors) esclusa.Severity {
	word := esclusa.SeverityUnknown
	p.array(func() {
		var kind, score string
		p.object(func(key []byte) {
			switch string(key) {
			case "type":
				kind = p.string()
			case "score":
				score = p.stringIf()
			default:
				p.skip()
			}
		})
		switch kind {
		case "CVSS_V4":
			v.v4 = score
		case "CVSS_V3":
			// Some give 3.0 and 3.1: the later standard is kept.
			if v.v3 == "" || score > v.v3 {
				v.v3 = score
			}
		case "CVSS_V2":
			v.v2 = score
		default:
			word = max(word, wordOf(score))
		}
	})
	return word
}

// wordOf reads a severity word; one that is not known rates nothing.
func wordOf(s string) esclusa.Severity {
	v, err := esclusa.ParseSeverity(s)
	if err != nil {
		return esclusa.SeverityUnknown
	}
	return v
}

// finish decides what needs more than one field.
func (p *parser) finish() {
	a := &p.a
	a.CVSS = p.cvss.list()
	if w := wordOf(p.word); w > a.Severity {
		a.Severity = w
	}
	if a.Summary == "" {
		a.Summary = p.details
	}
	a.Summary = line(a.Summary)
	p.errata()
	a.Malicious = isMalicious(a.ID)
	for _, id := range a.Aliases {
		a.Malicious = a.Malicious || isMalicious(id)
	}
	a.URL = p.bestURL()
}

func isMalicious(id string) bool {
	return strings.HasPrefix(id, "MAL-") || strings.HasPrefix(id, "LWA-")
}

// errata reads what the distributions of the Red Hat family put in other
// places: their CVEs under "related", their severity word before the summary
// ("Important: kernel security update"), and errata that fix no flaw at all
// under ids of their own.
func (p *parser) errata() {
	a := &p.a
	family, _, ok := strings.Cut(a.ID, "-")
	if !ok || len(a.Upstream) > 0 || len(a.Aliases) > 0 {
		return
	}
	switch family {
	case "ALSA", "ALBA", "ALEA", "RLSA", "RLBA", "RLEA", "RXSA", "RHSA", "RHBA", "RHEA", "SUSE", "openSUSE":
	default:
		return
	}
	for _, id := range p.related {
		if strings.HasPrefix(id, "CVE-") {
			a.Upstream = append(a.Upstream, id)
		}
	}
	if word, _, ok := strings.Cut(a.Summary, ": "); ok && a.Severity == esclusa.SeverityUnknown {
		a.Severity = wordOf(word)
	}
	if len(a.Upstream) > 0 || len(family) != 4 {
		return
	}
	switch family[2:] {
	case "BA":
		a.Informational = "bugfix"
	case "EA":
		a.Informational = "enhancement"
	}
}

// line is the first words of a text on one line, at most maxSummary bytes.
func line(s string) string {
	s = strings.TrimLeft(s, " \n\t\r#*-=")
	var b strings.Builder
	space := false
	for _, r := range s {
		if r <= ' ' || r == 0x7f {
			if r == '\n' && b.Len() >= maxSummary/2 {
				break
			}
			space = b.Len() > 0
			continue
		}
		if r == utf8.RuneError {
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if b.Len()+utf8.RuneLen(r) > maxSummary {
			return cutWord(b.String())
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cutWord makes room for an ellipsis, at a space if there is one near the end.
func cutWord(s string) string {
	const dots = "…"
	s = s[:maxSummary-len(dots)-utf8.UTFMax]
	for s != "" && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if len(s) > 0 && s[len(s)-1] >= utf8.RuneSelf {
		s = s[:len(s)-1] // the first byte of a rune that was cut
	}
	if i := strings.LastIndexByte(s, ' '); i > maxSummary/2 {
		s = s[:i]
	}
	return strings.TrimRight(s, " ,.;:") + dots
}

// bestURL is the page that explains the record: the database's own, else one
// that names the id, else by kind.
func (p *parser) bestURL() string {
	id := strings.ReplaceAll(p.a.ID, ":", "-")
	if isWeb(p.site) && len(p.site) <= maxURL {
		return p.site
	}
	best, rank := "", 0
	for _, r := range p.refs {
		k := 1
		switch r.kind {
		case "ADVISORY":
			k = 5
		case "WEB":
			k = 3
		case "REPORT", "ARTICLE":
			k = 2
		}
		if strings.Contains(r.url, p.a.ID) || strings.Contains(r.url, id) {
			k += 10
		}
		if k > rank {
			best, rank = r.url, k
		}
	}
	if best == "" && strings.HasPrefix(p.a.ID, "MAL-") {
		best = "https://osv.dev/vulnerability/" + p.a.ID
	}
	return best
}

// affected reads one affected package. Those without a package (only a
// repository) are left out: there is nothing to match them with.
func (p *parser) affected() {
	var (
		f    esclusa.Affected
		v    vectors
		spec specifics
	)
	p.object(func(key []byte) {
		switch string(key) {
		case "package":
			p.pkg(&f)
		case "ranges":
			p.ranges(&f)
		case "versions":
			f.Versions = p.strings()
		case "severity":
			f.Severity = max(f.Severity, p.severity(&v))
		case "ecosystem_specific", "database_specific":
			p.ifObject(func(key []byte) { p.specific(key, &f, &spec) })
		default:
			p.skip()
		}
	})
	f.CVSS = v.list()
	if f.Severity == esclusa.SeverityUnknown {
		f.Severity = spec.severity()
	}
	if spec.informational != "" {
		p.a.Informational = spec.informational
	}
	if f.Ecosystem == "" || f.Name == "" {
		return
	}
	addFix(&f, spec.patched)
	p.a.Affected = append(p.a.Affected, f)
}

func (p *parser) pkg(f *esclusa.Affected) {
	p.object(func(key []byte) {
		switch string(key) {
		case "ecosystem":
			f.Ecosystem = p.string()
		case "name":
			f.Name = p.string()
		default:
			p.skip()
		}
	})
}

func (p *parser) ranges(f *esclusa.Affected) {
	p.array(func() {
		var r esclusa.Range
		p.object(func(key []byte) {
			switch string(key) {
			case "type":
				r.Type = p.string()
			case "events":
				p.array(func() { p.event(&r) })
			default:
				p.skip()
			}
		})
		switch r.Type {
		case "GIT": // commits: nothing in an image tells them
		case "SEMVER", "ECOSYSTEM":
			f.Ranges = append(f.Ranges, r)
		default:
			p.fail(fmt.Errorf("range of type %q", r.Type))
		}
	})
}

// event reads one event. The schema wants one field in each; several, as old
// records have, are several events.
func (p *parser) event(r *esclusa.Range) {
	var e esclusa.RangeEvent
	p.object(func(key []byte) {
		switch string(key) {
		case "introduced":
			e.Introduced = p.string()
		case "fixed":
			e.Fixed = p.string()
		case "last_affected":
			e.LastAffected = p.string()
		case "limit":
			e.Limit = p.string()
		default:
			p.skip()
		}
	})
	if e.Introduced != "" {
		r.Events = append(r.Events, esclusa.RangeEvent{Introduced: e.Introduced})
	}
	if e.Fixed != "" {
		r.Events = append(r.Events, esclusa.RangeEvent{Fixed: e.Fixed})
	}
	if e.LastAffected != "" {
		r.Events = append(r.Events, esclusa.RangeEvent{LastAffected: e.LastAffected})
	}
	if e.Limit != "" {
		r.Events = append(r.Events, esclusa.RangeEvent{Limit: e.Limit})
	}
}

// specifics are the fields that databases add to an affected package.
type specifics struct {
	word          string // urgency, priority or severity
	v4, v3, v2    string // numeric base scores without a vector
	informational string // RustSec
	patched       string // GitHub's first patched version
}

func (s specifics) severity() esclusa.Severity {
	if w := wordOf(s.word); w != esclusa.SeverityUnknown {
		return w
	}
	for _, text := range []string{s.v4, s.v3, s.v2} {
		if score, err := strconv.ParseFloat(text, 64); err == nil && score >= 0 && score <= 10 {
			return esclusa.SeverityOf(score)
		}
	}
	return esclusa.SeverityUnknown
}

func (p *parser) specific(key []byte, f *esclusa.Affected, s *specifics) {
	switch string(key) {
	case "imports":
		if p.peek() == '[' {
			p.array(func() { p.imported(f) })
			return
		}
	case "severity", "urgency", "priority", "ubuntu_priority":
		s.word = p.stringIf()
		return
	case "informational":
		s.informational = p.stringIf()
		return
	case "first_patched_version":
		s.patched = p.stringIf()
		return
	case "cvss_v4":
		s.v4 = p.numberIf()
		return
	case "cvss_v3":
		s.v3 = p.numberIf()
		return
	case "cvss_v2":
		s.v2 = p.numberIf()
		return
	}
	p.skip()
}

// numberIf is the text of a number, and "" for anything else.
func (p *parser) numberIf() string {
	if c := p.peek(); c == '-' || '0' <= c && c <= '9' {
		return p.number()
	}
	p.skip()
	return ""
}

// imported reads an import path of Go's database and its vulnerable symbols.
func (p *parser) imported(f *esclusa.Affected) {
	var path string
	var symbols []string
	p.ifObject(func(key []byte) {
		switch string(key) {
		case "path":
			path = p.stringIf()
		case "symbols":
			symbols = p.strings()
		default:
			p.skip()
		}
	})
	if path == "" {
		return
	}
	f.Imports = append(f.Imports, path)
	for _, s := range symbols {
		f.Symbols = append(f.Symbols, path+"."+s)
	}
}

// addFix makes a fix known that stands beside the ranges. GitHub's records
// say "<= 2.1.1" and name 2.1.2 apart: as an event behind the last affected
// version it changes nothing about what is affected, and is there to be
// shown. Where that is not certain the fix is left out.
func addFix(f *esclusa.Affected, version string) {
	if version == "" || len(f.Ranges) != 1 {
		return
	}
	r := &f.Ranges[0]
	if len(r.Events) == 0 {
		return
	}
	last := r.Events[len(r.Events)-1].LastAffected
	for _, e := range r.Events[:len(r.Events)-1] {
		if e.Fixed != "" || e.LastAffected != "" {
			return
		}
	}
	// The field is GitHub's, and where this is the case is npm.
	less := semver.IsValid("v"+last) && semver.IsValid("v"+version) &&
		semver.Compare("v"+last, "v"+version) < 0
	if r.Type == "SEMVER" && less {
		r.Events = append(r.Events, esclusa.RangeEvent{Fixed: version})
	}
}
