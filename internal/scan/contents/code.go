package contents

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/esclusa/esclusa"
	"github.com/fxamacker/cbor/v2"
)

// Version is raised whenever the form, or how contents are made of records,
// changes: it is part of the key under which they are kept.
const Version = 1

// The form: magic, the xxhash64 of all that follows, and four parts, each
// behind its length. Packages are many and alike, so they are numbers into
// one table of strings; all else is CBOR.
//
//	strings   count, length of each, and their bytes without gaps
//	packages  count, and the fields of each
//	binaries  count, and of each: path, number of hashes, hashes
//	rest      CBOR
//
// Numbers are unsigned varints, strings are numbers of the table.
var magic = []byte("esclusa contents\x01\n")

// ErrContents says that bytes are not whole contents.
var ErrContents = errors.New("not the contents of a target")

// rest is what is rare enough for a general form.
type rest struct {
	Distro   esclusa.Distro    `cbor:"1,keyasint"`
	Findings []esclusa.Finding `cbor:"2,keyasint,omitempty"`
	Gaps     []esclusa.Gap     `cbor:"3,keyasint,omitempty"`
}

// modes keep times as text, with their zone, and names that are no UTF-8.
var modes = sync.OnceValues(func() (modes struct {
	enc cbor.EncMode
	dec cbor.DecMode
}, err error,
) {
	if modes.enc, err = (cbor.EncOptions{Time: cbor.TimeRFC3339Nano}).EncMode(); err != nil {
		return modes, err
	}
	modes.dec, err = cbor.DecOptions{MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 20, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	return modes, err
})

// Encode writes the contents with a checksum; the same contents give the same
// bytes.
func (c *Contents) Encode() ([]byte, error) {
	m, err := modes()
	if err != nil {
		return nil, err
	}
	last, err := m.enc.Marshal(rest{c.Distro, c.Findings, c.Gaps})
	if err != nil {
		return nil, fmt.Errorf("encode contents: %w", err)
	}
	w := writer{numbers: map[string]uint64{"": 0}}
	w.b = binary.AppendUvarint(w.b, uint64(len(c.Packages)))
	for i := range c.Packages {
		w.pkg(&c.Packages[i])
	}
	packages := w.b
	w.b = binary.AppendUvarint(nil, uint64(len(c.binaries)))
	for _, path := range slices.Sorted(maps.Keys(c.binaries)) {
		hashes := c.Symbols(path)
		w.string(path)
		w.b = binary.AppendUvarint(w.b, uint64(len(hashes)))
		for _, h := range hashes {
			w.b = binary.LittleEndian.AppendUint64(w.b, h)
		}
	}
	out := append(slices.Clone(magic), make([]byte, 8)...)
	for _, part := range [][]byte{w.table(), packages, w.b, last} {
		out = append(binary.AppendUvarint(out, uint64(len(part))), part...)
	}
	binary.LittleEndian.PutUint64(out[len(magic):], xxhash.Sum64(out[len(magic)+8:]))
	return out, nil
}

// writer numbers strings as they come.
type writer struct {
	b       []byte
	numbers map[string]uint64
	strings []string
}

func (w *writer) string(s string) {
	n, ok := w.numbers[s]
	if !ok {
		w.strings = append(w.strings, s)
		n = uint64(len(w.strings))
		w.numbers[s] = n
	}
	w.b = binary.AppendUvarint(w.b, n)
}

// The bits of a package's flags.
const (
	flagDev = 1 << iota
	flagMain
)

func (w *writer) pkg(p *esclusa.Package) {
	for _, s := range texts(p) {
		w.string(*s)
	}
	w.b = binary.AppendVarint(w.b, int64(p.Line))
	flags := byte(0)
	if p.Dev {
		flags |= flagDev
	}
	if p.Main {
		flags |= flagMain
	}
	w.b = binary.AppendUvarint(append(w.b, flags), uint64(len(p.Licenses)))
	for _, l := range p.Licenses {
		w.string(l)
	}
}

// texts are the fields of a package that are one string each, in the order of
// the form.
func texts(p *esclusa.Package) [13]*string {
	return [...]*string{
		&p.Type, &p.Name, &p.Version, &p.Arch, &p.Source.Name, &p.Source.Version, &p.Distro, &p.PURL, &p.Reader,
		(*string)(&p.Layer), &p.Path, (*string)(&p.Origin), &p.Modular,
	}
}

func (w *writer) table() []byte {
	b := binary.AppendUvarint(nil, uint64(len(w.strings)))
	for _, s := range w.strings {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	for _, s := range w.strings {
		b = append(b, s...)
	}
	return b
}

// Decode reads what Encode wrote; anything else is ErrContents. It keeps b.
func Decode(b []byte) (*Contents, error) {
	body, ok := bytes.CutPrefix(b, magic)
	if !ok || len(body) < 8 {
		return nil, ErrContents
	}
	sum, body := binary.LittleEndian.Uint64(body), body[8:]
	if xxhash.Sum64(body) != sum {
		return nil, fmt.Errorf("%w: checksum differs", ErrContents)
	}
	all := reader{b: body}
	var parts [4]reader
	for i := range parts {
		parts[i].b = all.bytes(all.uvarint())
	}
	r := &parts[1]
	r.table(&parts[0])
	c := &Contents{Packages: make([]esclusa.Package, r.count(minPackage))}
	for i := range c.Packages {
		r.pkg(&c.Packages[i])
	}
	parts[2].strings = r.strings
	parts[2].symbols(c)
	m, err := modes()
	if err != nil {
		return nil, err
	}
	var last rest
	if err := m.dec.Unmarshal(parts[3].b, &last); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContents, err)
	}
	c.Distro, c.Findings, c.Gaps = last.Distro, last.Findings, last.Gaps
	all.bad = all.bad || len(all.b)+len(parts[0].b)+len(parts[1].b)+len(parts[2].b) > 0
	if all.bad || parts[0].bad || parts[1].bad || parts[2].bad {
		return nil, fmt.Errorf("%w: it does not hold together", ErrContents)
	}
	return c, nil
}

// reader takes values off the front of one part. The first thing that is
// wrong sticks: from then on all values are zero.
type reader struct {
	b       []byte
	bad     bool
	strings []string // by number; the first is empty
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// count reads how many things follow that take at least size bytes each: a
// lying count allocates little.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// table reads the strings; they share one copy of their bytes.
func (r *reader) table(from *reader) {
	n := from.count(1)
	r.strings = make([]string, 1, n+1)
	ends := make([]int, n)
	at := 0
	for i := range ends {
		at += int(min(from.uvarint(), uint64(len(from.b)))) // what is too long fails below
		ends[i] = at
	}
	text := string(from.bytes(uint64(at)))
	start := 0
	for _, end := range ends {
		if from.bad {
			return
		}
		r.strings = append(r.strings, text[start:end])
		start = end
	}
}

func (r *reader) string() string {
	n := r.uvarint()
	if n >= uint64(len(r.strings)) {
		r.fail()
		return ""
	}
	return r.strings[n]
}

// minPackage is how many bytes a package takes at least.
const minPackage = len([13]*string{}) + 3

func (r *reader) pkg(p *esclusa.Package) {
	for _, s := range texts(p) {
		*s = r.string()
	}
	line := r.uvarint()
	p.Line = int(line>>1) ^ -int(line&1) // as binary.Varint
	flags := r.bytes(1)
	if len(flags) == 1 {
		p.Dev, p.Main = flags[0]&flagDev != 0, flags[0]&flagMain != 0
	}
	if n := r.count(1); n > 0 {
		p.Licenses = make([]string, n)
		for i := range p.Licenses {
			p.Licenses[i] = r.string()
		}
	}
}

func (r *reader) symbols(c *Contents) {
	n := r.count(2)
	if n > 0 {
		c.binaries = make(map[string]*binaryFile, n)
	}
	for range n {
		path := r.string()
		c.binaries[path] = &binaryFile{kept: r.bytes(8 * uint64(r.count(8)))}
	}
}
