package json_test

import (
	"bytes"
	stdjson "encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"github.com/esclusa/esclusa/internal/scan/report/json"
	"github.com/esclusa/esclusa/internal/scan/report/reporttest"
)

// TestStream: a line is a message, in the order that esclusa.Message
// promises, and the end counts them.
func TestStream(t *testing.T) {
	r := reporttest.Mixed()
	var b bytes.Buffer
	if err := (json.Format{}).Write(&b, r, report.Options{}); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	var end esclusa.End
	for line := range strings.Lines(b.String()) {
		var fields map[string]stdjson.RawMessage
		if err := stdjson.Unmarshal([]byte(line), &fields); err != nil || len(fields) != 1 {
			t.Fatalf("%v: %s", err, line)
		}
		for kind, data := range fields {
			kinds = append(kinds, kind)
			if kind == "end" {
				if err := stdjson.Unmarshal(data, &end); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	n := len(kinds)
	if want := 4 + len(r.Feeds) + len(r.Packages) + len(r.Findings) + len(r.Gaps); n != want {
		t.Errorf("%d lines, want %d", n, want)
	}
	if got := slices.Compact(kinds); !slices.Equal(got, []string{"start", "image", "feed", "package", "finding", "gap", "verdict", "end"}) {
		t.Errorf("order: %v", got)
	}
	if end.Findings != len(r.Findings) || end.Packages != len(r.Packages) || end.Gaps != len(r.Gaps) {
		t.Errorf("the end counts %+v", end)
	}
}
