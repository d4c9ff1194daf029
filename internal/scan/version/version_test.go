package version_test

import (
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
)

// TestOrder holds what the vectors do not: each line is in rising order.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		scheme version.Scheme
		rising []string
	}{
		{version.Go, []string{
			"v0.0.0-20200101000000-abcdef123456", "0.0.0-20210101000000-abcdef123456", "v0.1.0", "v1.0.0-rc.1", "v1.0.0",
			"v1.0.1-0.20200101000000-abcdef123456", "v1.0.1", "v2.0.0+incompatible", "2.0.1",
		}},
		{version.Go, []string{"1.20.0-0", "go1.20beta1", "1.20.0-rc.1", "go1.20rc2", "go1.20", "go1.20.4 X:boringcrypto", "1.20.5"}},
		{version.Bitnami, []string{"17.2.0-rc.1", "17.2.0", "17.2.0-3", "17.2.0-10", "17.2.1"}},
		{version.APK, []string{"0_rc1", "0", "0a", "0.01", "0..1", "0.1", "0.8.21", "0.8.21.r1", "0.8.21.r2", "0.8.21.1"}},
		{version.ShortVer, []string{"v3", "v3.0.1", "v4-beta", "v4"}},
		{version.RubyGems, []string{"1.a.0.b", "1.a", "1.0.0.b.c", "1.b", "1", "1.0.0.1", "1.0.1"}},
		{version.Composer, []string{"dev-main", "1.0-dev", "1.0.0", "2.0.0", "2.5.1", "2.x-dev", "3.0.0-alpha1"}},
		{version.Maven, []string{"2.0-beta9", "2.0-rc1", "2.0", "2.0.1", "2.3.1", "2.12.2", "2.17.1"}},
		{version.NuGet, []string{"1.0.0-Beta", "1.0", "1.0.0.1", "4.3.0"}},
		{version.RPM, []string{"1.1.1k-6.el8", "1:1.1.1k-4.el8", "1:1.1.1k-5.el8_5", "1:1.1.1k-5.module+el8.5.0+1", "1:1.1.1k-6.el8"}},
		{version.Deb, []string{"3.0.11-1~deb12u1", "3.0.11-1~deb12u2", "3.0.11-1", "3.0.11-1+b1", "1:1.0"}},
	} {
		for i := range c.rising {
			for j := range c.rising {
				want := "="
				if i < j {
					want = "<"
				} else if i > j {
					want = ">"
				}
				if why := (order{a: c.rising[i], op: want, b: c.rising[j]}).check(c.scheme); why != "" {
					t.Errorf("%s: %s %s %s: %s", c.scheme, c.rising[i], want, c.rising[j], why)
				}
			}
		}
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		scheme version.Scheme
		a, b   string
	}{
		{version.Go, "v2.0.0+incompatible", "2.0.0"},
		{version.Go, "go1.21rc2", "1.21.0-rc.2"},
		{version.Go, "go1.22", "1.22.0"},
		{version.Go, "v1.2.3+dirty", "v1.2.3"},
		{version.PEP440, "V1.0.0-RC.1", "1rc1"},
		{version.Composer, "v1.0", "1.0.0.0"},
		{version.Composer, "1.0.0-patch1", "1.0.0p1"},
		{version.Deb, "0:1.0-0", "1.0"},
		{version.RPM, "0:1.0-1", "1.0-1"},
		{version.NPM, "=v1.2.3", "1.2.3"},
	} {
		if why := (order{a: c.a, op: "=", b: c.b}).check(c.scheme); why != "" {
			t.Errorf("%s: %s = %s: %s", c.scheme, c.a, c.b, why)
		}
	}
}

// TestRefused: what the ecosystem's tool refuses must not get a place in an
// order; each has a twin that is accepted.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		scheme      version.Scheme
		bad, benign string
	}{
		{version.Go, "(devel)", "v0.0.0"},
		{version.Go, "devel go1.23-abcdef", "go1.23"},
		{version.Go, "go1.19.4-acme", "go1.19.4"},
		{version.Go, "", "1"},
		{version.NPM, "1.2", "1.2.0"},
		{version.NPM, "git+ssh://x", "1.0.0-git"},
		{version.NPM, "9007199254740992.0.0", "9007199254740991.0.0"},
		{version.SemVer, "1.0", "1.0.0"},
		{version.SemVer, "1.0.0-", "1.0.0-a"},
		{version.SemVer, "1.0.0-a..b", "1.0.0-a.b"},
		{version.PEP440, "1.0-", "1.0-1"},
		{version.PEP440, "2004d", "2004dev1"},
		{version.Deb, "1.0-", "1.0-1"},
		{version.Deb, "x:1.0", "1:1.0"},
		{version.Deb, "1 0", "1.0"},
		{version.Deb, "", "0"},
		{version.APK, "1.0-r", "1.0-r0"},
		{version.APK, "1.0_foo1", "1.0_p1"},
		{version.APK, "1.0.", "1.0..r1"},
		{version.APK, "-r1", "a-r1"},
		{version.Gentoo, "1..2", "1.2"},
		{version.Gentoo, ".2", "2"},
		{version.RPM, "", "0"},
		{version.RPM, "1:", "1:0"},
		{version.NuGet, "1.2.3.4.5", "1.2.3.4"},
		{version.RubyGems, "1..2", "1.2"},
		{version.RubyGems, "a.1", "1.a"},
		{version.Maven, "", "x"},
		{version.Maven, "1 0", "1-0"},
		{version.Composer, "main", "dev-main"},
		{version.CRAN, "1.a", "1.1"},
		{version.Hackage, "1-1", "1.1"},
		{version.Scheme(0), "1", ""},
		{version.Scheme(200), "1", ""},
		{version.Maven, strings.Repeat("1", 257), strings.Repeat("1", 256)},
		{version.NPM, "1.0.0\u00a0", "1.0.0 "},
	} {
		if _, err := c.scheme.Parse(c.bad); err == nil {
			t.Errorf("%s accepts %q", c.scheme, c.bad)
		}
		if c.benign == "" {
			continue
		}
		if _, err := c.scheme.Parse(c.benign); err != nil {
			t.Errorf("%s refuses %q: %v", c.scheme, c.benign, err)
		}
	}
}

func schemes() []version.Scheme {
	var all []version.Scheme
	for s := version.Deb; s.String() != "unknown"; s++ {
		all = append(all, s)
	}
	return all
}

var seeds = []string{
	"0", "1.0", "1.0.0", "v1.2.3-rc.1+build.5", "1:2.3~rc1-4+deb12u1", "1.2.3a_p4_git20200101~f00d-r5", "1!2.0a1.post2.dev3+local.1",
	"1.0-alpha-1-SNAPSHOT", "2.0.0.RC1", "1.0.0.a.0.b", "dev-main", "2.x-dev", "go1.22rc1 X:boringcrypto", "1.0^git1~pre", "1-1.foo-bar1baz-.1",
	"17.2.0-3", "1.0.2zh", "....", "----", "1-0-0-0-x1", "١٢", "\x00\xff", "99999999999999999999999999999999", "00000000000000000000",
}

// FuzzCompare: three strings in any scheme. Parsing never panics; the order
// is antisymmetric, reflexive and (Maven's own order apart) transitive;
// CompareTo agrees with Compare.
func FuzzCompare(f *testing.F) {
	all := schemes()
	for i := range seeds {
		for s := range all {
			f.Add(uint8(s), seeds[i], seeds[(i+s)%len(seeds)], seeds[(i+2*s+1)%len(seeds)])
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, a, b, c string) {
		s := all[int(n)%len(all)]
		var vs []version.Version
		var texts []string
		for _, text := range []string{a, b, c} {
			if v, err := s.Parse(text); err == nil {
				vs = append(vs, v)
				texts = append(texts, text)
			}
		}
		for i, v := range vs {
			for j, w := range vs {
				got := version.Compare(v, w)
				if got != -version.Compare(w, v) || i == j && got != 0 {
					t.Errorf("%s: %q and %q are not antisymmetric", s, texts[i], texts[j])
				}
				if to, err := v.CompareTo(texts[j]); err != nil || to != got {
					t.Errorf("%s: %q.CompareTo(%q) = %d, %v; Compare is %d", s, texts[i], texts[j], to, err, got)
				}
			}
		}
		if len(vs) == 3 && s != version.Maven {
			slices.SortFunc(vs, version.Compare)
			if version.Compare(vs[0], vs[1]) > 0 || version.Compare(vs[1], vs[2]) > 0 || version.Compare(vs[0], vs[2]) > 0 {
				t.Errorf("%s: no order of %q", s, texts)
			}
		}
	})
}

// FuzzParse: no scheme panics on any bytes, and a key is bounded by its text.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	all := schemes()
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range all {
			if v, err := s.Parse(text); err == nil && (v.IsZero() || v.Scheme() != s) {
				t.Errorf("%s: %q: %v", s, text, v)
			}
		}
	})
}

// TestDpkgOracle compares made-up versions with the dpkg of this machine.
func TestDpkgOracle(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("no dpkg on this machine")
	}
	r := rand.New(rand.NewPCG(1, 2))
	made := func() string {
		const alphabet = "0012a~+.-"
		b := []byte{'1'}
		for range r.IntN(7) {
			b = append(b, alphabet[r.IntN(len(alphabet))])
		}
		return string(b)
	}
	compared := 0
	for range 300 {
		a, b := made(), made()
		v, err := version.Deb.Parse(a)
		if err != nil {
			continue
		}
		c, err := v.CompareTo(b)
		if err != nil {
			continue
		}
		compared++
		op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[c]
		if err := exec.Command(dpkg, "--compare-versions", a, op, b).Run(); err != nil {
			t.Errorf("dpkg: not %s %s %s", a, op, b)
		}
	}
	if compared < 100 {
		t.Errorf("only %d pairs were versions", compared)
	}
}

// BenchmarkCompareTo compares an installed version with one event of a range.
func BenchmarkCompareTo(b *testing.B) {
	for _, c := range []struct {
		scheme version.Scheme
		a, b   string
	}{
		{version.Deb, "3.0.11-1~deb12u2", "3.0.13-1~deb12u1"},
		{version.RPM, "1:1.1.1k-6.el8_5", "1:1.1.1k-7.el8_6"},
		{version.APK, "3.1.4-r5", "3.1.4-r6"},
		{version.NPM, "4.17.20", "4.17.21"},
		{version.Go, "v0.17.0", "0.23.0"},
		{version.PEP440, "2.31.0", "2.32.0"},
		{version.Maven, "2.14.1", "2.17.1"},
		{version.RubyGems, "6.0.3.1", "6.0.3.2"},
		{version.Composer, "4.4.0", "4.4.13"},
		{version.NuGet, "12.0.3", "13.0.1"},
	} {
		b.Run(c.scheme.String(), func(b *testing.B) {
			v, err := c.scheme.Parse(c.a)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if n, err := v.CompareTo(c.b); n >= 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
