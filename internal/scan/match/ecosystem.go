package match

import (
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// target is what of a package its advisories speak of.
type target struct {
	ecosystem string // without release
	name      string
	version   string
	scheme    version.Scheme
	// release says whether the entry of an advisory is about the package's
	// release of the distribution; nil for ecosystems without releases.
	release func(affected string) bool
}

// languages are the ecosystems of the purl types without a distribution.
var languages = map[string]string{
	"npm": "npm", "golang": "Go", "pypi": "PyPI", "cargo": "crates.io", "gem": "RubyGems", "maven": "Maven",
	"nuget": "NuGet", "composer": "Packagist", "bitnami": "Bitnami", "hackage": "Hackage", "pub": "Pub", "cran": "CRAN",
	"hex": "Hex", "conan": "ConanCenter", "swift": "SwiftURL", "githubactions": "GitHub Actions",
}

// distribution says how the advisories of one name packages and releases.
type distribution struct {
	ecosystem string
	source    bool // they name source packages
	// release turns VERSION_ID into what stands behind "Ecosystem:"; "" is
	// "not known". nil: there are no releases.
	release func(version string) string
	// match decides where it takes more than equality.
	match func(affected, release, version string) bool
}

func distributionOf(id string) (distribution, bool) {
	switch id {
	case "debian":
		return distribution{ecosystem: "Debian", source: true, release: debianRelease}, true
	case "ubuntu":
		return distribution{ecosystem: "Ubuntu", source: true, release: ubuntuRelease, match: matchUbuntu}, true
	case "alpine":
		return distribution{ecosystem: "Alpine", source: true, release: alpineRelease}, true
	case "wolfi":
		return distribution{ecosystem: "Wolfi", source: true}, true
	case "chainguard":
		return distribution{ecosystem: "Chainguard", source: true}, true
	case "minimos":
		return distribution{ecosystem: "MinimOS", source: true}, true
	case "echo":
		return distribution{ecosystem: "Echo", source: true}, true
	case "almalinux":
		return distribution{ecosystem: "AlmaLinux", release: major}, true
	case "rocky":
		return distribution{ecosystem: "Rocky Linux", release: major}, true
	case "rhel", "centos":
		// CentOS Linux is a rebuild; Stream is ahead of the release it leads to.
		return distribution{ecosystem: "Red Hat", release: major, match: matchRedHat}, true
	case "sles", "sled", "sles_sap", "sle-micro", "sl-micro":
		return distribution{ecosystem: "SUSE", source: true, release: sleRelease, match: matchSUSE}, true
	case "opensuse-leap", "opensuse":
		return distribution{ecosystem: "openSUSE", source: true, release: func(v string) string { return "Leap " + v }}, true
	case "opensuse-tumbleweed":
		return distribution{ecosystem: "openSUSE", source: true, release: func(string) string { return "Tumbleweed" }}, true
	case "mageia":
		return distribution{ecosystem: "Mageia", source: true, release: major}, true
	case "openeuler", "openEuler":
		return distribution{ecosystem: "openEuler", source: true, release: func(v string) string { return v }, match: hasReleasePrefix}, true
	case "photon":
		return distribution{ecosystem: "Photon OS", release: func(v string) string { return v }}, true
	case "azurelinux":
		return distribution{ecosystem: "Azure Linux", release: major}, true
	}
	return distribution{}, false
}

// targetOf says which advisories a package needs. A gap says that there are
// none to be had; a zero target without a gap, that none are needed.
func targetOf(p *esclusa.Package, image esclusa.Distro) (target, *esclusa.Gap) {
	switch p.Type {
	case "deb", "apk", "rpm", "alpm":
	default:
		eco := languages[p.Type]
		if eco == "" {
			return target{}, &esclusa.Gap{
				Scope: esclusa.GapFeed, What: "packages of type " + p.Type, Err: "no advisory source is known for them",
			}
		}
		return language(p, eco), nil
	}
	id, ver, _ := strings.Cut(p.Distro, ":")
	if id == "" {
		id, ver = image.ID, image.Version
	}
	if id == "" {
		return target{}, &esclusa.Gap{
			Scope: esclusa.GapSystem, What: p.Type + " packages", Err: "the distribution is not known, so no advisory can be matched",
			Hint: "keep /etc/os-release in the image",
		}
	}
	d, ok := distributionOf(id)
	if !ok {
		return target{}, &esclusa.Gap{
			Scope: esclusa.GapSystem, What: p.Type + " packages of " + id, Err: "no advisory source is known for this distribution",
		}
	}
	t := target{ecosystem: d.ecosystem, name: p.Name, version: p.Version}
	t.scheme, _ = version.For(d.ecosystem)
	if d.source {
		t.name, t.version = p.SourceName(), p.SourceVersion()
	}
	if d.release == nil {
		return t, nil
	}
	rel := d.release(ver)
	if rel == "" {
		return target{}, &esclusa.Gap{
			Scope: esclusa.GapSystem, What: p.Type + " packages of " + id,
			Err: fmt.Sprintf("release %q is not one that advisories are published for", ver),
		}
	}
	full := d.ecosystem + ":" + rel
	t.release = func(affected string) bool { return affected == full }
	if d.match != nil {
		v := t.version
		t.release = func(affected string) bool {
			rest, ok := strings.CutPrefix(affected, d.ecosystem+":")
			return ok && d.match(rest, rel, v)
		}
	}
	return t, nil
}

func language(p *esclusa.Package, ecosystem string) target {
	t := target{ecosystem: ecosystem, name: p.Name, version: p.Version}
	t.scheme, _ = version.For(ecosystem)
	if ecosystem == "Maven" {
		// purls write group/artifact, advisories group:artifact.
		t.name = strings.Replace(t.name, "/", ":", 1)
	}
	return t
}

func major(v string) string {
	v, _, _ = strings.Cut(v, ".")
	return digitsOnly(v)
}

func digitsOnly(v string) string {
	if v == "" || strings.Trim(v, "0123456789") != "" {
		return ""
	}
	return v
}

// debianRelease knows the code names that purls write.
func debianRelease(v string) string {
	switch v {
	case "squeeze":
		return "6.0"
	case "wheezy":
		return "7"
	case "jessie":
		return "8"
	case "stretch":
		return "9"
	case "buster":
		return "10"
	case "bullseye":
		return "11"
	case "bookworm":
		return "12"
	case "trixie":
		return "13"
	case "forky":
		return "14"
	case "6", "6.0":
		return "6.0"
	}
	return major(v)
}

func ubuntuRelease(v string) string {
	for _, c := range [...][2]string{
		{"trusty", "14.04"}, {"xenial", "16.04"}, {"bionic", "18.04"}, {"focal", "20.04"}, {"jammy", "22.04"}, {"noble", "24.04"},
	} {
		if v == c[0] {
			return c[1]
		}
	}
	if y, m, ok := strings.Cut(v, "."); !ok || digitsOnly(y) == "" || digitsOnly(m) == "" {
		return ""
	}
	return v
}

// matchUbuntu: "22.04", "22.04:LTS", and "Pro:16.04:LTS": the flaw is in the
// package whether or not the machine has a contract for its fix. The FIPS
// streams are other packages.
func matchUbuntu(affected, release, version string) bool {
	affected = strings.TrimPrefix(affected, "Pro:")
	if fips, ok := strings.CutPrefix(affected, "FIPS"); ok {
		if !strings.Contains(strings.ToLower(version), "fips") {
			return false
		}
		_, affected, _ = strings.Cut(fips, ":")
	}
	return strings.TrimSuffix(affected, ":LTS") == release
}

// alpineRelease is "v3.19" for "3.19.1"; edge has no advisories of its own.
func alpineRelease(v string) string {
	v = strings.TrimPrefix(v, "v")
	x, rest, _ := strings.Cut(v, ".")
	y, _, _ := strings.Cut(rest, ".")
	if digitsOnly(x) == "" || digitsOnly(y) == "" {
		return ""
	}
	return "v" + x + "." + y
}

// matchRedHat reads the CPE behind the colon: "enterprise_linux:9::baseos".
// Streams with a contract of their own (EUS, AUS) are other repositories.
func matchRedHat(affected, release, _ string) bool {
	product, rest, _ := strings.Cut(affected, ":")
	number, _, _ := strings.Cut(rest, ":")
	return product == "enterprise_linux" && number == release
}

// sleRelease is "15 SP5" for "15.5".
func sleRelease(v string) string {
	x, y, ok := strings.Cut(v, ".")
	if digitsOnly(x) == "" || ok && digitsOnly(y) == "" {
		return ""
	}
	if !ok || y == "0" {
		return x
	}
	return x + " SP" + y
}

// matchSUSE: products and modules end in the release they are for: "Linux
// Enterprise Module for Basesystem 15 SP5". Micro counts without SP.
func matchSUSE(affected, release, _ string) bool {
	if strings.HasSuffix(affected, " "+release) {
		return true
	}
	return strings.Contains(affected, "Micro") && strings.HasSuffix(affected, " "+strings.Replace(release, " SP", ".", 1))
}

func hasReleasePrefix(affected, release, _ string) bool { return strings.HasPrefix(affected, release) }
