package osv

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

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
