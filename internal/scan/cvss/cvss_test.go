package cvss_test

import (
	"encoding/csv"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/cvss"
	"github.com/esclusa/esclusa/internal/truth"
)

// known are rows whose published score is not what the standard computes.
var known = map[string]string{}

func TestScoreVectors(t *testing.T) {
	for _, f := range []struct {
		file                    string
		vector, score, severity int
	}{
		{"cvss-real.csv", 1, 2, 3}, {"cvss31-base-grid.csv", 0, 1, 2}, {"cvss4-first-oracle.csv", 0, 1, -1},
	} {
		file, err := os.Open(truth.Vectors(t, "cvss", f.file))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(file).ReadAll()
		file.Close()
		if err != nil || len(rows) < 2 {
			t.Fatal(len(rows), err)
		}
		bad := 0
		for _, r := range rows[1:] {
			want, err := strconv.ParseFloat(r[f.score], 64)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cvss.Score(r[f.vector])
			ok := err == nil && got == want
			if ok && f.severity >= 0 && r[f.severity] != "" && !strings.HasPrefix(r[f.vector], "AV") {
				ok = strings.EqualFold(r[f.severity], esclusa.SeverityOf(got).String())
			}
			if ok {
				continue
			}
			bad++
			if known[r[f.vector]] == "" {
				t.Errorf("%s: %s: %v, %v, want %v %s", f.file, r[f.vector], got, err, want, r[max(f.severity, 0)])
			}
		}
		t.Logf("vectors: cvss %-24s %5d cases %5d pass %3d fail", f.file, len(rows)-1, len(rows)-1-bad, bad)
	}
}

func TestBest(t *testing.T) {
	const (
		v2  = "AV:N/AC:L/Au:N/C:C/I:C/A:C"                                      // 10.0
		v31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"                    // 5.3
		v3h = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O"           // 9.8 base
		v4  = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N" // 9.3
	)
	for _, c := range []struct {
		name    string
		in      []string
		score   float64
		vector  string
		wantErr bool
	}{
		{"none", nil, 0, "", false},
		{"newest", []string{v2, v31}, 5.3, v31, false},
		{"highest of the newest", []string{v31, v3h}, 9.8, v3h, false},
		{"four before three", []string{v3h, v4}, 9.3, v4, false},
		{"bad beside good", []string{"CVSS:3.1/AV:X", v31}, 5.3, v31, true},
		{"only bad", []string{"HIGH"}, 0, "", true},
		{"brackets of NVD", []string{"(" + v2 + ")"}, 10, "(" + v2 + ")", false},
	} {
		score, vector, err := cvss.Best(c.in)
		if score != c.score || vector != c.vector || (err != nil) != c.wantErr {
			t.Errorf("%s: %v %q %v, want %v %q", c.name, score, vector, err, c.score, c.vector)
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
	f.Add("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:P/MPR:L")
	f.Add("CVSS:4.0/AV:A/AC:H/AT:N/PR:H/UI:A/VC:H/VI:H/VA:L/SC:L/SI:L/SA:L/E:U/CR:L/MVC:H/MVI:L/MSC:L/MSI:S")
	f.Add("AV:N/AC:L/Au:N/C:C/I:C/A:C")
	f.Add("(AV:N/AC:L/Au:N/C:C/I:C/A:C/E:U)")
	f.Add("CVSS:4.0/")
	f.Fuzz(func(t *testing.T, v string) {
		s, err := cvss.Score(v)
		if s < 0 || s > 10 || s != s || err != nil && s != 0 {
			t.Errorf("%q: %v, %v", v, s, err)
		}
	})
}

// BenchmarkScore scores one vector.
func BenchmarkScore(b *testing.B) {
	for _, v := range []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"} {
		b.Run(v[:8], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cvss.Score(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
