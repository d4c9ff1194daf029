package purl_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/purl"
	"github.com/esclusa/esclusa/internal/truth"
)

// parts is the shape in which the specification's tests write components.
type parts struct {
	Type       *string           `json:"type"`
	Namespace  *string           `json:"namespace"`
	Name       *string           `json:"name"`
	Version    *string           `json:"version"`
	Qualifiers map[string]string `json:"qualifiers"`
	Subpath    *string           `json:"subpath"`
}

func (c *parts) String() string {
	b, _ := json.Marshal(c)
	return string(b)
}

func (c *parts) build() (string, error) {
	str := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	var qs []purl.Qualifier
	for k, v := range c.Qualifiers {
		qs = append(qs, purl.Qualifier{Key: k, Value: v})
	}
	p, err := purl.New(str(c.Type), str(c.Namespace), str(c.Name), str(c.Version), qs, str(c.Subpath))
	return p.String(), err
}

func partsOf(p purl.PURL) *parts {
	ptr := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	c := &parts{Type: ptr(p.Type), Namespace: ptr(p.Namespace), Name: ptr(p.Name), Version: ptr(p.Version), Subpath: ptr(p.Subpath)}
	for _, q := range p.Qualifiers {
		if c.Qualifiers == nil {
			c.Qualifiers = map[string]string{}
		}
		c.Qualifiers[q.Key] = q.Value
	}
	return c
}

// known are cases that another case of the suite contradicts: no parser can
// pass both.
var known = map[string]string{
	"types_gem-test.json/1/parse": "refuses ?Platform=java, which case 0 of the same file makes platform=java",
	"types_rpm-test.json/0/parse": "refuses ?Arch=&Distro=; types_maven-test.json/3/parse reads repositorY_url as repository_url",
}

func TestSpecVectors(t *testing.T) {
	files, err := filepath.Glob(truth.Vectors(t, "purl") + "/*-test.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	n, bad := 0, 0
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Tests []struct {
				Description string
				Type        string          `json:"test_type"`
				Input       json.RawMessage `json:"input"`
				Want        json.RawMessage `json:"expected_output"`
				Fails       bool            `json:"expected_failure"`
			} `json:"tests"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(path, err)
		}
		for i, c := range f.Tests {
			n++
			got, want, err := runCase(c.Type, c.Input, c.Want)
			why := ""
			switch {
			case c.Fails && err == nil:
				why = "is accepted as " + got
			case !c.Fails && err != nil:
				why = err.Error()
			case !c.Fails && got != want:
				why = cmp.Diff(want, got)
			}
			name := fmt.Sprintf("%s/%d/%s", filepath.Base(path), i, c.Type)
			if why != "" {
				bad++
				t.Logf("%s: %s: %s: %s", name, c.Input, why, known[name])
			}
			if (why != "") != (known[name] != "") {
				t.Errorf("%s: %s: %s: %s", name, c.Description, c.Input, why)
			}
		}
	}
	t.Logf("vectors: purl %5d cases %5d pass %3d fail", n, n-bad, bad)
}

func runCase(kind string, input, expected json.RawMessage) (got, want string, err error) {
	if expected == nil { // a case that must fail may leave it out
		expected = json.RawMessage("null")
	}
	switch kind {
	case "build":
		var c parts
		if err := json.Unmarshal(input, &c); err != nil {
			return "", "", err
		}
		if err := json.Unmarshal(expected, &want); err != nil {
			return "", "", err
		}
		got, err = c.build()
		return got, want, err
	case "parse":
		var s string
		var c *parts
		if err := json.Unmarshal(input, &s); err != nil {
			return "", "", err
		}
		if err := json.Unmarshal(expected, &c); err != nil {
			return "", "", err
		}
		p, err := purl.Parse(s)
		return partsOf(p).String(), c.String(), err
	case "validate":
		var s string
		if err := json.Unmarshal(input, &s); err != nil {
			return "", "", err
		}
		if err := json.Unmarshal(expected, &want); err != nil {
			return "", "", err
		}
		p, err := purl.Parse(s)
		return p.String(), want, err
	}
	return "", "", fmt.Errorf("unknown test type %q", kind)
}

func TestPackage(t *testing.T) {
	for _, c := range []struct {
		purl string
		want esclusa.Package
	}{
		{"pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl", esclusa.Package{
			Type: "deb", Name: "libssl3", Version: "3.0.11-1~deb12u2", Arch: "amd64", Distro: "debian:12", Source: esclusa.SourcePackage{Name: "openssl"},
		}},
		{"pkg:rpm/almalinux/nodejs@18.1.0-1.el9?arch=x86_64&distro=almalinux-9.4&epoch=1&rpmmod=nodejs:18", esclusa.Package{
			Type: "rpm", Name: "nodejs", Version: "1:18.1.0-1.el9", Arch: "x86_64", Distro: "almalinux:9.4", Modular: "nodejs:18",
		}},
		{"pkg:apk/alpine/libcrypto3@3.1.4-r5?arch=x86_64&distro=alpine-3.19.1&upstream=openssl", esclusa.Package{
			Type: "apk", Name: "libcrypto3", Version: "3.1.4-r5", Arch: "x86_64", Distro: "alpine:3.19.1", Source: esclusa.SourcePackage{Name: "openssl"},
		}},
		{"pkg:npm/%40babel/core@7.0.0", esclusa.Package{Type: "npm", Name: "@babel/core", Version: "7.0.0"}},
		{"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", esclusa.Package{Type: "maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"}},
		{"pkg:golang/golang.org/x/net@v0.17.0", esclusa.Package{Type: "golang", Name: "golang.org/x/net", Version: "v0.17.0"}},
		{"pkg:golang/stdlib@1.22.3", esclusa.Package{Type: "golang", Name: "stdlib", Version: "1.22.3"}},
		{"pkg:composer/laravel/framework@9.0.0", esclusa.Package{Type: "composer", Name: "laravel/framework", Version: "9.0.0"}},
		{"pkg:pypi/django@4.2", esclusa.Package{Type: "pypi", Name: "django", Version: "4.2"}},
		{"pkg:bitnami/redis@7.2.0-1?arch=amd64", esclusa.Package{Type: "bitnami", Name: "redis", Version: "7.2.0-1", Arch: "amd64"}},
	} {
		got, err := purl.Package(c.purl)
		c.want.PURL = c.purl
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.purl, err, d)
		}
		if back := purl.Of(&got); back != c.purl {
			t.Errorf("Of: %s, want %s", back, c.purl)
		}
	}
}

// TestPackageForeign: purls as other tools write them.
func TestPackageForeign(t *testing.T) {
	for _, c := range []struct{ in, distro, source, version string }{
		{"pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm&distro=rhel-9.4", "rhel:9.4", "openssl", "3.0.7-27.el9"},
		{"pkg:rpm/opensuse/zlib@1.2-1?distro=opensuse-leap-15.5", "opensuse-leap:15.5", "", ""},
		{"pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie", "debian:jessie", "", ""},
		{"pkg:deb/ubuntu/dpkg@1.19.0.4?arch=amd64", "ubuntu", "", ""},
		{"pkg:deb/debian/libc6@2.36-9?distro=debian-12&upstream=glibc%402.36-8", "debian:12", "glibc", "2.36-8"},
	} {
		p, err := purl.Package(c.in)
		if err != nil || p.Distro != c.distro || p.Source.Name != c.source || p.Source.Version != c.version {
			t.Errorf("%s: %+v, %v", c.in, p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"pkg:npm/%40babel/core@7.0.0?vcs_url=git:%2F%2Fx#a/b", "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
		"pkg:golang/google.golang.org/genproto#/googleapis/../api/", "pkg://pypi/Django_x@1", "PKG:Maven/a/b@1?type=jar", "pkg:a/%", "pkg:x/@/@", "pkg:a/%2F/0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := purl.Parse(s)
		if err != nil {
			return
		}
		if len(p.String()) > 4096 {
			return // encoding tripled it beyond the limit
		}
		again, err := purl.Parse(p.String())
		if err != nil {
			t.Fatalf("%q: canonical form %q: %v", s, p.String(), err)
		}
		if again.String() != p.String() {
			t.Errorf("%q: %q is not stable: %q", s, p.String(), again.String())
		}
		if _, err := purl.Package(s); err != nil {
			t.Errorf("%q parses and names no package: %v", s, err)
		}
	})
}

// BenchmarkOf writes the purl of one package.
func BenchmarkOf(b *testing.B) {
	p := esclusa.Package{Type: "deb", Name: "libssl3", Version: "3.0.11-1~deb12u2", Arch: "amd64", Distro: "debian:12", Source: esclusa.SourcePackage{Name: "openssl"}}
	b.ReportAllocs()
	for b.Loop() {
		purl.Of(&p)
	}
}
