package policy

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/expr"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Condition is a condition in CEL, compiled by Parse.
type Condition struct {
	yamlread.Passage
	prog *expr.Program
}

func (c *Condition) compile(r *yamlread.Reader, env *expr.Env, subject string) {
	prog, err := env.Compile(c.Text)
	if err != nil {
		line, column, msg := 1, 1, err.Error()
		var e *expr.Error
		if errors.As(err, &e) {
			line, column, msg = e.Line, e.Column, e.Message
		}
		r.Fail(c.At(line, column), "when: "+msg, hint(msg))
		return
	}
	for _, name := range subjects {
		if name != subject && name != "image" && prog.Uses(name) {
			r.Fail(c.At(1, 1), "when: this rule looks at one "+subject+" after another; "+name+" is not known here", "")
		}
	}
	c.prog = prog
}

// Eval runs the condition; an error means that it could not be answered.
func (c *Condition) Eval(s *Subject) (bool, error) { return c.prog.Eval(s) }

// hint helps with the mistakes that people make first.
func hint(msg string) string {
	switch {
	case strings.Contains(msg, "undefined field"):
		_, rest, _ := strings.Cut(msg, "undefined field '")
		name, _, _ := strings.Cut(rest, "'")
		var all []string
		for _, o := range []*expr.Object{findingFacts(), imageFacts(), gapFacts(), feedFacts()} {
			all = append(all, o.FieldNames()...)
		}
		if h := yamlread.DidYouMean(name, all); strings.HasPrefix(h, "did") {
			return h
		}
		return "the fields are listed in docs/gate.md"
	case strings.Contains(msg, "(int, string)"):
		return "severities are ordered words without quotes: finding.severity >= high"
	case strings.Contains(msg, "(duration, string)"), strings.Contains(msg, "(duration, int)"):
		return `write a length of time as duration("168h")`
	}
	return ""
}

// Subject is what one evaluation looks at: the image, the time, and one
// finding, gap or feed (the others are nil).
type Subject struct {
	Image   *esclusa.Image
	Finding *esclusa.Finding
	Gap     *esclusa.Gap
	Feed    *esclusa.Feed
	Now     time.Time
}

// Value implements expr.Vars.
func (s *Subject) Value(name string) (any, bool) {
	switch name {
	case "finding", "image", "gap", "feed":
		return s, true
	case "now":
		return s.Now, true
	}
	return nil, false
}

var subjects = []string{"finding", "gap", "feed", "image"}

// conditions is the one environment of all conditions. It costs nothing until
// the first condition is compiled.
var conditions = sync.OnceValue(func() *expr.Env {
	decls := []expr.Decl{
		expr.Var("finding", findingFacts()), expr.Var("image", imageFacts()),
		expr.Var("gap", gapFacts()), expr.Var("feed", feedFacts()), expr.Time("now"),
	}
	for i, w := range severityWords {
		decls = append(decls, expr.Const(w, int64(i)))
	}
	return expr.New(decls...)
})

// long is the age of what has no date: unknown counts as old.
const long = 36500 * day

func age(now, since time.Time) time.Duration {
	if since.IsZero() {
		return long
	}
	return max(0, now.Sub(since))
}

func findingFacts() *expr.Object {
	type S = Subject
	fix := func(s *S) esclusa.Fix {
		if s.Finding.Fix == nil {
			return esclusa.Fix{}
		}
		return *s.Finding.Fix
	}
	pkg := func(s *S) *esclusa.Package {
		if s.Finding.Package == nil {
			return &esclusa.Package{}
		}
		return s.Finding.Package
	}
	self := func(s *S) *S { return s }
	fixFacts := expr.NewObject("fix", expr.Fields{
		"version": expr.String(func(s *S) string { return fix(s).Version }),
		"command": expr.String(func(s *S) string { return fix(s).Command }),
		"since":   expr.When(func(s *S) time.Time { return fix(s).Since }),
		"age": expr.Age(func(s *S) time.Duration {
			if s.Finding.Fix == nil {
				return 0
			}
			return age(s.Now, s.Finding.Fix.Since)
		}),
	})
	pkgFacts := expr.NewObject("package", expr.Fields{
		"type":    expr.String(func(s *S) string { return pkg(s).Type }),
		"name":    expr.String(func(s *S) string { return pkg(s).Name }),
		"version": expr.String(func(s *S) string { return pkg(s).Version }),
		"source":  expr.String(func(s *S) string { return pkg(s).SourceName() }),
		"distro":  expr.String(func(s *S) string { return pkg(s).Distro }),
		"purl":    expr.String(func(s *S) string { return pkg(s).PURL }),
		"dev":     expr.Bool(func(s *S) bool { return pkg(s).Dev }),
	})
	return expr.NewObject("finding", expr.Fields{
		"kind":       expr.String(func(s *S) string { return string(s.Finding.Kind) }),
		"id":         expr.String(func(s *S) string { return s.Finding.ID }),
		"aliases":    expr.Strings(func(s *S) []string { return s.Finding.Aliases }),
		"severity":   expr.Int(func(s *S) int64 { return int64(s.Finding.Severity) }),
		"score":      expr.Number(func(s *S) float64 { return s.Finding.Score }),
		"kev":        expr.Bool(func(s *S) bool { return s.Finding.KEV != nil }),
		"ransomware": expr.Bool(func(s *S) bool { return s.Finding.KEV != nil && s.Finding.KEV.Ransomware }),
		"epss":       expr.Number(func(s *S) float64 { return s.Finding.EPSS }),
		"fixed":      expr.Bool(func(s *S) bool { return Fixed(s.Finding) }),
		"fix":        expr.Inner(fixFacts, self),
		"age":        expr.Age(func(s *S) time.Duration { return age(s.Now, s.Finding.Published) }),
		"reach":      expr.String(func(s *S) string { return string(s.Finding.Reach) }),
		"origin":     expr.String(func(s *S) string { return string(s.Finding.Origin) }),
		"deleted":    expr.Bool(func(s *S) bool { return s.Finding.Deleted }),
		"package":    expr.Inner(pkgFacts, self),
		"path":       expr.String(func(s *S) string { return s.Finding.Path }),
		"layer":      expr.String(func(s *S) string { return string(s.Finding.Layer) }),
		"title":      expr.String(func(s *S) string { return s.Finding.Title }),
	})
}

// Fixed says whether there is something to install that ends the finding.
func Fixed(f *esclusa.Finding) bool {
	return f.Fix != nil && (f.Fix.Version != "" || f.Fix.Command != "")
}

func imageFacts() *expr.Object {
	type S = Subject
	distro := expr.NewObject("distro", expr.Fields{
		"id":        expr.String(func(s *S) string { return s.Image.Distro.ID }),
		"version":   expr.String(func(s *S) string { return s.Image.Distro.Version }),
		"endOfLife": expr.Bool(func(s *S) bool { return EndOfLife(s.Image, s.Now) }),
	})
	return expr.NewObject("image", expr.Fields{
		"ref":      expr.String(func(s *S) string { return s.Image.Ref }),
		"digest":   expr.String(func(s *S) string { return string(s.Image.Digest) }),
		"kind":     expr.String(func(s *S) string { return string(s.Image.Kind) }),
		"platform": expr.String(func(s *S) string { return s.Image.Platform }),
		"tags":     expr.Strings(func(s *S) []string { return s.Image.Tags }),
		"age":      expr.Age(func(s *S) time.Duration { return age(s.Now, s.Image.Created) }),
		"distro":   expr.Inner(distro, func(s *S) *S { return s }),
		"user":     expr.String(func(s *S) string { return s.Image.Config.User }),
		"root":     expr.Bool(func(s *S) bool { return Root(s.Image) }),
		"labels":   expr.Map(func(s *S) map[string]string { return s.Image.Config.Labels }),
		"ports":    expr.Strings(func(s *S) []string { return s.Image.Config.ExposedPorts }),
		"base":     expr.String(func(s *S) string { return s.Image.BaseName }),
		"layers":   expr.Int(func(s *S) int64 { return int64(len(s.Image.Layers)) }),
	})
}

// EndOfLife says whether the image's distribution has ended. Where the end is
// not known it says no: the scan reports what it cannot tell as a gap.
func EndOfLife(img *esclusa.Image, now time.Time) bool {
	eol := img.Distro.EndOfLife
	return !eol.IsZero() && now.After(eol.Add(day))
}

// Root says whether the image starts as root: an image without a user does. A
// folder or an SBOM does not start.
func Root(img *esclusa.Image) bool {
	if img.Kind != "" && img.Kind != esclusa.TargetImage {
		return false
	}
	user, _, _ := strings.Cut(img.Config.User, ":")
	user = strings.TrimSpace(user)
	return user == "" || user == "root" || strings.Trim(user, "0") == ""
}

func gapFacts() *expr.Object {
	type S = Subject
	return expr.NewObject("gap", expr.Fields{
		"scope": expr.String(func(s *S) string { return string(s.Gap.Scope) }),
		"what":  expr.String(func(s *S) string { return s.Gap.What }),
		"err":   expr.String(func(s *S) string { return s.Gap.Err }),
		"path":  expr.String(func(s *S) string { return s.Gap.Path }),
		"layer": expr.String(func(s *S) string { return string(s.Gap.Layer) }),
	})
}

func feedFacts() *expr.Object {
	type S = Subject
	return expr.NewObject("feed", expr.Fields{
		"name":    expr.String(func(s *S) string { return s.Feed.Name }),
		"age":     expr.Age(func(s *S) time.Duration { return age(s.Now, s.Feed.Date) }),
		"fetched": expr.Age(func(s *S) time.Duration { return age(s.Now, s.Feed.Fetched) }),
		"records": expr.Int(func(s *S) int64 { return int64(s.Feed.Records) }),
		"skipped": expr.Int(func(s *S) int64 { return int64(s.Feed.Skipped) }),
	})
}
