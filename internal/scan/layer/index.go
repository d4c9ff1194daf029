package layer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/esclusa/esclusa/internal/oci"
	"github.com/fxamacker/cbor/v2"
)

// Index says where the files of a layer stand in its tar, and how its blob is
// entered there. It depends on the blob alone, not on any reader: with it a
// reader that is new reads the files that it wants, and no others.
type Index struct {
	Table oci.SeekTable `cbor:"1,keyasint"`
	Files []byte        `cbor:"2,keyasint"` // see indexWriter
}

// ErrIndex says that there is no whole index, or none for this layer. The
// caller reads the layer whole.
var ErrIndex = errors.New("not an index of the layer")

// maxIndex bounds Files: about a million names. A layer of more has no index.
const maxIndex = 32 << 20

// maxIndexName is beyond what Limits.PathSize lets into an index.
const maxIndexName = 1 << 16

var indexMagic = []byte("esclusa index\x01\n")

// Encode writes the index with a checksum.
func (x *Index) Encode() ([]byte, error) {
	// In one piece, and once: a large layer is still in memory beside it.
	size := len(indexMagic) + 8 + len(x.Files) + 1024
	for i := range x.Table.Marks {
		size += len(x.Table.Marks[i].Window) + 64
	}
	for _, sum := range x.Table.Sums {
		size += len(sum) + 8
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.Write(indexMagic)
	b.Write(make([]byte, 8))
	if err := cbor.MarshalToBuffer(x, b); err != nil {
		return nil, fmt.Errorf("encode layer index: %w", err)
	}
	all := b.Bytes()
	body := all[len(indexMagic)+8:]
	binary.LittleEndian.PutUint64(all[len(indexMagic):], xxhash.Sum64(body))
	return all, nil
}

// DecodeIndex reads what Encode wrote; anything else is ErrIndex.
func DecodeIndex(b []byte) (*Index, error) {
	body, ok := bytes.CutPrefix(b, indexMagic)
	if !ok || len(body) < 8 {
		return nil, ErrIndex
	}
	sum, body := binary.LittleEndian.Uint64(body), body[8:]
	if xxhash.Sum64(body) != sum {
		return nil, fmt.Errorf("%w: checksum differs", ErrIndex)
	}
	mode, err := decMode()
	if err != nil {
		return nil, err
	}
	var x Index
	if err := mode.Unmarshal(body, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	return &x, nil
}

// entry is what an index keeps of a tar entry: of all that a reader could
// ever want to read, so of no folder and no empty file.
type entry struct {
	kind   entryKind
	name   string
	mode   fs.FileMode
	target string // of a hard link
	uid    int
	offset int64 // of the content in the tar
	size   int64
	// What the content begins with, where the first pass looked at it.
	looked bool
	text   bool
	head   [4]byte
}

type entryKind uint8

const (
	entryFile entryKind = iota
	entrySparse
	entryLink
	entryKinds
)

// The bits of an entry's first byte, above its kind.
const (
	bitLooked = 4
	bitText   = 8
	bitsKnown = bitLooked | bitText | 3
)

// indexWriter collects entries in the order of the tar. Each is a few bytes:
// a name shares its beginning with the one before, offsets are differences.
type indexWriter struct {
	b      []byte
	last   string
	offset int64
	full   bool // the layer is beyond maxIndex
}

func (w *indexWriter) add(e *entry) {
	if w == nil || w.full {
		return
	}
	if len(w.b)+len(e.name)+len(e.target) > maxIndex-64 || len(e.name) > maxIndexName {
		w.b, w.full = nil, true
		return
	}
	first := byte(e.kind)
	if e.looked {
		first |= bitLooked
	}
	if e.text {
		first |= bitText
	}
	n := 0
	for n < min(len(e.name), len(w.last)) && e.name[n] == w.last[n] {
		n++
	}
	b := append(w.b, first)
	b = binary.AppendUvarint(b, uint64(n))
	b = appendString(b, e.name[n:])
	b = binary.AppendUvarint(b, uint64(e.mode))
	w.last = e.name
	if e.kind == entryLink {
		w.b = appendString(b, e.target)
		return
	}
	b = binary.AppendVarint(b, int64(e.uid))
	b = binary.AppendUvarint(b, uint64(e.offset-w.offset))
	b = binary.AppendUvarint(b, uint64(e.size))
	w.offset = e.offset
	if e.looked {
		b = append(b, e.head[:]...)
	}
	w.b = b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// entries calls f for each; e is valid during the call. An error is f's own,
// or ErrIndex.
func (x *Index) entries(f func(e *entry) error) error {
	r := indexReader{b: x.Files}
	for len(r.b) > 0 {
		if !r.next() {
			return fmt.Errorf("%w: broken entry", ErrIndex)
		}
		if err := f(&r.e); err != nil {
			return err
		}
	}
	return nil
}

type indexReader struct {
	b   []byte
	e   entry
	bad bool
}

// next reads one entry; nothing that it reads is longer than what is there.
func (r *indexReader) next() bool {
	first, last, offset := r.b[0], r.e.name, r.e.offset
	r.b = r.b[1:]
	shared := r.uint(uint64(len(last)))
	r.e = entry{
		kind: entryKind(first & 3), looked: first&bitLooked != 0, text: first&bitText != 0,
		name: last[:shared] + r.string(), mode: fs.FileMode(r.uint(math.MaxUint32)), offset: offset,
	}
	if first&^bitsKnown != 0 || r.e.kind >= entryKinds || r.e.name == "" || len(r.e.name) > maxIndexName {
		return false
	}
	if r.e.kind == entryLink {
		r.e.target = r.string()
		return !r.bad
	}
	uid, n := binary.Varint(r.b)
	if n <= 0 {
		return false
	}
	r.b = r.b[n:]
	r.e.uid = int(uid)
	r.e.offset += int64(r.uint(uint64(math.MaxInt64 - offset)))
	r.e.size = int64(r.uint(uint64(math.MaxInt64 - r.e.offset)))
	if r.e.looked {
		if len(r.b) < len(r.e.head) {
			return false
		}
		r.b = r.b[copy(r.e.head[:], r.b):]
	}
	return !r.bad
}

// uint is at most limit; more is an error, and zero.
func (r *indexReader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *indexReader) string() string {
	n := r.uint(uint64(len(r.b)))
	if n > uint64(len(r.b)) { // the number itself takes some
		r.bad, n = true, 0
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// may says whether the file's first bytes, as far as they are kept, allow the
// claim.
func (e *entry) may(c *Claim) bool {
	if !e.looked {
		return true
	}
	n := min(len(c.Magic), len(e.head))
	return (e.text || !c.Text) && int64(len(c.Magic)) <= e.size && string(e.head[:n]) == c.Magic[:n]
}

// look keeps what the first bytes say.
func (e *entry) look(head []byte) {
	if len(head) > 0 {
		e.looked, e.text = true, bytes.IndexByte(head, 0) < 0
		copy(e.head[:], head)
	}
}
