// Package all lists the readers of packages. It is the only package that
// imports them all, and holds no logic. To add a reader, add one line; the
// test beside it fails while a folder of catalog is missing here.
package all

import (
	"slices"

	"github.com/esclusa/esclusa/internal/scan/catalog/apk"
	"github.com/esclusa/esclusa/internal/scan/catalog/dotnet"
	"github.com/esclusa/esclusa/internal/scan/catalog/dpkg"
	"github.com/esclusa/esclusa/internal/scan/catalog/gobinary"
	"github.com/esclusa/esclusa/internal/scan/catalog/gomod"
	"github.com/esclusa/esclusa/internal/scan/catalog/java"
	"github.com/esclusa/esclusa/internal/scan/catalog/npm"
	"github.com/esclusa/esclusa/internal/scan/catalog/osrelease"
	"github.com/esclusa/esclusa/internal/scan/catalog/php"
	"github.com/esclusa/esclusa/internal/scan/catalog/python"
	"github.com/esclusa/esclusa/internal/scan/catalog/rpm"
	"github.com/esclusa/esclusa/internal/scan/catalog/ruby"
	"github.com/esclusa/esclusa/internal/scan/catalog/rust"
	"github.com/esclusa/esclusa/internal/scan/catalog/sbom"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers is every reader of packages, in the order of their folders.
func Readers() []layer.Reader {
	return slices.Concat(
		one(apk.Reader{}),
		dotnet.Readers(),
		one(dpkg.Reader{}),
		one(gobinary.Reader{}),
		one(gomod.Reader{}),
		java.Readers(),
		npm.Readers(),
		one(osrelease.Reader{}),
		php.Readers(),
		python.Readers(),
		one(rpm.Reader{}),
		ruby.Readers(),
		rust.Readers(),
		sbom.Readers(),
	)
}

func one(r layer.Reader) []layer.Reader { return []layer.Reader{r} }
