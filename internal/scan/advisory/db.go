// Package advisory is the compiled advisory database: one read-only file,
// mapped into memory, in which a package name leads to its advisories within
// microseconds. It costs the memory of the pages that are looked at.
//
// It never fetches or parses a feed (feeds does), never compares a version
// (match does), and never writes to a file that someone may have open: State
// replaces it as a whole.
//
// A file is trusted for nothing: its header and index are checked when it is
// opened, each record when it is read, and damage is an error.
//
// Start with DB.Lookup; Build and its comment show the file.
package advisory

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
)

// DB is an open database. Its methods may be called from several goroutines;
// Close only when none of them is running.
type DB struct {
	file   []byte // the whole file
	data   []byte // header and records
	unmap  func() error
	epoch  esclusa.Digest
	feeds  []Source
	labels []string // ecosystems with release, as records name them
	ecos   map[string]span
	has    map[string]bool

	hashes, places []byte // of names; 8 and 4 bytes each
	kev, epss      []byte
	years          []yearSpan
}

type span struct{ start, end int }

type yearSpan struct {
	year       uint64
	start, end int
}

// Open maps the database at path. A file that is cut, damaged, of another
// format or no database at all is an error.
func Open(path string) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open advisory database: %w", err)
	}
	defer f.Close() // the mapping outlives it
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open advisory database: %w", err)
	}
	if st.Size() < headerSize || st.Size() > math.MaxInt {
		return nil, fmt.Errorf("open advisory database %s: %w: %d bytes", path, ErrDamaged, st.Size())
	}
	// Files are replaced by rename and never cut in place, so the length that
	// was checked here stays and no access can run behind the end (SIGBUS).
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map advisory database %s: %w", path, err)
	}
	db, err := parse(data)
	if err != nil {
		unix.Munmap(data)
		return nil, fmt.Errorf("open advisory database %s: %w", path, err)
	}
	db.unmap = sync.OnceValue(func() error { return unix.Munmap(data) })
	return db, nil
}

// parse checks header and index.
func parse(data []byte) (*DB, error) {
	var h header
	if len(data) < headerSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrDamaged, len(data))
	}
	if err := binary.Read(bytes.NewReader(data[:headerSize]), binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	size := uint64(len(data))
	switch {
	case string(h.Magic[:]) != magic:
		return nil, fmt.Errorf("%w: not an advisory database", ErrDamaged)
	case h.Format != format:
		return nil, fmt.Errorf("format %d, this program reads %d (hint: update the database)", h.Format, format)
	case h.CRC != crc32.Checksum(data[:headerSize-4], castagnoli):
		return nil, fmt.Errorf("%w: checksum of the header", ErrDamaged)
	case h.Size != size:
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrDamaged, size, h.Size)
	case h.IndexOffset < headerSize || h.IndexOffset > size || h.IndexSize != size-h.IndexOffset:
		return nil, fmt.Errorf("%w: place of the index", ErrDamaged)
	}
	index := data[h.IndexOffset:]
	if xxhash.Sum64(index) != h.IndexHash {
		return nil, fmt.Errorf("%w: checksum of the index", ErrDamaged)
	}
	db := &DB{
		file: data, data: data[:h.IndexOffset],
		epoch: esclusa.Digest("sha256:" + hex.EncodeToString(h.Epoch[:])),
	}
	if err := db.readIndex(index); err != nil {
		return nil, err
	}
	return db, nil
}

// readIndex reads the lists at the start of the index and finds the tables.
func (db *DB) readIndex(index []byte) error {
	// The tables stay in the file; only the lists are copied. Their length is
	// not known beforehand, so the reader works on the bytes themselves and
	// what is kept is cloned.
	lists := byteReader{index}
	feeds := lists.bytes()
	labels := lists.uvarint()
	for range min(labels, uint64(len(index))) {
		db.labels = append(db.labels, string(lists.bytes()))
	}
	db.ecos = make(map[string]span)
	names := 0
	for range min(lists.uvarint(), uint64(len(index))) {
		name := string(lists.bytes())
		count := int(min(lists.uvarint(), uint64(len(index))))
		db.ecos[name] = span{names, names + count}
		names += count
	}
	kev := min(lists.uvarint(), uint64(len(index)))
	scores := 0
	for range min(lists.uvarint(), uint64(len(index))) {
		y := yearSpan{year: lists.uvarint(), start: scores}
		scores += int(min(lists.uvarint(), uint64(len(index))))
		y.end = scores
		db.years = append(db.years, y)
		if lists.b == nil {
			break
		}
	}
	rest := lists.b
	if len(rest) != names*12+int(kev)*kevSize+scores*epssSize {
		return fmt.Errorf("%w: size of the tables", ErrDamaged)
	}
	db.hashes, rest = rest[:names*8], rest[names*8:]
	db.places, rest = rest[:names*4], rest[names*4:]
	db.kev, db.epss = rest[:int(kev)*kevSize], rest[int(kev)*kevSize:]
	if err := json.Unmarshal(feeds, &db.feeds); err != nil {
		return fmt.Errorf("%w: feeds: %w", ErrDamaged, err)
	}
	db.has = make(map[string]bool)
	for _, f := range db.feeds {
		for _, e := range f.Ecosystems {
			db.has[e] = db.has[e] || f.Records > 0
		}
	}
	return nil
}

// byteReader reads the lists of the index. After an error b is nil and all it
// returns is zero.
type byteReader struct{ b []byte }

func (r *byteReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *byteReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b = nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// Close unmaps the file. Every later call finds nothing.
func (db *DB) Close() error {
	db.file, db.data, db.hashes, db.places, db.kev, db.epss = nil, nil, nil, nil, nil, nil
	db.ecos, db.years = nil, nil
	if db.unmap == nil {
		return nil
	}
	return db.unmap()
}

// Epoch names the data: two databases with the same epoch answer alike. It
// does not depend on when or from where the data was fetched.
func (db *DB) Epoch() esclusa.Digest { return db.epoch }

// WriteTo writes the file that is open.
func (db *DB) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(db.file)
	return int64(n), err
}

// IsDatabase says whether a file claims to be a database, of any format and
// in any state: what to call an error about it.
func IsDatabase(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var start [len(magic)]byte
	_, err = io.ReadFull(f, start[:])
	return err == nil && string(start[:]) == magic
}

// Feeds are the sources, by name.
func (db *DB) Feeds() []esclusa.Feed {
	list := make([]esclusa.Feed, len(db.feeds))
	for i, f := range db.feeds {
		list[i] = f.Feed
	}
	return list
}

// Has says whether a feed that is the authority for the ecosystem is in the
// database. Without one, "no advisory" means "not known".
func (db *DB) Has(ecosystem string) bool { return db.has[Base(ecosystem)] }

// Lookup returns the advisories on a package, each reduced to its Affected
// entries of that name; they keep their release ("Debian:12") and spelling.
// The ecosystem may be given with or without release, the name as it is
// found. Versions are listed in no order of meaning; times have the precision
// of a day. The result is the caller's, but for the lists of versions: the
// advisories of one answer share them, and they must not be changed.
// No advisory is nil without error.
func (db *DB) Lookup(ecosystem, name string) ([]esclusa.Advisory, error) {
	base := Base(ecosystem)
	s, ok := db.ecos[base]
	if !ok {
		return nil, nil
	}
	name = NormalName(base, name)
	hash := xxhash.Sum64String(name)
	for i := db.search(s, hash); i < s.end && db.hash(i) == hash; i++ {
		payload, err := db.record(binary.LittleEndian.Uint32(db.places[i*4:]))
		if err != nil {
			return nil, fmt.Errorf("advisories on %s %q: %w", base, name, err)
		}
		r := reader{s: payload}
		if r.string() != name {
			continue // another name of the same hash
		}
		list, err := db.advisories(&r, name)
		if err != nil {
			return nil, fmt.Errorf("advisories on %s %q: %w", base, name, err)
		}
		return list, nil
	}
	return nil, nil
}

func (db *DB) hash(i int) uint64 { return binary.LittleEndian.Uint64(db.hashes[i*8:]) }

// search finds the first name of the span whose hash is not less.
func (db *DB) search(s span, hash uint64) int {
	lo, hi := s.start, s.end
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if db.hash(mid) < hash {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// Verify reads every record and says whether one is damaged. Open does not:
// it touches the pages that are asked for, and a look-up then finds out.
func (db *DB) Verify() error {
	for at := headerSize; at < len(db.data); {
		payload, size, err := db.frame(uint64(at))
		if err != nil {
			return err
		}
		at += size + len(payload)
	}
	return nil
}

// record checks the record at place and returns a copy of its payload.
func (db *DB) record(place uint32) (string, error) {
	payload, _, err := db.frame(uint64(place))
	return string(payload), err
}

// frame checks the record at a place; size is what stands before the payload.
func (db *DB) frame(at uint64) (payload []byte, size int, err error) {
	if at < headerSize || at+5 > uint64(len(db.data)) {
		return nil, 0, fmt.Errorf("%w: record at %d", ErrDamaged, at)
	}
	b := db.data[at:]
	n, w := binary.Uvarint(b[4:])
	if w <= 0 || n > uint64(len(b)-4-w) {
		return nil, 0, fmt.Errorf("%w: length of the record at %d", ErrDamaged, at)
	}
	payload = b[4+w : 4+w+int(n)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil, 0, fmt.Errorf("%w: checksum of the record at %d", ErrDamaged, at)
	}
	return payload, 4 + w, nil
}

// advisories decodes what follows the name in a record of a name.
func (db *DB) advisories(r *reader, name string) ([]esclusa.Advisory, error) {
	var list []esclusa.Advisory
	err := db.entries(r, name, func(place uint32, same bool, f esclusa.Affected, more int) error {
		if same {
			a := &list[len(list)-1]
			a.Affected = append(a.Affected, f)
			return nil
		}
		if list == nil {
			list = make([]esclusa.Advisory, 0, min(more, 1024))
		}
		payload, err := db.record(place)
		if err != nil {
			return err
		}
		a, _, err := db.head(payload)
		if err != nil {
			return err
		}
		a.Affected = []esclusa.Affected{f}
		list = append(list, a)
		return nil
	})
	return list, err
}

// entries walks through the affected packages of a name: the place of the
// advisory, whether it is that of the entry before, and how many are to come.
func (db *DB) entries(r *reader, name string, yield func(place uint32, same bool, f esclusa.Affected, more int) error) error {
	versions := r.strings()
	n := r.count()
	place := uint64(0)
	for i := range n {
		delta := r.uvarint()
		place += delta
		f := esclusa.Affected{Name: name}
		if label := r.uvarint(); label < uint64(len(db.labels)) {
			f.Ecosystem = db.labels[label]
		} else {
			r.fail()
		}
		if spelled := r.string(); spelled != "" {
			f.Name = spelled
		}
		f.Ranges = r.ranges()
		f.Symbols = r.strings()
		f.Imports = r.strings()
		f.Severity = esclusa.Severity(r.byte())
		f.CVSS = r.strings()
		f.Versions = r.runs(versions)
		if r.bad || place > math.MaxUint32 {
			return fmt.Errorf("%w: entry %d", ErrDamaged, i)
		}
		if err := yield(uint32(place), i > 0 && delta == 0, f, n-i); err != nil {
			return err
		}
	}
	return nil
}

// runs picks the stretches of the list. One stretch, the usual case, shares
// the list's memory; its capacity ends with it.
func (r *reader) runs(list []string) []string {
	var picked []string
	next := uint64(0)
	n := r.count()
	for i := range n {
		start := next + r.uvarint()
		end := start + r.uvarint()
		if start < next || end < start || end > uint64(len(list)) {
			r.fail()
			return nil
		}
		if i == 0 {
			picked = list[start:end:end]
		} else {
			picked = append(picked, list[start:end]...)
		}
		next = end
	}
	return picked
}

// head decodes an advisory without its packages, and the feeds that have it.
func (db *DB) head(payload string) (esclusa.Advisory, []int, error) {
	r := reader{s: payload}
	feeds := make([]int, r.count())
	for i := range feeds {
		feeds[i] = int(min(r.uvarint(), math.MaxInt32))
		if feeds[i] >= len(db.feeds) {
			r.fail()
		}
	}
	flags := r.byte()
	a := esclusa.Advisory{Malicious: flags&flagMalicious != 0, Severity: esclusa.Severity(r.byte())}
	a.ID = r.string()
	a.Aliases = r.strings()
	a.Upstream = r.strings()
	a.Summary = r.string()
	a.Published = timeOf(r.uvarint())
	a.Modified = timeOf(r.uvarint())
	a.Withdrawn = timeOf(r.uvarint())
	a.CVSS = r.strings()
	a.Informational = r.string()
	a.URL = r.string()
	if r.bad || len(feeds) == 0 || r.s != "" {
		return a, nil, fmt.Errorf("%w: advisory", ErrDamaged)
	}
	a.Feed = db.feeds[feeds[0]].Name
	return a, feeds, nil
}

// KEV says whether CISA's catalogue lists the CVE as exploited.
func (db *DB) KEV(cve string) (esclusa.KEV, bool) {
	key, ok := cveKey(cve)
	if !ok {
		return esclusa.KEV{}, false
	}
	lo, hi := 0, len(db.kev)/kevSize
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if binary.LittleEndian.Uint64(db.kev[mid*kevSize:]) < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo*kevSize >= len(db.kev) || binary.LittleEndian.Uint64(db.kev[lo*kevSize:]) != key {
		return esclusa.KEV{}, false
	}
	return kevAt(db.kev[lo*kevSize:]), true
}

func kevAt(e []byte) esclusa.KEV {
	due := binary.LittleEndian.Uint32(e[12:])
	return esclusa.KEV{
		Added:      timeOf(uint64(binary.LittleEndian.Uint32(e[8:]))),
		Due:        timeOf(uint64(due &^ (1 << 31))),
		Ransomware: due>>31 != 0,
	}
}

// EPSS is the probability that the CVE is exploited in the next 30 days.
func (db *DB) EPSS(cve string) (float64, bool) {
	key, ok := cveKey(cve)
	if !ok {
		return 0, false
	}
	y, ok := slices.BinarySearchFunc(db.years, key>>32, func(y yearSpan, year uint64) int {
		return int(int64(y.year) - int64(year))
	})
	if !ok {
		return 0, false
	}
	lo, hi := db.years[y].start, db.years[y].end
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if binary.LittleEndian.Uint32(db.epss[mid*epssSize:]) < uint32(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == db.years[y].end || binary.LittleEndian.Uint32(db.epss[lo*epssSize:]) != uint32(key) {
		return 0, false
	}
	return float64(binary.LittleEndian.Uint32(db.epss[lo*epssSize+4:])) / 1e9, true
}
