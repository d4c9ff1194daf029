package secrets

import (
	"path"
	"slices"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/inspect"
)

// place says whose file something is; it decides what a match is worth.
type place int8

// The places.
const (
	own place = iota
	// ownExample is a test or a text of the team: names of variables prove
	// nothing there, forms of tokens do.
	ownExample
	// thirdParty is code of packages: tokens count, names of variables do not.
	thirdParty
	// documentation is where examples live: nothing counts.
	documentation
)

// placeOf knows the places where secrets are examples. Under the folders of
// packages, tests, fixtures and texts are documentation.
func placeOf(p string) place {
	if inspect.Manual(p) {
		return documentation
	}
	packages := strings.HasPrefix(p, "usr/local/go/") || strings.HasPrefix(p, "usr/share/") || strings.HasPrefix(p, "usr/lib/") ||
		slices.ContainsFunc(strings.Split(path.Dir(p), "/"), packageFolder)
	parts := strings.Split(strings.ToLower(p), "/")
	example := slices.ContainsFunc(parts[:len(parts)-1], exampleFolder) || exampleFile(parts[len(parts)-1])
	switch {
	case packages && example:
		return documentation
	case packages:
		return thirdParty
	case example && !strings.HasSuffix(p, ".txt"):
		return ownExample
	}
	return own
}

// packageFolder names folders that package managers fill.
func packageFolder(s string) bool {
	switch s {
	case "node_modules", "site-packages", "dist-packages", "vendor", "gems", "bower_components", ".cargo", ".m2", ".npm", "_cacache",
		"golang.org", "goroot", "python3", "python2.7":
		return true
	}
	return strings.HasPrefix(s, "go1.") || strings.HasPrefix(s, "python3.")
}

func exampleFolder(s string) bool {
	switch s {
	case "fixture", "mocks", "spec", "specs", "example", "examples", "sample", "samples", "demo", "demos", "benchmark", "benchmarks", "e2e":
		return true
	}
	return inspect.TestFolder(s)
}

// exampleFile knows examples by the name of the file; those of the AWS SDKs are
// called "x.examples.json" and "examples-1.json".
func exampleFile(base string) bool {
	for _, part := range []string{"-test.", "_spec.", "readme", "changelog", "changes", "history", "license", "example"} {
		if strings.Contains(base, part) {
			return true
		}
	}
	return inspect.Prose(base) || strings.HasPrefix(base, "test_") || base == "pkg-info" || base == "metadata"
}

// sourceFile says whether values without quotes are expressions.
func sourceFile(p string) bool {
	switch path.Ext(p) {
	case ".go", ".js", ".mjs", ".cjs", ".ts", ".jsx", ".tsx", ".vue", ".py", ".java", ".kt", ".scala", ".c", ".cc", ".cpp", ".h", ".hpp", ".rs",
		".rb", ".cs", ".swift", ".php", ".pl", ".pm", ".lua", ".m", ".ex", ".exs", ".erl", ".dart", ".sql":
		return true
	}
	return false
}
