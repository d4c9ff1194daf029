package scan_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/esclusa/esclusa/internal/scan"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/json"
)

// BenchmarkNothingChanged: the unit is one scan, report written, of an image
// of three layers and 3,000 packages that was scanned before.
func BenchmarkNothingChanged(b *testing.B) {
	var many []registrytest.File
	for i := range 3000 {
		many = append(many, npm(fmt.Sprintf("srv/%d", i), fmt.Sprintf("package-%d", i/2), "1.0.0"))
	}
	target := registrytest.Image(b, base(), application(many...), clean()).Layout(b)
	s := scan.New(config(b, b.TempDir()))
	run := func() *esclusa.Report {
		r, err := s.Scan(b.Context(), target, esclusa.TargetImage, oci.Options{})
		if err == nil {
			err = json.Format{}.Write(io.Discard, r, report.Options{})
		}
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	run()
	b.ReportAllocs()
	for b.Loop() {
		if r := run(); r.End.LayersRead > 0 || len(r.Packages) < 3000 {
			b.Fatalf("%+v", r.End)
		}
	}
}
