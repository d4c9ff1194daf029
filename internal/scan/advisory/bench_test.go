package advisory_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
)

// manyAdvisories are n advisories on n/4 packages, four on each.
func manyAdvisories(n int) []esclusa.Advisory {
	list := make([]esclusa.Advisory, n)
	for i := range list {
		name := fmt.Sprintf("package-%d", i/4)
		list[i] = esclusa.Advisory{
			ID: fmt.Sprintf("GHSA-%08d", i), Aliases: []string{fmt.Sprintf("CVE-2024-%d", 10000+i)},
			Summary: "prototype pollution in " + name, Modified: date("2024-01-02"), Published: date("2024-01-01"),
			CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, URL: "https://github.com/advisories/GHSA",
			Affected: []esclusa.Affected{{Ecosystem: "npm", Name: name, Ranges: semver(zero, fixed2)}},
		}
	}
	return list
}

func benchmarkFile(b *testing.B) string {
	b.Helper()
	list := manyAdvisories(50_000)
	path := filepath.Join(b.TempDir(), "db")
	if err := os.WriteFile(path, build(b, source("osv/npm", []string{"npm"}, batchOf(b, list...))), 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkBuild is for 1,000 records.
func BenchmarkBuild(b *testing.B) {
	list := manyAdvisories(1000)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := advisory.Build(&out, []advisory.Source{source("osv/npm", nil, batchOf(b, list...))}); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out.Len()))
}

// BenchmarkOpen is for opening and closing a database of 50,000 advisories.
func BenchmarkOpen(b *testing.B) {
	path := benchmarkFile(b)
	for b.Loop() {
		db, err := advisory.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

// BenchmarkLookupHit is for one package with four advisories.
func BenchmarkLookupHit(b *testing.B) {
	db, err := advisory.Open(benchmarkFile(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.ReportAllocs()
	for b.Loop() {
		if list, err := db.Lookup("npm", "package-777"); err != nil || len(list) != 4 {
			b.Fatal(list, err)
		}
	}
}

// BenchmarkLookupMiss is for one package without advisories.
func BenchmarkLookupMiss(b *testing.B) {
	db, err := advisory.Open(benchmarkFile(b))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	b.ReportAllocs()
	for b.Loop() {
		if list, err := db.Lookup("npm", "no-such-package"); err != nil || list != nil {
			b.Fatal(list, err)
		}
	}
}
