package policy

import (
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// MaxException is the longest life of an exception. What is still needed
// after it is looked at again by a person.
const MaxException = 90 * day

// Exception lets something pass in spite of a rule, for a time. All scopes
// that are given must fit.
type Exception struct {
	Pos
	ID      Pattern  `yaml:"id" doc:"Id or alias of the finding; * stands for any text."`
	IDs     Patterns `yaml:"ids" doc:"Ids, any of which fits."`
	Package Pattern  `yaml:"package" doc:"Name of the package."`
	Version Pattern  `yaml:"version" doc:"Version of the package."`
	Path    Pattern  `yaml:"path" doc:"Path in the image; * stands for any text, slashes included."`
	Gap     Pattern  `yaml:"gap" doc:"What was not examined, as the gap names it."`
	Feed    Pattern  `yaml:"feed" doc:"Name of the advisory source."`
	Rule    string   `yaml:"rule" doc:"Name of the rule that no longer counts; without it, every rule."`
	Image   Pattern  `yaml:"image" doc:"Name of the image, with or without tag; without it, every image."`
	Owner   string   `yaml:"owner,required" doc:"Who answers for the exception."`
	Reason  string   `yaml:"reason,required" doc:"Why it is needed."`
	Created *Date    `yaml:"created,required" doc:"The day it was granted."`
	Expires *Date    `yaml:"expires,required" doc:"The last day it counts (UTC), at most 90 days after created."`
}

// Exceptions is a file of exceptions beside the policy.
type Exceptions struct {
	Pos
	Exceptions []Exception `yaml:"exceptions,required" doc:"What passes in spite of a rule, for a time."`

	File   string
	Digest esclusa.Digest
}

// ParseExceptions reads a file of exceptions. Its errors are those of Parse.
func ParseExceptions(file string, data []byte) (*Exceptions, error) {
	x := &Exceptions{File: file, Digest: digest(data)}
	r := yamlread.New(file)
	r.Read(data, x)
	if r.OK() {
		for i := range x.Exceptions {
			x.Exceptions[i].check(r)
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return x, nil
}

func (e *Exception) check(r *yamlread.Reader) {
	narrow := e.ID.literal() || e.Package.literal() || e.Path.literal() || e.Gap.literal() || e.Feed.literal()
	for _, id := range e.IDs {
		if !id.literal() {
			r.Fail(e.Pos, fmt.Sprintf("the id %q fits everything", yamlread.Clip(string(id), 20)), "")
		}
		narrow = true
	}
	if !narrow && !(e.Rule != "" && e.Image.literal()) {
		r.Fail(e.Pos, "the exception does not say what it is for",
			"add id, package or path (more than *); for a rule about images, both rule and image")
	}
	for what, s := range map[string]string{"owner": e.Owner, "reason": e.Reason} {
		if len(s) > 300 || len(s) == 0 {
			r.Fail(e.Pos, fmt.Sprintf("the %s has %d bytes; it needs 1 to 300", what, len(s)), "")
		}
	}
	switch life := e.Expires.Sub(e.Created.Time); {
	case life < 0:
		r.Fail(e.Pos, "the exception expires before it was created", "")
	case life > MaxException:
		r.Fail(e.Pos, fmt.Sprintf("the exception lives %d days", life/day),
			fmt.Sprintf("at most 90: expires on %s or before", e.Created.Add(MaxException).Format(time.DateOnly)))
	}
}

// State says whether an exception counts at a time.
type State int

// The states.
const (
	Early   State = iota // created is still to come
	Active               // counts
	Expired              // counts no more
)

// At gives the state. A created date may be up to one day ahead: somewhere it
// is already tomorrow.
func (e *Exception) At(now time.Time) State {
	switch {
	case !now.Before(e.Expires.End()):
		return Expired
	case now.Add(day).Before(e.Created.Time):
		return Early
	}
	return Active
}

// Fits says whether the exception is about this match of a rule: the rule's
// name, the image, and the finding, gap or feed (the others are nil).
func (e *Exception) Fits(rule string, s *Subject) bool {
	if e.Rule != "" && e.Rule != rule || e.Image != "" && !e.Image.matchImage(s.Image) {
		return false
	}
	switch {
	case s.Finding != nil:
		return e.fitsFinding(s.Finding)
	case s.Gap != nil:
		return e.ID == "" && e.IDs == nil && e.Package == "" && e.Version == "" && e.Feed == "" &&
			(e.Gap == "" || e.Gap.Match(s.Gap.What)) && (e.Path == "" || e.Path.Match(s.Gap.Path))
	case s.Feed != nil:
		return e.ID == "" && e.IDs == nil && e.Package == "" && e.Version == "" && e.Path == "" && e.Gap == "" &&
			(e.Feed == "" || e.Feed.Match(s.Feed.Name))
	}
	return e.Rule != "" && e.ID == "" && e.IDs == nil && e.Package == "" && e.Version == "" &&
		e.Path == "" && e.Gap == "" && e.Feed == ""
}

func (e *Exception) fitsFinding(f *esclusa.Finding) bool {
	if e.Gap != "" || e.Feed != "" {
		return false
	}
	if e.ID != "" && !(Patterns{e.ID}).MatchID(f) || len(e.IDs) > 0 && !e.IDs.MatchID(f) {
		return false
	}
	if e.Package != "" && (f.Package == nil || !e.Package.Match(f.Package.Name) && !e.Package.Match(f.Package.SourceName())) {
		return false
	}
	if e.Version != "" && (f.Package == nil || !e.Version.Match(f.Package.Version)) {
		return false
	}
	if e.ID == "" && len(e.IDs) == 0 && e.Package == "" && e.Path == "" {
		return false // rule and image alone are for rules about images
	}
	return e.Path == "" || e.Path.Match(f.Path) || f.Package != nil && f.Path == "" && e.Path.Match(f.Package.Path)
}

// String names the exception in a line: what it is for, its owner and end.
func (e *Exception) String() string {
	s := ""
	for _, part := range []struct{ key, val string }{
		{"id", string(e.ID)},
		{"package", string(e.Package)},
		{"version", string(e.Version)},
		{"path", string(e.Path)},
		{"gap", string(e.Gap)},
		{"feed", string(e.Feed)},
		{"rule", e.Rule},
		{"image", string(e.Image)},
	} {
		if part.val != "" {
			s += part.key + " " + part.val + ", "
		}
	}
	for _, id := range e.IDs {
		s += "id " + string(id) + ", "
	}
	return fmt.Sprintf("%sowner %s, expires %s", s, e.Owner, e.Expires.Format(time.DateOnly))
}
