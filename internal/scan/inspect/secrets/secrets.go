// Package secrets finds credentials in the text of an image: keys and tokens
// by their form, passwords by the names they are assigned to, and the files
// that exist to hold them. Rules are YAML in content/secrets.
//
// It never prints a secret (evidence is masked), never asks a service whether
// a key works, and never runs an expression over a whole file: only around
// the keywords that the shared search found. Binaries are not read.
//
// Start with Reader.Read, then rules.go and candidate.go.
package secrets

import (
	"errors"
	"fmt"
	"sync"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

const (
	maxSize     = 10 << 20
	maxFindings = 100
	// maxTries bounds the expressions run on one file, with a share for its
	// size: an ordinary file needs a few per kilobyte.
	maxTries = 20_000
)

// builtin is read once, when the first scan asks for literals.
var builtin = sync.OnceValue(func() *ruleSet { return index(content.Secrets) })

// Reader is the layer.Searcher of secrets.
type Reader struct{}

// Spec claims every text and the key stores that are not text.
func (Reader) Spec() layer.Spec {
	return layer.Spec{
		Name:    "secrets",
		Version: 2,
		Claims: []layer.Claim{
			{Text: true},
			{Suffix: ".p12", Always: true},
			{Suffix: ".pfx", Always: true},
		},
		MaxSize: maxSize,
		Skim:    true,
	}
}

// Literals are the keywords of all rules.
func (Reader) Literals() []layer.Literal { return builtin().literals }

// Choose leaves out the literals of rules that say nothing of a place.
func (Reader) Choose(path string, _ int) layer.Choice {
	switch placeOf(path) {
	case documentation:
		return layer.None
	case thirdParty:
		return layer.WideOnly
	}
	return layer.Every
}

// Read looks around every hit. The error joins rules that could not be
// prepared; what the others found is returned with it.
func (Reader) Read(f *layer.File) (layer.Result, error) {
	at := placeOf(f.Path)
	if at == documentation {
		return layer.Result{}, nil
	}
	s := search{file: f, rules: builtin(), at: at, left: maxTries + len(f.Data)/32}
	var errs []error
	for _, i := range s.rules.always {
		errs = append(errs, s.try(i, 0, 0))
	}
	for _, h := range f.Hits {
		if h.Literal >= len(s.rules.byLiteral) {
			continue
		}
		start := h.End - len(s.rules.literals[h.Literal].Bytes)
		for _, i := range s.rules.byLiteral[h.Literal] {
			if err := s.try(i, start, h.End); err != nil {
				errs = append(errs, err)
			}
		}
		if s.left <= 0 {
			break
		}
	}
	return s.result(), errors.Join(errs...)
}

// result turns candidates into findings, in the order of the file.
func (s *search) result() layer.Result {
	var res layer.Result
	kept := best(s.found)
	cut := len(kept) > maxFindings
	kept = kept[:min(len(kept), maxFindings)]
	line, at := 1, 0
	for _, c := range kept {
		for ; at < c.start; at++ {
			if s.file.Data[at] == '\n' {
				line++
			}
		}
		res.Findings = append(res.Findings, c.finding(s.file, line))
	}
	switch {
	case cut:
		res.Gaps = append(res.Gaps, s.gap(fmt.Sprintf("more than %d secrets in one file", maxFindings)))
	case s.left <= 0:
		res.Gaps = append(res.Gaps, s.gap("too many places that look like secrets"))
	}
	return res
}

func (s *search) gap(why string) esclusa.Gap {
	return esclusa.Gap{
		Scope: esclusa.GapFile,
		Place: esclusa.Place{Path: s.file.Path},
		What:  "rest of the secrets",
		Err:   why,
		Hint:  "look at the file: it may be a list of keys or a test corpus",
	}
}

func (c *candidate) finding(f *layer.File, line int) esclusa.Finding {
	evidence := mask(string(f.Data[c.start:c.end]))
	if c.note != "" {
		evidence += ", " + c.note
	}
	if c.rule.Detect == "file" {
		evidence, line = "key store", 0
	}
	return esclusa.Finding{
		Kind:     esclusa.KindSecret,
		ID:       "secret/" + c.rule.ID,
		Severity: c.severity,
		Title:    c.rule.Title,
		Place:    esclusa.Place{Path: f.Path, Line: line},
		EPSS:     -1,
		Evidence: evidence,
		Advice:   c.rule.Rotate + " Deleting the file does not end it: older layers and commits still hold it.",
	}
}
