package python

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
)

var utf8BOM = []byte("\xef\xbb\xbf")

// readMetadata reads the headers (core metadata is the format of e-mail) up to
// the empty line that ends them; the description behind it can be megabytes.
func readMetadata(data []byte) (esclusa.Package, error) {
	var name, version, license, expression []byte
	var classifiers []string
	data = bytes.TrimPrefix(data, utf8BOM)
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		data = rest
		line = bytes.TrimSuffix(line, []byte{'\r'})
		if len(line) == 0 {
			break
		}
		key, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue // goes on with the value above, of which one line is enough
		}
		value = bytes.TrimSpace(value)
		switch {
		case isKey(key, "name"):
			name = first(name, value)
		case isKey(key, "version"):
			version = first(version, value)
		case isKey(key, "license"):
			license = first(license, value)
		case isKey(key, "license-expression"):
			expression = first(expression, value)
		case isKey(key, "classifier"):
			classifiers = appendLicense(classifiers, value)
		}
	}
	n, v := string(name), string(version)
	if !isName(n) || !isVersion(v) {
		return esclusa.Package{}, fmt.Errorf("name %s and version %s", short(n), short(v))
	}
	return esclusa.Package{
		Type: "pypi", Name: normal(n), Version: v, Reader: installedName,
		Licenses: licenses(expression, license, classifiers),
	}, nil
}

// isKey compares without regard to case, as e-mail headers do; want is lower.
func isKey(key []byte, want string) bool {
	if len(key) != len(want) {
		return false
	}
	for i, c := range key {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

func first(old, value []byte) []byte {
	if old == nil {
		return value
	}
	return old
}

// maxLicense tells the name of a licence from its text, which old packages
// put in the same field.
const maxLicense = 100

func isLicense(b []byte) bool { return len(b) > 0 && len(b) <= maxLicense && utf8.Valid(b) }

func licenses(expression, license []byte, classifiers []string) []string {
	if isLicense(expression) {
		return []string{string(expression)}
	}
	if isLicense(license) && string(license) != "UNKNOWN" {
		return []string{string(license)}
	}
	return classifiers
}

// appendLicense keeps the last part of "License :: OSI Approved :: MIT License".
func appendLicense(dst []string, classifier []byte) []string {
	rest, ok := bytes.CutPrefix(classifier, []byte("License ::"))
	if !ok || len(dst) >= 8 {
		return dst
	}
	rest = bytes.TrimSpace(rest[bytes.LastIndex(rest, []byte("::"))+1:])
	rest = bytes.TrimSpace(bytes.TrimPrefix(rest, []byte(":")))
	if string(rest) == "OSI Approved" || !isLicense(rest) {
		return dst
	}
	return append(dst, string(rest))
}
