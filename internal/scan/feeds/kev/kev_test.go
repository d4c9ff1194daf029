package kev_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/kev"
	"github.com/esclusa/esclusa/internal/truth"
)

type collect struct {
	list    map[string]esclusa.KEV
	skipped []string
	date    time.Time
}

func (*collect) Advisory(*esclusa.Advisory) error { return errors.New("not from here") }
func (*collect) EPSS(string, float64) error       { return errors.New("not from here") }
func (c *collect) Skip(what string, _ error)      { c.skipped = append(c.skipped, what) }
func (c *collect) Date(t time.Time)               { c.date = t }
func (c *collect) KEV(cve string, k esclusa.KEV) error {
	if c.list == nil {
		c.list = make(map[string]esclusa.KEV)
	}
	c.list[cve] = k
	return nil
}

func parse(text []byte) (*collect, error) {
	c := new(collect)
	err := kev.New().Parse(context.Background(), feeds.File{ReaderAt: bytes.NewReader(text), Size: int64(len(text))}, c)
	return c, err
}

func TestParse(t *testing.T) {
	c, err := parse([]byte(`{"dateReleased":"2026-08-07T16:45:47.0648Z","count":4,"vulnerabilities":[
		{"cveID":"CVE-2024-1","dateAdded":"2024-01-02","dueDate":"2024-01-23","knownRansomwareCampaignUse":"Known"},
		{"cveID":"CVE-2024-2","dateAdded":"2024-01-02","knownRansomwareCampaignUse":"Unknown"},
		{"cveID":"CVE-2024-3","dateAdded":"yesterday"}, 7]}`))
	if err != nil {
		t.Fatal(err)
	}
	added := time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)
	want := map[string]esclusa.KEV{
		"CVE-2024-1": {Added: added, Due: added.AddDate(0, 0, 21), Ransomware: true},
		"CVE-2024-2": {Added: added},
	}
	if d := cmp.Diff(want, c.list); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff([]string{"entry 2", "entry 3"}, c.skipped); d != "" {
		t.Errorf("skipped (-want +got):\n%s", d)
	}
	if !c.date.Equal(time.Date(2026, 8, 7, 16, 45, 47, 64800000, time.UTC)) {
		t.Errorf("date %v", c.date)
	}
	for _, text := range []string{``, `{}`, `[]`, `{"vulnerabilities":7}`, `{"count":2,"vulnerabilities":[{}]}`, `<html>`} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("no error from %q", text)
		}
	}
}

func TestCatalogueVectors(t *testing.T) {
	text, err := os.ReadFile(truth.Mirror(t, "kev", "known_exploited_vulnerabilities.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(text)
	if err != nil || len(c.skipped) > 0 {
		t.Fatalf("%v %v", c.skipped, err)
	}
	var plain struct{ Count int }
	if err := json.Unmarshal(text, &plain); err != nil || plain.Count != len(c.list) {
		t.Errorf("%d entries, the catalogue says %d (%v)", len(c.list), plain.Count, err)
	}
	ransomware := 0
	for _, k := range c.list {
		if k.Ransomware {
			ransomware++
		}
	}
	if want := strings.Count(string(text), `"knownRansomwareCampaignUse": "Known"`); ransomware != want {
		t.Errorf("%d used for ransomware, want %d", ransomware, want)
	}
	t.Logf("vectors: kev %d entries", len(c.list))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"dateReleased":"2026-08-07T16:45:47.0648Z","count":1,"vulnerabilities":[{"cveID":"CVE-2024-1","dateAdded":"2024-01-02","dueDate":"2024-01-23"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) { parse(text) })
}
