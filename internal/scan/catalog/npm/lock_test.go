package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

// locks are the lock files of testdata, by "format/base name".
func locks(t testing.TB) []txtar.File {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/locks.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return archive.Files
}

// words are packages as "name@version", with " dev" and " main".
func words(packages []esclusa.Package) []string {
	var out []string
	for _, p := range packages {
		s := p.Name + "@" + p.Version
		if p.Dev {
			s += " dev"
		}
		if p.Main {
			s += " main"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// TestDeclared reads the same project in all formats: they must agree. One
// dependency comes from git without a version, and must not be silent.
func TestDeclared(t *testing.T) {
	want := []string{
		"@babel/code-frame@7.29.7", "chalk@2.4.2 dev", "debug@2.6.9", "fsevents@2.3.2",
		"left-pad@1.3.0", "ms@2.0.0", "ms@2.1.3 dev", "picocolors@1.1.1",
	}
	for _, file := range locks(t) {
		t.Run(path.Dir(file.Name), func(t *testing.T) {
			res, err := layertest.Read(t, declared{}, file.Name, 0o644, file.Data)
			if err != nil {
				t.Error(err)
			}
			want := slices.Clone(want)
			switch format := path.Dir(file.Name); {
			case strings.HasPrefix(format, "yarn"): // says nothing of development
				for i := range want {
					want[i] = strings.TrimSuffix(want[i], " dev")
				}
			case format == "v1", format == "v3":
				want = append(want, "demo@1.2.3 main")
				slices.Sort(want)
			}
			if diff := cmp.Diff(want, words(res.Packages)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if len(res.Gaps) != 1 || !strings.Contains(res.Gaps[0].String(), "forked") &&
				!strings.Contains(res.Gaps[0].String(), "0123456") {
				t.Errorf("gaps: %v", res.Gaps)
			}
			for _, p := range res.Packages {
				if p.Type != "npm" || p.Reader != declaredName || p.Path != file.Name {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestDeclaredOdd(t *testing.T) {
	for _, c := range []struct {
		name, path, data string
		want             []string
		wantErr          string
	}{
		{"carriage returns", "yarn.lock", "a@1:\r\n  version \"1.0.0\"\r\n\r\nb@2:\r\n  version \"2.0.0\"\r\n", []string{"a@1.0.0", "b@2.0.0"}, ""},
		{"merge conflict", "yarn.lock", "a@1:\n  version \"1.0.0\"\n<<<<<<< HEAD\nb@2:\n", []string{"a@1.0.0"}, "line 3: an unfinished merge"},
		{"no lock of Yarn", "yarn.lock", "hello\n", nil, "line 1"},
		{"no dependencies", "yarn.lock", "# yarn lockfile v1\n", nil, ""},
		{"empty object", "package-lock.json", "{}", nil, "neither packages nor dependencies"},
		{"no dependencies", "package-lock.json", `{"lockfileVersion": 1}`, nil, ""},
		{"cut", "package-lock.json", `{"packages": {"node_modules/a": {"version"`, nil, "unexpected end"},
		{"a name that climbs", "package-lock.json", `{"packages": {"node_modules/../../x": {"version": "1.0.0"}, "node_modules/a": {"version": "1.0.0"}}}`, []string{"a@1.0.0"}, ""},
		{"shipped by a dependency", "node_modules/a/package-lock.json", "what ever", nil, ""},
		{"needed by both", "package-lock.json", `{"packages": {"node_modules/a": {"version": "1.0.0", "dev": true}, "node_modules/b/node_modules/a": {"version": "1.0.0"}}}`, []string{"a@1.0.0"}, ""},
		{"binary", "bun.lockb", "#!/usr/bin/env bun\nbun-lockfile-format-v0\n", nil, "--save-text-lockfile"},
		{"no version of the format", "pnpm-lock.yaml", "packages:\n\n  /a/1.0.0:\n    dev: false\n", []string{"a@1.0.0"}, "no lockfileVersion"},
		{"two documents", "pnpm-lock.yaml", "---\nlockfileVersion: '9.0'\npackages:\n  a@1.0.0:\n    x: y\n---\nlockfileVersion: '9.0'\npackages:\n  b@1.0.0:\n    x: y\n", []string{"a@1.0.0 dev", "b@1.0.0 dev"}, ""},
		{"long key", "pnpm-lock.yaml", "lockfileVersion: '6.0'\npackages:\n  ? /a@1.0.0(b@2.0.0)\n  : dev: true\n    x: y\n", []string{"a@1.0.0 dev"}, ""},
		{"comments", "bun.lock", "{/* a */\"lockfileVersion\":0,// b\n\"packages\":{\"a\":[\"a@1.0.0\",\"//,]\",{},],},}", []string{"a@1.0.0 dev"}, ""},
		{"no element", "bun.lock", `{"lockfileVersion":1,"packages":{"a":[]}}`, nil, ""},
		{"not JSON", "bun.lock", `lockfileVersion`, nil, "invalid character"},
	} {
		t.Run(path.Base(c.path)+"/"+c.name, func(t *testing.T) {
			res, err := layertest.Read(t, declared{}, c.path, 0o644, []byte(c.data))
			if diff := cmp.Diff(c.want, words(res.Packages)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
			if c.wantErr == "" && err != nil || err == nil && c.wantErr != "" || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
		})
	}
}

// TestDeclaredVectors compares names and versions with trivy's golden results.
func TestDeclaredVectors(t *testing.T) {
	for _, c := range []struct {
		golden, file string
		dev          bool // the golden result lists development dependencies
	}{
		{"npm-with-dev.json.golden", "npm/package-lock.json", true},
		{"npm.json.golden", "npm/package-lock.json", false},
		{"pnpm.json.golden", "pnpm/pnpm-lock.yaml", false},
		{"bun.json.golden", "bun/bun.lock", false},
	} {
		t.Run(c.golden, func(t *testing.T) {
			want := golden(t, c.golden)
			data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "repo", filepath.FromSlash(c.file)))
			if err != nil {
				t.Fatal(err)
			}
			res, err := layertest.Read(t, declared{}, c.file, 0o644, data)
			if err != nil || len(res.Gaps) > 0 {
				t.Errorf("%v, gaps %v", err, res.Gaps)
			}
			var got []string
			for _, p := range res.Packages {
				if c.dev || !p.Dev {
					got = append(got, p.Name+"@"+p.Version)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

// golden is "name@version" of each package of a golden result.
func golden(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", name))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Results []struct {
			Packages []struct{ Name, Version string }
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range report.Results {
		for _, p := range r.Packages {
			out = append(out, p.Name+"@"+p.Version)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s lists no packages", name)
	}
	slices.Sort(out)
	return out
}

// TestYarnVector: the golden result of this fixture lists its findings only.
func TestYarnVector(t *testing.T) {
	data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "repo", "yarn", "yarn.lock"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := layertest.Read(t, declared{}, "yarn.lock", 0o644, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"asap@2.0.6", "jquery@3.2.1", "promise@8.0.3"}, words(res.Packages)); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
}

func TestTooManyPackages(t *testing.T) {
	var b bytes.Buffer
	for i := range 200_010 {
		fmt.Fprintf(&b, "a@%d:\n  version \"%d.0.0\"\n", i, i)
	}
	res, err := layertest.Read(t, declared{}, "yarn.lock", 0o644, b.Bytes())
	if err == nil || !strings.Contains(err.Error(), "the rest was not read") {
		t.Errorf("error %v", err)
	}
	if len(res.Packages) != 200_000 {
		t.Errorf("%d packages", len(res.Packages))
	}
}

func FuzzDeclared(f *testing.F) {
	names := make([]string, 0, len(lockReaders))
	for name := range lockReaders {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, file := range locks(f) {
		f.Add(uint8(slices.Index(names, path.Base(file.Name))), file.Data)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		file := layer.File{Path: names[int(which)%len(names)], Data: data}
		res, _ := declared{}.Read(&file)
		for _, p := range res.Packages {
			if !validName(p.Name) || !exactVersion(p.Version) {
				t.Errorf("%+v", p)
			}
		}
	})
}

// BenchmarkDeclared reads a lock file of 1,000 packages.
func BenchmarkDeclared(b *testing.B) {
	var npm, yarn, pnpm bytes.Buffer
	npm.WriteString(`{"lockfileVersion":3,"packages":{"":{}`)
	pnpm.WriteString("lockfileVersion: '6.0'\n\npackages:\n")
	hash := strings.Repeat("a", 86)
	for i := range 1000 {
		fmt.Fprintf(&npm, `,"node_modules/p%d":{"version":"%d.0.0","resolved":"https://registry.example/p%d/-/p%d.tgz","integrity":"sha512-%s==","dependencies":{"p%d":"^1.0.0"}}`, i, i, i, i, hash, i+1)
		fmt.Fprintf(&yarn, "p%d@^%d.0.0:\n  version \"%d.0.0\"\n  resolved \"https://registry.yarnpkg.com/p.tgz\"\n  integrity sha512-%s==\n  dependencies:\n    p%d \"^1.0.0\"\n\n", i, i, i, hash, i+1)
		fmt.Fprintf(&pnpm, "\n  /p%d@%d.0.0:\n    resolution: {integrity: sha512-%s==}\n    dependencies:\n      p%d: 1.0.0\n    dev: false\n", i, i, hash, i+1)
	}
	npm.WriteString("}}")
	for _, c := range []struct {
		name string
		data []byte
	}{{"package-lock.json", npm.Bytes()}, {"yarn.lock", yarn.Bytes()}, {"pnpm-lock.yaml", pnpm.Bytes()}} {
		b.Run(c.name, func(b *testing.B) {
			file := layer.File{Path: c.name, Data: c.data}
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				if res, err := (declared{}).Read(&file); err != nil || len(res.Packages) != 1000 {
					b.Fatal(len(res.Packages), err)
				}
			}
		})
	}
}
