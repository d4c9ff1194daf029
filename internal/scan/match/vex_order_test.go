package match_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
)

func TestVEX(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	image := esclusa.Image{Ref: "registry.example.com/team/app:1.2", Digest: digest}
	p := distro(pkg("deb", "libssl3", "3.0.1-1"), "debian:12", "openssl", "3.0.1-1")
	p.Arch = "amd64"
	adv := memory{list: []esclusa.Advisory{rec("DSA-1", "Debian:12", "openssl", "0 <4", upstream("CVE-2024-1"))}}
	na := esclusa.VEXStatement{Status: esclusa.VEXNotAffected, Justification: "vulnerable_code_not_present", At: day("2024-01-01")}
	say := func(s esclusa.VEXStatement, id string, products ...match.Product) match.Statement {
		return match.Statement{VEXStatement: s, Vulnerabilities: []string{id}, Products: products}
	}
	for _, c := range []struct {
		name string
		in   []match.Statement
		want esclusa.VEXStatus
	}{
		{"the package, any version", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3"})}, esclusa.VEXNotAffected},
		{"the package at its version", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3@3.0.1-1?arch=amd64"})}, esclusa.VEXNotAffected},
		{"by the advisory's name", []match.Statement{say(na, "DSA-1", match.Product{ID: "pkg:deb/debian/libssl3"})}, esclusa.VEXNotAffected},
		{"the source", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/openssl@3.0.1-1?arch=source"})}, esclusa.VEXNotAffected},
		{"another version", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3@3.0.2-1"})}, ""},
		{"another architecture", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3?arch=arm64"})}, ""},
		{"another distribution", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/ubuntu/libssl3"})}, ""},
		{"another release", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3?distro=debian-11"})}, ""},
		{"the source's name is not the binary's", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/openssl"})}, ""},
		{"another flaw", []match.Statement{say(na, "CVE-2024-2", match.Product{ID: "pkg:deb/debian/libssl3"})}, ""},
		{"the image by digest", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: digest})}, esclusa.VEXNotAffected},
		{"the image by reference and digest", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "app@" + digest})}, esclusa.VEXNotAffected},
		{"another digest", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "sha256:2222"})}, ""},
		{"the image by purl and digest", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:oci/app@sha256%3A1111111111111111111111111111111111111111111111111111111111111111"})}, esclusa.VEXNotAffected},
		{"the image by repository", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:oci/app?repository_url=registry.example.com/team/app"})}, esclusa.VEXNotAffected},
		{"another repository", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:oci/app?repository_url=registry.example.com/evil/app"})}, ""},
		{"another tag", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:oci/app?tag=1.3"})}, ""},
		{"a package in the image", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: digest, Subcomponents: []string{"pkg:deb/debian/libssl3"}})}, esclusa.VEXNotAffected},
		{"another package in the image", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: digest, Subcomponents: []string{"pkg:deb/debian/zlib1g"}})}, ""},
		{"a subcomponent that is no purl narrows to nothing", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: digest, Subcomponents: []string{"libssl"}})}, ""},
		{"a range of versions", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3?vers=vers:deb%2F%3E%3D3.0.0-1%7C%3C3.0.2-1"})}, esclusa.VEXNotAffected},
		{"a range of the source's versions", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/openssl?arch=source&vers=vers:deb/<3.0.2-1"})}, esclusa.VEXNotAffected},
		{"a range beside", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: "pkg:deb/debian/libssl3?vers=vers:deb/>=3.0.1-2"})}, ""},
		{"a range in an image", []match.Statement{say(na, "CVE-2024-1", match.Product{ID: digest, Subcomponents: []string{"pkg:deb/debian/libssl3?vers=vers:deb/*"}})}, esclusa.VEXNotAffected},
		{"an empty product", []match.Statement{say(na, "CVE-2024-1", match.Product{})}, ""},
		{"the latest wins, in any order", []match.Statement{
			say(esclusa.VEXStatement{Status: esclusa.VEXAffected, At: day("2024-02-02")}, "CVE-2024-1", match.Product{ID: digest}),
			say(na, "CVE-2024-1", match.Product{ID: digest}),
		}, esclusa.VEXAffected},
	} {
		out := match.Match(match.Input{Packages: []esclusa.Package{p}, Image: image, Advisories: adv, VEX: c.in})
		if len(out.Findings) != 1 {
			t.Fatalf("%s: a statement must never hide a finding: %+v", c.name, out)
		}
		f := out.Findings[0]
		got := esclusa.VEXStatus("")
		if f.VEX != nil {
			got = f.VEX.Status
		}
		if got != c.want || f.Suppressed() != (c.want == esclusa.VEXNotAffected) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestVEXRangeUnread: a range that cannot be read names no package, above all
// not every version of it, and is said.
func TestVEXRangeUnread(t *testing.T) {
	adv := memory{list: []esclusa.Advisory{rec("GHSA-1", "npm", "x", "0 <4.0.0")}}
	in := match.Input{Packages: []esclusa.Package{pkg("npm", "x", "1.0.0")}, Advisories: adv}
	for _, id := range []string{
		"pkg:npm/x?vers=vers:npm/", "pkg:npm/x?vers=vers:npm/^1", "pkg:npm/x?vers=vers:deb/*", "pkg:npm/x@1.0.0?vers=vers:npm/*", "pkg:oci/app?vers=vers:oci/*",
	} {
		for _, p := range []match.Product{{ID: id}, {ID: "app", Subcomponents: []string{id}}} {
			in.Image.Ref = "app"
			in.VEX = []match.Statement{{
				VEXStatement:    esclusa.VEXStatement{Status: esclusa.VEXFixed, Document: "vex.json"},
				Vulnerabilities: []string{"GHSA-1"}, Products: []match.Product{p, p},
			}}
			out := match.Match(in)
			if len(out.Findings) != 1 || out.Findings[0].VEX != nil {
				t.Errorf("%v applies", p)
			}
			if len(out.Gaps) != 1 || out.Gaps[0].Path != "vex.json" || out.Gaps[0].What != "VEX statement on GHSA-1" {
				t.Errorf("%v: gaps %v", p, out.Gaps)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	p := pkg("npm", "x", "1.0.0")
	fix := &esclusa.Fix{Version: "2"}
	want := []esclusa.Finding{
		{ID: "malicious", Kind: esclusa.KindMaliciousPackage, Severity: esclusa.SeverityCritical},
		{ID: "secret", Kind: esclusa.KindSecret, Severity: esclusa.SeverityHigh},
		{ID: "kev medium", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityMedium, KEV: &esclusa.KEV{}, Package: &p},
		{ID: "critical likely", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, EPSS: 0.5, Package: &p},
		{ID: "critical with fix", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, EPSS: -1, Fix: fix, Package: &p},
		{ID: "critical a", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, EPSS: -1, Package: &p},
		{ID: "critical b", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, EPSS: -1, Package: &p},
		{ID: "deleted secret", Kind: esclusa.KindSecret, Severity: esclusa.SeverityHigh, EPSS: -1, Deleted: true},
		{ID: "low", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityLow, EPSS: 0.9, Package: &p},
		{ID: "not linked", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, Reach: esclusa.ReachAbsent, Package: &p},
		{ID: "notice", Kind: esclusa.KindNotice, Severity: esclusa.SeverityHigh, Package: &p},
		{ID: "suppressed", Kind: esclusa.KindVulnerability, Severity: esclusa.SeverityCritical, VEX: &esclusa.VEXStatement{Status: esclusa.VEXFixed}, Package: &p},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		got := append([]esclusa.Finding(nil), want...)
		r.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
		if d := cmp.Diff(want, match.Order(got)); d != "" {
			t.Fatal(d)
		}
	}
}
