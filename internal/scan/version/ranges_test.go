package version_test

import (
	"path/filepath"
	"regexp"
	"slices"
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

// npmOptions reads what node-semver's fixtures have as third column: true and
// {"loose": …} are loose, includePrerelease is its own.
func npmOptions(row []any, i int) (loose bool, z string) {
	if i >= len(row) {
		return false, ""
	}
	switch o := row[i].(type) {
	case bool:
		return o, ""
	case map[string]any:
		if o["includePrerelease"] == true {
			z = "-0"
		}
		l := o["loose"]
		return l != nil && l != false && l != 0.0, z
	}
	return false, ""
}

func TestNPMRangeVectors(t *testing.T) {
	for _, f := range []struct {
		file string
		want bool
	}{{"range-include", true}, {"range-exclude", false}} {
		c := tally{file: "semver-npm/" + f.file + ".json"}
		var rows [][]any
		readJSON(t, c.file, &rows)
		for _, row := range rows {
			loose, z := npmOptions(row, 2)
			text, v := row[0].(string), row[1].(string)
			why := ""
			if _, err := version.NPM.Parse(v); err != nil {
				if f.want {
					why = err.Error()
				}
			} else if r, ok := npmRange(text, loose, z); ok && npmContains(t, r, v, z) != f.want || !ok && f.want {
				why = "is decided otherwise"
			}
			c.count(text+" with "+v, why)
		}
		c.report(t)
	}
}

// TestNPMOutsideVectors: a version above or below all of a range.
func TestNPMOutsideVectors(t *testing.T) {
	for _, f := range []struct {
		file        string
		above, want bool
	}{{"version-gt-range", true, true}, {"version-not-gt-range", true, false}, {"version-lt-range", false, true}, {"version-not-lt-range", false, false}} {
		c := tally{file: "semver-npm/" + f.file + ".json"}
		var rows [][]any
		readJSON(t, c.file, &rows)
		for _, row := range rows {
			loose, z := npmOptions(row, 2)
			text, v := row[0].(string), row[1].(string)
			r, ok := npmRange(text, loose, z)
			why := ""
			if !ok || outside(t, r, v, z, f.above) != f.want {
				why = "is decided otherwise"
			}
			c.count(text+" with "+v, why)
		}
		c.report(t)
	}
}

func outside(t *testing.T, r native, text, z string, above bool) bool {
	v, err := version.NPM.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if npmContains(t, r, text, z) {
		return false
	}
	// The open side of every alternative must be bounded, and the version
	// must lie beyond the other one.
	open, shut := ">", "<"
	if !above {
		open, shut = "<", ">"
	}
	for _, all := range r {
		if !slices.ContainsFunc(all, func(c comparator) bool { return c.op == "" || c.op == "=" || c.op[:1] == shut }) {
			return false
		}
		for _, c := range all {
			if (c.op == "" || c.op == "=" || c.op[:1] == open) && c.v != "" {
				n, err := v.CompareTo(c.v)
				if err != nil {
					t.Fatal(err)
				}
				if above && n < 0 || !above && n > 0 {
					return false
				}
			}
		}
	}
	return true
}

// TestNPMIntersectionVectors: two ranges have a version in common if one of
// those that they name, or one beside it, is in both.
func TestNPMIntersectionVectors(t *testing.T) {
	for _, file := range []string{"comparator-intersection", "range-intersection"} {
		c := tally{file: "semver-npm/" + file + ".json"}
		var rows [][]any
		readJSON(t, c.file, &rows)
		for _, row := range rows {
			a, b := row[0].(string), row[1].(string)
			x, ok1 := npmRange(a, true, "")
			y, ok2 := npmRange(b, true, "")
			why := ""
			if !ok1 || !ok2 || meet(x, y) != row[2].(bool) {
				why = "is decided otherwise"
			}
			c.count(a+" with "+b, why)
		}
		c.report(t)
	}
}

func meet(x, y native) bool {
	probes := []string{"0.0.0", "9999.0.0"}
	for _, all := range append(slices.Clone(x), y...) {
		for _, c := range all {
			probes = append(probes, c.v)
			if p, _, ok := readPartial(c.v, true); ok {
				probes = append(probes, strings.TrimSuffix(p.next(2), "-0"))
				if p.pre != "" {
					probes = append(probes, c.v+".0")
				}
			}
		}
	}
	for _, text := range probes {
		if v, err := version.NPM.Parse(text); err == nil && x.contains(v) && y.contains(v) {
			return true
		}
	}
	return false
}

// TestNPMParseVectors: a range and what node-semver makes of it hold the same.
func TestNPMParseVectors(t *testing.T) {
	c := tally{file: "semver-npm/range-parse.json"}
	var rows [][]any
	readJSON(t, c.file, &rows)
	for _, row := range rows {
		loose, z := npmOptions(row, 2)
		text := row[0].(string)
		r, ok := npmRange(text, loose, z)
		want, isRange := row[1].(string)
		why := ""
		if ok != isRange {
			why = "is refused or accepted otherwise"
		} else if ok {
			w, ok := npmRange(want, true, z)
			if !ok || !sameSet(t, r, w, z) {
				why = "is decided otherwise"
			}
		}
		c.count(text, why)
	}
	c.report(t)
}

func sameSet(t *testing.T, x, y native, z string) bool {
	for _, all := range append(slices.Clone(x), y...) {
		for _, c := range all {
			p, _, ok := readPartial(c.v, true)
			if !ok {
				continue
			}
			for _, text := range []string{c.v, p.next(2), p.next(1), p.next(0), strings.TrimSuffix(p.next(2), "-0"), p.text("-0"), "0.0.0-0"} {
				if _, err := version.NPM.Parse(text); err == nil && npmContains(t, x, text, z) != npmContains(t, y, text, z) {
					return false
				}
			}
		}
	}
	return true
}

// TestNPMIncrementVectors: what follows a version is above it, and what is cut
// from one is not, but for the release that a prerelease leads to.
func TestNPMIncrementVectors(t *testing.T) {
	for _, f := range []struct{ file, op string }{{"increments", ">"}, {"truncations", "<="}} {
		c := tally{file: "semver-npm/" + f.file + ".json"}
		var rows [][]any
		readJSON(t, c.file, &rows)
		for _, row := range rows {
			from, kind := row[0].(string), row[1].(string)
			why := ""
			if to, ok := row[2].(string); ok {
				why = step(from, kind, to, f.op)
			}
			c.count(from+" "+kind, why)
		}
		c.report(t)
	}
}

func step(from, kind, to, op string) string {
	v, err := version.NPM.Parse(to)
	if err != nil {
		return err.Error()
	}
	n, err := v.CompareTo(from)
	if err != nil {
		return err.Error()
	}
	_, pre := npmCore(from)
	if op == ">" && n <= 0 || op == "<=" && n > 0 && !(pre && kind == "patch") {
		return to + " lies on the wrong side"
	}
	return ""
}
