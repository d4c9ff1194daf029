// Package vex reads what suppliers say about flaws in their products: VEX
// documents in the forms OpenVEX (0.0.1 and 0.2.0) and CSAF 2.0.
//
// It never widens a statement: one whose product, status or reason cannot be
// read exactly is left out and becomes a Gap, because a statement that
// applies too widely hides a flaw, and one that is missing does not.
//
// Start with Parse.
package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
)

// Limits: Red Hat's largest documents have 3 MB and some thousand products.
const (
	maxSize     = 64 << 20
	maxProducts = 1_000_000 // in all statements of a document
	maxNesting  = 64
)

// Parse reads one document. Name says where it is from and goes into every
// statement. An error says that nothing of it can be used; what is left out
// of a document that can be used is in the gaps.
func Parse(name string, text []byte) ([]match.Statement, []esclusa.Gap, error) {
	if len(text) > maxSize {
		return nil, nil, fmt.Errorf("vex document %s: %d bytes", name, len(text))
	}
	var kind struct {
		Context  string `json:"@context"`
		Document struct {
			CSAF string `json:"csaf_version"`
		} `json:"document"`
	}
	// Only the kind is asked here; wrong types elsewhere are found later.
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, nil, fmt.Errorf("vex document %s: %w", name, err)
	}
	d := document{name: name, left: maxProducts}
	var err error
	switch {
	case isOpenVEX(kind.Context):
		err = d.openVEX(text)
	case kind.Document.CSAF != "":
		err = d.csaf(text)
	default:
		err = errors.New("neither OpenVEX nor CSAF")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("vex document %s: %w", name, err)
	}
	return d.statements, d.gaps, nil
}

// document collects what is read of one document.
type document struct {
	name       string
	statements []match.Statement
	gaps       []esclusa.Gap
	left       int // products that may still come
}

var errTooBig = errors.New("too many products")

func (d *document) add(s match.Statement) error {
	d.left -= len(s.Products)
	for _, p := range s.Products {
		d.left -= len(p.Subcomponents)
	}
	if d.left < 0 {
		return errTooBig
	}
	s.Document = d.name
	d.statements = append(d.statements, s)
	return nil
}

// skip says that a statement is left out.
func (d *document) skip(what, why string) {
	d.gaps = append(d.gaps, esclusa.Gap{
		Scope: esclusa.GapItem, Place: esclusa.Place{Path: d.name},
		What: "VEX statement on " + what, Err: why,
	})
}

// justifications are those of the VEX minimum requirements; OpenVEX and CSAF
// have the same.
var justifications = map[string]bool{
	"component_not_present":                             true,
	"vulnerable_code_not_present":                       true,
	"vulnerable_code_not_in_execute_path":               true,
	"vulnerable_code_cannot_be_controlled_by_adversary": true,
	"inline_mitigations_already_exist":                  true,
}

// excused checks the reason without which "not affected" says nothing.
func excused(v *esclusa.VEXStatement) error {
	if v.Justification != "" && !justifications[v.Justification] {
		return fmt.Errorf("unknown justification %q", v.Justification)
	}
	if v.Status == esclusa.VEXNotAffected && v.Justification == "" && v.Statement == "" {
		return errors.New("not_affected without justification or impact statement")
	}
	return nil
}

// date is a time of RFC 3339; zero when it is not.
func date(texts ...string) time.Time {
	for _, s := range texts {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
