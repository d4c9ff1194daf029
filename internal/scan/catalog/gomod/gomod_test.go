package gomod

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

// scan reads the files of a project as the pipeline does: each by itself,
// then the Judge.
func scan(t *testing.T, files map[string]string) ([]string, []esclusa.Gap) {
	t.Helper()
	var view layer.View
	var gaps []esclusa.Gap
	for path, text := range files {
		r, err := layertest.Read(t, Reader{}, path, 0o644, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		view.Packages = append(view.Packages, r.Packages...)
		gaps = append(gaps, r.Gaps...)
		for _, f := range r.Facts {
			view.Facts = append(view.Facts, layer.PlacedFact{Fact: f, Place: esclusa.Place{Path: path}})
		}
	}
	late := Reader{}.Judge(&view)
	var l []string
	for _, p := range append(view.Packages, late.Packages...) {
		if p.Type != "golang" || p.Reader != "gomod" {
			t.Errorf("%+v", p)
		}
		l = append(l, p.Path+": "+p.Name+" "+p.Version)
	}
	slices.Sort(l)
	return l, append(gaps, late.Gaps...)
}

const (
	old = "module example.com/old\n\ngo 1.15\n\nrequire github.com/a/b v1.0.0\n"
	sum = `github.com/a/b v1.0.0 h1:x=
github.com/a/b v1.0.0/go.mod h1:x=
github.com/c/d v1.9.0 h1:x=
github.com/c/d v1.10.0 h1:x=
github.com/e/f v2.0.0+incompatible/go.mod h1:x=
not a line
`
	modules = `# github.com/a/b v1.0.0
## explicit
github.com/a/b
# github.com/c/d v1.9.0 => github.com/fork/d v1.9.1
github.com/c/d/sub
# github.com/g/h v0.0.0 => ./h
# github.com/i/j => ./j
`
)

func TestProjects(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
		gaps  []string
	}{
		{
			name: "everything of go.mod",
			files: map[string]string{"x/go.mod": `module example.com/app // comment

go 1.22

toolchain go1.23.4

require (
	github.com/a/b v1.0.0
	github.com/c/d v1.1.0 // indirect
	github.com/e/f v1.2.0
	github.com/g/h v1.3.0
	github.com/i/j v1.4.0
)

exclude github.com/i/j v1.4.0

replace (
	github.com/c/d => github.com/any/d v1.9.0
	github.com/c/d v1.1.0 => github.com/fork/d v1.1.1
	github.com/e/f v1.9.9 => github.com/other/f v1.0.0
	github.com/g/h => ../h
)
`, "x/go.sum": sum},
			want: []string{
				"x/go.mod: example.com/app (devel)",
				"x/go.mod: github.com/a/b v1.0.0",
				"x/go.mod: github.com/e/f v1.2.0",
				"x/go.mod: github.com/fork/d v1.1.1",
				"x/go.mod: github.com/g/h (devel)",
				"x/go.mod: stdlib 1.23.4",
			},
			gaps: []string{"version of github.com/i/j"},
		},
		{
			name:  "an old go.mod and go.sum",
			files: map[string]string{"go.mod": old, "go.sum": sum},
			want:  []string{"go.mod: example.com/old (devel)", "go.mod: github.com/a/b v1.0.0", "go.sum: github.com/c/d v1.10.0"},
		},
		{
			name:  "an old go.mod and vendor",
			files: map[string]string{"go.mod": old, "go.sum": sum, "vendor/modules.txt": modules},
			want: []string{
				"go.mod: example.com/old (devel)", "go.mod: github.com/a/b v1.0.0",
				"vendor/modules.txt: github.com/fork/d v1.9.1", "vendor/modules.txt: github.com/g/h (devel)",
			},
		},
		{
			name:  "go.sum alone, beside another project",
			files: map[string]string{"a/go.sum": sum, "b/go.mod": "module b\n\ngo 1.21rc2\n"},
			want: []string{
				"a/go.sum: github.com/a/b v1.0.0", "a/go.sum: github.com/c/d v1.10.0",
				"b/go.mod: b (devel)", "b/go.mod: stdlib 1.21.0-rc.2",
			},
		},
		{
			name:  "test data",
			files: map[string]string{"testdata/x/go.mod": old, "_old/go.mod": old, "x/testdata/go.sum": sum, "testdata2/go.mod": "module t\n"},
			want:  []string{"testdata2/go.mod: t (devel)"},
		},
		{
			name:  "a directive of the future",
			files: map[string]string{"go.mod": "module f\n\ngo 1.99\n\nrequire a.b/c v1.0.0\n\nfuture x\n"},
			want:  []string{"go.mod: a.b/c v1.0.0", "go.mod: f (devel)", "go.mod: stdlib 1.99.0"},
			gaps:  []string{"directives of go.mod"},
		},
	} {
		got, gaps := scan(t, tc.files)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
		var whats []string
		for _, g := range gaps {
			whats = append(whats, g.What)
		}
		if diff := cmp.Diff(tc.gaps, whats); diff != "" {
			t.Errorf("%s, gaps:\n%s", tc.name, diff)
		}
	}
}

func TestLines(t *testing.T) {
	r, err := layertest.Read(t, Reader{}, "go.mod", 0o644, []byte(old))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Packages {
		if line := strings.Split(old, "\n")[p.Line-1]; !strings.Contains(line, p.Name) {
			t.Errorf("%s is not in line %d", p.Name, p.Line)
		}
		if p.Main != (p.Name == "example.com/old") {
			t.Errorf("%+v", p)
		}
	}
}

func TestBroken(t *testing.T) {
	for _, text := range []string{"require (", "module \"", "require a.b/c notaversion\n", "\x00"} {
		if r, err := layertest.Read(t, Reader{}, "go.mod", 0o644, []byte(text)); err == nil {
			t.Errorf("%q gives %v", text, r)
		}
	}
}

// TestVectors: the golden lists vulnerable packages only; each must be found.
// It reports the one of submod2 from the go.sum there, and so must we.
func TestVectors(t *testing.T) {
	files := map[string]string{}
	for _, path := range []string{"go.mod", "go.sum", "submod/go.mod", "submod/go.sum", "submod2/go.mod", "submod2/go.sum"} {
		data, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "fixtures", "repo", "gomod", path))
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(data)
	}
	got, _ := scan(t, files)
	text, err := os.ReadFile(truth.Vectors(t, "trivy-golden", "gomod.json.golden"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Results []struct {
			Target          string
			Vulnerabilities []struct{ PkgName, InstalledVersion string }
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, r := range report.Results {
		for _, v := range r.Vulnerabilities {
			checked++
			sum := strings.TrimSuffix(r.Target, "mod") + "sum"
			pkg := ": " + v.PkgName + " " + v.InstalledVersion
			if !slices.Contains(got, r.Target+pkg) && !slices.Contains(got, sum+pkg) {
				t.Errorf("only in the golden: %s%s", r.Target, pkg)
			}
		}
	}
	if checked == 0 {
		t.Error("the golden lists nothing")
	}
}

func FuzzRead(f *testing.F) {
	paths := []string{"go.mod", "go.sum", "vendor/modules.txt"}
	f.Add(uint8(0), []byte(old+"toolchain go1.22.3\nreplace github.com/a/b => ./b\nexclude a.b/c v1.0.0\n"))
	f.Add(uint8(1), []byte(sum))
	f.Add(uint8(2), []byte(modules))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		path := paths[int(which)%len(paths)]
		r, _ := Reader{}.Read(&layer.File{Path: path, Data: data})
		var view layer.View
		for _, fact := range r.Facts {
			view.Facts = append(view.Facts, layer.PlacedFact{Fact: fact, Place: esclusa.Place{Path: path}})
		}
		for _, p := range append(r.Packages, Reader{}.Judge(&view).Packages...) {
			if p.Version == "" || !utf8.ValidString(p.Name+p.Version) {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkMod reads one go.mod of 100 requirements.
func BenchmarkMod(b *testing.B) {
	text := "module example.com/app\n\ngo 1.24\n\nrequire (\n" + strings.Repeat("\tgithub.com/some/module v1.2.3 // indirect\n", 100) + ")\n"
	f := &layer.File{Path: "go.mod", Data: []byte(text)}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (Reader{}).Read(f); err != nil || len(r.Packages) != 102 {
			b.Fatal(len(r.Packages), err)
		}
	}
}
