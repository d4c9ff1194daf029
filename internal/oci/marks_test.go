package oci

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/esclusa/esclusa/internal/inflate"
)

// TestMarks: however long a layer is, its places are few, and even.
func TestMarks(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	const blocks = 5 * maxMarks
	for range blocks {
		z.Write(make([]byte, 1000))
		z.Flush()
	}
	z.Close()
	var table SeekTable
	r := inflate.NewReader(&b, inflate.Gzip)
	table.mark(r, 1000)
	if n, err := io.Copy(io.Discard, r); err != nil || n != blocks*1000 {
		t.Fatal(n, err)
	}
	marks := table.Marks
	if len(marks) < maxMarks/2 || len(marks) >= maxMarks {
		t.Fatalf("%d marks", len(marks))
	}
	for i := 1; i < len(marks); i++ {
		if d := marks[i].Out - marks[i-1].Out; d < 7000 || d > 9000 {
			t.Errorf("%d bytes from mark %d to the next", d, i-1)
		}
	}
}

func TestCost(t *testing.T) {
	marks := []Mark{{In: 2 << 20, Out: 10 << 20}, {In: 5<<20 + 10, Out: 20 << 20}}
	zipped := SeekTable{Gzip: true, Size: 7<<20 + 5, Marks: marks}
	plain := SeekTable{Size: 30 << 20}
	for name, c := range map[string]struct {
		table *SeekTable
		parts []Part
		want  int64
	}{
		"nothing":             {&zipped, nil, 0},
		"before the marks":    {&zipped, []Part{{5, 10}}, 2 << 20},
		"between them":        {&zipped, []Part{{10 << 20, 11 << 20}}, 4 << 20},
		"twice":               {&zipped, []Part{{10 << 20, 11 << 20}, {12 << 20, 13 << 20}}, 4 << 20},
		"behind them":         {&zipped, []Part{{25 << 20, 26 << 20}}, 2<<20 + 5},
		"all":                 {&zipped, []Part{{0, 1}, {15 << 20, 25 << 20}}, 7<<20 + 5},
		"of the tar itself":   {&plain, []Part{{100, 200}, {300, 400}, {5 << 20, 6<<20 + 1}}, 3 << 20},
		"of its last segment": {&plain, []Part{{30<<20 - 1, 30 << 20}}, 1 << 20},
	} {
		if got := c.table.Cost(c.parts); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
