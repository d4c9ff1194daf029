package contents_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/contents"
)

// FuzzDecode: bytes behind a true checksum, which a damaged disk does not
// make and a neighbour might, never break the program or cost much more than
// they are long; what is read is written and read again.
func FuzzDecode(f *testing.F) {
	const head = len("esclusa contents\x01\n") + 8
	seal := func(b []byte) []byte {
		binary.LittleEndian.PutUint64(b[head-8:], xxhash.Sum64(b[head:]))
		return b
	}
	whole := encode(f, full())
	f.Add(whole[head:])
	f.Add(encode(f, &contents.Contents{})[head:])
	f.Add(encode(f, &contents.Contents{Packages: make([]esclusa.Package, 3)})[head:])
	f.Add([]byte{1, 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := seal(append(bytes.Clone(whole[:head]), body...))
		c, err := contents.Decode(b)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		d, err := contents.Decode(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if third := encode(t, d); !bytes.Equal(again, third) {
			t.Error("the form is not stable")
		}
	})
}
