package rpm

import (
	"bytes"
	"errors"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
)

// readManifest reads the list that distroless images of Azure Linux carry in
// place of a database: one package a line, in ten columns with tabs between
// them, of which name, version-release, architecture, epoch and source
// package are used.
func readManifest(data []byte, r *collector) error {
	const columns = 10
	known := false
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte{'\n'})
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			continue
		}
		f := bytes.SplitN(line, []byte{'\t'}, columns+1)
		if len(f) != columns || !catalog.Token(f[0]) || !catalog.Token(f[1]) {
			r.gaps.Add(r.path, n, "rpm package", "its line in the manifest has another form")
			continue
		}
		known = true
		name, version, arch, epoch, source := f[0], f[1], f[7], f[8], f[9]
		p := esclusa.Package{Name: string(name), Version: string(version), Source: cutSourceRPM(string(source))}
		if e := string(epoch); e != "0" && e != "(none)" && catalog.Token(e) {
			p.Version = e + ":" + p.Version
		}
		if catalog.Token(arch) {
			p.Arch = string(arch)
		}
		if p.Name != "gpg-pubkey" && !r.add(p) {
			return nil
		}
	}
	if !known {
		return errors.New("no package in the manifest")
	}
	return nil
}
