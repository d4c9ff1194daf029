package reporttest

import (
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Texts are what images and advisories may hold and no page may obey.
func Texts() []string {
	return []string{
		"",
		" ",
		"line\nbreak\r\nand more\ttab",
		"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
		"bad\xff\xfe utf-8 \xc3",
		"\x00\x01\x7f",
		"::error file=x::pwned",
		"a%0A::set-output name=x::y%0D",
		"##[stop-commands]token",
		"<script>alert(1)</script> ![x](http://evil.example/x.png) | `a` *b*",
		"\u202egnp.exe \u2066 \u200b",
		"中文的名字和很长的标题一个接一个没有空格也要换行中文的名字和很长的标题一个接一个没有空格也要换行",
		"e\u0301\u0301\u0301 👩‍👩‍👧",
		"../../../etc/passwd",
		"C:\\x:y//z?a#b c%zz",
		"https://example.com/ä b?q=%zz#a#b[c]",
		"javascript:alert(1)",
		`{"a":"b"}'"` + "`",
		strings.Repeat("A", 1<<15),
		strings.Repeat("word ", 1<<13),
	}
}

// Hostile is a report in which every field that comes from outside is s.
// Digests are those of a stream that was read: their text is valid.
func Hostile(s string) *esclusa.Report {
	d := esclusa.Digest(strings.ToValidUTF8(s, "?"))
	place := esclusa.Place{Layer: d, Path: s, Line: 1 << 40}
	p := esclusa.Package{
		Type: s, Name: s, Version: s, Arch: s, Source: esclusa.SourcePackage{Name: s, Version: s}, Distro: s, PURL: s, Reader: s,
		Place: place, Origin: esclusa.Origin(s), Licenses: []string{s, "MIT"}, Modular: s,
	}
	purl := p // and of a distribution, whose rows are others
	purl.PURL, purl.Type = "pkg:deb/debian/x@1", "deb"
	at := time.Date(9999, 12, 31, 23, 59, 59, 999, time.FixedZone("", -12*3600+60))
	r := &esclusa.Report{
		Start: esclusa.Start{Stream: esclusa.StreamVersion, Tool: s, At: at},
		Image: esclusa.Image{
			Kind: esclusa.TargetKind(s), Ref: s, Digest: d, ID: d, Tags: []string{s, s}, Platform: s,
			Distro: esclusa.Distro{ID: s, Version: s, Name: s}, Layers: []esclusa.Layer{{DiffID: d, Digest: d, CreatedBy: s}, {DiffID: d}},
			BaseName: s, BaseDigest: d, BaseBy: s, Config: esclusa.ImageConfig{User: s, Labels: map[string]string{s: s}},
		},
		Feeds:    []esclusa.Feed{{Name: s, Date: at, From: s}},
		Packages: []esclusa.Package{p, p, purl},
		Verdict:  &esclusa.Verdict{Decision: esclusa.Warn, Policy: s, Reasons: []esclusa.Reason{{Rule: s, Decision: esclusa.Warn, Message: s}}},
		End:      esclusa.End{Took: 1<<63 - 1},
	}
	for i, k := range []esclusa.FindingKind{
		esclusa.KindVulnerability, esclusa.KindMaliciousPackage, esclusa.KindMalware, esclusa.KindSecret,
		esclusa.KindMisconfiguration, esclusa.KindNotice, esclusa.FindingKind(s),
	} {
		f := esclusa.Finding{
			Kind: k, ID: s, Aliases: []string{s, s}, Advisory: s, Severity: esclusa.Severity(min(i, 5)), Score: 1e300, Vector: s,
			Title: s, URL: s, Package: &p, Place: place, Origin: esclusa.Origin(s), Deleted: true, EPSS: 1e300,
			KEV: &esclusa.KEV{Added: at}, Fix: &esclusa.Fix{Version: s, Command: s}, Reach: esclusa.Reachability(s), Evidence: s, Advice: s,
		}
		other := f
		other.Package, other.Fix, other.Line = nil, nil, -1
		other.VEX = &esclusa.VEXStatement{Status: esclusa.VEXFixed, Justification: s, Statement: s, Author: s, Document: s, At: at}
		bare := esclusa.Finding{Kind: k, Package: &purl, URL: "https://example.com/" + s}
		r.Findings = append(r.Findings, f, f, other, bare)
	}
	r.Gaps = []esclusa.Gap{{Scope: esclusa.GapScope(s), Place: place, What: s, Err: s, Hint: s}, {Scope: esclusa.GapFile, What: s, Err: s}}
	return r
}

// Huge is a report whose texts are a megabyte each.
func Huge() *esclusa.Report {
	r := Mixed()
	long := strings.Repeat("long text ", 1<<20/10)
	for i := range r.Findings {
		r.Findings[i].Title = long
	}
	r.Findings[0].Evidence, r.Findings[1].Advice, r.Gaps[0].Err = long, strings.Repeat("A", 1<<20), long
	return r
}
