package dotnet

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

const deps = `{
  "runtimeTarget": {"name": ".NETCoreApp,Version=v8.0/linux-x64", "signature": ""},
  "targets": {
    ".NETCoreApp,Version=v8.0": {},
    ".NETCoreApp,Version=v8.0/linux-x64": {
      "App/1.0.0": {"dependencies": {"Lib": "2.0.0"}, "runtime": {"App.dll": {}}},
      "Lib/2.0.0": {"runtime": {"lib/net8.0/Lib.dll": {"assemblyVersion": "2.0.0.0"}}},
      "Native/3.0.0": {"native": {"libn.so": {}}},
      "Analyzer/4.0.0": {"dependencies": {"Lib": "2.0.0"}}
    }
  },
  "libraries": {
    "App/1.0.0": {"type": "project", "serviceable": false},
    "Lib/2.0.0": {"type": "package", "serviceable": true},
    "Native/3.0.0": {"type": "package"},
    "Analyzer/4.0.0": {"type": "package"},
    "Unlisted/5.0.0": {"type": "package"},
    "System.Local/0.0.0.0": {"type": "reference"},
    "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1": {"type": "runtimepack"},
    "Versionless": {"type": "package"}
  }
}`

func TestDeps(t *testing.T) {
	const path = "app/App.deps.json"
	r, err := layertest.Read(t, installed{}, path, 0o644, []byte("\xef\xbb\xbf"+deps))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"App 1.0.0", "Lib 2.0.0", "Microsoft.NETCore.App.Runtime.linux-x64 8.0.1", "Native 3.0.0", "Unlisted 5.0.0"}
	if diff := cmp.Diff(want, layertest.Names(r.Packages)); diff != "" {
		t.Error(diff)
	}
	for _, p := range r.Packages {
		if p.Main != (p.Name == "App") || p.Type != "nuget" || p.Reader != "dotnet" || p.Path != path {
			t.Errorf("%+v", p)
		}
	}
	if len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].What, "Versionless") {
		t.Errorf("gaps %v", r.Gaps)
	}
}

func TestDepsVectors(t *testing.T) {
	r, err := layertest.Read(t, installed{}, "datacollector.deps.json", 0o644, truth.Fixture(t, "dotnet", "datacollector.deps.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(truth.Golden(t, "dotnet.json.golden"), layertest.Names(r.Packages)); diff != "" {
		t.Errorf("- golden, + ours:\n%s", diff)
	}
}

// TestDeclaredVectors has no goldens that list packages: the files are short
// enough to say what stands in them.
func TestDeclaredVectors(t *testing.T) {
	for path, want := range map[string][]string{
		"nuget/packages.lock.json":               {"Newtonsoft.Json 12.0.3", "NuGet.Frameworks 5.7.0"},
		"packagesprops/Directory.Packages.props": {"Newtonsoft.Json 9.0.1"},
	} {
		r, err := layertest.Read(t, declared{}, path, 0o644, truth.Fixture(t, path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, layertest.Names(r.Packages)); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

func TestDeclared(t *testing.T) {
	dev := func(p esclusa.Package) bool { return !p.Dev }
	for _, tc := range []struct {
		path, text string
		all, dev   []string
		gaps       []string
	}{
		{
			path: "packages.lock.json",
			text: `{"version": 2, "dependencies": {"net8.0": {
				"A": {"type": "Direct", "requested": "[1.0.0, )", "resolved": "1.0.0"},
				"B": {"type": "CentralTransitive", "resolved": "2.0.0"},
				"mine": {"type": "Project", "dependencies": {"A": "1.0.0"}},
				"Lost": {"type": "Transitive"}},
			"net9.0": {"a": {"type": "Direct", "resolved": "1.0.0"}, "B": {"type": "Transitive", "resolved": "2.1.0"}}}}`,
			all:  []string{"A 1.0.0", "B 2.0.0", "B 2.1.0"},
			gaps: []string{`package "Lost"`},
		},
		{
			path: "packages.config",
			text: `<?xml version="1.0" encoding="utf-8"?>
<packages>
  <package id="A" version="1.0.0" targetFramework="net48" />
  <package id="D" version="2.0.0" developmentDependency="true" />
  <package id="Lost" />
</packages>`,
			all: []string{"A 1.0.0", "D 2.0.0"}, dev: []string{"D 2.0.0"}, gaps: []string{`package "Lost"`},
		},
		{
			path: "src/App.csproj",
			text: "\xef\xbb\xbf" + `<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup><LibVersion>4.5.6</LibVersion></PropertyGroup>
  <ItemGroup>
    <PackageReference Include="A" Version="1.0.0" />
    <PackageReference Include="B"><Version>[2.0.0]</Version><PrivateAssets>all</PrivateAssets></PackageReference>
    <PackageReference Include="C" Version="$(LibVersion)" />
    <PackageReference Include="Central" />
    <PackageReference Update="Updated" Version="9.0.0" />
    <PackageReference Include="E" Version="9.0.0" VersionOverride="5.0.0" PrivateAssets="All" />
    <PackageReference Include="Range" Version="[1.0,2.0)" />
    <PackageReference Include="Float" Version="1.*" />
    <PackageReference Include="Elsewhere" Version="$(Other)" />
    <!-- <PackageReference Include="Comment" Version="1.0.0" /> -->
    <ProjectReference Include="..\Other\Other.csproj" />
  </ItemGroup>
</Project>`,
			all:  []string{"A 1.0.0", "B 2.0.0", "C 4.5.6", "E 5.0.0"},
			dev:  []string{"B 2.0.0", "E 5.0.0"},
			gaps: []string{"3 unpinned references"},
		},
		{
			path: "Directory.Packages.props",
			text: `<Project><ItemGroup>
    <PackageVersion Include="A" Version="1.0.0" />
    <GlobalPackageReference Include="G" Version="2.0.0-beta.1" />
  </ItemGroup></Project>`,
			all: []string{"A 1.0.0", "G 2.0.0-beta.1"}, dev: []string{"G 2.0.0-beta.1"},
		},
	} {
		r, err := layertest.Read(t, declared{}, tc.path, 0o644, []byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", tc.path, err)
			continue
		}
		if diff := cmp.Diff(tc.all, layertest.Names(r.Packages)); diff != "" {
			t.Errorf("%s:\n%s", tc.path, diff)
		}
		if diff := cmp.Diff(tc.dev, layertest.Names(slices.DeleteFunc(slices.Clone(r.Packages), dev))); diff != "" {
			t.Errorf("%s, dev:\n%s", tc.path, diff)
		}
		var gaps []string
		for _, g := range r.Gaps {
			gaps = append(gaps, g.What)
		}
		if diff := cmp.Diff(tc.gaps, gaps); diff != "" {
			t.Errorf("%s, gaps:\n%s", tc.path, diff)
		}
		for _, p := range r.Packages {
			if p.Line > 0 && !strings.Contains(strings.Split(tc.text, "\n")[p.Line-1], `"`+p.Name+`"`) {
				t.Errorf("%s: %s is not in line %d", tc.path, p.Name, p.Line)
			}
		}
	}
}

// TestBroken: what stands before the error is still reported.
func TestBroken(t *testing.T) {
	for _, tc := range []struct {
		path, text string
		packages   int
	}{
		{"packages.lock.json", "{", 0},
		{"packages.config", "", 0},
		{"packages.config", `<packages><package id="A" version="1"/><package`, 1},
		{"a.csproj", `<Project><PackageReference Include="A" Version="1"/></Wrong>`, 1},
		{"a.csproj", "text", 0},
		{"a.csproj", strings.Repeat("<a>", 1<<20), 0},
	} {
		r, err := layertest.Read(t, declared{}, tc.path, 0o644, []byte(tc.text))
		if err == nil || len(r.Packages) != tc.packages {
			t.Errorf("%s %.40q gives %v, %v", tc.path, tc.text, r.Packages, err)
		}
	}
	if _, err := layertest.Read(t, installed{}, "a.deps.json", 0o644, []byte("[]")); err == nil {
		t.Error("a list is no deps.json, and gives no error")
	}
}

func FuzzDotnet(f *testing.F) {
	paths := []string{"packages.lock.json", "packages.config", "a.csproj", "Directory.Packages.props"}
	f.Add(uint8(0), []byte(`{"dependencies":{"net8.0":{"A":{"type":"Direct","resolved":"1.0.0"}}}}`))
	f.Add(uint8(1), []byte(`<packages><package id="A" version="1.0.0"/></packages>`))
	f.Add(uint8(2), []byte(`<Project><PropertyGroup><V>1</V></PropertyGroup><PackageReference Include="A"><Version>$(V)</Version></PackageReference></Project>`))
	f.Add(uint8(3), []byte(`<Project><PackageVersion Include="A" Version="[1.0.0]"/></Project>`))
	f.Add(uint8(4), []byte(deps))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		r, _ := declared{}.Read(&layer.File{Path: paths[int(which)%len(paths)], Data: data})
		i, _ := installed{}.Read(&layer.File{Path: "a.deps.json", Data: data})
		for _, p := range append(r.Packages, i.Packages...) {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkDeps reads one deps.json.
func BenchmarkDeps(b *testing.B) {
	f := &layer.File{Path: "App.deps.json", Data: []byte(deps)}
	b.SetBytes(int64(len(deps)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || len(r.Packages) == 0 {
			b.Fatal(r, err)
		}
	}
}

// BenchmarkProject reads one project of 50 references.
func BenchmarkProject(b *testing.B) {
	text := "<Project><ItemGroup>\n"
	for i := range 50 {
		text += `<PackageReference Include="P` + strings.Repeat("x", i) + "\" Version=\"1.0.0\" />\n"
	}
	text += "</ItemGroup></Project>"
	f := &layer.File{Path: "App.csproj", Data: []byte(text)}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (declared{}).Read(f); err != nil || len(r.Packages) != 50 {
			b.Fatal(len(r.Packages), err)
		}
	}
}
