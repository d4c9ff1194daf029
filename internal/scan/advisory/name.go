package advisory

import "strings"

// Base is an OSV ecosystem without its release or registry: "Debian" for
// "Debian:12", "Red Hat" for "Red Hat:enterprise_linux:9::baseos".
func Base(ecosystem string) string {
	base, _, _ := strings.Cut(ecosystem, ":")
	return base
}

// NormalName is the name under which an ecosystem's registry files a package:
// two spellings with one NormalName are one package. Lookup and Build apply
// it, so that callers need not.
func NormalName(ecosystem, name string) string {
	switch Base(ecosystem) {
	case "PyPI":
		return foldPEP503(name)
	case "crates.io":
		// The registry refuses a crate that differs from another in case or
		// in dash and underscore only.
		return strings.ReplaceAll(strings.ToLower(name), "_", "-")
	case "NuGet", "Packagist", "Bitnami", "GitHub Actions", "Hex", "Pub", "ConanCenter":
		return strings.ToLower(name)
	}
	return name
}

// foldPEP503 lowers the name and makes one dash of every run of -, _ and .
// (PEP 503, "Normalized Names").
func foldPEP503(name string) string {
	if isPEP503(name) {
		return name
	}
	var b strings.Builder
	b.Grow(len(name))
	dash := false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			dash = true
			continue
		}
		if dash {
			b.WriteByte('-')
			dash = false
		}
		b.WriteRune(r)
	}
	if dash {
		b.WriteByte('-')
	}
	return b.String()
}

func isPEP503(name string) bool {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-' && (i == 0 || name[i-1] != '-'):
		default:
			return false
		}
	}
	return true
}
