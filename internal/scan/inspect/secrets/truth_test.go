package secrets

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/truth"
)

// TestGitleaksVectors holds the rules to the true and false positives of
// another scanner. A secret counts as found when any rule finds it, and as
// named when the rule of the same name does.
func TestGitleaksVectors(t *testing.T) {
	f, err := os.Open(truth.Vectors(t, "secrets", "gitleaks-cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type score struct{ secrets, found, named, benign, wrong int }
	scores := map[string]*score{}
	var order []string
	var all score
	var missed, wrong []string
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var c struct{ Label, Path, Rule, Text string }
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		s := scores[c.Rule]
		if s == nil {
			s = &score{}
			scores[c.Rule] = s
			order = append(order, c.Rule)
		}
		path := c.Path
		if path == "" {
			path = "app/settings.conf"
		}
		got := ids(t, path, c.Text)
		named := slices.Contains(got, c.Rule) || slices.Contains(got, sameRule[c.Rule])
		if c.Label == "secret" {
			s.secrets++
			if len(got) > 0 {
				s.found++
			} else {
				missed = append(missed, c.Rule+": "+short(c.Text))
			}
			if named {
				s.named++
			}
			continue
		}
		// A benign case is a claim about one rule: a value that another rule
		// takes for its own secret is no false positive of this one.
		s.benign++
		if named {
			s.wrong++
			wrong = append(wrong, c.Rule+": "+short(c.Text))
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range order {
		s := scores[id]
		if s.found < s.secrets || s.named < s.secrets || s.wrong > 0 {
			t.Logf("%-45s found %3d, named %3d of %3d; benign wrong %d of %d", id, s.found, s.named, s.secrets, s.wrong, s.benign)
		}
		all.secrets += s.secrets
		all.found += s.found
		all.named += s.named
		all.benign += s.benign
		all.wrong += s.wrong
	}
	for _, m := range missed {
		t.Logf("missed %s", m)
	}
	for _, w := range wrong {
		t.Logf("false positive %s", w)
	}
	t.Logf("vectors: %-24s %5d cases  %5d tp  %3d fp  %3d fn  recall %.4f  precision %.4f", "secrets", all.secrets+all.benign,
		all.found, all.wrong, all.secrets-all.found, float64(all.found)/float64(all.secrets), float64(all.found)/float64(all.found+all.wrong))
	t.Logf("vectors: %-24s %5d of them by the rule of the same name, %d rules", "secrets", all.named, len(order))
	if all.secrets < 4000 || all.benign < 200 {
		t.Fatalf("only %d secrets and %d benign cases read", all.secrets, all.benign)
	}
	if all.found*100 < all.secrets*98 || all.named*100 < all.secrets*90 {
		t.Errorf("recall fell: found %d and named %d of %d", all.found, all.named, all.secrets)
	}
	if all.wrong*100 > all.benign*5 {
		t.Errorf("precision fell: %d of %d benign cases found", all.wrong, all.benign)
	}
}

// sameRule maps rules that are two here, or have another name.
var sameRule = map[string]string{
	"sourcegraph-access-token": "sourcegraph-token-v1",
	"atlassian-api-token":      "atlassian-api-token-v3",
	"vault-service-token":      "vault-legacy-token",
	"bittrex-secret-key":       "bittrex-access-key", // the same form
}

func short(s string) string {
	s = strings.ReplaceAll(s, "\n", "⏎")
	return s[:min(len(s), 140)]
}
