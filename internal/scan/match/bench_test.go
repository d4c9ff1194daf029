package match_test

import (
	"archive/zip"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/truth"
)

// BenchmarkMatch matches an image of 3,000 packages: 2,000 of npm, a third of
// them with advisories, and 1,000 Debian binaries of 350 sources.
func BenchmarkMatch(b *testing.B) {
	db := database(b)
	var pkgs []esclusa.Package
	npm := advised(b, "npm", 700)
	for i := range 2000 {
		name := npm[i%len(npm)]
		if i%3 != 0 {
			name += "-no-advisory"
		}
		pkgs = append(pkgs, pkg("npm", name, "4.17.20"))
	}
	deb := advised(b, "Debian", 350)
	for i := range 1000 {
		pkgs = append(pkgs, distro(pkg("deb", deb[i%len(deb)]+"-bin", "1:3.0.11-1~deb12u2"), "debian:12", deb[i%len(deb)], "3.0.11-1~deb12u2"))
	}
	b.ReportAllocs()
	findings := 0
	for b.Loop() {
		out := match.Match(match.Input{Packages: pkgs, Advisories: db})
		findings = len(match.Order(out.Findings))
	}
	b.ReportMetric(float64(findings), "findings")
}

// advised are names of packages that have advisories, spread over the zip.
func advised(b *testing.B, ecosystem string, n int) []string {
	z, err := zip.OpenReader(truth.Mirror(b, "osv", ecosystem, "all.zip"))
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	var names []string
	for i := 0; i < len(z.File) && len(names) < n; i += max(1, len(z.File)/(2*n)) {
		if strings.HasPrefix(z.File[i].Name, "MAL-") || strings.HasPrefix(z.File[i].Name, "LWA-") {
			continue
		}
		f, err := z.File[i].Open()
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(f)
		f.Close()
		var a struct {
			Affected []struct{ Package struct{ Name string } }
		}
		if err == nil {
			err = json.Unmarshal(data, &a)
		}
		if err != nil || len(a.Affected) == 0 {
			b.Fatal(z.File[i].Name, err)
		}
		names = append(names, a.Affected[0].Package.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
