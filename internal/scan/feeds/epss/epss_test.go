package epss_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
	"github.com/esclusa/esclusa/internal/scan/feeds/epss"
	"github.com/esclusa/esclusa/internal/truth"
)

type collect struct {
	list    map[string]float64
	skipped []string
	date    time.Time
}

func (*collect) Advisory(*esclusa.Advisory) error { return errors.New("not from here") }
func (*collect) KEV(string, esclusa.KEV) error    { return errors.New("not from here") }
func (c *collect) Skip(what string, _ error)      { c.skipped = append(c.skipped, what) }
func (c *collect) Date(t time.Time)               { c.date = t }
func (c *collect) EPSS(cve string, p float64) error {
	if c.list == nil {
		c.list = make(map[string]float64)
	}
	c.list[cve] = p
	return nil
}

func parse(packed []byte) (*collect, error) {
	c := new(collect)
	err := epss.New().Parse(context.Background(), feeds.File{ReaderAt: bytes.NewReader(packed), Size: int64(len(packed))}, c)
	return c, err
}

func pack(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

func TestParse(t *testing.T) {
	day := time.Date(2026, 8, 22, 0, 0, 0, 0, time.UTC)
	for _, head := range []string{
		"#model_version:v4,score_date:2026-08-22T00:00:00Z\n", "#model_version:v3,score_date:2026-08-22T00:00:00+0000\r\n",
		"#score_date:2026-08-22,model_version:v1\n",
	} {
		c, err := parse(pack(head + "cve,epss,percentile\nCVE-2024-1,0.04919,0.9\nCVE-2024-2,much,0\nCVE-2024-3\n\nCVE-2024-4,1e-05,0\n"))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(map[string]float64{"CVE-2024-1": 0.04919, "CVE-2024-4": 0.00001}, c.list); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if d := cmp.Diff([]string{"line 4", "line 5"}, c.skipped); d != "" {
			t.Errorf("skipped (-want +got):\n%s", d)
		}
		if !c.date.Equal(day) {
			t.Errorf("date %v from %q", c.date, head)
		}
	}
	whole := pack("cve,epss,percentile\nCVE-2024-1,0.1,0.9\n")
	for n := range whole {
		if _, err := parse(whole[:n]); err == nil {
			t.Errorf("no error from %d of %d bytes", n, len(whole))
		}
	}
	for _, text := range []string{"", "CVE-2024-1,0.1,0.9\n", "<html>", "cve,epss\n" + strings.Repeat("x", 1<<17)} {
		if _, err := parse(pack(text)); err == nil {
			t.Errorf("no error from %.20q", text)
		}
	}
}

func TestScoresVectors(t *testing.T) {
	packed, err := os.ReadFile(truth.Mirror(t, "epss", "epss_scores-current.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(packed)
	if err != nil || len(c.skipped) > 0 {
		t.Fatalf("%v %v", c.skipped, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Count(string(text), "\nCVE-"); want != len(c.list) {
		t.Errorf("%d scores, the file has %d", len(c.list), want)
	}
	for cve, p := range c.list {
		if !strings.Contains(string(text), "\n"+cve+","+strconv.FormatFloat(p, 'f', -1, 64)+",") {
			t.Errorf("%s has not %v", cve, p)
		}
	}
	t.Logf("vectors: epss %d scores", len(c.list))
}

// FuzzParse takes the text: packing it here reaches what is behind gzip.
func FuzzParse(f *testing.F) {
	f.Add([]byte("#model_version:v4,score_date:2026-08-22T00:00:00Z\ncve,epss,percentile\nCVE-2024-1,0.04919,0.9\n"), true)
	f.Add(pack("cve,epss\n"), false)
	f.Fuzz(func(t *testing.T, b []byte, packIt bool) {
		if packIt {
			b = pack(string(b))
		}
		parse(b)
	})
}
