package version_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/version"
	"github.com/esclusa/esclusa/internal/truth"
)

// order is one vector: a, an operator, b.
type order struct {
	name     string
	a, op, b string
}

// check says what is wrong with an ordering, or "".
func (o order) check(s version.Scheme) string {
	a, err := s.Parse(o.a)
	if err != nil {
		return err.Error()
	}
	b, err := s.Parse(o.b)
	if err != nil {
		return err.Error()
	}
	ab, ba := version.Compare(a, b), version.Compare(b, a)
	to, err := a.CompareTo(o.b)
	if err != nil || to != ab || ab != -ba {
		return fmt.Sprintf("Compare %d, reversed %d, CompareTo %d, %v", ab, ba, to, err)
	}
	got := map[int]string{-1: "<", 0: "=", 1: ">"}[ab]
	if o.op == "!=" && got != "=" || o.op == got {
		return ""
	}
	return "is " + got
}

// report runs the cases and compares the list of failures with the golden
// list in testdata, in which each stands by name with the reason.
func report(t *testing.T, file string, s version.Scheme, cases []order, known map[string]string) {
	t.Helper()
	if len(cases) == 0 {
		t.Fatalf("%s: no cases", file)
	}
	failed := map[string]string{}
	bad := 0
	for _, c := range cases {
		if why := c.check(s); why != "" {
			bad++
			failed[c.name] = why
		}
	}
	t.Logf("vectors: version %-48s %5d cases %5d pass %3d fail", file, len(cases), len(cases)-bad, bad)
	compareKnown(t, file, failed, known)
}

// compareKnown holds the failures to the list: no other, and none that passes.
func compareKnown(t *testing.T, file string, failed, known map[string]string) {
	t.Helper()
	for name, why := range failed {
		if known[name] == "" {
			t.Errorf("%s: %s: %s", file, name, why)
		}
	}
	for name := range known {
		if failed[name] == "" {
			t.Errorf("%s: %s passes: remove it from testdata/known.txt", file, name)
		}
	}
}

// knownFailures reads testdata/known.txt: file, case and reason, separated by tabs.
func knownFailures(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/known.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]string{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[2] == "" {
			t.Fatalf("testdata/known.txt: want file, case, reason: %q", line)
		}
		if known[f[0]] == nil {
			known[f[0]] = map[string]string{}
		}
		known[f[0]][f[1]] = f[2]
	}
	return known
}

// filesOf are the files of a folder of the vectors: all that are there.
func filesOf(t *testing.T, folder, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(truth.Vectors(t, folder), pattern))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", folder, err)
	}
	return files
}

// TestAllVectorsAreRead: a file that is added to a folder whose files are
// read by name must not be passed over.
func TestAllVectorsAreRead(t *testing.T) {
	var got []string
	for _, folder := range []string{"semver-npm/*.json", "pep440/*.csv", "dpkg-order/*.csv", "rpm-order/*.csv", "maven-compare/*.csv"} {
		dir, pattern, _ := strings.Cut(folder, "/")
		for _, path := range filesOf(t, dir, pattern) {
			got = append(got, dir+"/"+filepath.Base(path))
		}
	}
	want := []string{
		"semver-npm/comparator-intersection.json", "semver-npm/comparisons.json", "semver-npm/equality.json", "semver-npm/increments.json",
		"semver-npm/invalid-versions.json", "semver-npm/range-exclude.json", "semver-npm/range-include.json", "semver-npm/range-intersection.json",
		"semver-npm/range-parse.json", "semver-npm/truncations.json", "semver-npm/valid-versions.json", "semver-npm/version-gt-range.json",
		"semver-npm/version-lt-range.json", "semver-npm/version-not-gt-range.json", "semver-npm/version-not-lt-range.json",
		"pep440/invalid_and_normalized.csv", "pep440/order.csv", "pep440/specifiers.csv",
		"dpkg-order/dpkg-oracle.csv", "rpm-order/rpm-oracle.csv", "maven-compare/maven.csv",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestVersionOrderVectors(t *testing.T) {
	known := knownFailures(t)
	schemes := map[string]version.Scheme{
		"alpine": version.APK, "cran": version.CRAN, "debian": version.Deb, "hackage": version.Hackage, "maven": version.Maven,
		"nuget": version.NuGet, "packagist": version.Composer, "pub": version.Pub, "pypi": version.PEP440, "redhat": version.RPM,
		"rubygems": version.RubyGems, "semver": version.SemVer,
	}
	for _, path := range filesOf(t, "version-order", "*.txt") {
		file := "version-order/" + filepath.Base(path)
		ecosystem, _, _ := strings.Cut(filepath.Base(path), "-")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var cases []order
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || strings.HasPrefix(line, "//") {
				continue
			}
			w := strings.Fields(line)
			if len(w) != 3 {
				t.Fatalf("%s: %q", file, line)
			}
			cases = append(cases, order{line, w[0], w[1], w[2]})
		}
		report(t, file, schemes[ecosystem], cases, known[file])
	}
}

func TestCSVVectors(t *testing.T) {
	known := knownFailures(t)
	for _, f := range []struct {
		file   string
		scheme version.Scheme
	}{
		{"dpkg-order/dpkg-oracle.csv", version.Deb},
		{"rpm-order/rpm-oracle.csv", version.RPM},
		{"maven-compare/maven.csv", version.Maven},
		{"pep440/order.csv", version.PEP440},
	} {
		var cases []order
		for _, r := range readCSV(t, f.file) {
			cases = append(cases, order{r[0] + " " + r[1] + " " + r[2], r[0], strings.Replace(r[1], "==", "=", 1), r[2]})
		}
		report(t, f.file, f.scheme, cases, known[f.file])
	}
}

func readCSV(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(truth.Vectors(t, strings.Split(name, "/")...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows[1:]
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(truth.Vectors(t, strings.Split(name, "/")...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestVersCompareVectors(t *testing.T) {
	known := knownFailures(t)
	files := filesOf(t, "vers-range", "*_version_*.json")
	schemes := map[string]version.Scheme{
		"apk": version.APK, "alpm": version.ALPM, "conan": version.Conan, "deb": version.Deb,
		"gentoo": version.Gentoo, "maven": version.Maven, "nuget": version.NuGet, "openssl": version.OpenSSL,
	}
	for _, path := range files {
		file := "vers-range/" + filepath.Base(path)
		var tests []struct {
			Type  string `json:"test_type"`
			Input struct {
				Scheme   string   `json:"input_scheme"`
				Versions []string `json:"versions"`
			} `json:"input"`
			Want json.RawMessage `json:"expected_output"`
		}
		readJSON(t, file, &tests)
		var cases []order
		scheme := schemes[tests[0].Input.Scheme]
		for _, c := range tests {
			v := c.Input.Versions
			switch c.Type {
			case "equality":
				op := "="
				if string(c.Want) == "false" {
					op = "!="
				}
				cases = append(cases, order{v[0] + " " + op + " " + v[1], v[0], op, v[1]})
			case "comparison":
				var want []string
				if err := json.Unmarshal(c.Want, &want); err != nil {
					t.Fatal(err)
				}
				// The expected list is sorted; equal ones in either order.
				op := "<"
				if want[0] == want[1] {
					op = "="
				}
				cases = append(cases, order{want[0] + " " + op + " " + want[1], want[0], op, want[1]})
			default:
				t.Errorf("%s: unknown test type %q", file, c.Type)
			}
		}
		report(t, file, scheme, cases, known[file])
	}
}

func TestPEP440InvalidVectors(t *testing.T) {
	n := 0
	for _, r := range readCSV(t, "pep440/invalid_and_normalized.csv") {
		n++
		kind, in, want := r[0], r[1], r[2]
		a, err := version.PEP440.Parse(in)
		switch {
		case kind == "invalid":
			if err == nil {
				t.Errorf("%q is accepted", in)
			}
		case err != nil:
			t.Errorf("%q: %v", in, err)
		default:
			if c, err := a.CompareTo(want); c != 0 || err != nil {
				t.Errorf("%q is not %q: %d, %v", in, want, c, err)
			}
		}
	}
	t.Logf("vectors: version %-48s %5d cases", "pep440/invalid_and_normalized.csv", n)
}

func TestNPMVectors(t *testing.T) {
	var cases []order
	for _, f := range []struct{ file, op string }{{"comparisons", ">"}, {"equality", "="}} {
		var rows [][]any
		readJSON(t, "semver-npm/"+f.file+".json", &rows)
		for _, r := range rows {
			a, b := r[0].(string), r[1].(string)
			cases = append(cases, order{a + " " + f.op + " " + b, a, f.op, b})
		}
	}
	report(t, "semver-npm/comparisons+equality", version.NPM, cases, nil)

	var invalid [][]any
	readJSON(t, "semver-npm/invalid-versions.json", &invalid)
	for _, r := range invalid {
		s, ok := r[0].(string)
		if !ok {
			s = fmt.Sprint(r[0])
		}
		if _, err := version.NPM.Parse(s); err == nil {
			t.Errorf("%q (%v) is accepted", s, r[1])
		}
	}
	var valid [][]any
	readJSON(t, "semver-npm/valid-versions.json", &valid)
	for _, r := range valid {
		s := r[0].(string)
		want := fmt.Sprintf("%v.%v.%v", r[1], r[2], r[3])
		for i, id := range r[4].([]any) {
			want += map[bool]string{true: "-", false: "."}[i == 0] + fmt.Sprint(id)
		}
		a, err := version.NPM.Parse(s)
		if err != nil {
			t.Error(err)
			continue
		}
		if c, err := a.CompareTo(want); c != 0 || err != nil {
			t.Errorf("%q is not %q", s, want)
		}
	}
	t.Logf("vectors: version %-48s %5d cases", "semver-npm/valid+invalid", len(valid)+len(invalid))
}

func TestFor(t *testing.T) {
	got := map[string]string{}
	for _, e := range []string{
		"Debian:12", "npm", "Go", "PyPI", "crates.io", "RubyGems", "Maven", "NuGet", "Packagist", "Alpine:v3.19",
		"Ubuntu:22.04:LTS", "AlmaLinux:9", "Rocky Linux:9", "Red Hat:enterprise_linux:9::baseos", "SUSE:Linux Enterprise Server 15 SP5",
		"openSUSE:Leap 15.5", "Wolfi", "Chainguard", "Bitnami", "Hackage", "Pub", "CRAN", "Hex", "ConanCenter", "SwiftURL",
		"GitHub Actions", "Windows",
	} {
		s, ok := version.For(e)
		if ok != (e != "Windows") {
			t.Errorf("%s: %v", e, ok)
		}
		got[e] = s.String()
	}
	want := map[string]string{
		"Debian:12": "deb", "npm": "npm", "Go": "go", "PyPI": "pypi", "crates.io": "semver", "RubyGems": "gem", "Maven": "maven",
		"NuGet": "nuget", "Packagist": "composer", "Alpine:v3.19": "apk", "Ubuntu:22.04:LTS": "deb", "AlmaLinux:9": "rpm",
		"Rocky Linux:9": "rpm", "Red Hat:enterprise_linux:9::baseos": "rpm", "SUSE:Linux Enterprise Server 15 SP5": "rpm",
		"openSUSE:Leap 15.5": "rpm", "Wolfi": "apk", "Chainguard": "apk", "Bitnami": "bitnami", "Hackage": "hackage", "Pub": "pub",
		"CRAN": "cran", "Hex": "semver", "ConanCenter": "conan", "SwiftURL": "short semver", "GitHub Actions": "short semver",
		"Windows": "unknown",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
