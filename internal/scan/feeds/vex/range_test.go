package vex_test

import (
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds/vex"
	"github.com/esclusa/esclusa/internal/scan/match"
)

// one is a database of one advisory, for every version of npm's a.
type one struct{}

func (one) Lookup(_, _ string) ([]esclusa.Advisory, error) {
	return []esclusa.Advisory{{ID: "CVE-1", Affected: []esclusa.Affected{{Ecosystem: "npm", Name: "a", Ranges: []esclusa.Range{{Events: []esclusa.RangeEvent{{Introduced: "0"}}}}}}}}, nil
}
func (one) Has(string) bool                { return true }
func (one) KEV(string) (esclusa.KEV, bool) { return esclusa.KEV{}, false }
func (one) EPSS(string) (float64, bool)    { return 0, false }

// TestCSAFRange: what is said of a range of versions holds for those, and for
// none where the range cannot be read.
func TestCSAFRange(t *testing.T) {
	doc := `{"document":{"csaf_version":"2.0","publisher":{"name":"P"},"tracking":{"current_release_date":"2024-02-02T00:00:00Z","status":"final"}},
	"product_tree":{"branches":[{"category":"product_version_range","name":"%s","product":{"product_id":"A","product_identification_helper":{"purl":"pkg:npm/a"}}}]},
	"vulnerabilities":[{"cve":"CVE-1","product_status":{"fixed":["A"]}}]}`
	for _, c := range []struct {
		name, version string
		want          bool
		gaps          int
	}{
		{"vers:npm/>=1.0.0|<2.0.0", "1.5.0", true, 0},
		{"vers:npm/>=1.0.0|<2.0.0", "2.5.0", false, 0},
		{">= 1.0.0", "1.5.0", true, 0},
		{"<1.0.0", "1.5.0", false, 0},
		{"all before the summer", "1.5.0", false, 1},
		{"", "1.5.0", false, 1},
	} {
		st, gaps, err := vex.Parse("x", []byte(strings.Replace(doc, "%s", c.name, 1)))
		if err != nil {
			t.Fatal(err)
		}
		out := match.Match(match.Input{Packages: []esclusa.Package{{Type: "npm", Name: "a", Version: c.version}}, Advisories: one{}, VEX: st})
		if got := out.Findings[0].Suppressed(); got != c.want || len(out.Gaps)+len(gaps) != c.gaps {
			t.Errorf("%q %s: %v, gaps %v", c.name, c.version, got, out.Gaps)
		}
	}
}
