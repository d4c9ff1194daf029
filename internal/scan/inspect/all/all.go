// Package all lists every reader of inspect; a test fails on a folder that is
// not listed.
package all

import (
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
	"github.com/esclusa/esclusa/internal/scan/inspect/misconfig"
	"github.com/esclusa/esclusa/internal/scan/inspect/secrets"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers are all readers of inspect.
func Readers() []layer.Reader {
	readers := []layer.Reader{
		secrets.Reader{},
	}
	readers = append(readers, malware.Readers()...)
	return append(readers, misconfig.Readers()...)
}
