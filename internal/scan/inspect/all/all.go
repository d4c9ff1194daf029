// Package all lists every reader of inspect, and gives those that compare files
// with package databases the readers of these; a test fails on a folder that
// is not listed.
package all

import (
	"strings"

	"github.com/esclusa/esclusa/internal/scan/catalog/apk"
	"github.com/esclusa/esclusa/internal/scan/catalog/rpm"
	"github.com/esclusa/esclusa/internal/scan/inspect/malware"
	"github.com/esclusa/esclusa/internal/scan/inspect/misconfig"
	"github.com/esclusa/esclusa/internal/scan/inspect/secrets"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Readers are all readers of inspect, and those of the rules for malware that
// the user brought.
func Readers(own ...*malware.Rules) []layer.Reader {
	readers := []layer.Reader{
		secrets.Reader{},
	}
	readers = append(readers, malware.Readers(apk.Reader{}, rpm.Reader{})...)
	for _, rules := range own {
		readers = append(readers, rules.Readers()...)
	}
	return append(readers, misconfig.Readers(Mask)...)
}

// Mask shortens the secrets of a line of a build or a command, as they are in
// findings.
func Mask(line string) string { return secrets.Mask(line, misconfig.Secrets(line)) }

// MaskValue is the value of a variable or a label, shortened if it is a secret
// by its name, and with the secrets in it shortened else.
func MaskValue(name, value string) string {
	line := name + "=" + value
	if misconfig.Secret(name, value) {
		return secrets.Mask(value, [][2]int{{0, len(value)}})
	}
	return strings.TrimPrefix(Mask(line), name+"=")
}
