package layer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/esclusa/esclusa"
	"github.com/fxamacker/cbor/v2"
)

// Record is all that is kept of a layer: enough to merge it with others and
// to answer every later question without its bytes.
type Record struct {
	Entries   int           `cbor:"1,keyasint"` // tar entries or files seen
	Bytes     int64         `cbor:"2,keyasint"` // of content, uncompressed
	Paths     Hashes        `cbor:"3,keyasint"` // every path, see pathHash
	Owned     Hashes        `cbor:"4,keyasint"` // pathHash of files a distribution's database lists
	Whiteouts []string      `cbor:"5,keyasint,omitempty"`
	Opaque    []string      `cbor:"6,keyasint,omitempty"`
	Symlinks  []Link        `cbor:"7,keyasint,omitempty"`
	Hardlinks []Link        `cbor:"8,keyasint,omitempty"`
	Items     []Item        `cbor:"9,keyasint,omitempty"` // by path, then reader
	Gaps      []esclusa.Gap `cbor:"10,keyasint,omitempty"`

	// What Pool.Reread needs to know of how the record came to be: whose each
	// gap is (a reader's name, byTar or bySet), the readers, those of them that
	// filled Owned, and whether something set the record apart from what a
	// reader alone would say of each file alone: then only the whole layer
	// gives the same again.
	GapBy   []string `cbor:"11,keyasint,omitempty"`
	Readers []Maker  `cbor:"12,keyasint,omitempty"`
	Owners  []string `cbor:"13,keyasint,omitempty"`
	Whole   bool     `cbor:"14,keyasint,omitempty"`
}

// Maker is a reader that had its say in a record.
type Maker struct {
	Name    string `cbor:"1,keyasint"`
	Version int    `cbor:"2,keyasint"`
}

// Whose gaps are, beside readers by name: no reader's name is one of these.
const (
	byTar = ""  // whatever the readers
	bySet = "*" // what all readers together wanted
)

// Link is a symbolic or hard link. A hard link's target is a path from the
// root, a symbolic link's is as written.
type Link struct {
	Path   string `cbor:"1,keyasint"`
	Target string `cbor:"2,keyasint"`
}

// Item is what one reader said about one file.
type Item struct {
	Path   string `cbor:"1,keyasint"`
	Reader string `cbor:"2,keyasint"`
	Result Result `cbor:"3,keyasint"`
	seq    int    // see Record.dropReplaced
	link   string // the target, of an item that is there through a hard link
	read   string // the path under which it was read, where that is another
}

// recordVersion is part of every cache key: raise it when Record, the walk or
// the encoding changes.
const recordVersion = 4

var recordMagic = fmt.Appendf(nil, "esclusa layer %d\n", recordVersion)

// ErrRecord says that cached bytes are not a whole record. The caller reads
// the layer anew.
var ErrRecord = errors.New("not a layer record")

// Encode writes the record with a checksum.
func (r *Record) Encode() ([]byte, error) {
	mode, err := encMode()
	if err != nil {
		return nil, err
	}
	body, err := mode.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode layer record: %w", err)
	}
	b := make([]byte, 0, len(recordMagic)+8+len(body))
	b = append(b, recordMagic...)
	b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(body))
	return append(b, body...), nil
}

// DecodeRecord reads what Encode wrote; anything else is ErrRecord.
func DecodeRecord(b []byte) (*Record, error) {
	body, ok := bytes.CutPrefix(b, recordMagic)
	if !ok || len(body) < 8 {
		return nil, ErrRecord
	}
	sum, body := binary.LittleEndian.Uint64(body), body[8:]
	if xxhash.Sum64(body) != sum {
		return nil, fmt.Errorf("%w: checksum differs", ErrRecord)
	}
	mode, err := decMode()
	if err != nil {
		return nil, err
	}
	var r Record
	if err := mode.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &r, nil
}

// encMode writes times with their zone: as a number they would come back in
// the zone of the machine, and be printed in it.
var encMode = sync.OnceValues(func() (cbor.EncMode, error) {
	return cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
})

// decMode bounds what is decoded. File names are bytes, not text: a name that
// is no UTF-8 must not cost the layer its place in the cache.
var decMode = sync.OnceValues(func() (cbor.DecMode, error) {
	return cbor.DecOptions{MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 20, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
})

// finish puts the record into its one order, whatever order the workers
// finished in: the same layer gives the same bytes.
func (r *Record) finish() {
	slices.Sort(r.Paths)
	r.dropReplaced()
	r.Paths = slices.Compact(r.Paths)
	r.Owned = r.Owned.sorted()
	slices.Sort(r.Whiteouts)
	slices.Sort(r.Opaque)
	slices.SortStableFunc(r.Items, func(a, b Item) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Reader, b.Reader)
	})
	slices.Sort(r.Owners)
	sort.Stable(byPath{r})
}

// byPath sorts gaps, and whose they are with them.
type byPath struct{ *Record }

func (r byPath) Len() int { return len(r.Gaps) }

func (r byPath) Swap(i, j int) {
	r.Gaps[i], r.Gaps[j] = r.Gaps[j], r.Gaps[i]
	r.GapBy[i], r.GapBy[j] = r.GapBy[j], r.GapBy[i]
}

func (r byPath) Less(i, j int) bool {
	a, b := &r.Gaps[i], &r.Gaps[j]
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.What+a.Err, b.What+b.Err), strings.Compare(r.GapBy[i], r.GapBy[j])) < 0
}

// dropReplaced keeps the last of several entries of one path. A tar may hold
// a path twice; what is extracted later stands.
func (r *Record) dropReplaced() {
	twice := map[uint64]bool{}
	for i := 1; i < len(r.Paths); i++ {
		if r.Paths[i] == r.Paths[i-1] && r.Paths[i]&1 == 0 {
			twice[r.Paths[i]] = true
		}
	}
	if len(twice) == 0 {
		return
	}
	r.Whole = true // an item may be gone for what another reader said
	last := map[string]int{}
	for _, it := range r.Items {
		last[it.Path] = max(last[it.Path], it.seq)
	}
	r.Items = slices.DeleteFunc(r.Items, func(it Item) bool {
		return twice[pathHash(it.Path, false)] && it.seq != last[it.Path]
	})
}
