package python

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

const site = "usr/lib/python3/dist-packages/"

func TestMetadata(t *testing.T) {
	for _, tc := range []struct {
		name, path, text string
		want             esclusa.Package
	}{
		{
			"wheel", site + "Zope.Interface-5.0.dist-info/METADATA",
			"Metadata-Version: 2.1\nName: Zope.Interface\nVersion: 5.0\nLicense: ZPL 2.1\n" +
				"Classifier: License :: OSI Approved :: Zope Public License\n\nName: other\nVersion: 9\n",
			esclusa.Package{Name: "zope-interface", Version: "5.0", Licenses: []string{"ZPL 2.1"}},
		},
		{
			"folder of setuptools, CRLF", site + "a_b.egg-info/PKG-INFO",
			"metadata-version: 1.0\r\nname: a__B\r\nversion: 1.0rc1\r\nLicense: UNKNOWN\r\n" +
				"Classifier: License :: OSI Approved :: MIT License\r\n\r\n",
			esclusa.Package{Name: "a-b", Version: "1.0rc1", Licenses: []string{"MIT License"}},
		},
		{
			"file of distutils", site + "pkg-1.2.egg-info", "Name: pkg\nVersion: 1.2\n",
			esclusa.Package{Name: "pkg", Version: "1.2"},
		},
		{
			"egg, expression, folded text", "opt/x.egg/EGG-INFO/PKG-INFO",
			"Name: x\nLicense-Expression: MIT OR Apache-2.0\nLicense: The MIT License\n  Name: y\nVersion: 3\n",
			esclusa.Package{Name: "x", Version: "3", Licenses: []string{"MIT OR Apache-2.0"}},
		},
	} {
		r, err := layertest.Read(t, installed{}, tc.path, 0o644, []byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		tc.want.Type, tc.want.Reader, tc.want.Path = "pypi", "python", tc.path
		if diff := cmp.Diff([]esclusa.Package{tc.want}, r.Packages); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

// egg is a zipped egg with one member.
func egg(t testing.TB, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEggs(t *testing.T) {
	const info = "Metadata-Version: 1.1\nName: Kitchen\nVersion: 1.2.6\n\ntext"
	good := egg(t, "EGG-INFO/PKG-INFO", info)
	for _, c := range []struct {
		name, path string
		data       []byte
		want       []string
		wantErr    bool
	}{
		{"installed", site + "kitchen-1.2.6-py2.7.egg", good, []string{"kitchen 1.2.6"}, false},
		{"a project's tests", site + "setuptools/tests/kitchen.egg", good, nil, false},
		{"another archive", "opt/scheme/x.egg", egg(t, "x.scm", "Name: x"), nil, false},
		{"no name", site + "x.egg", egg(t, "EGG-INFO/PKG-INFO", "Version: 1"), nil, true},
		{"cut", site + "x.egg", good[:len(good)-30], nil, true},
		{"a bomb", site + "x.egg", egg(t, "EGG-INFO/PKG-INFO", info+strings.Repeat(" ", 64<<20)), []string{"kitchen 1.2.6"}, false},
		{"larger than is read", site + "x.egg", append([]byte("PK\x03\x04"), make([]byte, maxEgg)...), nil, true},
	} {
		r, err := layertest.Read(t, installed{}, c.path, 0o644, c.data)
		if (err != nil) != c.wantErr {
			t.Errorf("%s: error %v", c.name, err)
		}
		if d := cmp.Diff(c.want, layertest.Names(r.Packages)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	if layertest.Claimed(installed{}, site+"pip-24.0-py3-none-any.whl", 0o644, good) {
		t.Error("a wheel is no installation")
	}
}

func FuzzEgg(f *testing.F) {
	f.Add(egg(f, "EGG-INFO/PKG-INFO", "Name: x\nVersion: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if text, err := cutEgg(data); err != nil && text != nil {
			t.Error("text beside an error")
		}
	})
}

func TestBadMetadata(t *testing.T) {
	for _, text := range []string{
		"", "\nName: late\nVersion: 1\n", "Name: x\n", "Version: 1\n", "Name: ../x\nVersion: 1\n",
		"Name: x\nVersion: " + strings.Repeat("1", 300) + "\n", "\x00\x01\x02",
	} {
		r, err := layertest.Read(t, installed{}, site+"x.dist-info/METADATA", 0o644, []byte(text))
		if err == nil || r.Packages != nil {
			t.Errorf("%q gives %v", text, r.Packages)
		}
	}
}

// TestFixtures: the same metadata as a package's test data, and as a real
// installation that happens to lie below a folder named test.
func TestFixtures(t *testing.T) {
	text := []byte("Name: x\nVersion: 1\n")
	for path, want := range map[string]int{
		"usr/lib/python3/site-packages/x-1.dist-info/METADATA":                    1,
		"srv/test/venv/lib/python3.12/site-packages/x-1.dist-info/METADATA":       1,
		"usr/lib/python3/site-packages/setuptools/_vendor/x-1.dist-info/METADATA": 1,
		"app/deps/x-1.dist-info/METADATA":                                         1,
		"usr/lib/python3/site-packages/wheel/tests/data/x-1.dist-info/METADATA":   0,
		"app/tests/fixtures/x-1.dist-info/METADATA":                               0,
		"usr/lib/python3/dist-packages/tools/test/x.egg-info/PKG-INFO":            0,
		"app/src/PKG-INFO": 0, // sources, unpacked
		"usr/lib/python3/site-packages/contests/x-1.dist-info/METADATA":                 1,
		"usr/lib/python3/site-packages/a/tests/venv/site-packages/x.dist-info/METADATA": 1,
	} {
		r, err := layertest.Read(t, installed{}, path, 0o644, text)
		if err != nil || len(r.Packages) != want {
			t.Errorf("%s gives %d packages and error %v, want %d", path, len(r.Packages), err, want)
		}
	}
}

func TestRequirements(t *testing.T) {
	const text = `# comment
Flask==2.0.0  # pinned
zope.interface [test] == 5.0 ; python_version < "3.9"
requests===2.1 --hash=sha256:00 \
    --hash=sha256:11
joined \
  == 1.5
legacy (==1.0)
both>=1,==1.4
-r other.txt
--index-url https://example.com/simple
-e git+https://example.com/x.git#egg=x
ranged>=1.0
wild==1.*
url @ https://example.com/u-1.0.tar.gz#sha256=00
./local.whl
bare
`
	want := []string{"both 1.4", "flask 2.0.0", "joined 1.5", "legacy 1.0", "requests 2.1", "zope-interface 5.0"}
	for name, data := range map[string][]byte{
		"utf-8":     []byte(text),
		"bom, crlf": []byte("\xef\xbb\xbf" + strings.ReplaceAll(text, "\n", "\r\n")),
		"utf-16":    utf16LE(text),
	} {
		r, err := layertest.Read(t, declared{}, "requirements-prod.txt", 0o644, data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, list(r.Packages)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		gap := []esclusa.Gap{{
			Scope: esclusa.GapItem, Place: esclusa.Place{Path: "requirements-prod.txt"},
			What: "6 unpinned requirements", Err: "no exact version is named",
		}}
		if diff := cmp.Diff(gap, r.Gaps); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for _, p := range r.Packages {
			line := strings.Split(text, "\n")[p.Line-1]
			if !strings.EqualFold(line[:4], p.Name[:4]) {
				t.Errorf("%s: %s is not in line %d", name, p.Name, p.Line)
			}
		}
	}
}

func TestRequirementsNames(t *testing.T) {
	for path, want := range map[string]int{
		"requirements.txt": 1, "app/requirements-dev.txt": 1, "requirements/base.txt": 1,
		"docs/requirements/chapters/one.txt": 0,
	} {
		r, err := layertest.Read(t, declared{}, path, 0o644, []byte("a==1\n"))
		if err != nil || len(r.Packages) != want || r.Gaps != nil {
			t.Errorf("%s gives %v and error %v, want %d packages", path, r, err, want)
		}
	}
}

func utf16LE(s string) []byte {
	b := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// lockCase is a lock file and its packages: all, those for development, and
// the project's own.
type lockCase struct {
	path, text     string
	all, dev, main []string
	gaps           int
}

func checkLocks(t *testing.T, cases []lockCase) {
	t.Helper()
	dev := func(p esclusa.Package) bool { return p.Dev }
	own := func(p esclusa.Package) bool { return p.Main }
	for _, tc := range cases {
		r, err := layertest.Read(t, declared{}, tc.path, 0o644, []byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", tc.path, err)
			continue
		}
		for what, lists := range map[string][2][]string{
			"all":  {tc.all, list(r.Packages)},
			"dev":  {tc.dev, list(filter(r.Packages, dev))},
			"main": {tc.main, list(filter(r.Packages, own))},
		} {
			if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
				t.Errorf("%s, %s:\n%s", tc.path, what, diff)
			}
		}
		if len(r.Gaps) != tc.gaps {
			t.Errorf("%s: gaps %v, want %d", tc.path, r.Gaps, tc.gaps)
		}
	}
}

func TestLocksWithGroups(t *testing.T) {
	checkLocks(t, []lockCase{
		{
			path: "poetry.lock",
			text: `
[[package]]
name = "Old_Dev"
version = "1"
category = "dev"
[[package]]
name = "new-dev"
version = "2"
groups = ["dev", "docs"]
[[package]]
name = "both"
version = "3"
groups = ["main", "dev"]
[[package]]
name = "mine"
version = "4"
[package.source]
type = "directory"
url = "mine"
[[package]]
name = "nameless"
`,
			all: []string{"both 3", "mine 4", "new-dev 2", "old-dev 1"},
			dev: []string{"new-dev 2", "old-dev 1"}, main: []string{"mine 4"}, gaps: 1,
		},
		{
			path: "uv.lock",
			text: `
version = 1
[[package]]
name = "app"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "a" }]
[package.optional-dependencies]
fast = [{ name = "o" }]
[package.dev-dependencies]
dev = [{ name = "d" }]
[[package]]
name = "a"
version = "1"
dependencies = [{ name = "b" }, { name = "a" }]
[[package]]
name = "b"
version = "2"
[[package]]
name = "o"
version = "3"
[[package]]
name = "d"
version = "4"
dependencies = [{ name = "b" }]
`,
			all: []string{"a 1", "app 0.1.0", "b 2", "d 4", "o 3"},
			dev: []string{"d 4"}, main: []string{"app 0.1.0"},
		},
	})
}

func TestLocks(t *testing.T) {
	checkLocks(t, []lockCase{
		{
			path: "pdm.lock",
			text: `
[[package]]
name = "a"
version = "1"
groups = ["default"]
[[package]]
name = "a"
version = "1"
extras = ["x"]
groups = ["default"]
[[package]]
name = "d"
version = "2"
groups = ["test"]
`,
			all: []string{"a 1", "d 2"}, dev: []string{"d 2"},
		},
		{
			path: "Pipfile.lock",
			text: `{"default": {"a": {"version": "==1"}, "g": {"git": "https://example.com/g"}},
				"develop": {"a": {"version": "==1"}, "d": {"version": "==2"}}}`,
			all: []string{"a 1", "d 2"}, dev: []string{"d 2"}, gaps: 1,
		},
		{
			path: "pylock.dev.toml",
			text: `lock-version = "1.0"
[[packages]]
name = "a"
version = "1"
[[packages]]
name = "g"
vcs = { type = "git" }
[[packages]]
name = "mine"
directory = { path = "." }
`,
			all: []string{"a 1"}, gaps: 1,
		},
	})
}

func filter(pkgs []esclusa.Package, keep func(esclusa.Package) bool) []esclusa.Package {
	return slices.DeleteFunc(slices.Clone(pkgs), func(p esclusa.Package) bool { return !keep(p) })
}

func TestBrokenLocks(t *testing.T) {
	for path, text := range map[string]string{
		"poetry.lock": "[[package", "uv.lock": "x = ", "pdm.lock": "\x00", "Pipfile.lock": "{",
		"pylock.toml": "a = " + strings.Repeat("[", 1<<20),
	} {
		if _, err := layertest.Read(t, declared{}, path, 0o644, []byte(text)); err == nil {
			t.Errorf("%s: no error for %.20q", path, text)
		}
	}
}

func TestLocksVectors(t *testing.T) {
	for path, report := range map[string]string{
		"pip/requirements.txt": "pip.json.golden",
		"pipenv/Pipfile.lock":  "pipenv.json.golden",
		"poetry/poetry.lock":   "poetry.json.golden",
		"uv/uv.lock":           "uv.json.golden",
		"pylock/pylock.toml":   "pylock.json.golden",
	} {
		want := truth.Golden(t, report)
		for i, p := range want {
			want[i] = strings.ToLower(p) // the peer keeps the case of the file
		}
		slices.Sort(want)
		r, err := layertest.Read(t, declared{}, path, 0o644, truth.Fixture(t, path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, list(r.Packages)); diff != "" {
			t.Errorf("%s (- golden, + ours):\n%s", path, diff)
		}
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("Name: x\nVersion: 1\nLicense: MIT\n\ntext"))
	f.Add([]byte("\xef\xbb\xbfname:X.Y\r\nversion: 1\r\nClassifier: License :: OSI Approved :: MIT License\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := installed{}.Read(&layer.File{Path: "x.dist-info/METADATA", Data: data})
		if err == nil && (len(r.Packages) != 1 || normal(r.Packages[0].Name) != r.Packages[0].Name ||
			!utf8.ValidString(strings.Join(r.Packages[0].Licenses, ""))) {
			t.Errorf("%q gives %v", data, r.Packages)
		}
	})
}

func FuzzRequirements(f *testing.F) {
	f.Add([]byte("a==1\nb>=2 # c\nd[e] === 1 ; f \\\n"))
	f.Add(utf16LE("a==1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := declared{}.Read(&layer.File{Path: "requirements.txt", Data: data})
		if err != nil {
			t.Error(err)
		}
		for _, p := range r.Packages {
			if !isVersion(p.Version) || p.Line == 0 {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

func FuzzLocks(f *testing.F) {
	paths := []string{"poetry.lock", "uv.lock", "pdm.lock", "Pipfile.lock", "pylock.toml"}
	f.Add(uint8(0), []byte("[[package]]\nname='a'\nversion='1'\ngroups=['main']\n"))
	f.Add(uint8(1), []byte("[[package]]\nname='a'\nsource={virtual='.'}\ndependencies=[{name='b'}]\n"))
	f.Add(uint8(2), []byte("[[package]]\nname='a'\nversion='1'\npath='.'\n"))
	f.Add(uint8(3), []byte(`{"default":{"a":{"version":"==1"}}}`))
	f.Add(uint8(4), []byte("[[packages]]\nname='a'\nversion='1'\ndirectory={}\n"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		r, _ := declared{}.Read(&layer.File{Path: paths[int(which)%len(paths)], Data: data})
		for _, p := range r.Packages {
			if p.Version == "" || p.Name == "" {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkMetadata reads one METADATA with a long description.
func BenchmarkMetadata(b *testing.B) {
	text := "Metadata-Version: 2.1\nName: Some_Package\nVersion: 1.2.3\nLicense: MIT\n" +
		strings.Repeat("Classifier: Programming Language :: Python :: 3\n", 20) + "\n" + strings.Repeat("text\n", 10_000)
	f := &layer.File{Path: site + "x.dist-info/METADATA", Data: []byte(text)}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || len(r.Packages) != 1 {
			b.Fatal(r, err)
		}
	}
}

// BenchmarkPoetry reads one poetry.lock of 100 packages.
func BenchmarkPoetry(b *testing.B) {
	text := strings.Repeat("[[package]]\nname = \"abc\"\nversion = \"1.2.3\"\nfiles = [\n"+
		strings.Repeat("    {file = \"abc-1.2.3.whl\", hash = \"sha256:0123456789abcdef\"},\n", 20)+"]\n\n", 100)
	f := &layer.File{Path: "poetry.lock", Data: []byte(text)}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (declared{}).Read(f); err != nil || len(r.Packages) != 100 {
			b.Fatal(len(r.Packages), err)
		}
	}
}

func list(pkgs []esclusa.Package) []string {
	var l []string
	for _, p := range pkgs {
		l = append(l, p.Name+" "+p.Version)
	}
	slices.Sort(l)
	return l
}
