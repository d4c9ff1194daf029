package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/watch/fields"
	"github.com/esclusa/esclusa/internal/yamlread"
	"github.com/goccy/go-yaml/ast"
)

// Exception is a lawful case that a rule's author knows: a condition, or
// fields with the values that they must have.
type Exception struct {
	yamlread.Pos
	Name  string    `yaml:"name,required" doc:"Name of the case."`
	When  Condition `yaml:"when" doc:"A condition in CEL."`
	Match Match     `yaml:"match" doc:"Fields with a value or a list of values, all of which must fit; * stands for any text."`
}

// Grant is an exception of a user's own, beside the rules: it has an owner, a
// reason and an end.
type Grant struct {
	yamlread.Pos
	Rule    string    `yaml:"rule,required" doc:"Name of the rule that is silent for it."`
	When    Condition `yaml:"when" doc:"A condition in CEL."`
	Match   Match     `yaml:"match" doc:"Fields with a value or a list of values, all of which must fit; * stands for any text."`
	Owner   string    `yaml:"owner,required" doc:"Who answers for the exception."`
	Reason  string    `yaml:"reason,required" doc:"Why it is needed."`
	Expires Day       `yaml:"expires,required" doc:"The last day it counts (UTC)."`
}

// Grants is a file of exceptions.
type Grants struct {
	yamlread.Pos
	Exceptions []Grant `yaml:"exceptions,required" doc:"What rules are silent for, for a time."`
}

// Day is a day in UTC.
type Day struct{ time.Time }

// DecodeText implements yamlread.Scalar.
func (d *Day) DecodeText(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		return yamlread.Hinted{Msg: fmt.Sprintf("%q is not a day", yamlread.Clip(s, 20)), Hint: "write it as 2026-11-24"}
	}
	d.Time = t
	return nil
}

// Match is fields with the values that they may have.
type Match []pair

type pair struct {
	at     yamlread.Pos
	path   string
	values []string
}

const maxValues = 1000

// DecodeNode implements yamlread.Node.
func (m *Match) DecodeNode(r *yamlread.Reader, n ast.Node, what string) {
	entries, ok := r.Entries(n, what)
	if !ok {
		return
	}
	for _, e := range entries {
		p := pair{at: yamlread.PosOf(e.Key), path: yamlread.Key(e)}
		nodes := []ast.Node{e.Value}
		if s, many := e.Value.(*ast.SequenceNode); many {
			nodes = s.Values
		}
		if len(nodes) == 0 || len(nodes) > maxValues {
			r.Fail(p.at, fmt.Sprintf("%s has %d values; it needs 1 to %d", p.path, len(nodes), maxValues), "")
			return
		}
		for _, v := range nodes {
			if s, ok := r.Text(v, p.path); ok {
				p.values = append(p.values, s)
			}
		}
		*m = append(*m, p)
	}
}

// source is the match as a condition: so it is checked and run like one.
func (m Match) source(r *yamlread.Reader, l *Language) string {
	var all []string
	for _, p := range m {
		f := l.table[p.path]
		if f == nil || f.Type > fields.List {
			r.Fail(p.at, fmt.Sprintf("match: there is no field %q that can be compared", yamlread.Clip(p.path, 40)), yamlread.DidYouMean(p.path, l.table.Paths()))
			return "false"
		}
		var either []string
		for _, v := range p.values {
			src, err := comparison(f, v)
			if err != nil {
				r.FailErr(p.at, fmt.Errorf("match: %s: %w", p.path, err))
			}
			either = append(either, src)
		}
		all = append(all, "("+strings.Join(either, " || ")+")")
	}
	return strings.Join(all, " && ")
}

// comparison is one field and one value in CEL.
func comparison(f *fields.Field, v string) (string, error) {
	quoted := strconv.QuoteToASCII(strings.ToValidUTF8(v, ""))
	glob := strings.Contains(v, "*")
	if glob {
		parts := strings.Split(v, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		quoted = strconv.QuoteToASCII("^(?s:" + strings.Join(parts, ".*") + ")$")
	}
	switch {
	case f.Type == fields.Number:
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return "", fmt.Errorf("%q is not a number", yamlread.Clip(v, 20))
		}
		return f.Path + " == " + v, nil
	case f.Type == fields.Bool:
		if v != "true" && v != "false" {
			return "", fmt.Errorf("%q is not true or false", yamlread.Clip(v, 20))
		}
		return f.Path + " == " + v, nil
	case f.Type == fields.List && glob:
		return f.Path + ".exists(x, x.matches(" + quoted + "))", nil
	case f.Type == fields.List:
		return quoted + " in " + f.Path, nil
	case glob:
		return f.Path + ".matches(" + quoted + ")", nil
	}
	return f.Path + " == " + quoted, nil
}

func (x *Exception) compile(r *yamlread.Reader, l *Language, kinds []esclusa.EventKind) {
	compileException(r, l, kinds, x.Pos, &x.When, x.Match)
}

func compileException(r *yamlread.Reader, l *Language, kinds []esclusa.EventKind, at yamlread.Pos, when *Condition, match Match) {
	switch {
	case (when.Text == "") == (len(match) == 0):
		r.Fail(at, "an exception needs one of when and match", "")
		return
	case when.Text == "":
		when.Pos, when.Text = at, match.source(r, l)
	}
	when.Compile(r, l, "exception", kinds)
}

// grant reads a file of exceptions and gives each to its rule.
func (s *Set) grant(l *Language, f File) error {
	r := yamlread.New(f.Name)
	var g Grants
	r.Read(f.Data, &g)
	if !r.OK() {
		return r.Err()
	}
	for i := range g.Exceptions {
		x := &g.Exceptions[i]
		n := s.entry(x.Rule)
		if n == nil {
			var names []string
			for _, n := range s.entries {
				names = append(names, n.rule.Name)
			}
			r.Fail(x.Pos, fmt.Sprintf("there is no rule %q", yamlread.Clip(x.Rule, 40)), yamlread.DidYouMean(x.Rule, names))
			continue
		}
		if x.Owner == "" || x.Reason == "" || len(x.Owner) > 300 || len(x.Reason) > 300 {
			r.Fail(x.Pos, "owner and reason need 1 to 300 bytes", "")
		}
		compileException(r, l, n.rule.kinds(), x.Pos, &x.When, x.Match)
		n.grants = append(n.grants, *x)
	}
	return r.Err()
}

// Covers says whether the exception is about the event, at the time of the
// event.
func (g *Grant) Covers(e *esclusa.Event) (bool, error) {
	if !e.At.Before(g.Expires.AddDate(0, 0, 1)) {
		return false, nil
	}
	return g.When.Holds(e)
}

// excepted says whether an exception of the rule, or one granted to it, is
// about the event. An exception that cannot be answered is none.
func (n *entry) excepted(e *esclusa.Event) (bool, error) {
	var errs []error
	for i := range n.rule.Exceptions {
		ok, err := n.rule.Exceptions[i].When.Holds(e)
		if ok {
			return true, nil
		}
		errs = append(errs, err)
	}
	for i := range n.grants {
		ok, err := n.grants[i].Covers(e)
		if ok {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(slices.DeleteFunc(errs, func(e error) bool { return e == nil })...)
}
