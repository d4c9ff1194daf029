// Package policy is the language of the gate: the YAML files that say what
// may pass, the exceptions to them, and the tests of them. It reads, checks
// and describes; it decides nothing (that is package gate).
//
// Everything strange is an error with file, line and column, and with advice
// where there is some: an unknown key, a condition that does not compile, an
// exception without an owner or without an end. A file that reads without an
// error says what its author thinks it says.
//
// Start with Policy and Parse.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Pos is a place in a file, both counted from 1.
type Pos = yamlread.Pos

// Error is one thing wrong in a file.
type Error = yamlread.Error

// Policy is one file of rules.
//
// The strictest rule that matches decides, whatever the order: rules can be
// added, moved and joined from several teams, and none of that can weaken the
// policy. So there is no rule that allows. What a rule refuses passes by an
// exception, which has an owner, a reason and an end.
type Policy struct {
	Pos
	Name        string      `yaml:"name,required" doc:"Name of the policy; it stands in every verdict."`
	Description string      `yaml:"description" doc:"What the policy is for."`
	Rules       []Rule      `yaml:"rules,required" doc:"The rules. The strictest one that matches decides; their order does not matter."`
	Exceptions  []Exception `yaml:"exceptions" doc:"What passes in spite of a rule, for a time."`

	// File is the name it was read under, and Digest is of its bytes (and of
	// the exceptions added by With).
	File   string
	Digest esclusa.Digest
}

// Rule says what is refused or warned of. It looks at one subject: findings,
// gaps, feeds, or the image itself; image beside finding, gap or feed narrows
// the rule to these images.
type Rule struct {
	Pos
	Name        string     `yaml:"name,required" doc:"Name of the rule, as it stands in reasons and exceptions."`
	Decision    Decision   `yaml:"decision,required" doc:"What the rule decides when it matches: deny or warn."`
	Description string     `yaml:"description" doc:"Why the rule exists."`
	Finding     *Finding   `yaml:"finding" doc:"The findings that the rule is about; all fields given must hold."`
	Gap         *Gap       `yaml:"gap" doc:"The gaps that the rule is about: what could not be examined."`
	Feed        *Feed      `yaml:"feed" doc:"The advisory sources that the rule is about."`
	Image       *Image     `yaml:"image" doc:"The images that the rule is about."`
	When        *Condition `yaml:"when" doc:"A condition in CEL that must hold as well. It may use finding, gap or feed (the subject), image, now, and the severities unknown to critical."`
	Grace       *Grace     `yaml:"grace" doc:"How long after its fix appeared a finding is only warned of: one time for all (7d), or one for each severity."`
	Message     string     `yaml:"message" doc:"A sentence for the person whose build stops."`
	Fix         string     `yaml:"fix" doc:"What to do about it, where no newer version does."`
}

// Finding selects findings. An absent field selects all.
type Finding struct {
	Pos
	Kinds      []Kind     `yaml:"kinds" doc:"Kinds of finding."`
	IDs        Patterns   `yaml:"ids" doc:"Ids or aliases; * stands for any text."`
	Severity   Severities `yaml:"severity" doc:"A severity, or a comparison with one."`
	Score      *Compare   `yaml:"score" doc:"A comparison with the CVSS base score."`
	EPSS       *Compare   `yaml:"epss" doc:"A comparison with the probability of exploitation (0 to 1); a finding without one does not match."`
	Exploited  *bool      `yaml:"exploited" doc:"Listed by CISA as exploited."`
	Ransomware *bool      `yaml:"ransomware" doc:"Listed by CISA as used for ransom."`
	Fixed      *bool      `yaml:"fixed" doc:"A version without the flaw exists."`
	Origin     []Origin   `yaml:"origin" doc:"Whose layer it is in."`
	Reach      []Reach    `yaml:"reach" doc:"Whether the vulnerable code is linked into what runs."`
	Deleted    *bool      `yaml:"deleted" doc:"Removed by a higher layer, and still in the image."`
	Types      Patterns   `yaml:"types" doc:"Types of package: deb, npm, golang, …"`
	Packages   Patterns   `yaml:"packages" doc:"Names of packages; * stands for any text."`
	Paths      Patterns   `yaml:"paths" doc:"Paths in the image; * stands for any text, slashes included."`
}

// Gap selects gaps.
type Gap struct {
	Pos
	Scopes []Scope  `yaml:"scopes" doc:"How much the gap hides: item, file, feed, system (all packages of one kind) or layer."`
	What   Patterns `yaml:"what" doc:"What was not examined; * stands for any text."`
	Paths  Patterns `yaml:"paths" doc:"Paths in the image."`
}

// Feed selects advisory sources.
type Feed struct {
	Pos
	Names     Patterns `yaml:"names" doc:"Names of sources, such as osv/npm."`
	OlderThan *Span    `yaml:"olderThan" doc:"The source last said something longer ago than this. A source without a date is older."`
}

// Image selects images.
type Image struct {
	Pos
	Refs          Patterns `yaml:"refs" doc:"Names of images, with or without tag; * stands for any text, slashes included."`
	Distros       Patterns `yaml:"distros" doc:"Distributions as id:version, such as debian:11."`
	Root          *bool    `yaml:"root" doc:"Starts as root."`
	EndOfLife     *bool    `yaml:"endOfLife" doc:"The distribution gives no more security fixes."`
	OlderThan     *Span    `yaml:"olderThan" doc:"Built longer ago than this. An image without a date is older."`
	MissingLabels []string `yaml:"missingLabels" doc:"At least one of these labels is absent."`
}

// Limits of a policy.
const (
	maxRules = 500
	maxName  = 64
)

// Parse reads a policy. Its error joins one *Error for each thing wrong, in
// the order of the file.
func Parse(file string, data []byte) (*Policy, error) {
	p := &Policy{File: file, Digest: digest(data)}
	r := yamlread.New(file)
	r.Read(data, p)
	if r.OK() {
		p.check(r)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// With adds the exceptions of separate files. The digest then covers them:
// the same digest is the same decision. An exception for a rule that the
// policy does not have is an error, as in Parse: it would change nothing, and
// its owner would learn so when a release stops.
func (p *Policy) With(files ...*Exceptions) (*Policy, error) {
	q := *p
	q.Exceptions = slices.Clone(p.Exceptions)
	var errs []error
	for _, f := range files {
		r := yamlread.New(f.File)
		for i := range f.Exceptions {
			p.checkRule(r, &f.Exceptions[i])
		}
		errs = append(errs, r.Err())
		q.Exceptions = append(q.Exceptions, f.Exceptions...)
		q.Digest = digest([]byte(q.Digest + "\n" + f.Digest))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &q, nil
}

// checkRule says which exception is for a rule that there is not.
func (p *Policy) checkRule(r *yamlread.Reader, e *Exception) {
	if e.Rule == "" || slices.ContainsFunc(p.Rules, func(rule Rule) bool { return rule.Name == e.Rule }) {
		return
	}
	names := make([]string, len(p.Rules))
	for i := range p.Rules {
		names[i] = p.Rules[i].Name
	}
	r.Fail(e.Pos, fmt.Sprintf("policy %s has no rule %q", p.Name, yamlread.Clip(e.Rule, maxName)), yamlread.DidYouMean(e.Rule, names))
}

func digest(data []byte) esclusa.Digest {
	sum := sha256.Sum256(data)
	return esclusa.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (p *Policy) check(r *yamlread.Reader) {
	r.Name(p.Pos, "the policy", p.Name)
	if len(p.Rules) > maxRules {
		r.Fail(p.Pos, fmt.Sprintf("%d rules; at most %d are read", len(p.Rules), maxRules), "")
		return
	}
	if len(p.Rules) == 0 {
		r.Fail(p.Pos, "a policy without rules lets everything pass", "write a rule, or leave the file out: the built-in policy is used then")
	}
	seen := map[string]Pos{}
	env := conditions()
	for i := range p.Rules {
		rule := &p.Rules[i]
		if at, ok := seen[rule.Name]; ok {
			r.Fail(rule.Pos, fmt.Sprintf("a second rule %q", rule.Name), fmt.Sprintf("the first stands in line %d; exceptions name rules, so each name is used once", at.Line))
		}
		seen[rule.Name] = rule.Pos
		rule.check(r, env)
	}
	for i := range p.Exceptions {
		e := &p.Exceptions[i]
		e.check(r)
		p.checkRule(r, e)
	}
}

// Subject is what a rule looks at one by one.
func (r *Rule) Subject() string {
	switch {
	case r.Finding != nil:
		return "finding"
	case r.Gap != nil:
		return "gap"
	case r.Feed != nil:
		return "feed"
	}
	return "image"
}

func (rule *Rule) check(r *yamlread.Reader, env *expr.Env) {
	r.Name(rule.Pos, "the rule", rule.Name)
	what := "rule " + rule.Name
	subjects := 0
	for _, set := range []bool{rule.Finding != nil, rule.Gap != nil, rule.Feed != nil} {
		if set {
			subjects++
		}
	}
	switch {
	case subjects > 1:
		r.Fail(rule.Pos, what+" looks at more than one of finding, gap and feed", "write one rule for each")
	case subjects == 0 && rule.Image == nil:
		r.Fail(rule.Pos, what+" does not say what it looks at", "add finding, gap, feed or image; finding: {} looks at every finding")
	}
	if rule.Grace != nil && rule.Finding == nil {
		r.Fail(rule.Pos, what+" has a grace period and no finding", "grace counts from the day that a finding's fix appeared")
	}
	if f := rule.Feed; f != nil && f.OlderThan == nil && rule.When == nil {
		r.Fail(f.Pos, what+" does not say which state of a feed is wrong", "add olderThan, such as 7d")
	}
	if rule.Image != nil && subjects == 0 && rule.When == nil && reflect.DeepEqual(rule.Image, &Image{Pos: rule.Image.Pos}) {
		r.Fail(rule.Image.Pos, what+" would match every image", "add a field to image, or a condition in when")
	}
	if len(rule.Message) > 300 || len(rule.Fix) > 200 {
		r.Fail(rule.Pos, what+" says too much", "a message has at most 300 bytes, a fix 200")
	}
	if rule.When != nil {
		rule.When.compile(r, env, rule.Subject())
	}
}
