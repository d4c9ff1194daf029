package match

import (
	"strings"

	"github.com/esclusa/esclusa"
)

// command is what installs a fix, to be pasted into a shell: names and
// versions come from images and feeds, so every one is quoted, and one with a
// control character in it gives no command at all.
func command(p *esclusa.Package, t *target, fix string) string {
	if unprintable(p.Name) || unprintable(fix) {
		return ""
	}
	name := p.Name
	switch p.Type {
	case "deb":
		if p.Version == t.version { // built from the source of the same version
			name += "=" + fix
		}
		return "apt-get install --only-upgrade " + quote(name)
	case "apk":
		return "apk add --upgrade " + quote(name)
	case "rpm":
		return rpmCommand(t.ecosystem) + " " + quote(name)
	case "npm":
		return "npm install " + quote(name+"@"+fix)
	case "pypi":
		return "pip install " + quote(name+"=="+fix)
	case "golang":
		switch name {
		case "stdlib", "toolchain":
			return "go get " + quote("go@"+goRelease(fix))
		}
		return "go get " + quote(name+"@v"+strings.TrimPrefix(fix, "v"))
	case "maven":
		return "mvn versions:use-dep-version " + quote("-Dincludes="+t.name) + " " + quote("-DdepVersion="+fix)
	case "gem":
		return "gem install " + quote(name) + " -v " + quote(fix)
	case "cargo":
		return "cargo update -p " + quote(name) + " --precise " + quote(fix)
	case "composer":
		return "composer require " + quote(name+":"+fix)
	case "nuget":
		return "dotnet add package " + quote(name) + " --version " + quote(fix)
	}
	return ""
}

func rpmCommand(ecosystem string) string {
	switch ecosystem {
	case "SUSE", "openSUSE":
		return "zypper update"
	case "Photon OS", "Azure Linux":
		return "tdnf update"
	}
	return "dnf upgrade"
}

// goRelease is OSV's spelling turned back into Go's: 1.21.0-rc.2 is 1.21rc2.
func goRelease(v string) string {
	base, pre, ok := strings.Cut(v, "-")
	if !ok {
		return v
	}
	return strings.TrimSuffix(base, ".0") + strings.ReplaceAll(pre, ".", "")
}

// advice is what a command cannot do.
func advice(p *esclusa.Package, fix *esclusa.Fix) string {
	switch {
	case fix == nil:
		return ""
	case p.Type == "golang" && p.Name == "stdlib":
		return "rebuild with Go " + goRelease(fix.Version) + " or later"
	case p.Type == "golang" && !strings.HasSuffix(p.Path, "go.mod"):
		return "update the module and rebuild"
	case p.Type == "bitnami":
		return "take an image with " + p.Name + " " + fix.Version + " or later"
	}
	return ""
}

func unprintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return len(s) > 512
}

// quote makes one word of a POSIX shell. A leading hyphen is no option, as
// no package name begins with one: it is left to the tool to refuse.
func quote(s string) string {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("@/._+:-=", c) >= 0:
		default:
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}
