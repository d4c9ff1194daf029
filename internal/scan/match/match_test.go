package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/advisory"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/match"
)

// memory holds advisories as the database would: by ecosystem and name.
type memory struct {
	list   []esclusa.Advisory
	kev    map[string]esclusa.KEV
	epss   map[string]float64
	absent string // an ecosystem without a feed
	broken string // a name whose look-up fails
}

func (m memory) Lookup(ecosystem, name string) ([]esclusa.Advisory, error) {
	if name == m.broken && name != "" {
		return nil, fmt.Errorf("%w: record at 7", advisory.ErrDamaged)
	}
	var out []esclusa.Advisory
	for _, a := range m.list {
		var hits []esclusa.Affected
		for _, f := range a.Affected {
			base, _, _ := strings.Cut(f.Ecosystem, ":")
			if base == ecosystem && f.Name == name {
				hits = append(hits, f)
			}
		}
		if len(hits) > 0 {
			a.Affected = hits
			out = append(out, a)
		}
	}
	return out, nil
}
func (m memory) Has(ecosystem string) bool          { return ecosystem != m.absent }
func (m memory) KEV(cve string) (esclusa.KEV, bool) { k, ok := m.kev[cve]; return k, ok }
func (m memory) EPSS(cve string) (float64, bool)    { s, ok := m.epss[cve]; return s, ok }

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// events writes a range as "0 <1.2 2.0 <=2.5 !2.6": introduced, fixed, last
// affected and, behind that, the fix that is only shown.
func events(s string) []esclusa.Range {
	r := esclusa.Range{Type: "ECOSYSTEM"}
	for w := range strings.FieldsSeq(s) {
		var e esclusa.RangeEvent
		switch {
		case strings.HasPrefix(w, "<="):
			e.LastAffected = w[2:]
		case strings.HasPrefix(w, "<"), strings.HasPrefix(w, "!"):
			e.Fixed = w[1:]
		case strings.HasPrefix(w, "^"):
			e.Limit = w[1:]
		default:
			e.Introduced = w
		}
		r.Events = append(r.Events, e)
	}
	return []esclusa.Range{r}
}

// rec is an advisory on one package: id, ecosystem, name, range.
func rec(id, ecosystem, name, r string, more ...func(*esclusa.Advisory)) esclusa.Advisory {
	a := esclusa.Advisory{ID: id, Affected: []esclusa.Affected{{Ecosystem: ecosystem, Name: name}}}
	if r != "" {
		a.Affected[0].Ranges = events(r)
	}
	for _, f := range more {
		f(&a)
	}
	return a
}

func aliases(ids ...string) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.Aliases = ids }
}

func upstream(ids ...string) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.Upstream = ids }
}

func versions(vs ...string) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.Affected[0].Versions = vs }
}

func vector(v string) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.CVSS = []string{v} }
}

func word(s esclusa.Severity) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.Severity = s }
}

func published(s string) func(*esclusa.Advisory) {
	return func(a *esclusa.Advisory) { a.Published = day(s) }
}

const (
	vCritical = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" // 9.8
	vMedium   = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N" // 5.3
)

func pkg(typ, name, version string) esclusa.Package {
	return esclusa.Package{Type: typ, Name: name, Version: version}
}

func distro(p esclusa.Package, distro, source, sourceVersion string) esclusa.Package {
	p.Distro, p.Source = distro, esclusa.SourcePackage{Name: source, Version: sourceVersion}
	return p
}

// rows writes findings as "id version-fixed", gaps as "gap: what".
func rows(out match.Output) []string {
	var s []string
	for _, f := range out.Findings {
		row := f.ID
		if f.Kind != esclusa.KindVulnerability {
			row += " " + string(f.Kind)
		}
		if f.Fix != nil {
			row += " " + f.Fix.Version
		}
		s = append(s, row)
	}
	for _, g := range out.Gaps {
		s = append(s, "gap "+string(g.Scope)+": "+g.What)
	}
	return s
}

// ruleCase is advisories, packages, and the rows that they make.
type ruleCase struct {
	name string
	recs []esclusa.Advisory
	pkgs []esclusa.Package
	want []string
}

func checkRules(t *testing.T, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := match.Match(match.Input{Packages: c.pkgs, Advisories: memory{list: c.recs, absent: "Hex", broken: "broken"}})
			if d := cmp.Diff(c.want, rows(out)); d != "" {
				t.Error(d)
			}
			for i := range out.Findings {
				if out.Findings[i].Package == nil {
					t.Error("a finding without its package")
				}
			}
		})
	}
}

// TestRulesOfDebian: source and binary packages, releases, epochs.
func TestRulesOfDebian(t *testing.T) {
	debian := func(v string) esclusa.Package { return distro(pkg("deb", "libssl3", v), "debian:12", "openssl", v) }
	dsa := rec("DSA-1-1", "Debian:12", "openssl", "0 <3.0.11-1~deb12u2", upstream("CVE-2024-1", "CVE-2024-2"))
	checkRules(t, []ruleCase{
		{
			"a source's advisory hits its binary, one row for each CVE",
			[]esclusa.Advisory{dsa},
			[]esclusa.Package{debian("3.0.11-1~deb12u1")},
			[]string{"CVE-2024-1 3.0.11-1~deb12u2", "CVE-2024-2 3.0.11-1~deb12u2"},
		},
		{"at the fix", []esclusa.Advisory{dsa}, []esclusa.Package{debian("3.0.11-1~deb12u2")}, nil},
		{
			"another release",
			[]esclusa.Advisory{dsa},
			[]esclusa.Package{distro(pkg("deb", "openssl", "1.1.1-1"), "debian:11", "", "")},
			nil,
		},
		{
			"a binary of that name from another source",
			[]esclusa.Advisory{dsa},
			[]esclusa.Package{distro(pkg("deb", "openssl", "1.0-1"), "debian:12", "other", "1.0-1")},
			nil,
		},
		{
			"the source's version decides, not the binary's",
			[]esclusa.Advisory{dsa},
			[]esclusa.Package{distro(pkg("deb", "libssl3", "9:1"), "debian:12", "openssl", "3.0.9-1")},
			[]string{"CVE-2024-1 3.0.11-1~deb12u2", "CVE-2024-2 3.0.11-1~deb12u2"},
		},
		{
			"an epoch",
			[]esclusa.Advisory{rec("CVE-1", "Debian:12", "x", "0 <1:1.0-1")},
			[]esclusa.Package{distro(pkg("deb", "x", "5.0-1"), "debian:12", "", "")},
			[]string{"CVE-1 1:1.0-1"},
		},
		{
			"code names of purls",
			[]esclusa.Advisory{rec("CVE-1", "Debian:8", "x", "0 <2")},
			[]esclusa.Package{distro(pkg("deb", "x", "1"), "debian:jessie", "", ""), distro(pkg("deb", "x", "1"), "debian:stretch", "", "")},
			[]string{"CVE-1 2"},
		},
	})
}

// TestRulesOfOthers: what other distributions name differently.
func TestRulesOfOthers(t *testing.T) {
	checkRules(t, []ruleCase{
		{
			"rpm: the binary's name",
			[]esclusa.Advisory{rec("ALSA-1", "AlmaLinux:9", "openssl-libs", "0 <1:3.0.7-27.el9", upstream("CVE-3"))},
			[]esclusa.Package{distro(pkg("rpm", "openssl-libs", "1:3.0.7-6.el9"), "almalinux:9.4", "openssl", "3.0.7-6.el9")},
			[]string{"CVE-3 1:3.0.7-27.el9"},
		},
		{
			"rpm: fixed in the base, another name",
			[]esclusa.Advisory{rec("ALSA-1", "AlmaLinux:9", "openssl-libs", "0 <1:3.0.7-27.el9", upstream("CVE-3"))},
			[]esclusa.Package{distro(pkg("rpm", "openssl-libs", "1:3.0.7-27.el9_1"), "almalinux:9.4", "", ""), distro(pkg("rpm", "openssl", "1:3.0.7-6.el9"), "almalinux:9.4", "", "")},
			nil,
		},
		{
			"alpine",
			[]esclusa.Advisory{rec("CVE-4", "Alpine:v3.19", "openssl", "0 <3.1.4-r6")},
			[]esclusa.Package{distro(pkg("apk", "libcrypto3", "3.1.4-r5"), "alpine:3.19.1", "openssl", "")},
			[]string{"CVE-4 3.1.4-r6"},
		},
		{
			"alpine, another branch",
			[]esclusa.Advisory{rec("CVE-4", "Alpine:v3.18", "openssl", "0 <3.1.4-r6")},
			[]esclusa.Package{distro(pkg("apk", "libcrypto3", "3.1.4-r5"), "alpine:3.19.1", "openssl", "")},
			nil,
		},
		{
			"ubuntu with LTS, and Pro",
			[]esclusa.Advisory{
				rec("UBUNTU-CVE-2020-5", "Ubuntu:22.04:LTS", "x", "0 <2", upstream("CVE-2020-5")), rec("UBUNTU-CVE-2020-6", "Ubuntu:Pro:22.04:LTS", "x", "0 <2+esm1", upstream("CVE-2020-6")),
			},
			[]esclusa.Package{distro(pkg("deb", "x", "1"), "ubuntu:22.04", "", "")},
			[]string{"CVE-2020-5 2", "CVE-2020-6 2+esm1"},
		},
		{
			"ubuntu: FIPS and another release",
			[]esclusa.Advisory{
				rec("UBUNTU-CVE-2020-5", "Ubuntu:Pro:FIPS:22.04:LTS", "x", "0 <2"), rec("UBUNTU-CVE-2020-6", "Ubuntu:24.04:LTS", "x", "0 <2"),
			},
			[]esclusa.Package{distro(pkg("deb", "x", "1"), "ubuntu:22.04", "", "")},
			nil,
		},
		{
			"an upstream that is another record of the same flaw",
			[]esclusa.Advisory{rec("USN-1", "Ubuntu:22.04:LTS", "x", "0 <2", upstream("CVE-2020-5", "UBUNTU-CVE-2020-5"))},
			[]esclusa.Package{distro(pkg("deb", "x", "1"), "ubuntu:22.04", "", "")},
			[]string{"CVE-2020-5 2"},
		},
		{
			"red hat by CPE",
			[]esclusa.Advisory{rec("RHSA-1", "Red Hat:enterprise_linux:9::baseos", "x", "0 <2-1", upstream("CVE-7")), rec("RHSA-2", "Red Hat:rhel_eus:9.2::baseos", "x", "0 <3-1", upstream("CVE-8"))},
			[]esclusa.Package{distro(pkg("rpm", "x", "1-1"), "rhel:9.4", "", "")},
			[]string{"CVE-7 2-1"},
		},
		{
			"suse module and leap",
			[]esclusa.Advisory{rec("SUSE-1", "SUSE:Linux Enterprise Module for Basesystem 15 SP5", "x", "0 <2-1", upstream("CVE-9")), rec("openSUSE-1", "openSUSE:Leap 15.5", "x", "0 <3-1", upstream("CVE-10"))},
			[]esclusa.Package{distro(pkg("rpm", "libx1", "1-1"), "sles:15.5", "x", ""), distro(pkg("rpm", "libx1", "1-1"), "opensuse-leap:15.5", "x", ""), distro(pkg("rpm", "libx1", "1-1"), "sles:15.4", "x", "")},
			[]string{"CVE-9 2-1", "CVE-10 3-1"},
		},
	})
}

// TestRulesOfModules: streams of the Red Hat family.
func TestRulesOfModules(t *testing.T) {
	checkRules(t, []ruleCase{
		{
			"a module's stream",
			[]esclusa.Advisory{{ID: "ALSA-2", Summary: "Important: nodejs:18 security update", Upstream: []string{"CVE-11"}, Affected: []esclusa.Affected{
				{Ecosystem: "AlmaLinux:8", Name: "nodejs", Ranges: events("0 <1:18.14.2-2.module_el8.7.0+1")},
			}}},
			[]esclusa.Package{modular("nodejs", "1:18.9.1-1.module_el8.6.0+1", "nodejs:18"), modular("nodejs", "1:16.9.1-1.module_el8.6.0+1", "nodejs:16"), modular("nodejs", "1:10.1.1-1.el8", "")},
			[]string{"CVE-11 1:18.14.2-2.module_el8.7.0+1"},
		},
		{
			"a stream told by the version alone",
			[]esclusa.Advisory{{ID: "ALSA-5", Summary: "mariadb:10.5 security update", Upstream: []string{"CVE-14"}, Affected: []esclusa.Affected{
				{Ecosystem: "AlmaLinux:8", Name: "mariadb", Ranges: events("0 <3:10.5.9-4.module_el8.7.0+1")},
			}}},
			[]esclusa.Package{modular("mariadb", "3:10.3.28-1.module_el8.3.0+757", ""), modular("mariadb", "3:10.5.1-1.module_el8.3.0+757", "")},
			[]string{"CVE-14 3:10.5.9-4.module_el8.7.0+1"},
		},
		{
			"two streams in one title",
			[]esclusa.Advisory{{ID: "ALSA-3", Summary: "virt:rhel and virt-devel:rhel security update", Upstream: []string{"CVE-12"}, Affected: []esclusa.Affected{
				{Ecosystem: "AlmaLinux:8", Name: "x", Ranges: events("0 <2-2.module_el8.7.0+1")},
			}}},
			[]esclusa.Package{modular("x", "2-1.module_el8.6.0+1", "virt-devel:rhel")},
			[]string{"CVE-12 2-2.module_el8.7.0+1"},
		},
		{
			"a module's build for an older minor",
			[]esclusa.Advisory{{ID: "ALSA-4", Upstream: []string{"CVE-13"}, Affected: []esclusa.Affected{
				{Ecosystem: "AlmaLinux:8", Name: "x", Ranges: events("0 <2-2.module_el8.5.0+119+9a")}, {Ecosystem: "AlmaLinux:8", Name: "x", Ranges: events("0 <2-2.module_el8.3.0+2044+12")},
			}}},
			[]esclusa.Package{modular("x", "2-2.module_el8.3.0+2044+12", ""), modular("x", "2-1.module_el8.6.0+1", "")},
			[]string{"CVE-13 2-2.module_el8.5.0+119+9a"},
		},
		{
			"a module's build by CentOS, judged by Red Hat's erratum",
			[]esclusa.Advisory{{ID: "RHSA-4", Upstream: []string{"CVE-15"}, Affected: []esclusa.Affected{
				{Ecosystem: "Red Hat:enterprise_linux:8::appstream", Name: "x", Ranges: events("0 <2-2.module+el8.6.0+15654+427eba2e.2")},
			}}},
			[]esclusa.Package{
				centos("x", "2-2.module_el8.6.0+1111+ce6f4ceb.2"), centos("x", "2-3.module_el8.6.0+1111+ce6f4ceb"),
				centos("x", "2-2.module_el8.6.0+1111+ce6f4ceb.1"), centos("x", "2-1.module_el8.9.0+99999+ce6f4ceb.3"),
			},
			[]string{"CVE-15 2-2.module+el8.6.0+15654+427eba2e.2", "CVE-15 2-2.module+el8.6.0+15654+427eba2e.2"},
		},
	})
}

// TestRulesOfRanges: intervals, lists, and both.
func TestRulesOfRanges(t *testing.T) {
	checkRules(t, []ruleCase{
		{
			"a range",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0 <1.2.0 2.0.0 <2.3.0")},
			[]esclusa.Package{pkg("npm", "x", "1.1.9"), pkg("npm", "x", "1.2.0"), pkg("npm", "x", "2.0.0"), pkg("npm", "x", "2.3.0")},
			[]string{"GHSA-a 1.2.0", "GHSA-a 2.3.0"},
		},
		{
			"last affected, with the fix shown",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0 <=2.1.1 !2.1.3")},
			[]esclusa.Package{pkg("npm", "x", "2.1.1"), pkg("npm", "x", "2.1.2"), pkg("npm", "x", "2.1.3")},
			[]string{"GHSA-a 2.1.3"},
		},
		{
			"a prerelease of the fix",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0 <2.0.0")},
			[]esclusa.Package{pkg("npm", "x", "2.0.0-rc.1"), pkg("npm", "x", "2.0.0+build")},
			[]string{"GHSA-a 2.0.0"},
		},
		{
			"a limit",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "1.0.0 ^2.0.0")},
			[]esclusa.Package{pkg("npm", "x", "1.5.0"), pkg("npm", "x", "2.0.0")},
			[]string{"GHSA-a"},
		},
		{
			"unordered events",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0 2.0.0 <1.2.0 <2.3.0")},
			[]esclusa.Package{pkg("npm", "x", "1.1.9"), pkg("npm", "x", "1.2.0"), pkg("npm", "x", "2.1.0"), pkg("npm", "x", "2.3.0")},
			[]string{"GHSA-a 1.2.0", "GHSA-a 2.3.0"},
		},
		{
			"intervals in falling order",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "2.0.0 <2.3.0 0 <1.2.0")},
			[]esclusa.Package{pkg("npm", "x", "1.1.9"), pkg("npm", "x", "1.2.0"), pkg("npm", "x", "2.1.0"), pkg("npm", "x", "2.3.0")},
			[]string{"GHSA-a 1.2.0", "GHSA-a 2.3.0"},
		},
		{
			"a list beside a range",
			[]esclusa.Advisory{rec("PYSEC-1", "PyPI", "x", "2.0 <2.3", versions("1.0"))},
			[]esclusa.Package{pkg("pypi", "x", "1.0"), pkg("pypi", "x", "1.1"), pkg("pypi", "x", "2.1")},
			[]string{"PYSEC-1 2.3", "PYSEC-1 2.3"},
		},
		{
			"a list alone: the same version in another spelling",
			[]esclusa.Advisory{rec("CVE-1", "Maven", "g:a", "", versions("1.0", "2.0"))},
			[]esclusa.Package{pkg("maven", "g:a", "1.0.0"), pkg("maven", "g:a", "1.5")},
			[]string{"CVE-1"},
		},
		{
			"go versions",
			[]esclusa.Advisory{rec("GO-1", "Go", "example.com/x", "0 <1.2.3")},
			[]esclusa.Package{pkg("golang", "example.com/x", "v1.2.3-0.20200101000000-abcdefabcdef"), pkg("golang", "example.com/x", "v1.2.4-0.20200101000000-abcdefabcdef"), pkg("golang", "example.com/x", "v1.2.3+incompatible")},
			[]string{"GO-1 1.2.3"},
		},
		{
			"stdlib and toolchain are two",
			[]esclusa.Advisory{rec("GO-2", "Go", "stdlib", "0 <1.21.8 1.22.0-0 <1.22.1"), rec("GO-3", "Go", "toolchain", "0 <1.22.1")},
			[]esclusa.Package{pkg("golang", "stdlib", "1.22.0"), pkg("golang", "stdlib", "1.21.8")},
			[]string{"GO-2 1.22.1"},
		},
	})
}

// TestRulesOfRecords: kinds of records, one row a flaw, and what cannot be judged.
func TestRulesOfRecords(t *testing.T) {
	checkRules(t, []ruleCase{
		{
			"withdrawn",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0", func(a *esclusa.Advisory) { a.Withdrawn = day("2024-01-01") })},
			[]esclusa.Package{pkg("npm", "x", "1.0.0")},
			nil,
		},
		{
			"malicious: range, version, both",
			[]esclusa.Advisory{
				rec("MAL-1", "npm", "a", "0", malicious), rec("MAL-2", "npm", "b", "", versions("1.0.7"), malicious), rec("MAL-3", "npm", "c", "0 <2.0.0", versions("3.0.0"), malicious),
			},
			[]esclusa.Package{pkg("npm", "a", "9.9.9"), pkg("npm", "b", "1.0.7"), pkg("npm", "b", "1.0.8"), pkg("npm", "c", "1.0.0"), pkg("npm", "c", "2.0.0"), pkg("npm", "c", "3.0.0")},
			[]string{"MAL-1 malicious-package", "MAL-2 malicious-package", "MAL-3 malicious-package", "MAL-3 malicious-package"},
		},
		{
			"informational",
			[]esclusa.Advisory{rec("RUSTSEC-1", "crates.io", "x", "0.0.0-0", func(a *esclusa.Advisory) { a.Informational = "unmaintained" })},
			[]esclusa.Package{pkg("cargo", "x", "1.0.0")},
			[]string{"RUSTSEC-1 notice"},
		},
		{
			"an update that mends no flaw",
			[]esclusa.Advisory{rec("ALBA-1", "AlmaLinux:9", "x", "0 <2-1", func(a *esclusa.Advisory) { a.Informational = "bugfix" })},
			[]esclusa.Package{distro(pkg("rpm", "x", "1-1"), "almalinux:9", "", "")},
			nil,
		},

		{
			"one flaw in three databases is one row",
			[]esclusa.Advisory{
				rec("PYSEC-1", "PyPI", "x", "0 <1.5", aliases("CVE-2024-9", "GHSA-b")), rec("GHSA-b", "PyPI", "x", "0 <1.4", aliases("CVE-2024-9")), rec("OSV-1", "PyPI", "x", "0 <1.4", aliases("PYSEC-1")),
			},
			[]esclusa.Package{pkg("pypi", "x", "1.0")},
			[]string{"CVE-2024-9 1.5"},
		},
		{
			"joined by the third",
			[]esclusa.Advisory{
				rec("GHSA-a", "npm", "x", "0 <1.5.0"), rec("GHSA-b", "npm", "x", "0 <1.4.0"), rec("GHSA-c", "npm", "x", "0 <1.4.0", aliases("GHSA-a", "GHSA-b")),
			},
			[]esclusa.Package{pkg("npm", "x", "1.0.0")},
			[]string{"GHSA-a 1.5.0"},
		},
		{
			"two flaws stay two rows",
			[]esclusa.Advisory{rec("GHSA-a", "npm", "x", "0 <1.5.0"), rec("GHSA-b", "npm", "x", "0 <1.4.0")},
			[]esclusa.Package{pkg("npm", "x", "1.0.0")},
			[]string{"GHSA-a 1.5.0", "GHSA-b 1.4.0"},
		},

		{
			"an installed version that is none",
			[]esclusa.Advisory{rec("GO-1", "Go", "example.com/x", "0 <1.2.3")},
			[]esclusa.Package{pkg("golang", "example.com/x", "(devel)"), pkg("golang", "example.com/nothing", "(devel)")},
			[]string{"gap item: version of example.com/x"},
		},
		{
			"an advisory's version that is none; the other one is reported",
			[]esclusa.Advisory{rec("PYSEC-1", "PyPI", "x", "0 <2004d"), rec("PYSEC-2", "PyPI", "x", "0 <2.0")},
			[]esclusa.Package{pkg("pypi", "x", "1.0")},
			[]string{"PYSEC-2 2.0", "gap item: advisory PYSEC-1 on x"},
		},
		{
			"an advisory without versions",
			[]esclusa.Advisory{rec("PYSEC-1", "PyPI", "x", "")},
			[]esclusa.Package{pkg("pypi", "x", "1.0")},
			[]string{"gap item: advisory PYSEC-1 on x"},
		},
		{
			"no feed for an ecosystem: once", nil,
			[]esclusa.Package{pkg("hex", "a", "1.0.0"), pkg("hex", "b", "1.0.0")},
			[]string{"gap feed: feed osv/Hex"},
		},
		{"no ecosystem for a type", nil, []esclusa.Package{pkg("conda", "a", "1.0")}, []string{"gap feed: packages of type conda"}},
		{"unknown distribution: once", nil, []esclusa.Package{distro(pkg("deb", "a", "1"), "devuan:5", "", ""), distro(pkg("deb", "b", "1"), "devuan:5", "", "")}, []string{"gap system: deb packages of devuan"}},
		{"unknown release", nil, []esclusa.Package{distro(pkg("apk", "a", "1"), "alpine:edge", "", "")}, []string{"gap system: apk packages of alpine"}},
		{"no distribution", nil, []esclusa.Package{pkg("deb", "a", "1")}, []string{"gap system: deb packages"}},
		{
			"damaged records: once, and of them all", nil,
			[]esclusa.Package{pkg("npm", "broken", "1.0.0"), pkg("npm", "broken", "1.0.1")},
			[]string{"gap system: advisories on npm"},
		},
	})
}

func modular(name, version, stream string) esclusa.Package {
	p := distro(pkg("rpm", name, version), "almalinux:8.9", "", "")
	p.Modular = stream
	return p
}

func centos(name, version string) esclusa.Package {
	return distro(pkg("rpm", name, version), "centos:8", "", "")
}

func malicious(a *esclusa.Advisory) { a.Malicious = true }

// TestFinding looks at a whole row.
func TestFinding(t *testing.T) {
	p := pkg("npm", "x", "1.0.0")
	p.Place = esclusa.Place{Layer: "sha256:aa", Path: "app/package.json"}
	p.Origin = esclusa.OriginOwn
	out := match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: memory{
		list: []esclusa.Advisory{
			rec("GHSA-a", "npm", "x", "0 <1.5.0", aliases("CVE-2024-9"), vector(vMedium), published("2024-02-02"), func(a *esclusa.Advisory) { a.Summary, a.URL = "Title", "https://example.com/a" }),
			rec("OTHER-1", "npm", "x", "0 <1.5.0", aliases("CVE-2024-9"), vector(vCritical), word(esclusa.SeverityLow), published("2024-01-01")),
		},
		kev: map[string]esclusa.KEV{"CVE-2024-9": {Added: day("2024-03-03")}}, epss: map[string]float64{"CVE-2024-9": 0.9},
	}})
	want := []esclusa.Finding{{
		Kind: esclusa.KindVulnerability, ID: "CVE-2024-9", Aliases: []string{"GHSA-a", "OTHER-1"}, Advisory: "GHSA-a",
		Severity: esclusa.SeverityCritical, Score: 9.8, Vector: vCritical, Title: "Title", URL: "https://example.com/a",
		Package: &p, Place: p.Place, Origin: esclusa.OriginOwn, KEV: &esclusa.KEV{Added: day("2024-03-03")}, EPSS: 0.9,
		Fix:       &esclusa.Fix{Version: "1.5.0", Since: day("2024-01-01"), Command: "npm install x@1.5.0"},
		Published: day("2024-01-01"),
	}}
	if d := cmp.Diff(want, out.Findings); d != "" {
		t.Error(d)
	}
}

func TestSeverity(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  esclusa.Advisory
		want esclusa.Severity
		epss float64
	}{
		{"vector before word", rec("GHSA-a", "npm", "x", "0", vector(vMedium), word(esclusa.SeverityCritical)), esclusa.SeverityMedium, -1},
		{"word alone", rec("GHSA-a", "npm", "x", "0", word(esclusa.SeverityHigh)), esclusa.SeverityHigh, -1},
		{"nobody rated it", rec("GHSA-a", "npm", "x", "0"), esclusa.SeverityUnknown, -1},
		{"a vector that is none", rec("GHSA-a", "npm", "x", "0", vector("9.8"), word(esclusa.SeverityHigh)), esclusa.SeverityHigh, -1},
		{"the package's own vector", rec("GHSA-a", "npm", "x", "0", vector(vMedium), func(a *esclusa.Advisory) { a.Affected[0].CVSS = []string{vCritical} }), esclusa.SeverityCritical, -1},
		{"malicious is critical", rec("MAL-1", "npm", "x", "0", malicious), esclusa.SeverityCritical, -1},
	} {
		out := match.Match(match.Input{Packages: []esclusa.Package{pkg("npm", "x", "1.0.0")}, Advisories: memory{list: []esclusa.Advisory{c.rec}}})
		if len(out.Findings) != 1 || out.Findings[0].Severity != c.want || out.Findings[0].EPSS != c.epss {
			t.Errorf("%s: %+v", c.name, out.Findings)
		}
	}
}

func TestReach(t *testing.T) {
	a := rec("GO-1", "Go", "example.com/x", "0 <1.2.3", func(a *esclusa.Advisory) {
		a.Affected[0].Symbols, a.Affected[0].Imports = []string{"example.com/x/sub.Do", "example.com/x/sub.T.Run"}, []string{"example.com/x/sub"}
	})
	whole := rec("GO-1", "Go", "example.com/x", "0 <1.2.3", func(a *esclusa.Advisory) {
		a.Affected[0].Symbols, a.Affected[0].Imports = []string{"example.com/x/sub.Do"}, []string{"example.com/x/sub", "example.com/x/other"}
	})
	hashes := func(names ...string) []uint64 {
		out := []uint64{}
		for _, n := range names {
			out = append(out, layer.SymbolHash(n))
		}
		slices.Sort(out)
		return out
	}
	for _, c := range []struct {
		name    string
		rec     esclusa.Advisory
		symbols []uint64
		want    esclusa.Reachability
	}{
		{"linked", a, hashes("main.main", "example.com/x/sub.T.Run"), esclusa.ReachLinked},
		{"not linked", a, hashes("main.main", "example.com/x/sub.Else"), esclusa.ReachAbsent},
		{"no symbol at all", a, hashes(), esclusa.ReachAbsent},
		{"symbols not known", a, nil, esclusa.ReachUnknown},
		{"a whole package beside", whole, hashes("main.main"), esclusa.ReachUnknown},
		{"a whole package beside, linked", whole, hashes("example.com/x/sub.Do"), esclusa.ReachLinked},
		{"the advisory lists none", rec("GO-1", "Go", "example.com/x", "0 <1.2.3"), hashes("main.main"), esclusa.ReachUnknown},
	} {
		p := pkg("golang", "example.com/x", "v1.0.0")
		p.Path = "app/server"
		out := match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: memory{list: []esclusa.Advisory{c.rec}}, Symbols: func(path string) []uint64 {
			if path != "app/server" {
				t.Errorf("asked for %q", path)
			}
			return c.symbols
		}})
		if len(out.Findings) != 1 || out.Findings[0].Reach != c.want {
			t.Errorf("%s: %+v", c.name, out.Findings)
		}
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		eco  string
		p    esclusa.Package
		fix  string
		want string
	}{
		{"Debian:12", distro(pkg("deb", "libssl3", "1"), "debian:12", "openssl", ""), "2", "apt-get install --only-upgrade libssl3=2"},
		{"Debian:12", distro(pkg("deb", "libssl3", "1+b1"), "debian:12", "openssl", "1"), "2~x", "apt-get install --only-upgrade libssl3"},
		{"Alpine:v3.19", distro(pkg("apk", "libssl3", "1-r0"), "alpine:3.19", "openssl", ""), "2-r0", "apk add --upgrade libssl3"},
		{"AlmaLinux:9", distro(pkg("rpm", "openssl", "1-1"), "almalinux:9", "", ""), "2-1", "dnf upgrade openssl"},
		{"openSUSE:Leap 15.5", distro(pkg("rpm", "openssl", "1-1"), "opensuse-leap:15.5", "", ""), "2-1", "zypper update openssl"},
		{"npm", pkg("npm", "@a/b", "1.0.0"), "2.0.0", "npm install @a/b@2.0.0"},
		{"PyPI", pkg("pypi", "x", "1"), "2!1", "pip install 'x==2!1'"},
		{"Go", pkg("golang", "example.com/x", "v1.0.0"), "2.0.0", "go get example.com/x@v2.0.0"},
		{"Go", pkg("golang", "stdlib", "1.20.0"), "1.21.0-rc.2", "go get go@1.21rc2"},
		{"Go", pkg("golang", "stdlib", "1.20.0"), "1.20.4", "go get go@1.20.4"},
		{"Maven", pkg("maven", "g:a", "1"), "2", "mvn versions:use-dep-version -Dincludes=g:a -DdepVersion=2"},
		{"RubyGems", pkg("gem", "x", "1"), "2", "gem install x -v 2"},
		{"crates.io", pkg("cargo", "x", "1.0.0"), "2.0.0", "cargo update -p x --precise 2.0.0"},
		{"Packagist", pkg("composer", "a/b", "1"), "2", "composer require a/b:2"},
		{"NuGet", pkg("nuget", "X", "1"), "2", "dotnet add package X --version 2"},
		{"Bitnami", pkg("bitnami", "x", "1.0.0"), "2.0.0", ""},
		// Attacks: what an image or a feed names is never run by the shell.
		{"npm", pkg("npm", "x; rm -rf /", "1.0.0"), "2.0.0", "npm install 'x; rm -rf /@2.0.0'"},
		{"npm", pkg("npm", "x'$(id)'", "1.0.0"), "2.0.0", `npm install 'x'\''$(id)'\''@2.0.0'`},
		{"npm", pkg("npm", "x\n", "1.0.0"), "2.0.0", ""},
	} {
		out := match.Match(match.Input{Packages: []esclusa.Package{c.p}, Advisories: memory{list: []esclusa.Advisory{rec("CVE-1", c.eco, c.p.SourceName(), "0 <"+c.fix)}}})
		if len(out.Findings) != 1 || out.Findings[0].Fix == nil {
			t.Errorf("%s: %+v", c.want, out)
			continue
		}
		if got := out.Findings[0].Fix.Command; got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestEndOfLife(t *testing.T) {
	d := esclusa.Distro{ID: "debian", Version: "12", Name: "Debian 12", EndOfLife: day("2026-06-30")}
	for _, c := range []struct {
		now  string
		pkgs []esclusa.Package
		want []string
	}{
		{"2026-06-30", []esclusa.Package{pkg("deb", "x", "1")}, nil},
		{"2026-07-01", []esclusa.Package{pkg("deb", "x", "1")}, []string{"gap feed: advisories of Debian 12"}},
		{"2026-07-01", []esclusa.Package{pkg("npm", "x", "1.0.0")}, nil}, // a static image with the file left in
	} {
		out := match.Match(match.Input{Packages: c.pkgs, Distro: d, Advisories: memory{}, Now: day(c.now)})
		if diff := cmp.Diff(c.want, rows(out)); diff != "" {
			t.Errorf("%s: %s", c.now, diff)
		}
	}
}

func TestFeeds(t *testing.T) {
	got := match.Feeds([]esclusa.Package{pkg("npm", "x", "1.0.0"), distro(pkg("deb", "x", "1"), "debian:12", "", ""), distro(pkg("deb", "x", "1"), "devuan:5", "", "")})
	if d := cmp.Diff(map[string]bool{"osv/npm": true, "osv/Debian": true, "kev": true, "epss": true}, got); d != "" {
		t.Error(d)
	}
	if got := match.Feeds(nil); len(got) != 0 {
		t.Error(got)
	}
}
