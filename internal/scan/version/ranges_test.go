package version_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
)

// tally counts the cases of one file and lists those that fail by name.
type tally struct {
	file      string
	cases     int
	failed    map[string]string
	different int
}

func (c *tally) count(name, why string) {
	c.cases++
	if why != "" {
		if c.failed == nil {
			c.failed = map[string]string{}
		}
		c.different++
		c.failed[name] = why
	}
}

func (c *tally) report(t *testing.T) {
	t.Helper()
	known := knownFailures(t)[c.file]
	if c.cases == 0 {
		t.Fatalf("%s: no cases", c.file)
	}
	t.Logf("vectors: version %-48s %5d cases %5d pass %3d fail", c.file, c.cases, c.cases-c.different, c.different)
	compareKnown(t, c.file, c.failed, known)
}

// constraints splits "vers:npm/>=1.0|<2.0" into operators and versions.
func constraints(vers string) (typ string, list []comparator) {
	typ, rest, _ := strings.Cut(strings.TrimPrefix(vers, "vers:"), "/")
	for c := range strings.SplitSeq(rest, "|") {
		v := strings.TrimLeft(c, "<>=!")
		list = append(list, comparator{c[:len(c)-len(v)], v})
	}
	return typ, list
}

// versScheme is the scheme of a range: nginx numbers its releases as semver
// does, and OpenSSL has no package URL type.
func versScheme(t testing.TB, typ string) version.Scheme {
	switch typ {
	case "nginx":
		return version.SemVer
	case "openssl":
		return version.OpenSSL
	}
	s, ok := version.ForPURL(typ)
	if !ok {
		t.Fatalf("no scheme for vers:%s", typ)
	}
	return s
}

func parseVers(t testing.TB, vers string) (version.Scheme, version.Range, error) {
	typ, _, _ := strings.Cut(strings.TrimPrefix(vers, "vers:"), "/")
	s := versScheme(t, typ)
	if typ == "nginx" || typ == "openssl" {
		vers = strings.TrimPrefix(vers, "vers:"+typ+"/")
	}
	r, err := s.ParseRange(vers)
	return s, r, err
}

// TestVersRangeVectors: a native range and the vers range that it is
// expected to be hold the same of all versions that the file names; the
// expected range lists its versions in rising order.
func TestVersRangeVectors(t *testing.T) {
	for _, path := range filesOf(t, "vers-range", "range_*.json") {
		c := tally{file: "vers-range/" + filepath.Base(path)}
		var tests []struct {
			Type  string `json:"test_type"`
			Input struct {
				Native  string `json:"native_range"`
				Scheme  string
				Vers    string
				Version string
			} `json:"input"`
			Want any `json:"expected_output"`
		}
		readJSON(t, c.file, &tests)
		var probes []probe
		seen := map[string]bool{}
		said := map[string]string{} // most ranges come several times
		for _, e := range tests {
			if want, ok := e.Want.(string); ok {
				typ, list := constraints(want)
				for _, b := range list {
					if v, err := versScheme(t, typ).Parse(b.v); err == nil && !seen[b.v] {
						seen[b.v] = true
						probes = append(probes, probe{b.v, v})
					}
				}
			}
		}
		for _, e := range tests {
			switch e.Type {
			case "from_native":
				want := e.Want.(string)
				why, ok := said[e.Input.Native+"\n"+want]
				if !ok {
					why = fromNative(t, e.Input.Scheme, e.Input.Native, want, probes)
					said[e.Input.Native+"\n"+want] = why
				}
				c.count(e.Input.Native, why)
			case "containment":
				s, r, err := parseVers(t, e.Input.Vers)
				why := ""
				if v, err2 := s.Parse(e.Input.Version); err != nil || err2 != nil || r.Contains(v) != e.Want.(bool) {
					why = "is decided otherwise"
				}
				c.count(e.Input.Version+" in "+e.Input.Vers, why)
			case "roundtrip":
				// What is written back is the text that was read, if its
				// versions are in order.
				s, _, err := parseVers(t, e.Input.Vers)
				why := rising(s, e.Want.(string))
				if err != nil || e.Want.(string) != e.Input.Vers {
					why = "is refused"
				}
				c.count(e.Input.Vers, why)
			default:
				t.Errorf("%s: unknown test type %q", c.file, e.Type)
			}
		}
		c.report(t)
	}
}

// probe is a version that some range of the file names.
type probe struct {
	text string
	v    version.Version
}

func fromNative(t *testing.T, scheme, text, want string, probes []probe) string {
	s, vers, err := parseVers(t, want)
	if err != nil {
		return err.Error()
	}
	r, ok := readNative(t, scheme, text)
	if !ok {
		return "the native range is not understood"
	}
	if err := r.check(s); err != nil {
		return err.Error()
	}
	for _, p := range probes {
		// npm's rule for prereleases has no words in vers.
		if _, pre := npmCore(p.text); scheme == "npm" && pre && !strings.Contains(text, p.text) {
			continue
		}
		if r.contains(p.v) != vers.Contains(p.v) {
			return "the two differ"
		}
	}
	return rising(s, want)
}

// rising checks the order of the constraints of a vers range.
func rising(s version.Scheme, vers string) string {
	_, list := constraints(vers)
	for i := 1; i < len(list); i++ {
		if why := (order{a: list[i-1].v, op: "<", b: list[i].v}).check(s); why != "" && list[i-1].v != list[i].v {
			return list[i-1].v + " < " + list[i].v + ": " + why
		}
	}
	return ""
}

var (
	nginxOpen   = regexp.MustCompile(`^\s*(\d+)\.(\d+)\.(\d+)\+\s*$`)
	nginxClosed = regexp.MustCompile(`^\s*([\d.]+)-([\d.]+)\s*$`)
)

func readNative(t *testing.T, scheme, text string) (native, bool) {
	switch scheme {
	case "npm":
		return npmRange(text, true, "")
	case "conan":
		return conanRange(text)
	case "gem":
		if v, ok := strings.CutPrefix(text, "~>"); ok {
			return native{pessimistic(v, 1, "")}, true
		}
	case "nuget":
		m := regexp.MustCompile(`^([\[(])([^,]*),\s*([^\])]*)([\])])$`).FindStringSubmatch(text)
		if m == nil {
			return nil, false
		}
		return native{{{map[string]string{"[": ">=", "(": ">"}[m[1]], m[2]}, {map[string]string{"]": "<=", ")": "<"}[m[4]], m[3]}}}, true
	case "nginx":
		var r native
		for part := range strings.SplitSeq(text, ",") {
			if m := nginxOpen.FindStringSubmatch(part); m != nil {
				// "1.4.1+" ends with its branch where the branch is stable.
				all := []comparator{{">=", strings.Trim(part, " +")}}
				if p, _, ok := readPartial(m[1]+"."+m[2]+".0", true); ok && p.n[1]%2 == 0 {
					all = append(all, comparator{"<", strings.TrimSuffix(p.next(1), "-0")})
				}
				r = append(r, all)
			} else if m := nginxClosed.FindStringSubmatch(part); m != nil {
				r = append(r, []comparator{{">=", m[1]}, {"<=", m[2]}})
			} else {
				r = append(r, []comparator{{"=", strings.TrimSpace(part)}})
			}
		}
		return r, true
	}
	return plain(text)
}

// pessimistic is "~> 2.0.8": at least that, and the same but for the last of
// its numbers.
func pessimistic(v string, keep int, end string) []comparator {
	v = strings.TrimSpace(v)
	n := strings.Split(v, ".")
	n = n[:max(len(n)-keep, 1)]
	p, _, _ := readPartial(strings.Join(n, "."), true)
	p.n[len(n)-1]++
	for i := len(n); i < 3; i++ {
		p.n[i] = 0
	}
	return []comparator{{">=", v}, {"<", strings.Join(strings.Split(p.text(""), ".")[:len(n)], ".") + end}}
}

func conanRange(text string) (native, bool) {
	text, _, _ = strings.Cut(text, ", include_prerelease")
	var r native
	for alternative := range strings.SplitSeq(text, "||") {
		alternative = strings.TrimSpace(alternative)
		switch {
		case alternative == "*":
			r = append(r, []comparator{{">=", "0.0.0"}})
		case strings.HasPrefix(alternative, "~"):
			n := strings.Split(alternative[1:], ".")
			r = append(r, pessimistic(alternative[1:], max(len(n)-2, 0), "-"))
		case strings.HasPrefix(alternative, "^"):
			n := strings.Split(alternative[1:], ".")
			r = append(r, pessimistic(alternative[1:], len(n)-1, "-"))
		default:
			// "1-" is 1, and says that prereleases may be chosen.
			p, ok := plain(strings.ReplaceAll(alternative, "- ", " "))
			if !ok {
				return nil, false
			}
			r = append(r, p...)
		}
	}
	return r, true
}

func TestPEP440SpecifierVectors(t *testing.T) {
	c := tally{file: "pep440/specifiers.csv"}
	for _, r := range readCSV(t, c.file) {
		got := true
		for spec := range strings.SplitSeq(r[1], ",") {
			got = got && pepContains(t, r[0], spec)
		}
		why := ""
		if got != (r[2] == "True") {
			why = "is decided otherwise"
		}
		c.count(r[0]+" "+r[1], why)
	}
	c.report(t)
}
