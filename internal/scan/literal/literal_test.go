package literal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/scan/literal"
	"github.com/esclusa/esclusa/internal/truth"
)

func check(t *testing.T, lits []layer.Literal, data []byte) {
	t.Helper()
	want := layertest.Hits(lits, data)
	got := literal.Compile(lits).Find(data, make([]layer.Hit, 0, len(want)+1))
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("literals %v in %q (-plain +matcher):\n%s", lits, data, d)
	}
}

func TestFindAgrees(t *testing.T) {
	tests := []struct{ lits, data string }{
		{"abc", "abc"},
		{"abc", "xabc"},
		{"abc", "ABCabcAbC"},
		{"abc", "ab"},
		{"abc", ""},
		{"aaa aaaa aaaaa", "aaaaaaaaaaaaaaaaaaaaaaa"},
		{"akia ghp_ glpat- -----begin", "x AKIA ghp_ glpat-xx -----BEGIN RSA"},
		{"ghp_", "padding ghp_"},
		{"a\x00b [[[ @@@ `{{", "a\x00b a b {{{ [[[ @@@ ``` `[[ `{{"},
		{"password password word ass", "PASSWORD passwords"},
		{"abcdefghijklmnop abcdefghijklmnoq", "abcdefghijklmnoqabcdefghijklmnop"},
		{"\xff\xfe\xfd \xdf\xde\xdd", "\xff\xfe\xfd\xdf\xde\xdd"},
	}
	for _, tt := range tests {
		for _, foldCase := range []bool{false, true} {
			var lits []layer.Literal
			for l := range strings.SplitSeq(tt.lits, " ") {
				lits = append(lits, layer.Literal{Bytes: l, Fold: foldCase})
			}
			for pad := range 9 { // every alignment
				check(t, lits, []byte(strings.Repeat("-", pad)+tt.data))
			}
		}
	}
}

// TestFindRandom uses few letters, so that literals overlap and hide in one
// another.
func TestFindRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []byte("aAbB_ \x00")
	text := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return b
	}
	for range 2000 {
		lits := make([]layer.Literal, 1+r.IntN(12))
		for i := range lits {
			lits[i] = layer.Literal{Bytes: string(text(3 + r.IntN(8))), Fold: r.IntN(2) == 0}
		}
		check(t, lits, text(r.IntN(300)))
	}
}

func TestFindStopsAtCapacity(t *testing.T) {
	set := literal.Compile([]layer.Literal{{Bytes: "abc"}})
	data := bytes.Repeat([]byte("abc"), 1000)
	before := []layer.Hit{{Literal: 9, End: 9}}
	got := set.Find(data, append(make([]layer.Hit, 0, 11), before...))
	if len(got) != 11 || cap(got) != 11 {
		t.Fatalf("got %d hits of capacity %d, want both 11", len(got), cap(got))
	}
	if got[0] != before[0] || got[1].End != 3 || got[10].End != 30 {
		t.Errorf("got %v", got)
	}
	if n := testing.AllocsPerRun(10, func() { set.Find(data, got[:0]) }); n != 0 {
		t.Errorf("%v allocations in Find, want none", n)
	}
}

func TestCompileRefusesShort(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a literal of two bytes was accepted")
		}
	}()
	literal.Compile([]layer.Literal{{Bytes: "ab"}})
}

func FuzzFind(f *testing.F) {
	f.Add([]byte("abc\nabcd"), []byte("xabcdx"), true)
	f.Add([]byte("aaa\naaaa\naaaaa"), bytes.Repeat([]byte("a"), 40), false)
	f.Add([]byte("-----BEGIN\neyJ"), []byte("-----begin eyj eyJ"), true)
	f.Fuzz(func(t *testing.T, list, data []byte, foldCase bool) {
		var lits []layer.Literal
		for l := range bytes.SplitSeq(list, []byte("\n")) {
			if len(l) >= 3 && len(lits) < 20 {
				lits = append(lits, layer.Literal{Bytes: string(l), Fold: foldCase != (len(lits)%3 == 0)})
			}
		}
		check(t, lits, data[:min(len(data), 1<<12)])
	})
}

// many is 600 literals of the kind that readers declare: words of secrets,
// token prefixes, strings of malware.
func many() []layer.Literal {
	words := strings.Fields(`password passwd secret token apikey api_key access_key private_key
		client_secret auth_token bearer -----BEGIN AKIA ASIA ghp_ gho_ ghu_ ghs_ github_pat_ glpat- xoxb- xoxp-
		sk_live_ rk_live_ AIza eyJ npm_ pypi- hf_ SG. dop_v1_ shpat_ hooks.slack.com AccountKey=`)
	services := strings.Fields(`adafruit airtable algolia asana atlassian bitbucket bittrex cloudflare codecov
		coinbase confluent contentful databricks datadog discord dropbox droneci duffel dynatrace easypost
		etsy facebook fastly finicity finnhub flickr flutterwave frameio freshbooks gitter gocardless grafana
		heroku hubspot infracost intercom jfrog kraken kucoin launchdarkly linear linkedin lob mailchimp
		mailgun mapbox mattermost messagebird netlify newrelic nytimes okta plaid planetscale postman prefect`)
	var lits []layer.Literal
	for _, w := range words {
		lits = append(lits, layer.Literal{Bytes: w, Fold: true})
	}
	for i := 0; len(lits) < 600; i++ {
		w := services[i%len(services)]
		if n := i / len(services); n > 0 {
			w = fmt.Sprintf("%s%c%x", w, "_-./:"[n%5], n*7919)
		}
		lits = append(lits, layer.Literal{Bytes: w, Fold: i%4 != 0})
	}
	return lits
}

func BenchmarkCompile600(b *testing.B) {
	lits := many()
	for b.Loop() {
		literal.Compile(lits)
	}
}

// BenchmarkFind reads the standard library's source, its largest test binary
// and the worst text found: nothing but beginnings of literals.
func BenchmarkFind(b *testing.B) {
	set := literal.Compile(many())
	inputs := map[string][]byte{
		"source":  source(b),
		"binary":  binary(b),
		"hostile": bytes.Repeat([]byte("passworsecretokeapi_keaccess_keclient_secre"), 1<<15),
		"hits":    bytes.Repeat([]byte("password=secret;token="), 1<<15),
	}
	for name, data := range inputs {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			dst := make([]layer.Hit, 0, 1<<17)
			n := 0
			for b.Loop() {
				n = len(set.Find(data, dst))
			}
			b.ReportMetric(float64(n), "hits")
		})
	}
}

func source(b *testing.B) []byte {
	b.Helper()
	var all []byte
	for _, pattern := range []string{"net/http/*.go", "go/types/*.go", "crypto/tls/*.go"} {
		names, err := filepath.Glob(filepath.Join(truth.GoRoot(b), "src", pattern))
		if err != nil || len(names) == 0 {
			b.Skip("no source of the standard library here")
		}
		for _, n := range names {
			data, err := os.ReadFile(n)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, data...)
		}
	}
	return all
}

func binary(b *testing.B) []byte {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		b.Fatal(err)
	}
	return data
}
