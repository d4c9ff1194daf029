package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write what the golden files should hold")

var at = time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)

var digest = "sha256:" + esclusa.Digest(strings.Repeat("ab", 32))

func report() *esclusa.Report {
	return &esclusa.Report{
		Start: esclusa.Start{Tool: "esclusa 0.1.0", At: at},
		End:   esclusa.End{Took: 1500 * time.Millisecond},
		Image: esclusa.Image{Ref: "ghcr.io/acme/shop:1", Digest: digest},
		Feeds: []esclusa.Feed{{Name: "osv/npm", Date: at.Add(-time.Hour)}, {Name: "kev", Date: at.Add(-24 * time.Hour)}},
		Findings: []esclusa.Finding{
			{
				Kind: esclusa.KindVulnerability, ID: "CVE-2026-1", Aliases: []string{"GHSA-x"}, Severity: esclusa.SeverityCritical,
				Score: 9.8, Vector: "CVSS:3.1/AV:N", EPSS: 0.25, KEV: &esclusa.KEV{}, Fix: &esclusa.Fix{Version: "2"},
				Package: &esclusa.Package{Type: "npm", Name: "a", Version: "1", PURL: "pkg:npm/a@1"},
				VEX:     &esclusa.VEXStatement{Status: esclusa.VEXNotAffected},
			},
			{Kind: esclusa.KindSecret, ID: "secret/key", Severity: esclusa.SeverityHigh, Deleted: true, Place: esclusa.Place{Path: "app/.env"}},
		},
		Gaps: []esclusa.Gap{{Scope: esclusa.GapFile, What: "npm lock file", Err: "not JSON"}},
	}
}

func TestGolden(t *testing.T) {
	verdict := &esclusa.Verdict{
		Decision: esclusa.Deny, Image: digest, Policy: "default", PolicyDigest: "sha256:cd", At: at, Took: time.Second,
		Reasons: []esclusa.Reason{{Rule: "secret", Decision: esclusa.Deny, Message: "Secret.", Count: 1}},
	}
	for name, write := range map[string]func() ([]byte, error){
		"report.json":  func() ([]byte, error) { return Report(report()) },
		"verdict.json": func() ([]byte, error) { return Verdict(verdict, "ghcr.io/acme/shop:1") },
	} {
		got, err := write()
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(got, []byte("\n")); n != 1 || got[len(got)-1] != '\n' {
			t.Errorf("%s: %d lines", name, n)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, got, "", "  "); err != nil {
			t.Fatal(err)
		}
		got = pretty.Bytes()
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		var st struct {
			Subject []struct{ Digest map[string]string }
		}
		if err := json.Unmarshal(got, &st); err != nil || st.Subject[0].Digest["sha256"] != strings.Repeat("ab", 32) {
			t.Errorf("%s: subject %v, %v", name, st.Subject, err)
		}
	}
}

// required is what the specification of the vulns predicate 0.2 calls
// required.
const required = `{
 "required": ["_type", "subject", "predicateType", "predicate"],
 "properties": {
  "_type": {"const": "https://in-toto.io/Statement/v1"},
  "predicateType": {"const": "https://in-toto.io/attestation/vulns/v0.2"},
  "subject": {"type": "array", "minItems": 1, "items": {"required": ["digest"]}},
  "predicate": {"required": ["scanner", "metadata"], "properties": {
   "scanner": {"required": ["uri", "db", "result"], "properties": {
    "uri": {"type": "string"}, "db": {"required": ["lastUpdate"]},
    "result": {"type": "array", "items": {"required": ["id", "severity"], "properties": {
     "severity": {"type": "array", "minItems": 1, "items": {"required": ["method", "score"], "properties": {"score": {"type": "string"}}}},
     "annotations": {"type": "array", "items": {"type": "object"}}}}}}},
   "metadata": {"required": ["scanStartedOn", "scanFinishedOn"]}}}}}`

func TestReportHasWhatTheSpecificationRequires(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(required))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("vulns.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("vulns.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*esclusa.Report{"full": report(), "empty": {Image: esclusa.Image{Digest: digest}}} {
		b, err := Report(r)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The database is as old as its oldest part, and one without a date is oldest.
func TestLastUpdateIsTheOldest(t *testing.T) {
	r := report()
	if got := advisories(r.Feeds).LastUpdate; !got.Equal(at.Add(-24 * time.Hour)) {
		t.Errorf("got %s", got)
	}
	r.Feeds = append(r.Feeds, esclusa.Feed{Name: "unknown"})
	if got := advisories(r.Feeds).LastUpdate; !got.IsZero() {
		t.Errorf("got %s with a feed that has no date", got)
	}
}

func TestWriteIsOneStatementALine(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, report(), &esclusa.Verdict{Image: digest}); err != nil {
		t.Fatal(err)
	}
	var types []string
	for line := range bytes.Lines(out.Bytes()) {
		var st struct{ PredicateType string }
		if err := json.Unmarshal(line, &st); err != nil {
			t.Fatal(err)
		}
		types = append(types, st.PredicateType)
	}
	if d := cmp.Diff([]string{Vulns, VerdictV1}, types); d != "" {
		t.Error(d)
	}
	if err := Write(&out, report(), &esclusa.Verdict{}); !errors.Is(err, ErrNoDigest) {
		t.Errorf("got %v", err)
	}
}

func TestNoDigestNoStatement(t *testing.T) {
	for _, d := range []esclusa.Digest{"", "abc", "sha256:", ":abc"} {
		if _, err := Verdict(&esclusa.Verdict{Image: d}, "x"); !errors.Is(err, ErrNoDigest) {
			t.Errorf("%q: got %v", d, err)
		}
		if _, err := Report(&esclusa.Report{Image: esclusa.Image{Digest: d}}); !errors.Is(err, ErrNoDigest) {
			t.Errorf("%q: got %v", d, err)
		}
	}
}
