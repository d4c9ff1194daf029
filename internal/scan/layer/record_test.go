package layer_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/google/go-cmp/cmp"
)

// TestRecordKeepsZones: a day comes out of the cache as it went in, wherever
// the machine stands: a report prints the zone.
func TestRecordKeepsZones(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -5*60*60)} {
		day := time.Date(2028, 6, 30, 0, 0, 0, 0, zone)
		rec := &layer.Record{Items: []layer.Item{{
			Path: "etc/os-release", Reader: "osrelease",
			Result: layer.Result{
				Distro:   &esclusa.Distro{ID: "debian", EndOfLife: day},
				Findings: []esclusa.Finding{{ID: "none published"}, {Published: day}},
			},
		}}}
		b, err := rec.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := layer.DecodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text(t, rec.Items[0].Result), text(t, got.Items[0].Result)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", zone, diff)
		}
	}
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
