package secrets

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

// TestIndexAgreesWithParser holds the quick reading of keywords to YAML.
func TestIndexAgreesWithParser(t *testing.T) {
	set := index(content.Secrets)
	ids := map[string]bool{}
	for i, get := range set.rules {
		r, err := get()
		if err != nil {
			t.Errorf("rule %d: %v", i, err)
			continue
		}
		if ids[r.ID] {
			t.Errorf("rule %s twice", r.ID)
		}
		ids[r.ID] = true
		var want, got []layer.Literal
		for _, k := range r.Keywords {
			want = append(want, layer.Literal{Bytes: k, Fold: true})
		}
		for _, k := range r.Exact {
			want = append(want, layer.Literal{Bytes: k})
		}
		for k, rules := range set.byLiteral {
			if slices.Contains(rules, i) {
				l := set.literals[k]
				if r.wide() && !l.Wide {
					t.Errorf("%s: %q is not looked for in other people's code", r.ID, l.Bytes)
				}
				l.Wide = false
				got = append(got, l)
			}
		}
		slices.SortFunc(want, func(a, b layer.Literal) int { return strings.Compare(a.Bytes, b.Bytes) })
		slices.SortFunc(got, func(a, b layer.Literal) int { return strings.Compare(a.Bytes, b.Bytes) })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: keywords (-yaml +index):\n%s", r.ID, d)
		}
		for _, l := range got {
			if len(l.Bytes) < 3 {
				t.Errorf("%s: keyword %q is too short for the search", r.ID, l.Bytes)
			}
		}
	}
	if len(ids) < 177 {
		t.Errorf("%d rules, want at least 177", len(ids))
	}
	for k, rules := range set.byLiteral {
		if l := set.literals[k]; l.Wide && !slices.ContainsFunc(rules, func(i int) bool { r, err := set.rules[i](); return err == nil && r.wide() }) {
			t.Errorf("%q is looked for in other people's code, and no rule speaks of that", l.Bytes)
		}
	}
	t.Logf("%d rules, %d literals", len(ids), len(set.literals))
}

// TestRules holds every rule to its own attack and benign twin.
func TestRules(t *testing.T) {
	set := index(content.Secrets)
	for _, get := range set.rules {
		r, err := get()
		if err != nil {
			t.Fatal(err)
		}
		path := r.Path
		if path == "" {
			path = "app/settings.conf"
		}
		if r.Title == "" || r.Rotate == "" || len(r.Attack) < 1 || len(r.Benign) < 1 || r.Severity == 0 {
			t.Errorf("%s: title, severity, rotate, attack and benign are needed", r.ID)
		}
		attack, benign := strings.Join(r.Attack, ""), strings.Join(r.Benign, "")
		if got := ids(t, path, attack); !slices.Contains(got, r.ID) {
			t.Errorf("%s: attack %q in %s found as %q", r.ID, attack, path, got)
		}
		if r.Detect == "file" {
			path = "certs/server.p12.txt"
		}
		if got := ids(t, path, benign); len(got) > 0 {
			t.Errorf("%s: benign %q in %s found as %q", r.ID, benign, path, got)
		}
	}
}

// ids are the rules that find something in a file, without "secret/".
func ids(t testing.TB, path, text string) []string {
	t.Helper()
	if !layertest.Claimed(Reader{}, path, 0o644, []byte(text)) {
		return nil
	}
	res, err := layertest.Read(t, Reader{}, path, 0o644, []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out []string
	for _, f := range res.Findings {
		out = append(out, strings.TrimPrefix(f.ID, "secret/"))
	}
	return out
}
