package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

func TestList(t *testing.T) {
	l := List{Type: "gem", Reader: "ruby", Path: "a"}
	l.Add(esclusa.Package{Name: "rack", Version: "1", Place: esclusa.Place{Line: 3}})
	l.Add(esclusa.Package{Name: "rack", Place: esclusa.Place{Line: 4}})
	l.Add(esclusa.Package{Name: strings.Repeat("x", 512), Version: "1"})
	l.Count(0, "things", "nothing")
	res := l.Result()
	want := []esclusa.Package{{Type: "gem", Name: "rack", Version: "1", Reader: "ruby", Place: esclusa.Place{Path: "a", Line: 3}}}
	if d := cmp.Diff(want, res.Packages); d != "" {
		t.Error(d)
	}
	if len(res.Gaps) != 2 || res.Gaps[0].What != `package "rack"` || res.Gaps[0].Line != 4 || len(res.Gaps[1].What) > 100 {
		t.Errorf("gaps %+v", res.Gaps)
	}
}

func TestListIsBounded(t *testing.T) {
	l := List{Type: "gem"}
	for range MaxPackages + 2 {
		l.Add(esclusa.Package{Name: "x", Version: "1"})
	}
	res := l.Result()
	if len(res.Packages) != MaxPackages || len(res.Gaps) != 1 || res.Gaps[0].What != "2 packages" {
		t.Errorf("%d packages, gaps %v", len(res.Packages), res.Gaps)
	}
}
