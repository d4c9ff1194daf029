package version_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
	"github.com/esclusa/esclusa/internal/truth"
)

// constraints splits "vers:npm/>=1.0|<2.0" into operators and versions.
func constraints(vers string) (typ string, list [][2]string) {
	typ, rest, _ := strings.Cut(strings.TrimPrefix(vers, "vers:"), "/")
	for c := range strings.SplitSeq(rest, "|") {
		v := strings.TrimLeft(c, "<>=!")
		list = append(list, [2]string{c[:len(c)-len(v)], v})
	}
	return typ, list
}

var versSchemes = map[string]version.Scheme{
	"npm": version.NPM, "pypi": version.PEP440, "gem": version.RubyGems, "composer": version.Composer, "golang": version.Go,
	"conan": version.Conan, "nuget": version.NuGet, "openssl": version.OpenSSL,
}

// TestVersRangeOrderVectors: a vers range lists its versions in rising order,
// so every range is a test of the order of real versions.
func TestVersRangeOrderVectors(t *testing.T) {
	known := knownFailures(t)
	files, err := filepath.Glob(truth.Vectors(t, "vers-range") + "/range_*_from_native*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range files {
		file := "vers-range/" + filepath.Base(path)
		var tests []struct {
			Want any `json:"expected_output"`
		}
		readJSON(t, file, &tests)
		var cases []order
		seen := map[string]bool{}
		scheme := version.Scheme(0)
		for _, c := range tests {
			s, _ := c.Want.(string)
			typ, list := constraints(s)
			if versSchemes[typ] == 0 {
				continue
			}
			scheme = versSchemes[typ]
			for i := 1; i < len(list); i++ {
				a, b := list[i-1][1], list[i][1]
				if name := a + " < " + b; !seen[name] && a != b {
					seen[name] = true
					cases = append(cases, order{name, a, "<", b})
				}
			}
		}
		if len(cases) > 0 {
			report(t, file, scheme, cases, known[file])
		}
	}
}

// TestVersContainmentVectors evaluates ranges by the order alone.
func TestVersContainmentVectors(t *testing.T) {
	var tests []struct {
		Input struct{ Vers, Version string }
		Want  bool `json:"expected_output"`
	}
	readJSON(t, "vers-range/range_pypi_range_containment.json", &tests)
	for _, c := range tests {
		v, err := version.PEP440.Parse(c.Input.Version)
		if err != nil {
			t.Fatal(err)
		}
		_, list := constraints(c.Input.Vers)
		if got := contains(t, v, list); got != c.Want {
			t.Errorf("%s in %s: %v", c.Input.Version, c.Input.Vers, got)
		}
	}
	t.Logf("vectors: version %-48s %5d cases", "vers-range/range_pypi_range_containment.json", len(tests))
}

// contains is the vers algorithm for sorted constraints: an equal version
// decides; else an upper bound above v with none below it, a lower bound
// below v with none above it, or both around it.
func contains(t *testing.T, v version.Version, list [][2]string) bool {
	t.Helper()
	var lower, upper string // nearest comparators around v
	for _, c := range list {
		n, err := v.CompareTo(c[1])
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case n == 0:
			return c[0] == "" || c[0] == "=" || strings.HasSuffix(c[0], "=") && c[0] != "!="
		case c[0] == "" || c[0] == "=" || c[0] == "!=":
		case n > 0:
			lower = c[0]
		case upper == "":
			upper = c[0]
		}
	}
	return (lower == "" || lower[0] == '>') && (upper == "" || upper[0] == '<') && lower+upper != ""
}
