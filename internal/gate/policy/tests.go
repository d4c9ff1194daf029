package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Tests is a file of tests of a policy: facts in short form, and what the
// policy must make of them.
type Tests struct {
	Pos
	Tests []Test `yaml:"tests,required" doc:"The tests."`

	File string
}

// Test is one case.
type Test struct {
	Pos
	Name       string        `yaml:"name,required" doc:"What the case shows."`
	Now        *Date         `yaml:"now" doc:"The time of the verdict; without it, 2026-01-01."`
	Image      *ImageFact    `yaml:"image" doc:"The image; without it, one that runs as a user and has no labels."`
	Findings   []FindingFact `yaml:"findings" doc:"Findings in short form."`
	Gaps       []GapFact     `yaml:"gaps" doc:"What could not be examined."`
	Feeds      []FeedFact    `yaml:"feeds" doc:"Advisory sources."`
	Base       []FindingFact `yaml:"base" doc:"Findings of an earlier image, as with --since."`
	Exceptions []Exception   `yaml:"exceptions" doc:"Exceptions that count beside the policy's own."`
	Expect     Expect        `yaml:"expect,required" doc:"What the verdict must be."`
}

// Expect is what a test demands.
type Expect struct {
	Pos
	Decision Outcome  `yaml:"decision,required" doc:"allow, warn, deny or undecided."`
	Rules    []string `yaml:"rules" doc:"The rules that give a reason, exactly these; without it, any."`
	Exempted []string `yaml:"exempted" doc:"The rules that an exception took a reason from, exactly these; without it, any."`
}

// Outcome is a decision of a verdict.
type Outcome esclusa.Decision

// DecodeText implements yamlread.Scalar.
func (o *Outcome) DecodeText(s string) error {
	var d esclusa.Decision
	if err := d.UnmarshalText([]byte(s)); err != nil {
		return yamlread.Hinted{Msg: fmt.Sprintf("unknown decision %q", yamlread.Clip(s, 20)), Hint: "it is allow, warn, deny or undecided"}
	}
	*o = Outcome(d)
	return nil
}

// ImageFact is an image in short form.
type ImageFact struct {
	Ref     string            `yaml:"ref" doc:"Name of the image."`
	Kind    string            `yaml:"kind" doc:"image, root, source or sbom."`
	User    string            `yaml:"user" doc:"The user it starts as; without it, app."`
	Labels  map[string]string `yaml:"labels" doc:"Labels."`
	Created *Date             `yaml:"created" doc:"When it was built."`
	Distro  string            `yaml:"distro" doc:"Distribution as id:version."`
	EOL     *Date             `yaml:"endOfLife" doc:"The last day of the distribution."`
	Base    string            `yaml:"base" doc:"Name of the base image."`
}

// FindingFact is a finding in short form.
type FindingFact struct {
	Pos
	Kind       Kind     `yaml:"kind" doc:"Kind of finding; without it, vulnerability."`
	ID         string   `yaml:"id,required" doc:"Id."`
	Aliases    []string `yaml:"aliases" doc:"Other ids of the same flaw."`
	Severity   Level    `yaml:"severity" doc:"Severity; without it, unknown."`
	Score      *Number  `yaml:"score" doc:"CVSS base score."`
	EPSS       *Number  `yaml:"epss" doc:"Probability of exploitation; without it, not scored."`
	Exploited  bool     `yaml:"exploited" doc:"Listed by CISA as exploited."`
	Ransomware bool     `yaml:"ransomware" doc:"Listed by CISA as used for ransom."`
	Fix        string   `yaml:"fix" doc:"The version without the flaw; without it, there is none."`
	FixedFor   *Span    `yaml:"fixedFor" doc:"How long the fix has been out; without it, the source does not say."`
	Command    string   `yaml:"command" doc:"What installs the fix."`
	Reach      Reach    `yaml:"reach" doc:"linked, not-linked or unknown."`
	Origin     Origin   `yaml:"origin" doc:"base, own or unknown."`
	Deleted    bool     `yaml:"deleted" doc:"Deleted by a higher layer."`
	Package    string   `yaml:"package" doc:"Package as type/name@version."`
	Path       string   `yaml:"path" doc:"Path in the image."`
	VEX        string   `yaml:"vex" doc:"Status of a VEX statement, such as not_affected."`
}

// Number is a plain number.
type Number float64

// DecodeText implements yamlread.Scalar.
func (n *Number) DecodeText(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f < -1e9 || f > 1e9 {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a number", yamlread.Clip(s, 20)), Hint: ""}
	}
	*n = Number(f)
	return nil
}

// Level is one severity.
type Level esclusa.Severity

// DecodeText implements yamlread.Scalar.
func (l *Level) DecodeText(s string) error {
	v, err := severity(s)
	*l = Level(v)
	return err
}

// GapFact is a gap in short form.
type GapFact struct {
	Scope Scope  `yaml:"scope,required" doc:"item, file, feed, system or layer."`
	What  string `yaml:"what,required" doc:"What was not examined."`
	Err   string `yaml:"err" doc:"Why."`
	Path  string `yaml:"path" doc:"Path in the image."`
}

// FeedFact is an advisory source in short form.
type FeedFact struct {
	Name string `yaml:"name,required" doc:"Name of the source."`
	Age  *Span  `yaml:"age" doc:"How long ago it last said something; without it, it has no date."`
}

const maxTests = 2000

// ParseTests reads a file of tests. Its errors are those of Parse.
func ParseTests(file string, data []byte) (*Tests, error) {
	ts := &Tests{File: file}
	r := yamlread.New(file)
	r.Read(data, ts)
	if r.OK() {
		if n := len(ts.Tests); n == 0 || n > maxTests {
			r.Fail(ts.Pos, fmt.Sprintf("%d tests; there must be 1 to %d", n, maxTests), "")
		}
		for i := range ts.Tests {
			ts.Tests[i].check(r)
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return ts, nil
}

func (t *Test) check(r *yamlread.Reader) {
	if t.Name == "" || len(t.Name) > 120 || strings.ContainsAny(t.Name, "\n\r") {
		r.Fail(t.Pos, "a test needs a name of one line, at most 120 bytes", "")
	}
	for _, fs := range [][]FindingFact{t.Findings, t.Base} {
		for i := range fs {
			f := &fs[i]
			if _, ok := f.pkg(); !ok {
				r.Fail(f.Pos, fmt.Sprintf("%q is not a package", yamlread.Clip(f.Package, 40)), "write it as type/name@version, such as npm/left-pad@1.3.0")
			}
			if f.Fix == "" && f.Command == "" && f.FixedFor != nil {
				r.Fail(f.Pos, "fixedFor without a fix", "")
			}
			switch esclusa.VEXStatus(f.VEX) {
			case "", esclusa.VEXNotAffected, esclusa.VEXAffected, esclusa.VEXFixed, esclusa.VEXInvestigating:
			default:
				r.Fail(f.Pos, fmt.Sprintf("unknown VEX status %q", yamlread.Clip(f.VEX, 40)), "it is not_affected, affected, fixed or under_investigation")
			}
		}
	}
	for i := range t.Exceptions {
		t.Exceptions[i].check(r)
	}
}

// At is the time of the verdict.
func (t *Test) At() time.Time {
	if t.Now == nil {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Now.Time
}

// Facts are the facts of the test as plain words.
func (t *Test) Facts() (img esclusa.Image, findings, base []esclusa.Finding, gaps []esclusa.Gap, feeds []esclusa.Feed) {
	now := t.At()
	for i := range t.Findings {
		findings = append(findings, t.Findings[i].finding(now))
	}
	for i := range t.Base {
		base = append(base, t.Base[i].finding(now))
	}
	for _, g := range t.Gaps {
		gaps = append(gaps, esclusa.Gap{
			Scope: esclusa.GapScope(g.Scope), What: g.What, Err: g.Err, Place: esclusa.Place{Path: g.Path},
		})
	}
	for _, f := range t.Feeds {
		feed := esclusa.Feed{Name: f.Name}
		if f.Age != nil {
			feed.Date = now.Add(-time.Duration(*f.Age))
		}
		feeds = append(feeds, feed)
	}
	return t.image(), findings, base, gaps, feeds
}

func (t *Test) image() esclusa.Image {
	img := esclusa.Image{Kind: esclusa.TargetImage, Ref: "registry.example/app:1"}
	img.Config.User = "app"
	f := t.Image
	if f == nil {
		return img
	}
	if f.Ref != "" {
		img.Ref = f.Ref
	}
	if f.Kind != "" {
		img.Kind = esclusa.TargetKind(f.Kind)
	}
	if f.User != "" {
		img.Config.User = f.User
	}
	img.Config.Labels, img.BaseName = f.Labels, f.Base
	img.Distro.ID, img.Distro.Version, _ = strings.Cut(f.Distro, ":")
	if f.Created != nil {
		img.Created = f.Created.Time
	}
	if f.EOL != nil {
		img.Distro.EndOfLife = f.EOL.Time
	}
	return img
}

func (f *FindingFact) finding(now time.Time) esclusa.Finding {
	out := esclusa.Finding{
		Kind: esclusa.FindingKind(f.Kind), ID: f.ID, Aliases: f.Aliases, Severity: esclusa.Severity(f.Severity),
		EPSS: -1, Deleted: f.Deleted, Place: esclusa.Place{Path: f.Path},
	}
	if f.Kind == "" {
		out.Kind = esclusa.KindVulnerability
	}
	if f.Score != nil {
		out.Score = float64(*f.Score)
	}
	if f.EPSS != nil {
		out.EPSS = float64(*f.EPSS)
	}
	if f.Reach != "unknown" {
		out.Reach = esclusa.Reachability(f.Reach)
	}
	if f.Origin != "unknown" {
		out.Origin = esclusa.Origin(f.Origin)
	}
	if f.Exploited || f.Ransomware {
		out.KEV = &esclusa.KEV{Ransomware: f.Ransomware}
	}
	if f.Fix != "" || f.Command != "" {
		out.Fix = &esclusa.Fix{Version: f.Fix, Command: f.Command}
		if f.FixedFor != nil {
			out.Fix.Since = now.Add(-time.Duration(*f.FixedFor))
		}
	}
	if f.VEX != "" {
		out.VEX = &esclusa.VEXStatement{Status: esclusa.VEXStatus(f.VEX)}
	}
	out.Package, _ = f.pkg()
	return out
}

// pkg reads type/name@version; a name may hold slashes and an @ in front.
func (f *FindingFact) pkg() (*esclusa.Package, bool) {
	if f.Package == "" {
		return nil, true
	}
	typ, rest, ok := strings.Cut(f.Package, "/")
	i := strings.LastIndexByte(rest, '@')
	if !ok || i <= 0 || typ == "" || i == len(rest)-1 {
		return nil, false
	}
	return &esclusa.Package{Type: typ, Name: rest[:i], Version: rest[i+1:]}, true
}
