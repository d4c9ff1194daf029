package osv

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/esclusa/esclusa"
)

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
	addBound(&f, spec.known)
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
	known         string // GitHub's last known affected range
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
	case "last_known_affected_version_range":
		s.known = p.stringIf()
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

// addBound ends a range that no event ends. Where GitHub knows no patched
// version its record says "introduced: 0" and no more, and the end of what its
// advisory says is affected ("<= 1.2.3", "< 2") stands apart. Without it
// every later version would be affected, which the advisory does not say.
func addBound(f *esclusa.Affected, known string) {
	if len(f.Ranges) != 1 {
		return
	}
	r := &f.Ranges[0]
	for _, e := range r.Events {
		if e.Introduced == "" {
			return
		}
	}
	var e esclusa.RangeEvent
	if v, ok := strings.CutPrefix(known, "<="); ok {
		e.LastAffected = strings.TrimSpace(v)
	} else if v, ok := strings.CutPrefix(known, "<"); ok {
		e.Limit = strings.TrimSpace(v)
	}
	end := e.LastAffected + e.Limit
	if len(r.Events) == 1 && end != "" && !strings.ContainsAny(end, " ,<>=|*") {
		r.Events = append(r.Events, e)
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
