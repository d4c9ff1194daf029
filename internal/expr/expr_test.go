package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type ship struct {
	name  string
	tons  int64
	crew  []string
	flags map[string]string
	built time.Time
	port  port
	masts []mast
}

type port struct{ name string }

type mast struct {
	name string
	tall int64
}

func testEnv() *Env {
	portType := NewObject("port", Fields{"name": String(func(p *port) string { return p.name })})
	mastType := NewObject("mast", Fields{
		"name": String(func(m *mast) string { return m.name }),
		"tall": Int(func(m *mast) int64 { return m.tall }),
	})
	shipType := NewObject("ship", Fields{
		"masts": Objects(mastType, func(s *ship) []mast { return s.masts }),
		"name":  String(func(s *ship) string { return s.name }),
		"tons":  Int(func(s *ship) int64 { return s.tons }),
		"load":  Number(func(s *ship) float64 { return float64(s.tons) / 2 }),
		"big":   Bool(func(s *ship) bool { return s.tons > 1000 }),
		"crew":  Strings(func(s *ship) []string { return s.crew }),
		"flags": Map(func(s *ship) map[string]string { return s.flags }),
		"built": When(func(s *ship) time.Time { return s.built }),
		"age":   Age(func(s *ship) time.Duration { return 48 * time.Hour }),
		"port":  Inner(portType, func(s *ship) *port { return &s.port }),
	})
	return New(Var("ship", shipType), Var("home", portType), Time("now"), Const("heavy", 500))
}

type vars struct {
	ship *ship
	home *port
	now  time.Time
}

func (v *vars) Value(name string) (any, bool) {
	switch name {
	case "ship":
		return v.ship, true
	case "home":
		return v.home, true
	case "now":
		return v.now, true
	}
	return nil, false
}

func testVars() *vars {
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	return &vars{
		ship: &ship{"argo", 700, []string{"jason", "orpheus"}, map[string]string{"owner": "pelias"}, at, port{"iolcus"}, []mast{{"fore", 20}, {"main", 30}}},
		home: &port{"iolcus"}, now: at.Add(72 * time.Hour),
	}
}

func TestEval(t *testing.T) {
	env := testEnv()
	for src, want := range map[string]bool{
		`ship.name == "argo"`:                                   true,
		`ship.name.startsWith("ar") && ship.tons >= heavy`:      true,
		`ship.tons < heavy`:                                     false,
		`ship.load > 349`:                                       true,
		`ship.big`:                                              false,
		`"jason" in ship.crew`:                                  true,
		`ship.crew.exists(c, c.matches("^orph.*$"))`:            true,
		`ship.crew.size() == 3`:                                 false,
		`"owner" in ship.flags && ship.flags.owner == "x"`:      false,
		`now - ship.built > duration("71h")`:                    true,
		`ship.age > duration("49h")`:                            false,
		`ship.port.name == home.name`:                           true,
		`has(ship.port)`:                                        true,
		`ship.masts.exists(m, m.name == "main" && m.tall > 25)`: true,
		`ship.masts.all(m, m.tall > 25)`:                        false,
		`ship.masts[1].name == "main"`:                          true,
		`ship.masts.size() == 2 && ship.masts == ship.masts`:    true,
		`ship.masts[0] in ship.masts`:                           true,
		`ship.masts.filter(m, m.tall > 25).size() == 1`:         true,
		`[ship.name, "x"].exists(n, n == "argo")`:               true,
		`ship.built < timestamp("2026-01-01T00:00:00Z")`:        false,
	} {
		p, err := env.Compile(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got, err := p.Eval(testVars())
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", src, got, err, want)
		}
	}
}

func TestCompileErrorsNameThePlace(t *testing.T) {
	env := testEnv()
	for _, c := range []struct {
		src, message string
		line, column int
	}{
		{"ship.nam == 'x'", "undefined field 'nam'", 1, 5},
		{"ship.big &&\n  boat.big", "undeclared reference to 'boat'", 2, 3},
		{"ship.name > 3", "no matching overload", 1, 11},
		{"ship.name", "must give true or false", 1, 1},
		{"ship.big &&", "the condition ends too early", 1, 12},
		{"", "the condition ends too early", 1, 1},
		{`ship.name.matches("(")`, "invalid", 1, 19},
		{strings.Repeat("!", MaxLength+1), "bytes", 1, 1},
		{strings.Repeat("(", 200) + "ship.big" + strings.Repeat(")", 200), "", 1, 1},
		{`ship.name.matches("` + strings.Repeat("a{500}", 20) + `")`, "", 1, 19},
	} {
		_, err := env.Compile(c.src)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.40q: got %v, want an *Error", c.src, err)
			continue
		}
		if !strings.Contains(e.Message, c.message) || e.Line != c.line || (e.Column != c.column && len(c.src) < 100) {
			t.Errorf("%.40q: got %v, want %d:%d %s", c.src, e, c.line, c.column, c.message)
		}
	}
}

// A condition that costs too much stops with an error: it is neither true nor
// false.
func TestEvalStopsAtItsCost(t *testing.T) {
	p, err := testEnv().Compile(`ship.crew.all(a, ship.crew.all(b, a + b != "x"))`)
	if err != nil {
		t.Fatal(err)
	}
	v := testVars()
	for i := range 2000 {
		v.ship.crew = append(v.ship.crew, fmt.Sprint("sailor ", i))
	}
	got, err := p.Eval(v)
	if err == nil || got {
		t.Errorf("got %v, %v; want an error", got, err)
	}
	if _, err := p.Eval(testVars()); err != nil {
		t.Errorf("the same condition on a small crew: %v", err)
	}
}

func TestEvalMissingKeyIsAnError(t *testing.T) {
	p, err := testEnv().Compile(`ship.flags["captain"] == "x"`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Eval(testVars()); err == nil {
		t.Errorf("got %v without an error", got)
	}
}

func TestEvalOutOfAList(t *testing.T) {
	for _, src := range []string{`ship.masts[2].name == "x"`, `ship.masts[-1].name == "x"`, `(ship.masts + ship.masts).size() == 4`} {
		p, err := testEnv().Compile(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := p.Eval(testVars()); err == nil {
			t.Errorf("%s: got %v without an error", src, got)
		}
	}
}

func TestNeeds(t *testing.T) {
	argo := Atom{"ship.name", Equal, "argo"}
	for src, want := range map[string][]Clause{
		`ship.name == "argo"`:                            {{argo}},
		`"argo" == ship.name && ship.big`:                {{argo}, {{"ship.big", Equal, true}}},
		`!ship.big && ship.tons == 7`:                    {{{"ship.big", Equal, false}}, {{"ship.tons", Equal, int64(7)}}},
		`ship.name in ["argo", "nina"]`:                  {{argo, {"ship.name", Equal, "nina"}}},
		`ship.name.contains("rg")`:                       {{{"ship.name", Contains, "rg"}}},
		`"jason" in ship.crew`:                           {{{"ship.crew", Has, "jason"}}},
		`ship.port.name.startsWith("io")`:                {{{"ship.port.name", Prefix, "io"}}},
		`ship.name.endsWith("go") || ship.name == "x"`:   {{{"ship.name", Suffix, "go"}, {"ship.name", Equal, "x"}}},
		`ship.big && (ship.name == "argo" || now > now)`: {{{"ship.big", Equal, true}}},
		`(ship.name == "argo" && ship.big) || ship.tons == 1`: {
			{argo, {"ship.tons", Equal, int64(1)}},
			{{"ship.big", Equal, true}, {"ship.tons", Equal, int64(1)}},
		},
		`ship.tons > 5`:                                             nil,
		`!(ship.name == "argo")`:                                    nil,
		`ship.name != "argo"`:                                       nil,
		`ship.masts.exists(m, m.name == "main")`:                    nil,
		`ship.big ? ship.name == "argo" : ship.tons == 1`:           nil,
		`ship.tons == heavy`:                                        nil,
		`ship.name == ship.port.name`:                               nil,
		`ship.name in []`:                                           {{}},
		`ship.crew.exists(c, c == "jason" || c.startsWith("orph"))`: {{{"ship.crew", Has, "jason"}, {"ship.crew", Prefix, "orph"}}},
		`ship.crew.exists(c, c.endsWith("us") && c.size() > 3)`:     {{{"ship.crew", Suffix, "us"}}},
		`ship.crew.exists(c, c.size() > 3 && c in ["a", "b"])`:      {{{"ship.crew", Has, "a"}, {"ship.crew", Has, "b"}}},
		`ship.crew.exists(c, c == "jason" || ship.big)`:             nil,
		`ship.crew.exists(c, c != "jason")`:                         nil,
		`ship.crew.exists(c, !(c == "jason"))`:                      nil,
		`ship.crew.all(c, c == "jason")`:                            nil,
		`ship.crew.exists_one(c, c == "jason")`:                     nil,
		`ship.crew.filter(c, c == "jason").size() == 0`:             nil,
		`ship.crew.exists(c, ship.name == "argo")`:                  nil,
	} {
		p, err := testEnv().Compile(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if d := cmp.Diff(want, p.Needs()); d != "" {
			t.Errorf("%s: %s", src, d)
		}
	}
}

func TestUses(t *testing.T) {
	p, err := testEnv().Compile(`ship.tons > heavy && "a" == ship.name`)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Uses("ship") || p.Uses("home") || p.Uses("heavy") {
		t.Errorf("got uses %v", p.uses)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"ship.big", `ship.name.matches("a+")`, "ship.crew.all(c, c == 'x')", "[1,2][5] == 1",
		`"\u0000" in ship.flags`, "1/0 == 1", "ship", "duration('x') == ship.age", "ship == ship", "type(ship) == ship",
		"has(ship.crew) ? {1:2} == {} : null == null", "dyn(ship).name == ''", "[ship].exists(s, s.name == 'argo')", "ship.masts.exists(m, m.tall > 3) || ship.name.startsWith('a')",
		"(ship.name == 'argo' && ship.big) || ship.tons in [700, 1]", "!ship.big && 'jason' in ship.crew", "ship.crew.exists(c, c == 'jason' && c.startsWith('j') || c in ['x'])",
	} {
		f.Add(s)
	}
	env := testEnv()
	f.Fuzz(func(t *testing.T, src string) {
		p, err := env.Compile(src)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("not an *Error with a place: %v", err)
			}
			return
		}
		ok, err := p.Eval(testVars())
		if ok && err != nil {
			t.Fatalf("true and an error: %v", err)
		}
		for _, c := range p.Needs() {
			if ok && !holds(c, testVars().ship) {
				t.Fatalf("true, although none of %v holds", c)
			}
		}
	})
}

// One operation is the first set-up of CEL with a first condition: what a run
// pays only when its policy has conditions.
func BenchmarkSetUp(b *testing.B) {
	for b.Loop() {
		if _, err := testEnv().Compile("ship.big"); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one more condition in a ready Env.
func BenchmarkCompile(b *testing.B) {
	env := testEnv()
	for b.Loop() {
		if _, err := env.Compile(`ship.tons >= heavy && ship.name.startsWith("a")`); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one evaluation of a condition with three parts.
func BenchmarkEval(b *testing.B) {
	p, err := testEnv().Compile(`ship.tons >= heavy && ship.name.startsWith("a") && ship.port.name == "iolcus"`)
	if err != nil {
		b.Fatal(err)
	}
	v := testVars()
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Eval(v); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// holds computes a clause about a ship by other means.
func holds(c Clause, s *ship) bool {
	texts := map[string]string{"ship.name": s.name, "ship.port.name": s.port.name, "home.name": "iolcus", "ship.flags.owner": "pelias"}
	for _, a := range c {
		v, _ := a.Value.(string)
		switch text, ok := texts[a.Path]; {
		case a.Path == "ship.big" && a.Value == (s.tons > 1000), a.Path == "ship.tons" && a.Value == s.tons,
			a.Op == Has && a.Path == "ship.crew" && slices.Contains(s.crew, v),
			a.Op == Prefix && a.Path == "ship.crew" && slices.ContainsFunc(s.crew, func(c string) bool { return strings.HasPrefix(c, v) }),
			a.Op == Suffix && a.Path == "ship.crew" && slices.ContainsFunc(s.crew, func(c string) bool { return strings.HasSuffix(c, v) }),
			a.Op == Has && a.Path == "ship.flags" && s.flags[v] != "",
			ok && a.Op == Equal && text == v, ok && a.Op == Prefix && strings.HasPrefix(text, v),
			ok && a.Op == Suffix && strings.HasSuffix(text, v), ok && a.Op == Contains && strings.Contains(text, v),
			!ok && a.Path != "ship.big" && a.Path != "ship.tons" && a.Path != "ship.crew" && a.Op != Has:
			return true
		}
	}
	return false
}
