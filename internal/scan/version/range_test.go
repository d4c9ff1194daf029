package version_test

import (
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
)

func TestRange(t *testing.T) {
	for _, c := range []struct {
		scheme  version.Scheme
		text    string
		in, out []string
	}{
		{version.NPM, "vers:npm/*", []string{"0.0.1-a", "9.9.9"}, nil},
		{version.NPM, "vers:npm/1.2.3|=2.0.0", []string{"1.2.3", "v2.0.0"}, []string{"1.2.4"}},
		{version.NPM, "vers:npm/ >=1.0.0 | <1.2.3 | !=1.1.0", []string{"1.0.0", "1.2.2"}, []string{"0.9.9", "1.1.0", "1.2.3", "2.0.0"}},
		{version.NPM, "vers:npm/<1.2.3|>=1.0.0", []string{"1.1.0"}, []string{"0.1.0", "1.2.3"}},
		{version.NPM, "vers:npm/!=1.1.0", []string{"1.0.0"}, []string{"1.1.0"}},
		{version.NPM, "vers:npm/!=1.1.0|1.2.0", []string{"1.2.0"}, []string{"1.0.0", "1.1.0"}},
		{version.NPM, "vers:npm/<1.0.0|>2.0.0", []string{"0.1.0", "2.0.1"}, []string{"1.0.0", "1.5.0", "2.0.0"}},
		{version.NPM, "vers:npm/<1.0.0|>=1.0.0|<2.0.0", []string{"0.1.0", "1.0.0"}, []string{"2.0.0"}},
		{version.NPM, "vers:npm/>1.0.0|>=1.5.0|<2.0.0|<=3.0.0", []string{"1.2.0", "2.5.0", "3.0.0"}, []string{"1.0.0", "3.0.1"}},
		{version.NPM, "<=2.0.0", []string{"2.0.0"}, []string{"2.0.1"}},
		{version.PEP440, "vers:pypi/>=1.0|<2.0", []string{"1.0.post1", "2.0rc1"}, []string{"1.0rc1", "2.0"}},
		{version.Deb, "vers:deb/<1%3A3.0-1%2Bb1", []string{"1:3.0-1"}, []string{"1:3.0-1+b1", "2:0"}},
		{version.Maven, "vers:maven/>=2.0-beta9|<2.15.0", []string{"2.0-rc1", "2.14.1"}, []string{"2.0-beta8", "2.15.0"}},
	} {
		r, err := c.scheme.ParseRange(c.text)
		if err != nil {
			t.Error(err)
			continue
		}
		for want, versions := range map[bool][]string{true: c.in, false: c.out} {
			for _, text := range versions {
				v, err := c.scheme.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				if r.Contains(v) != want {
					t.Errorf("%s contains %s: %v", c.text, text, !want)
				}
			}
		}
		foreign, err := version.OpenSSL.Parse("1.1.1")
		if err != nil || r.Contains(foreign) || r.Contains(version.Version{}) {
			t.Errorf("%s contains what has no order with it (%v)", c.text, err)
		}
	}
}

// TestRangeRefused: a range that is not understood must not hold for more
// than it says.
func TestRangeRefused(t *testing.T) {
	for _, text := range []string{
		"", "|", "vers:npm/", "vers:npm", "vers:npm/1.0.0|", "vers:npm/*|1.0.0", "vers:npm/>=", "vers:npm/1.x", "vers:npm/%zz",
		"vers:pypi/1.0.0", "vers:vendor/1.0.0", "^1.0.0", "1.0.0,2.0.0", "vers:npm/" + strings.Repeat("1.0.0|", 1001) + "1.0.0",
		"vers:npm/" + strings.Repeat("1", 20000),
	} {
		if r, err := version.NPM.ParseRange(text); err == nil {
			t.Errorf("%.40q is accepted as %v", text, r)
		}
	}
}

// FuzzRange: no text panics, and a version is never below, above or unequal
// to itself.
func FuzzRange(f *testing.F) {
	for _, s := range []string{
		"vers:npm/>=1.0.0|<1.2.3", "vers:pypi/*", "vers:deb/!=1%3A2|>3", "<=2.0.0", "1.0.0|2.0.0", "vers:maven/>1|>=2|<3|<=4", "||", "%",
	} {
		f.Add(uint8(3), s, "1.0.0")
	}
	all := schemes()
	f.Fuzz(func(t *testing.T, n uint8, text, installed string) {
		s := all[int(n)%len(all)]
		v, err := s.Parse(installed)
		if err != nil {
			return
		}
		r, err := s.ParseRange(text)
		if err != nil {
			return
		}
		r.Contains(v)
		for _, op := range []string{"<", ">", "!="} {
			if strings.ContainsAny(installed, "|*%<>=! ") || strings.HasPrefix(installed, "vers:") {
				break
			}
			one, err := s.ParseRange(op + installed)
			if err != nil {
				t.Fatalf("%s: %q: %v", s, op+installed, err)
			}
			if one.Contains(v) {
				t.Errorf("%s: %s%s contains it", s, op, installed)
			}
		}
	})
}

// BenchmarkContains asks one range of four constraints about one version.
func BenchmarkContains(b *testing.B) {
	r, err := version.NPM.ParseRange("vers:npm/>=1.0.0|<1.2.6|>=2.0.0|<2.3.1|!=2.1.0")
	if err != nil {
		b.Fatal(err)
	}
	v, err := version.NPM.Parse("2.3.0")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !r.Contains(v) {
			b.Fatal("is out")
		}
	}
}
