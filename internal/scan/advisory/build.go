package advisory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/esclusa/esclusa"
)

// Source is one feed on its way into a database: its state and its records.
type Source struct {
	esclusa.Feed
	// Tag names the copy that was fetched, for the next conditional request;
	// Build keeps it and gives it no meaning.
	Tag string `json:"tag,omitempty"`
	// Ecosystems are those that the feed is the authority for, without
	// release. A record may name others; they do not count as present.
	Ecosystems []string `json:"ecosystems,omitempty"`
	Batch      *Batch   `json:"-"`
}

// The file: a header of fixed size, then the records, then the index.
//
//	header   magic, format, length of the file, place and hash of the index,
//	         epoch, CRC of the header
//	heads    one record an advisory, in the order of their ids
//	names    one record a package name: which advisories, which versions
//	index    feeds, ecosystems, hashes of the names, KEV, EPSS
//
// A record is CRC-32C, length and payload. The index is read at every open
// and therefore hashed as one; a record is checked when it is looked at.
const (
	magic      = "esclusaA"
	format     = 1
	headerSize = 96
)

type header struct {
	Magic       [8]byte
	Format      uint32
	_           uint32
	Size        uint64
	IndexOffset uint64
	IndexSize   uint64
	IndexHash   uint64
	Epoch       [sha256.Size]byte
	_           uint64
	_           uint32
	CRC         uint32 // of all before it
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Build writes a database. The same sources give the same bytes.
func Build(w io.Writer, sources []Source) error {
	sources = slices.Clone(sources)
	slices.SortFunc(sources, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(sources); i++ {
		if sources[i].Name == sources[i-1].Name {
			return fmt.Errorf("feed %s is there twice", sources[i].Name)
		}
	}
	b := builder{out: make([]byte, headerSize, 1<<20)}
	records := mergeRecords(sources)
	refs, err := b.heads(records)
	if err != nil {
		return err
	}
	if err := b.names(refs); err != nil {
		return err
	}
	if len(b.out) > math.MaxUint32 {
		return errors.New("database above 4 GiB")
	}
	start := len(b.out)
	core := b.index(sources)
	feeds, err := json.Marshal(sources)
	if err != nil {
		return err
	}
	b.out = putString(b.out, string(feeds))
	b.out = append(b.out, core...)
	return b.write(w, start, core, sources)
}

type builder struct {
	out    []byte
	labels []string
	ecos   []ecosystem
	hashes []byte
	places []byte
}

type ecosystem struct {
	name  string
	count int
}

// merged is an advisory with the feeds that have it.
type merged struct {
	staged
	feeds   []int
	carried bool
}

// mergeRecords makes one record of those with one id: the last modified, of
// those the freshly read, of those the smaller bytes, so that the order in
// which goroutines parsed them does not matter.
func mergeRecords(sources []Source) []merged {
	total := 0
	for _, s := range sources {
		if s.Batch != nil {
			total += len(s.Batch.records)
		}
	}
	all := make([]merged, 0, total)
	for i, s := range sources {
		if s.Batch == nil {
			continue
		}
		for _, r := range s.Batch.records {
			all = append(all, merged{r, []int{i}, s.Batch.carried})
		}
	}
	slices.SortFunc(all, func(a, b merged) int {
		if c := strings.Compare(a.id, b.id); c != 0 {
			return c
		}
		return preferred(&a, &b)
	})
	kept := all[:0]
	for _, r := range all {
		if n := len(kept); n > 0 && kept[n-1].id == r.id {
			last := &kept[n-1]
			if !slices.Contains(last.feeds, r.feeds[0]) {
				last.feeds = append(last.feeds, r.feeds[0])
			}
			continue
		}
		kept = append(kept, r)
	}
	for i := range kept {
		slices.Sort(kept[i].feeds)
	}
	return kept
}

func preferred(a, b *merged) int {
	if c := cmp.Compare(b.modified, a.modified); c != 0 {
		return c
	}
	if a.carried != b.carried {
		if b.carried {
			return -1
		}
		return 1
	}
	if c := bytes.Compare(a.head, b.head); c != 0 {
		return c
	}
	return slices.CompareFunc(a.affected, b.affected, func(x, y stagedAffected) int {
		return cmp.Or(strings.Compare(x.ecosystem, y.ecosystem), strings.Compare(x.name, y.name),
			bytes.Compare(x.body, y.body), strings.Compare(x.versions, y.versions))
	})
}

// record appends payload in its frame and returns its place.
func (b *builder) record(payload []byte) (uint32, error) {
	place := len(b.out)
	if place > math.MaxUint32-len(payload)-16 {
		return 0, errors.New("database above 4 GiB")
	}
	b.out = binary.LittleEndian.AppendUint32(b.out, crc32.Checksum(payload, castagnoli))
	b.out = binary.AppendUvarint(b.out, uint64(len(payload)))
	b.out = append(b.out, payload...)
	return uint32(place), nil
}

// ref is one affected package of one advisory.
type ref struct {
	base, name string // normal
	head       uint32
	affected   *stagedAffected
}

func (b *builder) heads(records []merged) ([]ref, error) {
	var refs []ref
	var payload []byte
	for i := range records {
		r := &records[i]
		if len(r.affected) == 0 {
			continue // no lookup could ever find it
		}
		payload = binary.AppendUvarint(payload[:0], uint64(len(r.feeds)))
		for _, f := range r.feeds {
			payload = binary.AppendUvarint(payload, uint64(f))
		}
		place, err := b.record(append(payload, r.head...))
		if err != nil {
			return nil, err
		}
		for j := range r.affected {
			a := &r.affected[j]
			refs = append(refs, ref{Base(a.ecosystem), NormalName(a.ecosystem, a.name), place, a})
			b.labels = append(b.labels, a.ecosystem)
		}
	}
	slices.Sort(b.labels)
	b.labels = slices.Compact(b.labels)
	slices.SortStableFunc(refs, func(x, y ref) int {
		return cmp.Or(strings.Compare(x.base, y.base), strings.Compare(x.name, y.name),
			cmp.Compare(x.head, y.head))
	})
	return refs, nil
}

// names writes a record for every package name, and its hash for the index.
func (b *builder) names(refs []ref) error {
	type entry struct {
		hash  uint64
		place uint32
	}
	for len(refs) > 0 {
		base := refs[0].base
		var entries []entry
		for len(refs) > 0 && refs[0].base == base {
			n := 1
			for n < len(refs) && refs[n].base == base && refs[n].name == refs[0].name {
				n++
			}
			place, err := b.record(b.posting(refs[:n]))
			if err != nil {
				return err
			}
			entries = append(entries, entry{xxhash.Sum64String(refs[0].name), place})
			refs = refs[n:]
		}
		slices.SortFunc(entries, func(x, y entry) int {
			return cmp.Or(cmp.Compare(x.hash, y.hash), cmp.Compare(x.place, y.place))
		})
		for _, e := range entries {
			b.hashes = binary.LittleEndian.AppendUint64(b.hashes, e.hash)
			b.places = binary.LittleEndian.AppendUint32(b.places, e.place)
		}
		b.ecos = append(b.ecos, ecosystem{base, len(entries)})
	}
	return nil
}

// posting codes what is known of one name. The versions of all its advisories
// are listed once; an advisory that names versions has runs of that list,
// because most name a stretch of consecutive releases.
func (b *builder) posting(refs []ref) []byte {
	versions := versionsOf(refs)
	index := make(map[string]int, len(versions))
	for i, v := range versions {
		index[v] = i
	}
	p := putString(nil, refs[0].name)
	p = putStrings(p, versions)
	p = binary.AppendUvarint(p, uint64(len(refs)))
	last := uint32(0)
	for i := range refs {
		r := &refs[i]
		p = binary.AppendUvarint(p, uint64(r.head-last))
		last = r.head
		label, _ := slices.BinarySearch(b.labels, r.affected.ecosystem)
		p = binary.AppendUvarint(p, uint64(label))
		if r.affected.name == r.name {
			p = append(p, 0)
		} else {
			p = putString(p, r.affected.name)
		}
		p = append(p, r.affected.body...)
		p = putRuns(p, r.affected.versions, index)
	}
	return p
}

func versionsOf(refs []ref) []string {
	var versions []string
	for i := range refs {
		for v := range strings.Lines(refs[i].affected.versions) {
			versions = append(versions, strings.TrimSuffix(v, "\n"))
		}
	}
	slices.SortFunc(versions, natural)
	return slices.Compact(versions)
}

func putRuns(p []byte, versions string, index map[string]int) []byte {
	if versions == "" {
		return append(p, 0)
	}
	var at []int
	for v := range strings.Lines(versions) {
		at = append(at, index[strings.TrimSuffix(v, "\n")])
	}
	slices.Sort(at)
	at = slices.Compact(at)
	var runs [][2]int // start, length
	for _, i := range at {
		if n := len(runs); n > 0 && runs[n-1][0]+runs[n-1][1] == i {
			runs[n-1][1]++
		} else {
			runs = append(runs, [2]int{i, 1})
		}
	}
	p = binary.AppendUvarint(p, uint64(len(runs)))
	next := 0
	for _, r := range runs {
		p = binary.AppendUvarint(p, uint64(r[0]-next))
		p = binary.AppendUvarint(p, uint64(r[1]))
		next = r[0] + r[1]
	}
	return p
}

// natural orders strings with their numbers as numbers. It is no version
// order and need not be: it puts neighbours together so that runs are long.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if isDigit(x[0]) && isDigit(y[0]) {
			m, n := digits(x), digits(y)
			p, q := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[m:], y[n:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// index codes all of the index that is content: everything but the feeds.
func (b *builder) index(sources []Source) []byte {
	kev, epss := mergeScores(sources)
	p := putStrings(nil, b.labels)
	p = binary.AppendUvarint(p, uint64(len(b.ecos)))
	for _, e := range b.ecos {
		p = putString(p, e.name)
		p = binary.AppendUvarint(p, uint64(e.count))
	}
	p = binary.AppendUvarint(p, uint64(len(kev)))
	type span struct{ year, count uint64 }
	var years []span
	for _, s := range epss {
		if n := len(years); n > 0 && years[n-1].year == s.cve>>32 {
			years[n-1].count++
		} else {
			years = append(years, span{s.cve >> 32, 1})
		}
	}
	p = binary.AppendUvarint(p, uint64(len(years)))
	for _, y := range years {
		p = binary.AppendUvarint(p, y.year)
		p = binary.AppendUvarint(p, y.count)
	}
	p = append(p, b.hashes...)
	p = append(p, b.places...)
	for _, k := range kev {
		p = append(p, k[:]...)
	}
	for _, s := range epss {
		p = binary.LittleEndian.AppendUint32(p, uint32(s.cve))
		p = binary.LittleEndian.AppendUint32(p, s.score)
	}
	return p
}

// kevEntry is a CVE, the days it was added and is due, and a flag.
type kevEntry [kevSize]byte

const (
	kevSize  = 16
	epssSize = 8
)

func mergeScores(sources []Source) (kev []kevEntry, epss []score) {
	entries := make(map[uint64]esclusa.KEV)
	for _, s := range sources {
		if s.Batch == nil {
			continue
		}
		for cve, k := range s.Batch.kev {
			entries[cve] = k
		}
		epss = append(epss, s.Batch.epss...)
	}
	keys := make([]uint64, 0, len(entries))
	for k := range entries {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, cve := range keys {
		k := entries[cve]
		var e kevEntry
		binary.LittleEndian.PutUint64(e[:], cve)
		binary.LittleEndian.PutUint32(e[8:], uint32(dayOf(k.Added)))
		due := uint32(dayOf(k.Due))
		if k.Ransomware {
			due |= 1 << 31
		}
		binary.LittleEndian.PutUint32(e[12:], due)
		kev = append(kev, e)
	}
	slices.SortFunc(epss, func(a, b score) int { // of two scores the higher
		return cmp.Or(cmp.Compare(a.cve, b.cve), cmp.Compare(b.score, a.score))
	})
	epss = slices.CompactFunc(epss, func(a, b score) bool { return a.cve == b.cve })
	return kev, epss
}

// write fills in the header and writes all.
func (b *builder) write(w io.Writer, start int, core []byte, sources []Source) error {
	h := header{Format: format, Size: uint64(len(b.out)), IndexOffset: uint64(start)}
	copy(h.Magic[:], magic)
	h.IndexSize = h.Size - h.IndexOffset
	h.IndexHash = xxhash.Sum64(b.out[start:])

	// The epoch leaves out when and from where the data was fetched: the same
	// data from a mirror is the same data.
	sum := sha256.New()
	sum.Write(b.out[headerSize:start])
	sum.Write(core)
	for _, s := range sources {
		f := s.Feed
		f.From, f.Digest, f.Fetched = "", "", time.Time{}
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		sum.Write(line)
	}
	copy(h.Epoch[:], sum.Sum(nil))

	var head bytes.Buffer
	if err := binary.Write(&head, binary.LittleEndian, &h); err != nil {
		return err
	}
	raw := head.Bytes()
	binary.LittleEndian.PutUint32(raw[headerSize-4:], crc32.Checksum(raw[:headerSize-4], castagnoli))
	copy(b.out, raw)
	_, err := w.Write(b.out)
	return err
}
