// Package all lists the readers of packages. It is the only package that
// imports them all, and holds no logic. To add a reader, add one line; the
// test beside it fails while a folder of catalog is missing here.
package all

import (
	"slices"

	"github.com/esclusa/esclusa/internal/scan/catalog/apk"
	"github.com/esclusa/esclusa/internal/scan/catalog/dpkg"
	"github.com/esclusa/esclusa/internal/scan/catalog/npm"
	"github.com/esclusa/esclusa/internal/scan/catalog/osrelease"
	"github.com/esclusa/esclusa/internal/scan/catalog/rpm"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers is every reader of packages, in the order of their folders.
func Readers() []layer.Reader {
	return slices.Concat(
		one(apk.Reader{}),
		one(dpkg.Reader{}),
		npm.Readers(),
		one(osrelease.Reader{}),
		one(rpm.Reader{}),
	)
}

func one(r layer.Reader) []layer.Reader { return []layer.Reader{r} }
