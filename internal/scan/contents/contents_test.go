package contents_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/contents"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fill sets every field of a value to something of its own, so that a field
// that the form forgets is missed.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text \xff %d", *n)) // paths are bytes
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(int64(*n%5 + 1))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, *n, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a field of a kind that this test does not know: " + v.Type().String())
	}
}

func full() *contents.Contents {
	var c contents.Contents
	n := 0
	fill(reflect.ValueOf(&c.Distro).Elem(), &n)
	fill(reflect.ValueOf(&c.Packages).Elem(), &n)
	fill(reflect.ValueOf(&c.Findings).Elem(), &n)
	fill(reflect.ValueOf(&c.Gaps).Elem(), &n)
	c.Packages = append(c.Packages, esclusa.Package{}, c.Packages[0], esclusa.Package{Type: "npm", Place: esclusa.Place{Line: -1}})
	c.SetSymbols("usr/bin/a", []uint64{1, 2, 1 << 63})
	c.SetSymbols("usr/bin/a", []uint64{3}) // the first counts
	c.SetSymbols("usr/bin/b", []uint64{4})
	c.SetSymbols("usr/bin/none", nil)
	return &c
}

func encode(t testing.TB, c *contents.Contents) []byte {
	t.Helper()
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for name, want := range map[string]*contents.Contents{"full": full(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			b := encode(t, want)
			got, err := contents.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range []struct {
				name      string
				want, got any
			}{
				{"distro", want.Distro, got.Distro},
				{"packages", want.Packages, got.Packages},
				{"findings", want.Findings, got.Findings},
				{"gaps", want.Gaps, got.Gaps},
			} {
				if diff := cmp.Diff(part.want, part.got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", part.name, diff)
				}
				// Times are equal in any zone; a report prints the zone.
				x, _ := json.Marshal(part.want)
				y, _ := json.Marshal(part.got)
				if !bytes.Equal(x, y) && string(y) != "[]" {
					t.Errorf("%s as JSON:\nwant %s\ngot  %s", part.name, x, y)
				}
			}
			for _, path := range []string{"usr/bin/a", "usr/bin/b", "usr/bin/none", "usr/bin/c"} {
				for range 2 {
					if diff := cmp.Diff(want.Symbols(path), got.Symbols(path)); diff != "" {
						t.Errorf("symbols of %s (-want +got):\n%s", path, diff)
					}
				}
			}
			if !bytes.Equal(b, encode(t, got)) {
				t.Error("the same contents give other bytes")
			}
		})
	}
}

// TestDamage: contents that were cut, or in which a bit flipped, are no
// contents at all.
func TestDamage(t *testing.T) {
	b := encode(t, full())
	check := func(what string, b []byte) {
		if c, err := contents.Decode(b); !errors.Is(err, contents.ErrContents) || c != nil {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
	for n := range b {
		check(fmt.Sprintf("cut to %d bytes", n), b[:n])
	}
	for i := range b {
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d", bit, i), bad)
		}
	}
	check("one byte more", append(bytes.Clone(b), 0))
}
