package php

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

const entries = `{"name": "Vendor/Lib", "version": "v1.2.3", "type": "library", "license": ["MIT", "BSD-3-Clause"]},
	{"name": "vendor/dev", "version": "dev-master", "license": "proprietary"},
	{"name": "vendor/meta", "version": "1.0.0", "type": "metapackage"}`

func pkg(path, reader, name, version string, dev bool, licenses ...string) esclusa.Package {
	return esclusa.Package{
		Type: "composer", Name: name, Version: version, Reader: reader, Dev: dev,
		Place: esclusa.Place{Path: path}, Licenses: licenses,
	}
}

func TestInstalled(t *testing.T) {
	const path = "app/vendor/composer/installed.json"
	for _, tc := range []struct {
		name, text string
		dev        bool
	}{
		{"Composer 2", `{"packages": [` + entries + `], "dev": true, "dev-package-names": ["Vendor/Dev"]}`, true},
		{"Composer 1", " [" + entries + "]", false},
	} {
		r, err := layertest.Read(t, installed{}, path, 0o644, []byte(tc.text))
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		want := []esclusa.Package{
			pkg(path, "php", "vendor/lib", "v1.2.3", false, "MIT", "BSD-3-Clause"),
			pkg(path, "php", "vendor/dev", "dev-master", tc.dev, "proprietary"),
		}
		if diff := cmp.Diff(layer.Result{Packages: want}, r); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

func TestFixtures(t *testing.T) {
	for path, want := range map[string]int{
		"app/vendor/composer/installed.json":                                         2,
		"srv/tests/app/vendor/composer/installed.json":                               2,
		"opt/libs/composer/installed.json":                                           2,
		"app/vendor/x/y/vendor/composer/installed.json":                              2,
		"app/vendor/composer/composer/tests/Fixtures/vendor/composer/installed.json": 0,
		"vendor/x/y/Tests/composer/installed.json":                                   0,
		"app/composer/other/installed.json":                                          0,
	} {
		r, err := layertest.Read(t, installed{}, path, 0o644, []byte("["+entries+"]"))
		if err != nil || len(r.Packages) != want {
			t.Errorf("%s gives %d packages and error %v, want %d", path, len(r.Packages), err, want)
		}
	}
}

func TestLock(t *testing.T) {
	text := `{"packages": [{"name": "a/b", "version": "1.0", "license": {"odd": 1}}, {"name": "no/version"}],
		"packages-dev": [{"name": "c/d", "version": "2.0"}]}`
	r, err := layertest.Read(t, declared{}, "composer.lock", 0o644, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := layer.Result{
		Packages: []esclusa.Package{
			pkg("composer.lock", "php/lock", "a/b", "1.0", false),
			pkg("composer.lock", "php/lock", "c/d", "2.0", true),
		},
		Gaps: []esclusa.Gap{{
			Scope: esclusa.GapItem, Place: esclusa.Place{Path: "composer.lock"},
			What: `package "no/version"`, Err: "no usable name and version",
		}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func TestBroken(t *testing.T) {
	deep := `{"packages": ` + strings.Repeat("[", 1<<20)
	for _, text := range []string{"", "{", "[", `"x"`, `{"packages": 1}`, deep} {
		if r, err := layertest.Read(t, declared{}, "composer.lock", 0o644, []byte(text)); err == nil {
			t.Errorf("composer.lock %.20q gives %v", text, r)
		}
		if r, err := layertest.Read(t, installed{}, "vendor/composer/installed.json", 0o644, []byte(text)); err == nil {
			t.Errorf("installed.json %.20q gives %v", text, r)
		}
	}
}

func TestInstalledVectors(t *testing.T) {
	r, err := layertest.Read(t, installed{}, "vendor/composer/installed.json", 0o644, truth.Fixture(t, "composer-vendor", "installed.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(truth.Golden(t, "composer.vendor.json.golden"), layertest.Names(r.Packages)); diff != "" {
		t.Errorf("- golden, + ours:\n%s", diff)
	}
}

// TestLockVectors has no golden: the file's own lines are counted instead.
func TestLockVectors(t *testing.T) {
	data := truth.Fixture(t, "composer", "composer.lock")
	r, err := layertest.Read(t, declared{}, "composer.lock", 0o644, data)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		name, ok := strings.CutPrefix(line, `            "name": "`)
		version, versioned := strings.CutPrefix(lines[min(i+1, len(lines)-1)], `            "version": "`)
		if ok && versioned {
			want = append(want, strings.Trim(name, `",`)+" "+strings.Trim(version, `",`))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, layertest.Names(r.Packages)); diff != "" || len(want) == 0 {
		t.Errorf("- lines of the file, + ours:\n%s", diff)
	}
}

func FuzzComposer(f *testing.F) {
	f.Add([]byte(`{"packages": [` + entries + `], "packages-dev": [], "dev-package-names": ["a"]}`))
	f.Add([]byte("[" + entries + "]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, _ := declared{}.Read(&layer.File{Path: "composer.lock", Data: data})
		vendor, _ := installed{}.Read(&layer.File{Path: "vendor/composer/installed.json", Data: data})
		for _, p := range append(lock.Packages, vendor.Packages...) {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkInstalled reads one installed.json of 100 packages.
func BenchmarkInstalled(b *testing.B) {
	one := `{"name": "vendor/lib", "version": "v1.2.3", "source": {"type": "git", "url": "https://example.com/lib.git", "reference": "0123456789"},
		"require": {"php": ">=8.1", "psr/log": "^3"}, "autoload": {"psr-4": {"Lib\\": "src"}}, "license": ["MIT"], "description": "text"},`
	text := `{"packages": [` + strings.TrimSuffix(strings.Repeat(one, 100), ",") + `]}`
	f := &layer.File{Path: "vendor/composer/installed.json", Data: []byte(text)}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || len(r.Packages) != 100 {
			b.Fatal(len(r.Packages), err)
		}
	}
}
