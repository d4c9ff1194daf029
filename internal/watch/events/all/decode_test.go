package all_test

import (
	"encoding/binary"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events/all"
	"github.com/esclusa/esclusa/internal/watch/fields"
)

// FuzzDecode gives every family bytes that no program of ours wrote: what
// comes of them is an error, or an event with fields of the table.
func FuzzDecode(f *testing.F) {
	families := all.Families()
	for i := range families {
		for _, n := range []int{0, kernel.HeadSize, 200, 700, 5000} {
			b := make([]byte, n)
			for j := range b {
				b[j] = byte(j * i)
			}
			f.Add(uint8(i), b)
			if n > 60 { // lengths and operations that may be
				small := make([]byte, n)
				binary.LittleEndian.PutUint32(small[kernel.HeadSize:], 1)
				f.Add(uint8(i), small)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, rec []byte) {
		fam := &families[int(n)%len(families)]
		e := &esclusa.Event{Kind: fam.Kind}
		if fam.Decode(rec, e) != nil || fam.Kind == "" {
			return
		}
		if err := fields.Check(e); err != nil {
			t.Error(err)
		}
		for i := range e.Fields {
			_ = e.Fields[i].Value()
		}
	})
}
