package osv

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/truth"
)

// pkg names the package that affected is about.
const pkg = `"package":{"ecosystem":"npm","name":"x","purl":"pkg:npm/x"}`

func affected(f esclusa.Affected) []esclusa.Affected {
	f.Ecosystem, f.Name = "npm", "x"
	return []esclusa.Affected{f}
}

type recordTest struct {
	name, text string
	want       esclusa.Advisory
}

func parseAll(t *testing.T, tests []recordTest) {
	t.Helper()
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, *got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestParseRecord(t *testing.T) {
	tests := []recordTest{
		{"least", `{"id":"X-1"}`, esclusa.Advisory{ID: "X-1"}},
		{
			"dates", `{"id":"X-1","modified":"2024-01-02T03:04:05.678Z","published":"0001-01-01T00:00:00Z","withdrawn":"2024-01-02T05:00:00+02:00"}`,
			esclusa.Advisory{ID: "X-1", Modified: time.Date(2024, 1, 2, 3, 4, 5, 678e6, time.UTC), Withdrawn: time.Date(2024, 1, 2, 3, 0, 0, 0, time.UTC)},
		},
		{"a withdrawal without a date is none", `{"id":"X-1","withdrawn":"soon"}`, esclusa.Advisory{ID: "X-1"}},
		{"nulls", `{"id":"X-1","aliases":null,"affected":null,"severity":null,"summary":null}`, esclusa.Advisory{ID: "X-1"}},
		{
			"ids", `{"id":"X-1","aliases":["CVE-1","GHSA-1"],"upstream":["CVE-2"],"related":["CVE-3"]}`,
			esclusa.Advisory{ID: "X-1", Aliases: []string{"CVE-1", "GHSA-1"}, Upstream: []string{"CVE-2"}},
		},
		{"details only without summary", `{"id":"X-1","details":"## Impact\n\nall  is\tlost"}`, esclusa.Advisory{ID: "X-1", Summary: "Impact all is lost"}},
		{"summary before details", `{"id":"X-1","details":"long","summary":"short"}`, esclusa.Advisory{ID: "X-1", Summary: "short"}},
		{
			"vectors, newest first, and a word", `{"id":"X-1","severity":[{"type":"CVSS_V2","score":"v2"},{"type":"CVSS_V3","score":"CVSS:3.0/a"},
			{"type":"CVSS_V3","score":"CVSS:3.1/a"},{"type":"CVSS_V4","score":"v4"},{"type":"Ubuntu","score":"medium"}]}`,
			esclusa.Advisory{ID: "X-1", CVSS: []string{"v4", "CVSS:3.1/a", "v2"}, Severity: esclusa.SeverityMedium},
		},
		{"word of the database", `{"id":"X-1","database_specific":{"severity":"MODERATE","cwe_ids":["CWE-1"]}}`, esclusa.Advisory{ID: "X-1", Severity: esclusa.SeverityMedium}},
		{"word that is none", `{"id":"X-1","database_specific":{"severity":["HIGH"]}}`, esclusa.Advisory{ID: "X-1"}},
		{"a repository is no package", `{"id":"X-1","affected":[{"ranges":[{"type":"GIT","events":[]}]}]}`, esclusa.Advisory{ID: "X-1"}},
		{
			"severity of one package", `{"id":"X-1","affected":[{` + pkg + `,"severity":[{"type":"CVSS_V3","score":"v3"}],"ecosystem_specific":{"urgency":"low"}}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{CVSS: []string{"v3"}, Severity: esclusa.SeverityLow})},
		},
		{
			"score without vector, newest standard", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"cvss_v2":4.0,"cvss_v3":9.8}}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Severity: esclusa.SeverityCritical})},
		},
		{
			"Go symbols", `{"id":"X-1","affected":[{` + pkg + `,"ecosystem_specific":{"imports":[{"path":"a/b","symbols":["C","T.M"]},{"path":"a/c"}]}}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{
				Symbols: []string{"a/b.C", "a/b.T.M"}, Imports: []string{"a/b", "a/c"},
			})},
		},
		{"RustSec", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"informational":"unsound"}}]}`, esclusa.Advisory{ID: "X-1", Informational: "unsound", Affected: affected(esclusa.Affected{})}},
		{
			"erratum", `{"id":"ALSA-2024:1","summary":"Important: kernel security update","related":["CVE-1","ALSA-2024:0"],
			"references":[{"type":"REPORT","url":"https://example.org/bug"},{"type":"ADVISORY","url":"https://errata.example.org/ALSA-2024-1.html"}]}`,
			esclusa.Advisory{ID: "ALSA-2024:1", Summary: "Important: kernel security update", Upstream: []string{"CVE-1"}, Severity: esclusa.SeverityHigh, URL: "https://errata.example.org/ALSA-2024-1.html"},
		},
		{"erratum that mends no flaw", `{"id":"ALBA-2024:1","summary":"tar bug fix update","related":[]}`, esclusa.Advisory{ID: "ALBA-2024:1", Summary: "tar bug fix update", Informational: "bugfix"}},
		{"malicious", `{"id":"MAL-2024-1"}`, esclusa.Advisory{ID: "MAL-2024-1", Malicious: true, URL: "https://osv.dev/vulnerability/MAL-2024-1"}},
		{"malicious by another name", `{"id":"PYSEC-1","aliases":["MAL-2024-1"]}`, esclusa.Advisory{ID: "PYSEC-1", Aliases: []string{"MAL-2024-1"}, Malicious: true}},
		{"address of no page", `{"id":"X-1","references":[{"type":"ADVISORY","url":"javascript:alert(1)"},{"type":"WEB","url":"https://a\u0001b"}]}`, esclusa.Advisory{ID: "X-1"}},
		{"escapes", `{"id":"X-1","summary":"\u00e9\ud83d\ude00\ud83d \"\\\/"}`, esclusa.Advisory{ID: "X-1", Summary: "é😀 \"\\/"}},
	}
	parseAll(t, tests)
}

func TestParseRecordRanges(t *testing.T) {
	intro, fix := esclusa.RangeEvent{Introduced: "0"}, esclusa.RangeEvent{Fixed: "2.0.0"}
	parseAll(t, []recordTest{
		{
			"ranges; commits are left out", `{"id":"X-1","affected":[{` + pkg + `,"ranges":[{"type":"GIT","repo":"r","events":[{"introduced":"0"}]},
			{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"2.0.0"}]},{"type":"ECOSYSTEM","events":[{"introduced":"0","fixed":"2.0.0"},{"limit":"3"}]}],
			"versions":["1.0.0"]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{
				Versions: []string{"1.0.0"},
				Ranges: []esclusa.Range{
					{Type: "SEMVER", Events: []esclusa.RangeEvent{intro, fix}},
					{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{intro, fix, {Limit: "3"}}},
				},
			})},
		},
		{
			"a fix beside the range is shown", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"first_patched_version":"1.0.1"},
			"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"last_affected":"1.0.0"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "SEMVER", Events: []esclusa.RangeEvent{intro, {LastAffected: "1.0.0"}, {Fixed: "1.0.1"}}},
			}})},
		},
		{
			"a fix inside the range is not believed", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"first_patched_version":"1.0.0-rc.1"},
			"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"last_affected":"1.0.0"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "SEMVER", Events: []esclusa.RangeEvent{intro, {LastAffected: "1.0.0"}}},
			}})},
		},
		{
			"the end of a range that no event ends", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"last_known_affected_version_range":"<= 1.2.3"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{intro, {LastAffected: "1.2.3"}}},
			}})},
		},
		{
			"an end that is not affected itself", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"last_known_affected_version_range":"< 2"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{intro, {Limit: "2"}}},
			}})},
		},
		{
			"an event says more than the end beside it", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"last_known_affected_version_range":"<= 1.2.3"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2.5"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{intro, {Fixed: "1.2.5"}}},
			}})},
		},
		{
			"an end that is not understood ends nothing", `{"id":"X-1","affected":[{` + pkg + `,"database_specific":{"last_known_affected_version_range":"<= 1, >= 3"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
			esclusa.Advisory{ID: "X-1", Affected: affected(esclusa.Affected{Ranges: []esclusa.Range{
				{Type: "ECOSYSTEM", Events: []esclusa.RangeEvent{intro}},
			}})},
		},
	})
}

func TestParseRecordErrors(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}`, `[]`, `null`, `{"id":7}`, `{"id":"X-1"} x`, `{"id":"X-1",}`, `{"id":"X-1","affected":{}}`,
		`{"id":"X-1","aliases":"CVE-1"}`, `{"id":"X-1","x":tru}`, `{"id":"X-1","x":01}`, `{"id":"X-1","x":"\x"}`, "{\"id\":\"X-1\",\"x\":\"\n\"}",
		`{"id":"X-1","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"MOON"}]}]}`,
		`{"id":"X-1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		if got, err := parse([]byte(text)); err == nil {
			t.Errorf("no error from %.60q: %+v", text, got)
		}
	}
}

func TestLine(t *testing.T) {
	for _, c := range [][2]string{
		{"", ""},
		{" a\n\tb ", "a b"},
		{strings.Repeat("word ", 100), strings.TrimSpace(strings.Repeat("word ", 30)) + "…"},
		{strings.Repeat("é", 200), strings.Repeat("é", 76) + "…"},
	} {
		got := line(c[0])
		if len(got) > maxSummary || !utf8.ValidString(got) {
			t.Errorf("line(%.20q) is %d bytes: %q", c[0], len(got), got)
		}
		if got != c[1] {
			t.Errorf("line(%.20q) = %q, want %q", c[0], got, c[1])
		}
	}
}

// collect is a sink that keeps everything.
type collect struct {
	mu      sync.Mutex
	list    map[string]*esclusa.Advisory
	skipped []string
}

func (c *collect) Advisory(a *esclusa.Advisory) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil {
		c.list = make(map[string]*esclusa.Advisory)
	}
	c.list[a.ID] = a
	return nil
}

func (c *collect) Skip(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped = append(c.skipped, fmt.Sprintf("%s: %v", what, err))
}
func (*collect) KEV(string, esclusa.KEV) error { return errors.New("not from here") }
func (*collect) EPSS(string, float64) error    { return errors.New("not from here") }
func (*collect) Date(time.Time)                {}

func parseZip(t testing.TB, b []byte) (*collect, error) {
	t.Helper()
	c := new(collect)
	err := New("npm").Parse(context.Background(), feeds.File{ReaderAt: bytes.NewReader(b), Size: int64(len(b))}, c)
	return c, err
}

func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, text := range files {
		w, err := z.Create(fmt.Sprintf("r%d.json", i))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseZip(t *testing.T) {
	c, err := parseZip(t, zipOf(t, `{"id":"X-1"}`, `{"id":`, `{"id":"X-2"}`, strings.Repeat(" ", maxRecord+1)))
	if err != nil || len(c.list) != 2 || len(c.skipped) != 2 {
		t.Errorf("%d records, skipped %v, %v", len(c.list), c.skipped, err)
	}
	whole := zipOf(t, `{"id":"X-1","summary":"`+strings.Repeat("x", 500)+`"}`)
	for n := range whole {
		if c, err := parseZip(t, whole[:n]); err == nil {
			t.Errorf("no error from %d of %d bytes: %v", n, len(whole), c.list)
		}
	}
}

// TestHomebrewVectors: a bucket's zip is not the only place of OSV records.
func TestHomebrewVectors(t *testing.T) {
	z, err := zip.OpenReader(truth.Advisories(t, "homebrew.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	n := 0
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		text, err := read(f, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		var plain struct {
			ID       string
			Upstream []string
			Affected []struct{ Package struct{ Name string } }
		}
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		if a.ID != plain.ID || !cmp.Equal(a.Upstream, plain.Upstream) || len(a.Affected) != len(plain.Affected) ||
			a.Affected[0].Ecosystem != "Homebrew" || a.Affected[0].Name != plain.Affected[0].Package.Name || a.URL == "" || a.Summary == "" {
			t.Errorf("%s: %+v", f.Name, a)
		}
		n++
	}
	if t.Logf("vectors: homebrew %d records", n); n != 43 {
		t.Errorf("%d records, the pack has 43", n)
	}
}

// FuzzRecord holds the scanner to encoding/json: the same texts are JSON, but
// for depth, and the fields that both read are equal.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"id":"X-1","aliases":["CVE-1"],"summary":"\u00e9\ud83d\ude00","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"last_affected":"1.0.0"}]}],"versions":["1"],"database_specific":{"first_patched_version":"1.0.1","cvss_v3":-1.5e3}}],"severity":[{"type":"CVSS_V3","score":"a"}]}`))
	f.Add([]byte(`{"id":"GO-1","x":[1,2.5,true,false,null,{"a":{}}],"affected":[{"ecosystem_specific":{"imports":[{"path":"a","symbols":["b"]}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parse(text)
		if err != nil {
			return
		}
		var plain struct {
			ID      string   `json:"id"`
			Aliases []string `json:"aliases"`
		}
		if !json.Valid(text) {
			t.Fatalf("taken, and no JSON: %q", text)
		}
		if err := json.Unmarshal(text, &plain); err == nil && oneKey(text) && a.ID != plain.ID {
			t.Errorf("id %q, want %q", a.ID, plain.ID)
		}
		if len(a.Summary) > maxSummary || !utf8.ValidString(a.Summary) || strings.ContainsAny(a.Summary, "\n\r\t\x1b") {
			t.Errorf("summary %q", a.Summary)
		}
	})
}

// oneKey: encoding/json folds the case of keys and takes the last of two.
func oneKey(text []byte) bool {
	return bytes.Count(bytes.ToLower(text), []byte(`"id"`)) == 1 && !bytes.ContainsAny(text, `\`)
}

// FuzzScanner: skip takes exactly the texts that encoding/json takes.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+7,"\ud800\n",true,false,null]}`, `"\u00"`, `[01]`, `{"a":1,}`, "\"\x01\"", ` 1 `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := scanner{b: text}
		s.skip()
		err := s.end()
		if errors.Is(err, errDeep) {
			return
		}
		if got, want := err == nil, json.Valid(text); got != want {
			t.Errorf("%q: taken %v, JSON %v (%v)", text, got, want, err)
		}
		if err == nil && len(bytes.TrimSpace(text)) > 0 && bytes.TrimSpace(text)[0] == '"' {
			s := scanner{b: text}
			var want string
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if got := s.string(); got != want {
				t.Errorf("%q is %q, want %q", text, got, want)
			}
		}
	})
}

// FuzzZip: no zip panics or inflates without end.
func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, `{"id":"X-1"}`, `{"id":"X-2"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseZip(t, b)
	})
}

// BenchmarkParse is for one record of the usual size (2 KB).
func BenchmarkParse(b *testing.B) {
	text := []byte(`{"schema_version":"1.7.0","id":"GHSA-25hc-qcg6-38wj","modified":"2024-11-18T16:26:46Z","published":"2024-06-19T15:04:41Z",
	"aliases":["CVE-2024-38355"],"summary":"socket.io has an unhandled error event","details":"` + strings.Repeat("A specially crafted packet. ", 50) + `",
	"affected":[{"package":{"ecosystem":"npm","name":"socket.io","purl":"pkg:npm/socket.io"},"ranges":[{"type":"SEMVER","events":[{"introduced":"3.0.0"},{"fixed":"4.6.2"}]}]}],
	"references":[{"type":"ADVISORY","url":"https://github.com/advisories/GHSA-25hc-qcg6-38wj"}],"database_specific":{"severity":"MODERATE"}}`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
