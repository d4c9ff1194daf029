package match_test

import (
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/match"
)

// TestReleasesVectors: the mirror has no feed of Alpine, Ubuntu or openSUSE, so
// nobody's answers on their flaws can be compared. What can be: that a system
// which calls itself so in /etc/os-release is asked about under the name that
// api.osv.dev answered to, that its real versions are versions in its order,
// and that the next release is another matter.
func TestReleasesVectors(t *testing.T) {
	systems := map[string]struct{ typ, id, patch string }{
		"Alpine": {"apk", "alpine", ".3"}, "Ubuntu": {"deb", "ubuntu", ""}, "openSUSE": {"rpm", "opensuse-leap", ""}, "Debian": {"deb", "debian", ""},
	}
	seen := map[string]int{}
	for _, r := range rowsOf(t, "osv-answers", "answers.csv") {
		base, release, _ := strings.Cut(r[0], ":")
		system, ok := systems[base]
		if !ok {
			continue
		}
		seen[base]++
		// What os-release writes: 3.21.3 for v3.21, 15.5 for Leap 15.5.
		id := system.id + ":" + strings.TrimPrefix(strings.TrimPrefix(release, "v"), "Leap ") + system.patch
		p := esclusa.Package{Type: system.typ, Name: r[1], Version: r[2], Distro: id}
		answer := func(ecosystem string, events ...esclusa.RangeEvent) match.Output {
			return match.Match(match.Input{Packages: []esclusa.Package{p}, Advisories: memory{list: []esclusa.Advisory{{
				ID: "X-1", Affected: []esclusa.Affected{{Ecosystem: ecosystem, Name: r[1], Ranges: []esclusa.Range{{Type: "ECOSYSTEM", Events: events}}}},
			}}}})
		}
		start, here := esclusa.RangeEvent{Introduced: "0"}, esclusa.RangeEvent{LastAffected: r[2]}
		for _, c := range []struct {
			what string
			out  match.Output
			want int
		}{
			{"affected up to its version", answer(r[0], start, here), 1},
			{"fixed in its version", answer(r[0], start, esclusa.RangeEvent{Fixed: r[2]}), 0},
			{"another release", answer(r[0]+"9", start, here), 0},
			{"another system", answer("Mageia:9", start, here), 0},
		} {
			if len(c.out.Findings) != c.want || len(c.out.Gaps) > 0 {
				t.Errorf("%s %s %s, %s: %d findings, gaps %v", r[0], r[1], r[2], c.what, len(c.out.Findings), c.out.Gaps)
			}
		}
	}
	for base := range systems {
		if seen[base] < 60 {
			t.Errorf("%d packages of %s", seen[base], base)
		}
	}
	t.Logf("%v", seen)
}
