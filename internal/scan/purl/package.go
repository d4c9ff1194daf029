package purl

import (
	"strings"

	"github.com/esclusa/esclusa"
)

// Of is the purl of a package, or "" where its parts make none. Beside what
// the specification has for the type, the source of a distribution's package
// is in "upstream" and the stream of an rpm in "rpmmod", as SBOM tools write
// them; Package reads them back.
func Of(p *esclusa.Package) string {
	namespace, name, version := "", p.Name, p.Version
	var qs []Qualifier
	switch p.Type {
	case "deb", "apk", "rpm", "alpm":
		id, release, _ := strings.Cut(p.Distro, ":")
		namespace = id
		if id == "rhel" {
			namespace = "redhat"
		}
		if p.Type == "rpm" {
			if epoch, rest, ok := strings.Cut(version, ":"); ok {
				version = rest
				qs = append(qs, Qualifier{"epoch", epoch})
			}
			qs = append(qs, Qualifier{"rpmmod", p.Modular})
		}
		qs = append(qs, Qualifier{"arch", p.Arch})
		if id != "" {
			qs = append(qs, Qualifier{"distro", strings.TrimSuffix(id+"-"+release, "-")})
		}
		if src := p.Source; src.Name != "" && (src.Name != p.Name || src.Version != "" && src.Version != p.Version) {
			if src.Version != "" && src.Version != p.Version {
				src.Name += "@" + src.Version
			}
			qs = append(qs, Qualifier{"upstream", src.Name})
		}
	case "maven":
		if group, artifact, ok := strings.Cut(name, ":"); ok {
			namespace, name = group, artifact
		}
	default:
		if p.Arch != "" && p.Type == "bitnami" {
			qs = append(qs, Qualifier{"arch", p.Arch})
		}
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			namespace, name = name[:i], name[i+1:]
		}
	}
	u, err := New(p.Type, namespace, name, version, qs, "")
	if err != nil {
		return ""
	}
	return u.String()
}

// Package is the package that a purl names, as the readers of images would
// have said it: name and version in the words of its ecosystem.
func Package(s string) (esclusa.Package, error) {
	u, err := Parse(s)
	if err != nil {
		return esclusa.Package{}, err
	}
	p := esclusa.Package{Type: u.Type, Name: u.Name, Version: u.Version, PURL: u.String()}
	switch u.Type {
	case "deb", "apk", "rpm", "alpm":
		p.Arch, p.Modular = u.Qualifier("arch"), u.Qualifier("rpmmod")
		p.Distro = distro(&u)
		if e := u.Qualifier("epoch"); e != "" && u.Type == "rpm" {
			p.Version = e + ":" + p.Version
		}
		if up := u.Qualifier("upstream"); up != "" {
			p.Source.Name, p.Source.Version, _ = strings.Cut(up, "@")
			if u.Type == "rpm" { // a file: openssl-3.0.7-27.el9.src.rpm
				p.Source.Name, p.Source.Version = sourceRPM(up)
			}
		}
		if u.Qualifier("arch") == "source" {
			p.Arch = ""
		}
	case "maven":
		if u.Namespace != "" {
			p.Name = u.Namespace + ":" + u.Name
		}
	case "bitnami":
		p.Arch = u.Qualifier("arch")
	default:
		if u.Namespace != "" {
			p.Name = u.Namespace + "/" + u.Name
		}
	}
	return p, nil
}

// distro reads "debian-12" or "12" beside the namespace.
func distro(u *PURL) string {
	id := u.Namespace
	if id == "redhat" {
		id = "rhel"
	}
	d := u.Qualifier("distro")
	if d == "" {
		return id
	}
	if name, release, ok := cutRelease(d); ok {
		return name + ":" + release
	}
	if d[0] >= '0' && d[0] <= '9' {
		return id + ":" + d
	}
	// A code name ("bookworm"): matching knows those of Debian and Ubuntu.
	return id + ":" + d
}

// cutRelease cuts in front of the first digit behind a hyphen, so that
// "opensuse-leap-15.5" keeps its name.
func cutRelease(d string) (name, release string, ok bool) {
	for i := 1; i+1 < len(d); i++ {
		if d[i] == '-' && (d[i+1] >= '0' && d[i+1] <= '9' || d[i+1] == 'v') {
			return d[:i], strings.TrimPrefix(d[i+1:], "v"), true
		}
	}
	return "", "", false
}

func sourceRPM(s string) (name, version string) {
	base, isFile := strings.CutSuffix(s, ".src.rpm")
	if !isFile {
		name, version, _ = strings.Cut(s, "@")
		return name, version
	}
	i := strings.LastIndexByte(base, '-')
	if i < 0 {
		return base, ""
	}
	j := strings.LastIndexByte(base[:i], '-')
	if j < 0 {
		return base[:i], base[i+1:]
	}
	return base[:j], base[j+1:]
}
