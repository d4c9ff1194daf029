package ruby

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

const rake = `# -*- encoding: utf-8 -*-
# stub: rake 13.0.6 ruby lib

Gem::Specification.new do |s|
  s.name = "rake".freeze
  s.version = "13.0.6"

  s.required_rubygems_version = Gem::Requirement.new(">= 1.3.2".freeze) if s.respond_to? :required_rubygems_version=
  s.metadata = { "name" => "other" } if s.respond_to? :metadata=
  s.authors = ["Hiroshi SHIBATA".freeze, "Eric Hodel".freeze]
  s.description = "s.name = \"evil\"".freeze
  s.licenses = ["MIT".freeze, "Ruby".freeze]
  s.add_development_dependency(%q<bundler>.freeze, [">= 0"])
end
`

func TestSpecifications(t *testing.T) {
	for _, tc := range []struct {
		name, path, text string
		want             esclusa.Package
	}{
		{
			"today's form", "usr/local/bundle/specifications/rake-13.0.6.gemspec", rake,
			esclusa.Package{Name: "rake", Version: "13.0.6", Licenses: []string{"MIT", "Ruby"}},
		},
		{
			"default gem, CRLF", "usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec",
			strings.ReplaceAll("Gem::Specification.new do |spec|\n  spec.name = 'json'\n  spec.version = '2.6.1'\n  spec.license = 'Ruby'\nend\n", "\n", "\r\n"),
			esclusa.Package{Name: "json", Version: "2.6.1", Licenses: []string{"Ruby"}},
		},
		{
			"RubyGems 1.3", "var/lib/gems/1.8/specifications/mime-types-1.16.gemspec",
			"Gem::Specification.new do |s|\n  s.name = %q{mime-types}\n  s.version = Gem::Version.new(\"1.16.rc1\")\nend\n",
			esclusa.Package{Name: "mime-types", Version: "1.16.rc1"},
		},
	} {
		r, err := layertest.Read(t, installed{}, tc.path, 0o644, []byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		tc.want.Type, tc.want.Reader, tc.want.Path = "gem", "ruby", tc.path
		if diff := cmp.Diff([]esclusa.Package{tc.want}, r.Packages); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

func TestBadSpecifications(t *testing.T) {
	for _, text := range []string{
		"",
		"s.name = NAME\ns.version = VERSION\n",
		"s.name = \"a\"\n",
		"s.name = \"a#{1}\"\ns.version = \"1\"\n",
		"s.name = \"a\ns.version = \"1\"\n",
		"s.name = \"a\"\ns.version = \"one\"\n",
	} {
		r, err := layertest.Read(t, installed{}, "x/specifications/a.gemspec", 0o644, []byte(text))
		if err == nil {
			t.Errorf("%q gives %v", text, r.Packages)
		}
	}
}

// TestSources: the specification in a gem's own sources is no installation.
func TestSources(t *testing.T) {
	for path, want := range map[string]int{
		"usr/local/bundle/specifications/rake-13.0.6.gemspec":                       1,
		"usr/local/bundle/specifications/default/rake-13.0.6.gemspec":               1,
		"usr/local/bundle/gems/rubygems/specifications/of/tests/rake.gemspec":       0,
		"usr/local/bundle/gems/x-1/specifications/default/fixtures/rake-13.gemspec": 0,
	} {
		r, err := layertest.Read(t, installed{}, path, 0o644, []byte(rake))
		if err != nil || len(r.Packages) != want {
			t.Errorf("%s gives %d packages and error %v, want %d", path, len(r.Packages), err, want)
		}
	}
	if layertest.Claimed(installed{}, "usr/local/bundle/gems/rake-13.0.6/rake.gemspec", 0o644, []byte(rake)) {
		t.Error("the specification beside a gem's sources is claimed")
	}
}

const lock = `GIT
  remote: https://example.com/forked.git
  revision: 0000
  specs:
    forked (2.0.0)
      rack (>= 1)

PATH
  remote: .
  specs:
    mine (0.1.0)

GEM
  remote: https://rubygems.org/
  specs:
    nokogiri (1.15.4-x86_64-linux)
      racc (~> 1.4)
    nokogiri (1.15.4-arm64-darwin)
      racc (~> 1.4)
    racc (1.7.1)
    rails (7.1.0.rc1)

PLATFORMS
  x86_64-linux

DEPENDENCIES
    indented (9.9)
  rails (= 7.1.0.rc1)

CHECKSUMS
  racc (1.7.1) sha256=00

BUNDLED WITH
   2.4.10
`

func TestLock(t *testing.T) {
	want := []string{"forked 2.0.0", "mine 0.1.0", "nokogiri 1.15.4", "racc 1.7.1", "rails 7.1.0.rc1"}
	for path, text := range map[string]string{
		"Gemfile.lock":                 lock,
		"gems.locked":                  strings.ReplaceAll(lock, "\n", "\r\n"),
		"gemfiles/rails7.gemfile.lock": lock,
	} {
		data := []byte(text)
		f := &layer.File{Path: path, Data: data}
		r, err := declared{}.Read(f)
		if err != nil || r.Gaps != nil || !layertest.Claimed(declared{}, path, 0o644, data) {
			t.Fatalf("%s: %v, gaps %v", path, err, r.Gaps)
		}
		if len(f.Data) != len(data) {
			t.Fatal("the file was changed")
		}
		var got []string
		for _, p := range r.Packages {
			got = append(got, p.Name+" "+p.Version)
			if p.Main != (p.Name == "mine") || p.Type != "gem" || p.Reader != "ruby/lock" {
				t.Errorf("%s: %+v", path, p)
			}
			if line := strings.Split(text, "\n")[p.Line-1]; !strings.Contains(line, p.Name+" (") {
				t.Errorf("%s: %s is not in line %d", path, p.Name, p.Line)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
}

func TestBrokenLock(t *testing.T) {
	for _, tc := range []struct {
		name, text     string
		packages, gaps int
		err            bool
	}{
		{"empty", "", 0, 0, true},
		{"another file", "hello\n", 0, 0, true},
		{"conflict", "GEM\n  specs:\n    a (1)\n<<<<<<< HEAD\n    b (1)\n", 1, 0, true},
		{"odd line", "GEM\n  specs:\n    a (1)\n    b\n    c ()\n    d (2\n    e (2)\n", 2, 3, false},
	} {
		r, err := layertest.Read(t, declared{}, "Gemfile.lock", 0o644, []byte(tc.text))
		if len(r.Packages) != tc.packages || len(r.Gaps) != tc.gaps || (err != nil) != tc.err {
			t.Errorf("%s: %v, %v", tc.name, r, err)
		}
	}
}

func FuzzSpecification(f *testing.F) {
	f.Add([]byte(rake))
	f.Add([]byte("s.name = %q{a}\ns.version = Gem::Version.new('1')\ns.license = 'x'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := installed{}.Read(&layer.File{Path: "specifications/a.gemspec", Data: data})
		if err == nil && (len(r.Packages) != 1 || !isName(r.Packages[0].Name) ||
			!utf8.ValidString(strings.Join(r.Packages[0].Licenses, ""))) {
			t.Errorf("%q gives %v", data, r.Packages)
		}
	})
}

func FuzzLock(f *testing.F) {
	f.Add([]byte(lock))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _ := declared{}.Read(&layer.File{Path: "Gemfile.lock", Data: data})
		for _, p := range r.Packages {
			if !isName(p.Name) || !isVersion(p.Version) {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkSpecification reads one installed specification.
func BenchmarkSpecification(b *testing.B) {
	f := &layer.File{Path: "specifications/rake-13.0.6.gemspec", Data: []byte(rake)}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || len(r.Packages) != 1 {
			b.Fatal(r, err)
		}
	}
}

// BenchmarkLock reads one Gemfile.lock of 200 gems.
func BenchmarkLock(b *testing.B) {
	var text strings.Builder
	text.WriteString("GEM\n  specs:\n")
	for i := range 200 {
		text.WriteString("    gem" + strings.Repeat("x", i) + " (1.2.3)\n      other (>= 1)\n")
	}
	f := &layer.File{Path: "Gemfile.lock", Data: []byte(text.String())}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (declared{}).Read(f); err != nil || len(r.Packages) != 200 {
			b.Fatal(len(r.Packages), err)
		}
	}
}
