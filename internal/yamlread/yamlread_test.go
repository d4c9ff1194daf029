package yamlread

import (
	"errors"
	"strings"
	"testing"
)

type lock struct {
	Pos
	Name  string            `yaml:"name,required" doc:"Name."`
	Gates []gate            `yaml:"gates" doc:"Gates."`
	Rule  Passage           `yaml:"rule" doc:"Rule."`
	Marks map[string]string `yaml:"marks" doc:"Marks."`
}

type gate struct {
	Pos
	Side side  `yaml:"side,required" doc:"Side."`
	Open *bool `yaml:"open" doc:"Open."`
}

type side string

func (s *side) DecodeText(t string) error { return Word(s, t, []side{"upper", "lower"}) }

const lockText = `name: panama
gates:
  - side: upper
    open: true
  - {side: lower}
rule: |

  first
    second
marks: {a: 1.10}
`

func TestRead(t *testing.T) {
	r := New("lock.yaml")
	var l lock
	r.Read([]byte(lockText), &l)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if l.Name != "panama" || len(l.Gates) != 2 || l.Gates[1].Side != "lower" || !*l.Gates[0].Open || l.Gates[1].Open != nil {
		t.Errorf("got %+v", l)
	}
	if l.Gates[1].Pos != (Pos{5, 5}) || l.Marks["a"] != "1.10" {
		t.Errorf("got %+v, %q", l.Gates[1].Pos, l.Marks["a"])
	}
	lines := strings.Split(lockText, "\n")
	for i, want := range strings.Split(l.Rule.Text, "\n") {
		if at := l.Rule.At(i+1, 1); want != "" && !strings.HasPrefix(lines[at.Line-1][at.Column-1:], want) {
			t.Errorf("line %d of the passage is said to be at %v", i+1, at)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"name: x\ngats: []\n":                 "lock.yaml:2:1: unknown key \"gats\" in the file\nhint: did you mean gates?",
		"gates: []\n":                         "lock.yaml:1:1: the file has no name",
		"name: x\ngates:\n  - side: uper\n":   "lock.yaml:3:11: side: unknown word \"uper\"\nhint: did you mean upper?",
		"name: x\ngates: [{side: [a]}]\n":     "lock.yaml:2:16: side must be a single value",
		"name: &a x\n":                        "lock.yaml:1:7: \"&\" is YAML that is not read here",
		"name: x\n---\nname: y\n":             "lock.yaml:3:1: a second document",
		"name: " + strings.Repeat("[", 30):    "nested too deep",
		"":                                    "lock.yaml:1:1: the file is empty",
		"name: x\ngates: [{side: upper, a: ]": "lock.yaml:",
	} {
		r := New("lock.yaml")
		r.Read([]byte(text), &lock{})
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(lockText))
	f.Add([]byte("name: x\nrule: 'it''s'\ngates: [{side: upper, open: false}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New("f")
		var l lock
		r.Read(data, &l)
		for _, e := range r.errs {
			var at *Error
			if !errors.As(e, &at) || at.Line < 1 || at.Column < 1 {
				t.Fatalf("an error without a place: %v", e)
			}
		}
		if r.OK() && l.Name == "" && !strings.Contains(string(data), "name") {
			t.Fatal("the required name is absent, and nothing is wrong")
		}
	})
}
