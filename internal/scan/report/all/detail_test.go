package all_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report/reporttest"
	"github.com/google/go-cmp/cmp"
)

func decode[T any](t *testing.T, name string, r *esclusa.Report) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(write(t, format(t, name), r), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

type sarifLog struct {
	Runs []struct {
		AutomationDetails struct{ ID string }
		Tool              struct {
			Driver struct {
				Rules []struct {
					ID         string
					Properties struct {
						Severity string `json:"security-severity"`
					}
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct{ Level string }
		}
		Results []struct {
			RuleID, Level string
			RuleIndex     int
			Locations     []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           struct{ StartLine int }
				}
			}
			PartialFingerprints map[string]string
			Suppressions        []struct{ Status string }
		}
	}
}

// TestSARIF: rules are found by index, severities are the finding's and not
// the score's, VEX suppresses, wide gaps make the run unsuccessful.
func TestSARIF(t *testing.T) {
	r := reporttest.Mixed()
	run := decode[sarifLog](t, "sarif", r).Runs[0]
	if run.AutomationDetails.ID != "esclusa/registry.example.com/shop/checkout/" {
		t.Errorf("category %s", run.AutomationDetails.ID)
	}
	prints := map[string]bool{}
	for i, res := range run.Results {
		f := &r.Findings[i]
		rule := run.Tool.Driver.Rules[res.RuleIndex]
		if res.RuleID != f.ID || rule.ID != f.ID {
			t.Errorf("%s has rule %s, %s", f.ID, res.RuleID, rule.ID)
		}
		if f.Suppressed() != (len(res.Suppressions) == 1) {
			t.Errorf("%s: suppressions %v", f.ID, res.Suppressions)
		}
		at := res.Locations[0].PhysicalLocation
		if f.Path != "" && (at.ArtifactLocation.URI != f.Path || at.Region.StartLine != max(1, f.Line)) {
			t.Errorf("%s is at %+v", f.ID, at)
		}
		prints[res.PartialFingerprints["esclusa/v1"]] = true
	}
	if len(prints) != len(r.Findings) {
		t.Errorf("%d names for %d findings", len(prints), len(r.Findings))
	}
	got := map[string]string{}
	for _, rule := range run.Tool.Driver.Rules {
		got[rule.ID] = rule.Properties.Severity
	}
	want := map[string]string{
		"CVE-2026-1001": "7.5", "CVE-2026-1002": "9.3", "CVE-2021-44906": "9.8", "CVE-2026-3003": "5.0", "CVE-2026-4004": "",
		"CVE-2026-5005": "8.0", "CVE-2026-6006": "2.0", "MAL-2026-77": "9.1", "malware/xmrig": "9.1", "secret/aws-access-key": "9.1",
		"misconfig/root-user": "5.5", "misconfig/add-remote": "2.0", "notice/unmaintained": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	inv := run.Invocations[0]
	var levels []string
	for _, n := range inv.ToolExecutionNotifications {
		levels = append(levels, n.Level)
	}
	if inv.ExecutionSuccessful || !slices.Equal(levels, []string{"error", "error", "warning", "warning", "note"}) {
		t.Errorf("successful %t, gaps %v", inv.ExecutionSuccessful, levels)
	}
	r.Gaps = r.Gaps[2:]
	if !decode[sarifLog](t, "sarif", r).Runs[0].Invocations[0].ExecutionSuccessful {
		t.Error("narrow gaps make the run unsuccessful")
	}
}

type bom struct {
	SerialNumber string
	Metadata     struct {
		Component struct {
			Ref string `json:"bom-ref"`
		}
	}
	Components []struct {
		Ref  string `json:"bom-ref"`
		Name string
	}
	Compositions    []struct{ Aggregate string }
	Vulnerabilities []struct {
		ID       string
		Ratings  []struct{ Method, Severity string }
		Analysis struct{ State, Justification string }
		Affects  []struct{ Ref string }
	}
}

// TestCycloneDX: no name is given twice, every name that is referred to is
// there, methods and states are right, and a gap makes it incomplete.
func TestCycloneDX(t *testing.T) {
	for name, r := range reports() {
		d := decode[bom](t, "cyclonedx", r)
		refs := map[string]bool{d.Metadata.Component.Ref: true}
		for _, c := range d.Components {
			if refs[c.Ref] {
				t.Errorf("%s: %q twice", name, c.Ref)
			}
			refs[c.Ref] = true
		}
		for _, v := range d.Vulnerabilities {
			for _, a := range v.Affects {
				if !refs[a.Ref] {
					t.Errorf("%s: %s affects %q, which is not there", name, v.ID, a.Ref)
				}
			}
			if len(v.Affects) == 0 {
				t.Errorf("%s: %s affects nothing", name, v.ID)
			}
		}
	}
	d := decode[bom](t, "cyclonedx", reporttest.Mixed())
	got := map[string]string{}
	for _, v := range d.Vulnerabilities {
		got[v.ID] = fmt.Sprint(len(v.Affects), v.Ratings, v.Analysis)
	}
	for id, want := range map[string]string{
		"CVE-2026-1001":  "1 [{CVSSv31 high}] { }",
		"CVE-2026-1002":  "2 [{CVSSv4 critical}] { }",
		"CVE-2021-44906": "1 [{CVSSv3 critical}] { }",
		"CVE-2026-3003":  "1 [{CVSSv2 medium}] { }",
		"CVE-2026-4004":  "1 [{other unknown}] { }",
		"CVE-2026-5005":  "1 [{other high}] {not_affected code_not_reachable}",
		"CVE-2026-6006":  "1 [{other low}] {in_triage }",
	} {
		if got[id] != want {
			t.Errorf("%s: %s, want %s", id, got[id], want)
		}
	}
	if a, b := d.Compositions[0].Aggregate, decode[bom](t, "cyclonedx", reporttest.Clean()).Compositions[0].Aggregate; a != "incomplete" || b != "complete" {
		t.Errorf("%s with gaps, %s without", a, b)
	}
	other := reporttest.Mixed()
	other.Findings = other.Findings[1:]
	if decode[bom](t, "cyclonedx", other).SerialNumber == d.SerialNumber {
		t.Error("two documents have one serial number")
	}
}

type spdxDocument struct {
	Namespace string `json:"documentNamespace"`
	Packages  []struct {
		ID       string `json:"SPDXID"`
		Name     string
		Declared string `json:"licenseDeclared"`
		Comments string `json:"licenseComments"`
	}
	Relationships []struct{ SpdxElementID, RelationshipType, RelatedSpdxElement string }
}

// TestSPDX: ids have the form that the schema does not ask for, each once;
// what is no expression is not asserted.
func TestSPDX(t *testing.T) {
	form := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	for name, r := range reports() {
		d := decode[spdxDocument](t, "spdx", r)
		ids := map[string]bool{"SPDXRef-DOCUMENT": true}
		for _, p := range d.Packages {
			if ids[p.ID] || !form.MatchString(p.ID) {
				t.Errorf("%s: id %q", name, p.ID)
			}
			ids[p.ID] = true
		}
		for _, rel := range d.Relationships {
			if !ids[rel.SpdxElementID] || !ids[rel.RelatedSpdxElement] {
				t.Errorf("%s: %v", name, rel)
			}
		}
		if len(d.Relationships) != len(d.Packages) || strings.Contains(d.Namespace, "#") {
			t.Errorf("%s: %d relationships, %d packages, name space %q", name, len(d.Relationships), len(d.Packages), d.Namespace)
		}
	}
	for _, p := range decode[spdxDocument](t, "spdx", reporttest.Mixed()).Packages {
		switch p.Name {
		case "libssl3":
			if p.Declared != "Apache-2.0" {
				t.Errorf("%+v", p)
			}
		case "@shop/cart":
			if p.Declared != "NOASSERTION" || !strings.Contains(p.Comments, "Custom licence") {
				t.Errorf("%+v", p)
			}
		}
	}
}

// TestGitHub reads the commands as the runner does: each line is one, and no
// text of an image becomes another.
func TestGitHub(t *testing.T) {
	command := regexp.MustCompile(`^::(error|warning|notice|group|endgroup)(?: ([^:]*))?::(.*)$`)
	for name, r := range reports() {
		for line := range strings.Lines(string(write(t, format(t, "github"), r))) {
			line = strings.TrimSuffix(line, "\n")
			if strings.Contains(line, "##[") {
				t.Errorf("%s: an old command in %.200q", name, line)
			}
			if strings.HasPrefix(line, "- ") {
				continue
			}
			m := command.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%s: %.200q", name, line)
			}
			if m[2] == "" {
				continue
			}
			for prop := range strings.SplitSeq(m[2], ",") {
				key, _, _ := strings.Cut(prop, "=")
				if key != "title" && key != "file" && key != "line" {
					t.Errorf("%s: property %q", name, prop)
				}
			}
			if strings.Contains(m[2], "file=") && name != "source" && !strings.HasPrefix(name, "hostile") {
				t.Errorf("%s: a path of the image as a file of the repository: %s", name, line)
			}
		}
	}
	out := string(write(t, format(t, "github"), reporttest.Mixed()))
	first, rest, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(first, "::error title=esclusa%3A deny registry.example.com/shop/checkout%3A1.4.2::3 to remove, 2 to upgrade") {
		t.Error(first)
	}
	if a, b := strings.Index(rest, "MAL-2026-77"), strings.Index(rest, "CVE-2026-1001 (exploited)"); a < 0 || b < a {
		t.Errorf("order: %d, %d", a, b)
	}
}

// FuzzFormats: whatever an image holds, each format stays a valid document,
// and the same from a saved stream.
func FuzzFormats(f *testing.F) {
	for _, s := range reporttest.Texts() {
		if len(s) < 1000 {
			f.Add(s)
		}
	}
	f.Add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H")
	f.Add("pkg:npm/%40a/b@1")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 5000 {
			return
		}
		law(t, reporttest.Hostile(s))
	})
}
