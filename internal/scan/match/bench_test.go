package match_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
	"github.com/esclusa/esclusa/internal/truth"
)

// BenchmarkMatch matches an image of 3,000 packages: 2,000 of npm and 1,000
// Debian binaries; one in so many has advisories on it.
func BenchmarkMatch(b *testing.B) {
	db := database(b)
	npm, deb := advised(b, "npm", 700), advised(b, "Debian", 350)
	for _, every := range []int{3, 15} {
		var pkgs []esclusa.Package
		for i := range 3000 {
			suffix := ""
			if i%every != 0 {
				suffix = "-no-advisory"
			}
			if i < 2000 {
				pkgs = append(pkgs, pkg("npm", npm[i%len(npm)]+suffix, "4.17.20"))
			} else {
				source := deb[i%len(deb)] + suffix
				pkgs = append(pkgs, distro(pkg("deb", source+"-bin", "1:3.0.11-1~deb12u2"), "debian:12", source, "3.0.11-1~deb12u2"))
			}
		}
		b.Run(fmt.Sprintf("advised=1-in-%d", every), func(b *testing.B) {
			b.ReportAllocs()
			findings := 0
			for b.Loop() {
				out := match.Match(match.Input{Packages: pkgs, Advisories: db})
				findings = len(match.Order(out.Findings))
			}
			b.ReportMetric(float64(findings), "findings")
		})
	}
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
