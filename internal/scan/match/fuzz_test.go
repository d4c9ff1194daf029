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

// FuzzModule: no version of a module's build makes reading it panic, and a
// build is mended by an erratum that names it, whoever numbered it.
func FuzzModule(f *testing.F) {
	f.Add("2-2.module_el8.6.0+1111+ce6f4ceb.1", "2-2.module+el8.6.0+15654+427eba2e.2", "x:8 security update")
	f.Add("1.module", "1.module+.+.", ":")
	f.Fuzz(func(t *testing.T, installed, fixed, title string) {
		p := esclusa.Package{Type: "rpm", Name: "x", Version: installed}
		a := esclusa.Advisory{Summary: title, Affected: []esclusa.Affected{{Ranges: []esclusa.Range{{Events: []esclusa.RangeEvent{{Fixed: fixed}}}}}}}
		otherModule(&p, &a, &a.Affected[0])
		rebuilt(&p, &a, &a.Affected[0])
		if _, ok := moduleBuild(installed); !ok {
			return
		}
		if _, err := version.RPM.Parse(installed); err != nil {
			return
		}
		a.Affected[0].Ranges[0].Events = append(a.Affected[0].Ranges[0].Events, esclusa.RangeEvent{Fixed: installed})
		if !rebuilt(&p, &a, &a.Affected[0]) {
			t.Errorf("%q is not mended by itself", installed)
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
