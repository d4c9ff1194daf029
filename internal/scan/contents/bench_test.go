package contents_test

import (
	"fmt"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/contents"
)

// BenchmarkDecode: the unit is the contents of an image of 3,000 packages and
// ten binaries of 5,000 functions.
func BenchmarkDecode(b *testing.B) {
	var c contents.Contents
	for i := range 3000 {
		name := fmt.Sprintf("package-%d", i/2)
		c.Packages = append(c.Packages, esclusa.Package{
			Type: "npm", Name: name, Version: fmt.Sprintf("1.%d.0", i%50), PURL: fmt.Sprintf("pkg:npm/%s@1.%d.0", name, i%50), Reader: "npm",
			Place:  esclusa.Place{Layer: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Path: fmt.Sprintf("srv/app/%d/node_modules/%s/package.json", i, name)},
			Origin: esclusa.OriginOwn, Licenses: []string{"MIT"},
		})
	}
	for i := range 10 {
		c.SetSymbols(fmt.Sprintf("usr/bin/%d", i), make([]uint64, 5000))
	}
	kept := encode(b, &c)
	b.SetBytes(int64(len(kept)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := contents.Decode(kept); err != nil {
			b.Fatal(err)
		}
	}
}
