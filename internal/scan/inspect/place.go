package inspect

import (
	"path"
	"strings"
)

// What is written about keys and attacks is no key and no attack. The places
// for such texts are listed here once; secrets and malware each add those that
// matter to one of them only.

// Manual says whether a distribution keeps texts for people, or lists of its
// packages, at this path.
func Manual(p string) bool {
	for _, under := range [...]string{
		"usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/help/", "usr/share/gtk-doc/", "usr/share/javadoc/",
		"usr/share/zoneinfo/", "usr/share/i18n/", "usr/share/common-licenses/", "usr/share/licenses/",
		"usr/local/share/doc/", "usr/local/share/man/", "usr/local/man/", "var/lib/dpkg/", "lib/apk/db/", "usr/lib/apk/db/",
	} {
		if strings.HasPrefix(p, under) {
			return true
		}
	}
	return false
}

// TestFolder says whether a folder of this name holds tests, their data, or
// documentation.
func TestFolder(name string) bool {
	switch name {
	case "test", "tests", "testing", "testdata", "test-data", "test_data", "fixtures", "__tests__", "__fixtures__", "__mocks__",
		"doc", "docs", "documentation", "man":
		return true
	}
	return false
}

// Prose says whether a file of this name is text for people or translators,
// or made from sources that lie elsewhere.
func Prose(base string) bool {
	switch path.Ext(base) {
	case ".md", ".markdown", ".rst", ".adoc", ".txt", ".html", ".map", ".pot", ".po", ".pod", ".snap", ".pyi":
		return true
	}
	return strings.Contains(base, "_test.") || strings.Contains(base, ".test.") || strings.Contains(base, ".spec.")
}
