package npm

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

// TestPlace holds the rule that tells packages from what packages contain:
// each case that must count stands beside one that looks like it and must not.
func TestPlace(t *testing.T) {
	for path, want := range map[string]bool{
		"app/node_modules/lodash/package.json":                true,
		"node_modules/lodash/package.json":                    true,
		"app/node_modules/@babel/core/package.json":           true,
		"usr/lib/node_modules/npm/package.json":               true,
		"n/node_modules/a/node_modules/b/package.json":        true,
		"n/node_modules/a/node_modules/@b/c/package.json":     true,
		"n/node_modules/a/vendor/node_modules/b/package.json": true,
		"opt/yarn-v1.22.22/package.json":                      true,
		// pnpm, npm's linked strategy, Bun and cnpm keep stores.
		"n/node_modules/.pnpm/lodash@4.17.4/node_modules/lodash/package.json":       true,
		"n/node_modules/.pnpm/@a+b@1.0.0/node_modules/@a/b/package.json":            true,
		"n/node_modules/.store/lodash@4.17.4-hash/node_modules/lodash/package.json": true,
		"n/node_modules/.store/lodash-npm-4.17.4-5f8c2b5a/package/package.json":     true,
		"n/node_modules/_lodash@4.17.4@lodash/package.json":                         true,
		// Packages may be called like the folders that do not count.
		"node_modules/test/package.json":                               true,
		"node_modules/test/node_modules/b/package.json":                true,
		"node_modules/@acme/example/node_modules/b/package.json":       true,
		"node_modules/.pnpm/test@1.0.0/node_modules/test/package.json": true,

		"package.json":                                               false,
		"app/package.json":                                           false,
		"my_node_modules/lodash/package.json":                        false,
		"node_modules/package.json":                                  false,
		"node_modules/@babel/package.json":                           false,
		"node_modules/lodash/dist/package.json":                      false,
		"node_modules/lodash/esm/package.json":                       false,
		"node_modules/@a/b/esm/package.json":                         false,
		"node_modules/resolve/test/resolver/baz/package.json":        false,
		"node_modules/resolve/test/node_modules/b/package.json":      false,
		"node_modules/@acme/x/fixtures/node_modules/b/package.json":  false,
		"node_modules/a/examples/app/node_modules/@b/c/package.json": false,
		"node_modules/.cache/package.json":                           false,
		"node_modules/.bin/package.json":                             false,
		"node_modules/.store/lodash-npm-4/package/lib/package.json":  false,
		"node_modules/.store/lodash-npm-4/other/package.json":        false,
		"opt/yarn-v1.22.22/lib/package.json":                         false,
	} {
		if got := place(path); got != want {
			t.Errorf("place(%q) = %v", path, got)
		}
	}
}

func TestInstalled(t *testing.T) {
	const path = "app/node_modules/x/package.json"
	pkg := func(name, version string, licenses ...string) []esclusa.Package {
		return []esclusa.Package{{
			Type: "npm", Name: name, Version: version, Reader: "npm", Licenses: licenses,
			Place: esclusa.Place{Path: path},
		}}
	}
	for _, c := range []struct {
		name, json string
		want       []esclusa.Package
		wantErr    bool
	}{
		{"plain", `{"name":"x","version":"1.2.3","license":"MIT"}`, pkg("x", "1.2.3", "MIT"), false},
		{"name differs from the folder's: an alias", `{"name":"@real/x","version":"1.0.0"}`, pkg("@real/x", "1.0.0"), false},
		{"byte order mark and space", "\xef\xbb\xbf {\n \"version\" : \"v1.0.0 \" ,\r\n\t\"name\":\"x\" } \n", pkg("x", "1.0.0"), false},
		{"decoys in strings and below", `{"a":{"name":"no","version":"9"},"b":["\"name\":\"no\"",{"version":"9"}],"c":"\\","name":"x","version":"1.0.0"}`, pkg("x", "1.0.0"), false},
		{"escapes", `{"n\u0061me":"\u0078","version":"1.0.0"}`, pkg("x", "1.0.0"), false},
		{"licence as an object", `{"name":"x","version":"1.0.0","license":{"type":"MIT"}}`, pkg("x", "1.0.0"), false},
		{"only a marker", `{"type":"module"}`, nil, false},
		{"no version", `{"name":"x","private":true}`, nil, false},
		{"no name", `{"version":"1.0.0"}`, nil, false},
		{"version of the wrong type", `{"name":"x","version":1}`, nil, false},
		{"empty object", `{}`, nil, false},
		{"cut", `{"name":"x","vers`, nil, true},
		{"empty", ``, nil, true},
		{"an array", `["name"]`, nil, true},
		{"a name with a path", `{"name":"../x","version":"1.0.0"}`, nil, true},
		{"a name with a terminal escape", "{\"name\":\"x\\u001b[2J\",\"version\":\"1.0.0\"}", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := layertest.Read(t, installed{}, path, 0o644, []byte(c.json))
			if (err != nil) != c.wantErr {
				t.Errorf("error: %v", err)
			}
			if diff := cmp.Diff(c.want, res.Packages); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestInstalledVectors holds the reader to the lock file of the same project:
// what is installed must be there in the version that is installed.
func TestInstalledVectors(t *testing.T) {
	root := truth.Vectors(t, "trivy-golden", "fixtures", "repo")
	n := 0
	for _, project := range []string{"npm", "pnpm", "yarn"} {
		err := filepath.WalkDir(filepath.Join(root, project), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != manifestName {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil || !place(rel) {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			res, err := layertest.Read(t, installed{}, rel, 0o644, data)
			if err != nil || len(res.Packages) != 1 {
				t.Errorf("%s: %v, %v", rel, res.Packages, err)
				return nil
			}
			n++
			want, err := decodeManifest(data)
			if err != nil {
				return err
			}
			if got := res.Packages[0]; got.Name != want.name || got.Version != want.version {
				t.Errorf("%s: %s %s, want %v", rel, got.Name, got.Version, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d installed packages agree", n)
	if n != 9 {
		t.Errorf("%d packages, want 9", n)
	}
}

func TestSpec(t *testing.T) {
	for path, want := range map[string]string{
		"node_modules/a/package.json":  "npm",
		"opt/yarn-v1.22/package.json":  "npm",
		"app/package.json":             "",
		"app/package-lock.json":        declaredName,
		"app/npm-shrinkwrap.json":      declaredName,
		"yarn.lock":                    declaredName,
		"pnpm-lock.yaml":               declaredName,
		"x/bun.lock":                   declaredName,
		"x/bun.lockb":                  declaredName,
		"node_modules/a/packageX.json": "",
	} {
		got := ""
		for _, r := range Readers() {
			if layertest.Claimed(r, path, 0o644, nil) {
				got += r.Spec().Name
			}
		}
		if got != want {
			t.Errorf("%s is read by %q, want %q", path, got, want)
		}
	}
}

// FuzzManifest holds the scanner to encoding/json wherever that accepts the
// document and no key of interest stands in it twice.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{
		`{"name":"x","version":"1.2.3","license":"MIT"}`,
		`{"a":{"b":[1,2,{"c":"}"}]},"name":"x\\","version":"1"}`,
		"\xef\xbb\xbf{}", `{"name":null}`, `{"n\u0061me":"x"}`, `{"a":"\\\"","name":"\\\""}`, `{"a":[[[[`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, gotErr := readManifest(data)
		if !json.Valid(data) || twice(data) {
			return
		}
		want, wantErr := decodeManifest(data)
		want.version = cleanVersion(want.version)
		if got != want || (gotErr != nil) != (wantErr != nil) {
			// The scanner stops once it has all; only then may it differ.
			t.Errorf("scanner %+v (%v), decoder %+v (%v)", got, gotErr, want, wantErr)
		}
	})
}

// twice says whether a key of interest is there more than once at any depth,
// in any spelling.
func twice(data []byte) bool {
	seen := map[string]bool{}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		if s, ok := tok.(string); ok && (s == "name" || s == "version" || s == "license") {
			if seen[s] {
				return true
			}
			seen[s] = true
		}
	}
}

// BenchmarkInstalled reads one package.json of 2 KB; 2,137 of them are in a
// large image.
func BenchmarkInstalled(b *testing.B) {
	data := []byte(bigManifest())
	file := layer.File{Path: "app/node_modules/@acme/thing/package.json", Data: data}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if res, err := (installed{}).Read(&file); err != nil || len(res.Packages) != 1 {
			b.Fatal(res, err)
		}
	}
}

func bigManifest() string {
	var sb strings.Builder
	sb.WriteString("{\n  \"name\": \"@acme/thing\",\n  \"version\": \"1.2.3\",\n  \"scripts\": {\n")
	for i := range 20 {
		fmt.Fprintf(&sb, "    \"task%d\": \"node --loader \\\"ts-node\\\" x%d.js\",\n", i, i)
	}
	sb.WriteString("    \"last\": \"x\"\n  },\n  \"devDependencies\": {\n")
	for i := range 25 {
		fmt.Fprintf(&sb, "    \"@acme/dependency-%d\": \"^%d.2.3\",\n", i, i)
	}
	sb.WriteString("    \"last\": \"1\"\n  },\n  \"license\": \"Apache-2.0\"\n}\n")
	return sb.String()
}
