package misconfig

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

// TestTrivyChecksVectors: every good example passes the check that it is for,
// every bad one is refused by that check.
func TestTrivyChecksVectors(t *testing.T) {
	f, err := os.Open(truth.Vectors(t, "misconfig", "trivy-checks-examples.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type score struct{ good, passed, bad, refused int }
	scores := map[string]*score{}
	var order []string
	var all score
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var c struct{ Check, Kind, Label, Content string }
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		s := scores[c.Check]
		if s == nil {
			s = &score{}
			scores[c.Check] = s
			order = append(order, c.Check)
		}
		id := strings.ToLower(strings.ReplaceAll(c.Check, "_", "-"))
		got := ids(t, c.Kind, c.Content)
		found := slices.Contains(got, id)
		switch {
		case c.Label == "good":
			s.good++
			if !found {
				s.passed++
			} else {
				t.Errorf("%s: good example refused:\n%s", id, c.Content)
			}
		default:
			s.bad++
			if found {
				s.refused++
			} else {
				t.Errorf("%s: bad example passed (%q):\n%s", id, got, c.Content)
			}
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range order {
		s := scores[id]
		t.Logf("%-58s good %d of %d, bad %d of %d", id, s.passed, s.good, s.refused, s.bad)
		all.good += s.good
		all.passed += s.passed
		all.bad += s.bad
		all.refused += s.refused
	}
	wrong := all.good - all.passed
	t.Logf("vectors: %-24s %5d cases  %5d tp  %3d fp  %3d fn  recall %.4f  precision %.4f", "misconfig", all.good+all.bad,
		all.refused, wrong, all.bad-all.refused, float64(all.refused)/float64(all.bad), float64(all.refused)/float64(all.refused+wrong))
	if all.good+all.bad < 75 {
		t.Errorf("only %d cases read", all.good+all.bad)
	}
}

// ids are the checks that refuse a text.
func ids(t testing.TB, kind, text string) []string {
	t.Helper()
	var r layer.Reader = Dockerfile{plain}
	path := "Dockerfile"
	if kind == "kubernetes" {
		r, path = Kubernetes{}, "deploy/a.yaml"
	}
	res, err := layertest.Read(t, r, path, 0o644, []byte(text))
	if err != nil {
		t.Errorf("%s: %v\n%s", kind, err, text)
	}
	var out []string
	for _, f := range res.Findings {
		out = append(out, strings.TrimPrefix(f.ID, "misconfig/"))
	}
	return out
}
