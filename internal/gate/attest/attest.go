// Package attest writes reports and verdicts as in-toto statements (version
// 1): JSON that says what was found, and what was decided, about one image
// digest. They are not signed here; who signs them wraps these bytes.
//
// A statement is about a digest and never about a name: without a digest
// there is nothing to attest. Start with Write.
package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// The types of the statement and of its predicates. Vulns is in-toto's own,
// version 0.2; VerdictV1 is ours.
const (
	StatementV1 = "https://in-toto.io/Statement/v1"
	Vulns       = "https://in-toto.io/attestation/vulns/v0.2"
	VerdictV1   = "https://esclusa.dev/verdict/v1"
)

// ErrNoDigest says that the image has no digest: it was a folder, an SBOM or
// a local archive, and a statement about it would be about nothing.
var ErrNoDigest = errors.New("the image has no digest to attest")

// statement is an in-toto Statement v1.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// vulns is the predicate of in-toto's vulnerability statements.
type vulns struct {
	Scanner  scanner  `json:"scanner"`
	Metadata metadata `json:"metadata"`
}

type scanner struct {
	URI     string `json:"uri"`
	Version string `json:"version,omitempty"`
	DB      db     `json:"db"`
	// Result is never null: an empty list says that nothing was found.
	Result []result `json:"result"`
}

type db struct {
	URI        string    `json:"uri,omitempty"`
	Version    string    `json:"version,omitempty"`
	LastUpdate time.Time `json:"lastUpdate"`
}

type result struct {
	ID          string           `json:"id"`
	Severity    []severity       `json:"severity"`
	Annotations []map[string]any `json:"annotations,omitempty"`
}

type severity struct {
	Method string `json:"method"`
	Score  string `json:"score"`
}

type metadata struct {
	Started  time.Time `json:"scanStartedOn"`
	Finished time.Time `json:"scanFinishedOn"`
	// Gaps are ours, as the specification's parsing rules let a producer
	// add fields: a result without its gaps would say "clean" too often.
	Gaps []esclusa.Gap `json:"https://esclusa.dev/gaps/v1,omitempty"`
}

// Write writes both statements of a run, one a line: the report's, then the
// verdict's.
func Write(w io.Writer, r *esclusa.Report, v *esclusa.Verdict) error {
	report, err := Report(r)
	if err != nil {
		return err
	}
	verdict, err := Verdict(v, r.Image.Ref)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(report, verdict...)); err != nil {
		return fmt.Errorf("write statements: %w", err)
	}
	return nil
}

// Report is a scan as a vulnerability statement. All kinds of findings are in
// it; what is no vulnerability says its kind in its annotations, and what VEX
// suppresses says so.
func Report(r *esclusa.Report) ([]byte, error) {
	tool, version, _ := strings.Cut(r.Start.Tool, " ")
	if tool == "" {
		tool = "esclusa"
	}
	p := vulns{
		Scanner: scanner{
			URI: "https://esclusa.dev/" + tool, Version: version, DB: advisories(r.Feeds),
			Result: make([]result, 0, len(r.Findings)),
		},
		Metadata: metadata{Started: r.Start.At.UTC(), Finished: r.Start.At.Add(r.End.Took).UTC(), Gaps: r.Gaps},
	}
	for i := range r.Findings {
		p.Scanner.Result = append(p.Scanner.Result, found(&r.Findings[i]))
	}
	return write(r.Image.Ref, r.Image.Digest, Vulns, p)
}

// advisories describes the feeds as one database, as old as its oldest part:
// the newest date would promise what the others do not hold.
func advisories(feeds []esclusa.Feed) db {
	d := db{URI: "https://esclusa.dev/advisories"}
	var names []string
	for i := range feeds {
		f := &feeds[i]
		if i == 0 || f.Date.Before(d.LastUpdate) {
			d.LastUpdate = f.Date.UTC()
		}
		names = append(names, f.Name+"="+f.Date.UTC().Format(time.RFC3339))
	}
	d.Version = strings.Join(names, " ")
	return d
}

func found(f *esclusa.Finding) result {
	r := result{ID: f.ID, Severity: []severity{{"esclusa", f.Severity.String()}}}
	if f.Score > 0 {
		r.Severity = append(r.Severity, severity{"cvss_score", strconv.FormatFloat(f.Score, 'f', 1, 64)})
	}
	if f.Vector != "" {
		r.Severity = append(r.Severity, severity{"cvss_vector", f.Vector})
	}
	if f.EPSS >= 0 && f.Kind == esclusa.KindVulnerability {
		r.Severity = append(r.Severity, severity{"epss", strconv.FormatFloat(f.EPSS, 'f', 5, 64)})
	}
	a := map[string]any{"kind": f.Kind}
	for key, val := range map[string]string{
		"path": f.Path, "layer": string(f.Layer), "origin": string(f.Origin), "reach": string(f.Reach), "advisory": f.Advisory,
	} {
		if val != "" {
			a[key] = val
		}
	}
	if len(f.Aliases) > 0 {
		a["aliases"] = f.Aliases
	}
	if p := f.Package; p != nil {
		a["package"] = map[string]string{"type": p.Type, "name": p.Name, "version": p.Version, "purl": p.PURL}
	}
	if f.Fix != nil && f.Fix.Version != "" {
		a["fixedIn"] = f.Fix.Version
	}
	if f.KEV != nil {
		a["exploited"] = true
	}
	if f.Deleted {
		a["deleted"] = true
	}
	if f.VEX != nil {
		a["vex"] = f.VEX.Status
	}
	r.Annotations = []map[string]any{a}
	return r
}

// Verdict is a gate's answer as a statement. The predicate is the verdict
// itself; ref names the image as the reader knows it and may be empty.
func Verdict(v *esclusa.Verdict, ref string) ([]byte, error) {
	return write(ref, v.Image, VerdictV1, v)
}

func write(name string, d esclusa.Digest, predicateType string, predicate any) ([]byte, error) {
	algorithm, hex, ok := strings.Cut(string(d), ":")
	if !ok || hex == "" || algorithm == "" {
		return nil, ErrNoDigest
	}
	b, err := json.Marshal(statement{
		Type: StatementV1, Subject: []subject{{name, map[string]string{algorithm: hex}}},
		PredicateType: predicateType, Predicate: predicate,
	})
	if err != nil {
		return nil, fmt.Errorf("write statement: %w", err)
	}
	return append(b, '\n'), nil
}
