package version_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/version"
)

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
