package match

import (
	"fmt"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/version"
)

// FuzzRange: on intervals in rising order the walk and the algorithm of the
// OSV schema agree, wherever the version lies; the fix shown is above it; and
// no event, however broken, makes either panic.
func FuzzRange(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, "1.0.5", "2.0.0")
	f.Add([]byte{0, 9, 1, 0}, "0.0.1-rc.1", "x")
	f.Fuzz(func(t *testing.T, steps []byte, text, broken string) {
		v, err := version.NPM.Parse(text)
		if err != nil {
			return
		}
		var events []esclusa.RangeEvent
		at := 0
		for i, s := range steps[:min(len(steps), 16)] {
			at += 1 + int(s%7)
			e := esclusa.RangeEvent{}
			name := fmt.Sprintf("%d.%d.0", at/5, at%5)
			switch {
			case i%2 == 0:
				e.Introduced = name
			case s&64 != 0:
				e.LastAffected = name
			default:
				e.Fixed = name
			}
			events = append(events, e)
		}
		r := esclusa.Range{Events: events}
		in, fix, err := inRange(v, &r)
		want, _, wantErr := inUnordered(v, events)
		if in != want || err != nil || wantErr != nil {
			t.Errorf("%s in %v: %v %v, sorted %v %v", text, events, in, err, want, wantErr)
		}
		if c, err := v.CompareTo(fix); fix != "" && (err != nil || c >= 0 || !in) {
			t.Errorf("%s in %v: fix %s", text, events, fix)
		}
		a := esclusa.Affected{Ranges: []esclusa.Range{r, {Events: append(events, esclusa.RangeEvent{Introduced: broken}, esclusa.RangeEvent{Introduced: broken}, esclusa.RangeEvent{Limit: broken})}}, Versions: []string{broken}}
		if yes, _, _ := affected(v, text, &a); in && !yes {
			t.Errorf("a broken range beside hides %s in %v", text, events)
		}
	})
}

// FuzzCommand: whatever names and versions say, a command is one line of
// quoted words.
func FuzzCommand(f *testing.F) {
	f.Add("x; rm -rf /", "1.0'\n")
	f.Add("@a/b", "2.0.0")
	f.Fuzz(func(t *testing.T, name, fix string) {
		for _, typ := range []string{"deb", "npm", "pypi", "golang", "maven", "gem", "cargo", "composer", "nuget", "rpm", "apk"} {
			p := esclusa.Package{Type: typ, Name: name, Version: "1"}
			c := command(&p, &target{name: name, version: "1"}, fix)
			if unprintable(c) && len(c) < 512 {
				t.Errorf("%q", c)
			}
			quoted := false
			for i := 0; i < len(c); i++ {
				switch {
				case c[i] == '\'' && !(i > 0 && c[i-1] == '\\' && !quoted):
					quoted = !quoted
				case !quoted && (c[i] == ';' || c[i] == '$' || c[i] == '`' || c[i] == '|' || c[i] == '&' || c[i] == '>' || c[i] == '<' || c[i] == '('):
					t.Errorf("a shell would act on %q", c)
				}
			}
			if quoted {
				t.Errorf("open quote in %q", c)
			}
		}
	})
}
