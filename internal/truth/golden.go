package truth

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Golden is the sorted list "name version" of the packages that another
// scanner (trivy) found in a fixture: a golden report of the vectors.
func Golden(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile(Vectors(t, "trivy-golden", file))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Results []struct {
			Packages []struct{ Name, Version string }
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	var l []string
	for _, r := range report.Results {
		for _, p := range r.Packages {
			l = append(l, p.Name+" "+p.Version)
		}
	}
	if len(l) == 0 {
		t.Fatalf("%s lists no package", file)
	}
	slices.Sort(l)
	return l
}

// Fixture is a file of the repositories that Golden's reports are about.
func Fixture(t testing.TB, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(Vectors(t, append([]string{"trivy-golden", "fixtures", "repo"}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// GoRoot is the folder of the Go installation: a large tree of people's code
// that is on every machine that builds us.
func GoRoot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
