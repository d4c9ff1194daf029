package esclusa

// Package is one installed or locked piece of software.
type Package struct {
	// Type is the purl type: deb apk rpm golang npm pypi maven gem cargo
	// composer nuget bitnami, …
	Type string `json:"type"`
	// Name is written as the ecosystem's advisories write it: "@babel/core",
	// "org.apache.logging.log4j:log4j-core", "golang.org/x/net", "stdlib".
	// For deb, apk and rpm it is the binary package.
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch,omitempty"`
	// Source is the source package, for deb, apk and rpm: advisories of
	// distributions name it.
	Source SourcePackage `json:"source,omitzero"`
	// Distro is "debian:12", "alpine:3.19", "almalinux:9.4" for packages of a
	// distribution, and empty for all others.
	Distro string `json:"distro,omitempty"`
	PURL   string `json:"purl,omitempty"`
	// Reader is the name of the reader that found it.
	Reader string `json:"reader,omitempty"`
	Place
	Origin Origin `json:"origin,omitempty"`
	// Dev says that a lock file marks it as needed for development only.
	Dev bool `json:"dev,omitempty"`
	// Main says that it is the thing built here, not a dependency: the main
	// module of a Go binary, the root package of a lock file.
	Main bool `json:"main,omitempty"`
	// Licenses are as declared, SPDX expressions where the source has them.
	Licenses []string `json:"licenses,omitempty"`
	// Modular is the module stream of an rpm: "nodejs:18", else empty.
	Modular string `json:"modular,omitempty"`
}

// SourcePackage names the source that a binary package was built from.
type SourcePackage struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// SourceName is the source package's name, else the package's own.
func (p *Package) SourceName() string {
	if p.Source.Name != "" {
		return p.Source.Name
	}
	return p.Name
}

// SourceVersion is the source package's version, else the package's own.
func (p *Package) SourceVersion() string {
	if p.Source.Version != "" {
		return p.Source.Version
	}
	return p.Version
}
