// Package reporttest has the reports that the formats are tested with: an
// image in which nothing is wrong, one with every kind of trouble, a large
// one and a hostile one. They are made up, and the same at each call.
//
// It is imported by tests only.
package reporttest

import (
	"fmt"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// The layers of the image, lowest first.
var (
	Base = esclusa.Digest("sha256:" + strings.Repeat("b", 64))
	Own  = esclusa.Digest("sha256:" + strings.Repeat("0a", 32))
	Top  = esclusa.Digest("sha256:" + strings.Repeat("7", 64))
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err) // a test that cannot start
	}
	return t
}

// Clean is an image without a finding and without a gap.
func Clean() *esclusa.Report {
	r := &esclusa.Report{
		Start: esclusa.Start{Stream: esclusa.StreamVersion, Tool: "esclusa 0.1.0", At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)},
		Image: esclusa.Image{
			Kind: esclusa.TargetImage, Ref: "registry.example.com/shop/checkout:1.4.2", Platform: "linux/amd64",
			Digest: esclusa.Digest("sha256:" + strings.Repeat("3c", 32)), ID: esclusa.Digest("sha256:" + strings.Repeat("d", 64)),
			Distro: esclusa.Distro{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", EndOfLife: day("2028-06-30")},
			Layers: []esclusa.Layer{
				{DiffID: Base, Origin: esclusa.OriginBase}, {DiffID: Own, Origin: esclusa.OriginOwn}, {DiffID: Top, Origin: esclusa.OriginOwn},
			},
			BaseName: "debian:12-slim", BaseBy: "label",
		},
		Feeds: []esclusa.Feed{
			{Name: "osv/debian", Date: day("2026-03-03"), Records: 40000},
			{Name: "osv/npm", Date: day("2026-03-04"), Records: 20000},
			{Name: "kev", Date: day("2026-03-01"), Records: 1300},
		},
		Packages: []esclusa.Package{Deb("openssl", "libssl3", "3.0.11-1~deb12u1"), NPM("@shop/cart", "1.4.2", "app/package.json")},
		End:      esclusa.End{Took: 1234567 * time.Microsecond, LayersRead: 2, LayersCached: 1, BytesRead: 1 << 20},
	}
	r.Packages[1].Main = true
	return r
}

// Deb is a package of the base image.
func Deb(source, name, version string) esclusa.Package {
	return esclusa.Package{
		Type: "deb", Name: name, Version: version, Arch: "amd64", Source: esclusa.SourcePackage{Name: source, Version: version},
		Distro: "debian:12", PURL: "pkg:deb/debian/" + name + "@" + strings.ReplaceAll(version, "+", "%2B") + "?arch=amd64&distro=debian-12", Reader: "dpkg",
		Place: esclusa.Place{Layer: Base, Path: "var/lib/dpkg/status"}, Origin: esclusa.OriginBase, Licenses: []string{"Apache-2.0"},
	}
}

// NPM is a package of the team's own layer.
func NPM(name, version, path string) esclusa.Package {
	return esclusa.Package{
		Type: "npm", Name: name, Version: version, PURL: "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version, Reader: "npm",
		Place: esclusa.Place{Layer: Own, Path: path}, Origin: esclusa.OriginOwn, Licenses: []string{"(mit or apache-2.0)", "Custom licence"},
	}
}

// vulnerability is one of a package.
func vulnerability(p esclusa.Package, id string, s esclusa.Severity, fix, command string) esclusa.Finding {
	f := esclusa.Finding{
		Kind: esclusa.KindVulnerability, ID: id, Advisory: id, Severity: s, Package: &p, Place: p.Place, Origin: p.Origin,
		EPSS: 0.004, Title: "flaw in " + p.Name, URL: "https://example.com/advisories/" + id, Published: day("2026-01-02"),
	}
	if fix != "" {
		f.Fix = &esclusa.Fix{Version: fix, Since: day("2026-02-01"), Command: command}
	}
	return f
}

// Mixed is an image with every kind of finding and of gap, in the order to
// fix.
func Mixed() *esclusa.Report {
	r := Clean()
	r.Findings = append(threats(), vulnerabilities(r)...)
	r.Findings = append(r.Findings, rest(r)...)
	r.Gaps = []esclusa.Gap{
		{Scope: esclusa.GapSystem, What: "rpm database", Err: "unknown format of Packages.db", Place: esclusa.Place{Layer: Own, Path: "var/lib/rpm/Packages.db"}},
		{Scope: esclusa.GapLayer, What: "rest of the layer", Err: "unexpected end of gzip", Place: esclusa.Place{Layer: Top}},
		{Scope: esclusa.GapFeed, What: "feed osv/npm", Err: "last said something 31 days ago", Hint: "esclusa advisories update"},
		{Scope: esclusa.GapFile, What: "npm lock file", Err: "unexpected end of JSON input", Place: esclusa.Place{Layer: Own, Path: "app/package-lock.json"}},
		{Scope: esclusa.GapItem, What: "version of left-pad", Err: `"latest" is no version`, Place: esclusa.Place{Layer: Own, Path: "app/package.json"}},
	}
	r.Verdict = &esclusa.Verdict{
		Decision: esclusa.Deny, Policy: "default", At: r.Start.At,
		Reasons: []esclusa.Reason{{Rule: "no-malware", Decision: esclusa.Deny, Message: "colours-utils 9.9.9 is malicious", Finding: "MAL-2026-77"}},
	}
	return r
}

func threats() []esclusa.Finding {
	bad := NPM("colours-utils", "9.9.9", "app/node_modules/colours-utils/package.json")
	key := "AKIA" + strings.Repeat("*", 16)
	return []esclusa.Finding{
		{
			Kind: esclusa.KindMaliciousPackage, ID: "MAL-2026-77", Advisory: "MAL-2026-77", Severity: esclusa.SeverityCritical,
			Title: "sends the environment of the build to its author", Package: &bad, Place: bad.Place, Origin: bad.Origin,
			EPSS: -1, URL: "https://example.com/MAL-2026-77", Advice: "Remove it, and change every secret that the build could read.",
		},
		{
			Kind: esclusa.KindMalware, ID: "malware/xmrig", Severity: esclusa.SeverityCritical, Title: "coin miner", EPSS: -1,
			Place: esclusa.Place{Layer: Own, Path: "usr/local/bin/.x"}, Origin: esclusa.OriginOwn, Evidence: "ELF with the strings of a miner",
		},
		{
			Kind: esclusa.KindSecret, ID: "secret/aws-access-key", Severity: esclusa.SeverityCritical, Title: "AWS access key", EPSS: -1,
			Place: esclusa.Place{Layer: Own, Path: "app/.env", Line: 3}, Origin: esclusa.OriginOwn, Deleted: true, Evidence: key,
			Advice: "Deactivate the key in IAM and make a new one. Removing the file in a later layer does not end it: build the image anew without it.",
		},
	}
}

func vulnerabilities(r *esclusa.Report) []esclusa.Finding {
	ssl, tool := r.Packages[0], Deb("openssl", "openssl", r.Packages[0].Version)
	minimist := NPM("minimist", "1.2.0", "app/node_modules/minimist/package.json")
	const apt = "apt-get update && apt-get install --only-upgrade -y libssl3=3.0.14-1~deb12u2 openssl=3.0.14-1~deb12u2"
	const fixed = "3.0.14-1~deb12u2"
	a := vulnerability(ssl, "CVE-2026-1001", esclusa.SeverityHigh, fixed, apt)
	a.KEV = &esclusa.KEV{Added: day("2026-02-03"), Due: day("2026-02-24"), Ransomware: true}
	a.Score, a.Vector, a.EPSS = 7.5, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 0.931
	a.Aliases = []string{"GHSA-aaaa-bbbb-cccc", "DSA-9999-1"}
	b := vulnerability(ssl, "CVE-2026-1002", esclusa.SeverityCritical, fixed, apt)
	b.Score, b.Vector = 9.3, "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
	c := b
	c.Package, c.Place = &tool, tool.Place
	d := vulnerability(minimist, "CVE-2021-44906", esclusa.SeverityCritical, "1.2.6", "npm install minimist@1.2.6")
	d.Score, d.Vector, d.Reach = 9.8, "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", esclusa.ReachLinked
	e := vulnerability(Deb("zlib", "zlib1g", "1:1.2.13.dfsg-1"), "CVE-2026-3003", esclusa.SeverityMedium, "", "")
	e.Score, e.Vector = 5.0, "AV:N/AC:L/Au:N/C:P/I:N/A:N"
	f := vulnerability(Deb("perl", "perl-base", "5.36.0-7+deb12u1"), "CVE-2026-4004", esclusa.SeverityUnknown, "", "")
	f.EPSS, f.Reach = -1, esclusa.ReachAbsent
	return []esclusa.Finding{a, b, c, d, e, f}
}

func rest(r *esclusa.Report) []esclusa.Finding {
	old := NPM("request", "2.88.2", "app/node_modules/request/package.json")
	quiet := vulnerability(r.Packages[0], "CVE-2026-5005", esclusa.SeverityHigh, "3.0.15-1", "")
	quiet.VEX = &esclusa.VEXStatement{
		Status: esclusa.VEXNotAffected, Justification: "vulnerable_code_not_in_execute_path", Statement: "the engine is not built in",
		Author: "Shop Ltd", At: day("2026-02-20"), Document: "vex.json",
	}
	asked := vulnerability(r.Packages[0], "CVE-2026-6006", esclusa.SeverityLow, "", "")
	asked.VEX = &esclusa.VEXStatement{Status: esclusa.VEXInvestigating}
	return []esclusa.Finding{
		asked,
		{
			Kind: esclusa.KindMisconfiguration, ID: "misconfig/root-user", Severity: esclusa.SeverityMedium, EPSS: -1,
			Title: "The container runs as root", Advice: "Whoever breaks out of the process is root in the container. USER 10001",
		},
		{
			Kind: esclusa.KindMisconfiguration, ID: "misconfig/add-remote", Severity: esclusa.SeverityLow, EPSS: -1,
			Title: "ADD takes a file from the network without a digest", Evidence: "ADD https://example.com/x.tgz /",
			Place: esclusa.Place{Layer: Own, Path: "src/Dockerfile", Line: 12},
		},
		{
			Kind: esclusa.KindNotice, ID: "notice/unmaintained", Title: "no longer maintained", EPSS: -1,
			Package: &old, Place: old.Place, Origin: old.Origin,
		},
		quiet,
	}
}

// Many is an image with n vulnerabilities in about a tenth as many packages.
func Many(n int) *esclusa.Report {
	r := Clean()
	for i := range n {
		name := fmt.Sprintf("library-%02d", i*7%((n+9)/10))
		p := NPM(name, "1.0.0", "app/node_modules/"+name+"/package.json")
		fix, command := "", ""
		if i*7%((n+9)/10)%3 > 0 {
			fix = fmt.Sprintf("1.%d.0", i%4+1)
			command = "npm install " + name + "@" + fix
		}
		severity := esclusa.SeverityCritical - esclusa.Severity(i*4/n)
		r.Findings = append(r.Findings, vulnerability(p, fmt.Sprintf("CVE-2026-%05d", 10000+i), severity, fix, command))
		r.Packages = append(r.Packages, p)
	}
	return r
}
