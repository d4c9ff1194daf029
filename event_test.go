package esclusa_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

func TestFieldsAreOneObjectInOrder(t *testing.T) {
	fs := esclusa.Fields{
		esclusa.Text("path", `/tmp/a"b`), esclusa.Number("flags", -3),
		esclusa.Bool("write", true), esclusa.List("args", []string{"sh", "-c"}),
	}
	got, err := json.Marshal(fs)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"path":"/tmp/a\"b","flags":-3,"write":true,"args":["sh","-c"]}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	var back esclusa.Fields
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fs, back); d != "" {
		t.Error(d)
	}
}

func TestFieldsRefuse(t *testing.T) {
	for _, s := range []string{`[]`, `{"a":1,"a":2}`, `{"a":{}}`, `{"a":1.5}`, `{"a":null}`, `{"a":[1]}`, `{"a":1`} {
		var fs esclusa.Fields
		if err := json.Unmarshal([]byte(s), &fs); err == nil {
			t.Errorf("%s: read as %v", s, fs)
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{`{"path":"/x","n":1,"b":true,"l":["a"]}`, `null`, `{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var fs, again esclusa.Fields
		if json.Unmarshal(data, &fs) != nil {
			return
		}
		out, err := json.Marshal(fs)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if d := cmp.Diff(fs, again); len(fs) > 0 && d != "" {
			t.Error(d)
		}
	})
}
