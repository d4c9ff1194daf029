package gate

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/gate/policy"
)

// Every policy that we ship stands beside its test, passes it, and has no
// rule that the test does not make fire.
func TestContentPolicies(t *testing.T) {
	files, err := fs.Glob(content.Policies, "policies/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("got files %v, %v", files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue
		}
		t.Run(path.Base(file), func(t *testing.T) {
			p, err := policy.Parse(file, read(t, file))
			if err != nil {
				t.Fatal(err)
			}
			test := strings.TrimSuffix(file, ".yaml") + "_test.yaml"
			ts, err := policy.ParseTests(test, read(t, test))
			if err != nil {
				t.Fatal(err)
			}
			results := Test(p, ts)
			var out bytes.Buffer
			ok, err := WriteResults(&out, p, results, false)
			if !ok || err != nil {
				t.Errorf("%v\n%s", err, &out)
			}
			if names := Untested(p, results); len(names) > 0 {
				t.Errorf("no test makes these rules fire: %v", names)
			}
		})
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := content.Policies.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func contentFile(name string) ([]byte, error) { return content.Policies.ReadFile(name) }
