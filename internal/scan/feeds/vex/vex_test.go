package vex_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds/vex"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/truth"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

const openDoc = `{"@context":"https://openvex.dev/ns/v0.2.0","author":"A","timestamp":"2024-01-01T00:00:00Z","statements":[%s]}`

const csafDoc = `{"document":{"csaf_version":"2.0","publisher":{"name":"P"},"tracking":{"current_release_date":"2024-02-02T00:00:00Z","status":"final"}},
	"product_tree":{
	 "branches":[{"branches":[{"product":{"product_id":"LIB","product_identification_helper":{"purl":"pkg:deb/debian/lib@1.0"}}}]},
	  {"product":{"product_id":"IMG","product_identification_helper":{"purl":"pkg:oci/app@sha256%3Aab"}}},
	  {"product":{"product_id":"NEVRA","product_identification_helper":{"purl":"pkg:rpm/redhat/curl@1-2.el9?arch=src"}}},
	  {"product":{"product_id":"ANY","product_identification_helper":{"purl":"pkg:rpm/redhat/curl?arch=src"}}},
	  {"product":{"product_id":"RHEL9","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:9::appstream"}}},
	  {"product":{"product_id":"OCP","product_identification_helper":{"cpe":"cpe:/a:redhat:openshift:4"}}}],
	 "product_groups":[{"group_id":"G","product_ids":["LIB","IMG:LIB"]}],
	 "relationships":[
	  {"full_product_name":{"product_id":"IMG:LIB"},"product_reference":"LIB","relates_to_product_reference":"IMG"},
	  {"full_product_name":{"product_id":"RHEL9:NEVRA"},"product_reference":"NEVRA","relates_to_product_reference":"RHEL9"},
	  {"full_product_name":{"product_id":"RHEL9:ANY"},"product_reference":"ANY","relates_to_product_reference":"RHEL9"},
	  {"full_product_name":{"product_id":"OCP:ANY"},"product_reference":"ANY","relates_to_product_reference":"OCP"},
	  {"full_product_name":{"product_id":"LOOP"},"product_reference":"LOOP","relates_to_product_reference":"LOOP"}]},
	"vulnerabilities":[%s]}`

func TestParse(t *testing.T) {
	day1, day2 := at("2024-01-01T00:00:00Z"), at("2024-02-02T00:00:00Z")
	tests := []struct {
		name, text string
		want       []match.Statement
		gap        string // what one gap must say; "" for none
	}{
		{
			name: "openvex, all ways to name a product",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":{"name":"CVE-1","aliases":["GHSA-1"]},"status":"not_affected",
				"justification":"component_not_present","timestamp":"2024-02-02T00:00:00Z",
				"products":[{"@id":"pkg:npm/a@1","identifiers":{"purl":"pkg:npm/a@1.0"},"hashes":{"sha-256":"AB"},"subcomponents":[{"@id":"pkg:npm/b"}]}]}`, 1),
			want: []match.Statement{{
				VEXStatement:    esclusa.VEXStatement{Status: "not_affected", Justification: "component_not_present", Author: "A", At: day2, Document: "x.json"},
				Vulnerabilities: []string{"CVE-1", "GHSA-1"},
				Products: []match.Product{
					{ID: "pkg:npm/a@1", Subcomponents: []string{"pkg:npm/b"}},
					{ID: "pkg:npm/a@1.0", Subcomponents: []string{"pkg:npm/b"}},
					{ID: "sha256:ab", Subcomponents: []string{"pkg:npm/b"}},
				},
			}},
		},
		{
			name: "openvex 0.0.1",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"fixed","products":["pkg:npm/a@1"],"subcomponents":["pkg:npm/b"]}`, 1),
			want: []match.Statement{{
				VEXStatement:    esclusa.VEXStatement{Status: "fixed", Author: "A", At: day1, Document: "x.json"},
				Vulnerabilities: []string{"CVE-1"},
				Products:        []match.Product{{ID: "pkg:npm/a@1", Subcomponents: []string{"pkg:npm/b"}}},
			}},
		},
		{
			name: "not affected without a reason says nothing",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"not_affected","status_notes":"trust us","products":["pkg:npm/a@1"]}`, 1),
			gap:  "without justification",
		},
		{
			name: "unknown status",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"harmless","products":["pkg:npm/a@1"]}`, 1),
			gap:  `unknown status "harmless"`,
		},
		{
			name: "a subcomponent without name must not widen",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"fixed","products":[{"@id":"pkg:oci/a","subcomponents":[{}]}]}`, 1),
			want: []match.Statement{{
				VEXStatement:    esclusa.VEXStatement{Status: "fixed", Author: "A", At: day1, Document: "x.json"},
				Vulnerabilities: []string{"CVE-1"},
				Products:        []match.Product{{ID: "pkg:oci/a", Subcomponents: []string{"nameless"}}},
			}},
		},
		{
			name: "no product",
			text: strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"fixed"}`, 1),
			gap:  "no product",
		},
		{
			name: "csaf, group, image and reasons",
			text: strings.Replace(csafDoc, "%s", `{"cve":"CVE-2","product_status":{"known_not_affected":["LIB","IMG:LIB"],"fixed":["RHEL9:NEVRA"],"known_affected":["RHEL9:ANY"]},
				"flags":[{"label":"vulnerable_code_not_present","group_ids":["G"]}],"threats":[{"category":"impact","details":"cut out","product_ids":["LIB"]}],
				"remediations":[{"category":"vendor_fix","details":"update","product_ids":["RHEL9:ANY"]}]}`, 1),
			want: []match.Statement{
				{
					VEXStatement:    esclusa.VEXStatement{Status: "fixed", Author: "P", At: day2, Document: "x.json"},
					Vulnerabilities: []string{"CVE-2"},
					Products:        []match.Product{{ID: "pkg:rpm/redhat/curl@1-2.el9?arch=src"}},
				},
				{
					VEXStatement:    esclusa.VEXStatement{Status: "not_affected", Justification: "vulnerable_code_not_present", Statement: "cut out", Author: "P", At: day2, Document: "x.json"},
					Vulnerabilities: []string{"CVE-2"},
					Products:        []match.Product{{ID: "pkg:deb/debian/lib@1.0"}},
				},
				{
					VEXStatement:    esclusa.VEXStatement{Status: "not_affected", Justification: "vulnerable_code_not_present", Author: "P", At: day2, Document: "x.json"},
					Vulnerabilities: []string{"CVE-2"},
					Products:        []match.Product{{ID: "pkg:oci/app@sha256%3Aab", Subcomponents: []string{"pkg:deb/debian/lib@1.0"}}},
				},
				{
					VEXStatement:    esclusa.VEXStatement{Status: "affected", Statement: "update", Author: "P", At: day2, Document: "x.json"},
					Vulnerabilities: []string{"CVE-2"},
					Products:        []match.Product{{ID: "pkg:rpm/redhat/curl?arch=src&distro=rhel-9"}},
				},
			},
		},
		{
			name: "csaf, a component without version on some platform, a circle, an unknown id",
			text: strings.Replace(csafDoc, "%s", `{"cve":"CVE-2","product_status":{"fixed":["OCP:ANY","LOOP","NOWHERE"]}}`, 1),
			gap:  "3 products",
		},
		{
			name: "csaf, not affected without a reason",
			text: strings.Replace(csafDoc, "%s", `{"cve":"CVE-2","product_status":{"known_not_affected":["LIB"]}}`, 1),
			gap:  "without justification",
		},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			got, gaps, err := vex.Parse("x.json", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("statements (-want +got):\n%s", d)
			}
			if c.gap == "" && len(gaps) > 0 || c.gap != "" && (len(gaps) != 1 || !strings.Contains(gaps[0].Err, c.gap)) {
				t.Errorf("gaps %v, want %q", gaps, c.gap)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"@context":"https://example.org"}`, `{"@context":"https://openvex.dev/nsx"}`,
		strings.Replace(csafDoc, `"final"`, `"draft"`, 1),
		strings.Replace(openDoc, "%s", `{"products":7}`, 1),
	} {
		if got, _, err := vex.Parse("x.json", []byte(text)); err == nil {
			t.Errorf("no error from %.60q: %v", text, got)
		}
	}
}

// TestParseVectors reads all real samples. Every product status of a document
// must be found again in a statement or in a gap.
func TestParseVectors(t *testing.T) {
	documents, statements, products, gapped := 0, 0, 0, 0
	for _, pack := range []string{"openvex-examples.zip", "redhat-csaf-vex-samples.zip"} {
		z, err := zip.OpenReader(truth.Advisories(t, pack))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		for _, f := range z.File {
			text := read(t, f)
			if path.Ext(f.Name) != ".json" || notVEX(text) {
				continue
			}
			list, gaps, err := vex.Parse(f.Name, text)
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
				continue
			}
			documents++
			statements += len(list)
			gapped += len(gaps)
			if len(list) == 0 && len(gaps) == 0 {
				t.Errorf("%s: nothing", f.Name)
			}
			for _, s := range list {
				products += len(s.Products)
				if s.Status == "" || s.At.IsZero() || s.Author == "" || len(s.Vulnerabilities) == 0 || len(s.Products) == 0 {
					t.Errorf("%s: %+v", f.Name, s)
				}
			}
		}
	}
	t.Logf("vectors: vex %d documents, %d statements, %d products, %d gaps", documents, statements, products, gapped)
	if documents != 34 {
		t.Errorf("%d documents, the packs have 34", documents)
	}
}

func read(t *testing.T, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// notVEX says that a file of the packs is something else (a schema, an SBOM).
func notVEX(text []byte) bool {
	var d map[string]any
	if json.Unmarshal(text, &d) != nil {
		return true
	}
	doc, _ := d["document"].(map[string]any)
	context, _ := d["@context"].(string)
	return doc == nil && !strings.HasPrefix(context, "https://openvex.dev/ns")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Replace(openDoc, "%s", `{"vulnerability":"CVE-1","status":"fixed","products":["pkg:npm/a@1"]}`, 1)))
	f.Add([]byte(strings.Replace(csafDoc, "%s", `{"cve":"CVE-2","product_status":{"known_not_affected":["LIB"],"fixed":["LOOP","RHEL9:ANY"]},"flags":[{"label":"component_not_present","group_ids":["G"]}]}`, 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, _, err := vex.Parse("x", text)
		if err != nil && list != nil {
			t.Error("statements beside an error")
		}
		for _, s := range list {
			if len(s.Products) == 0 || len(s.Vulnerabilities) == 0 || s.Document != "x" {
				t.Errorf("%+v", s)
			}
			if s.Status == esclusa.VEXNotAffected && s.Justification == "" && s.Statement == "" {
				t.Errorf("not affected for no reason: %+v", s)
			}
		}
	})
}
