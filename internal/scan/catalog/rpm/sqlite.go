package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// sqliteMagic begins every SQLite 3 database.
const sqliteMagic = "SQLite format 3\x00"

// Types of pages and the depth that SQLite itself allows
// (sqlite.org/fileformat2.html, section 1.6).
const (
	pageInterior = 0x05
	pageLeaf     = 0x0d
	maxTreeDepth = 20
)

// sqlite is a database of which tables can be walked.
type sqlite struct {
	data     []byte
	pageSize int
	usable   int    // of a page: its end may be reserved
	seen     []bool // a page belongs to one place: this ends every cycle
	left     int    // bytes of rows still to be read: cells may overlap
	buf      []byte // the payload that lay on several pages
}

// readSQLite calls entry for each row of the table Packages.
func readSQLite(data []byte, entry entryFunc) error {
	db, err := openSQLite(data)
	if err != nil {
		return err
	}
	root, err := db.table("Packages")
	if err != nil {
		return err
	}
	_, err = db.walk(root, 0, func(row []byte, err error) bool {
		if err != nil {
			return entry(nil, err)
		}
		blob, err := column(row, 1)
		return entry(blob, err)
	})
	return err
}

func openSQLite(data []byte) (*sqlite, error) {
	if len(data) < 100 {
		return nil, errors.New("the database is cut")
	}
	size := int(binary.BigEndian.Uint16(data[16:]))
	if size == 1 {
		size = 65536
	}
	db := &sqlite{data: data, pageSize: size, usable: size - int(data[20]), left: len(data)}
	// 480 is the smallest usable size that the format allows; the arithmetic
	// of payload below depends on it.
	if size < 512 || size&(size-1) != 0 || db.usable < 480 {
		return nil, fmt.Errorf("page size %d", size)
	}
	db.seen = make([]bool, len(data)/size+1)
	return db, nil
}

// page is page n, counted from 1, the first time that it is asked for.
func (db *sqlite) page(n uint32) ([]byte, error) {
	end := uint64(n) * uint64(db.pageSize)
	if n == 0 || end > uint64(len(db.data)) {
		return nil, fmt.Errorf("page %d is not in the file", n)
	}
	if db.seen[n] {
		return nil, fmt.Errorf("page %d is used twice", n)
	}
	db.seen[n] = true
	return db.data[int(end)-db.pageSize : int(end)], nil
}

// table finds the root page of a table in the schema, which is the table on
// page 1: type, name, tbl_name, rootpage, sql.
func (db *sqlite) table(name string) (uint32, error) {
	var root uint32
	_, err := db.walk(1, 0, func(row []byte, err error) bool {
		if err != nil {
			return true
		}
		kind, err1 := column(row, 0)
		called, err2 := column(row, 1)
		page, err3 := column(row, 3)
		if err1 == nil && err2 == nil && err3 == nil && string(kind) == "table" && string(called) == name && len(page) <= 4 {
			for _, b := range page {
				root = root<<8 | uint32(b)
			}
		}
		return root == 0
	})
	if root == 0 {
		return 0, errors.Join(fmt.Errorf("the database has no table %s", name), err)
	}
	return root, nil
}

// walk calls row for every row below page n. A broken page does not stop it:
// the first error is returned when all others have been read. It returns
// false when row did.
func (db *sqlite) walk(n uint32, depth int, row func([]byte, error) bool) (bool, error) {
	page, err := db.page(n)
	if err != nil {
		return true, err
	}
	if depth == maxTreeDepth {
		return true, errors.New("the tree is too deep")
	}
	head := page
	if n == 1 {
		head = page[100:] // the header of the file
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	var pointers []byte
	switch kind {
	case pageLeaf:
		pointers = head[8:]
	case pageInterior:
		pointers = head[12:]
	default:
		return true, fmt.Errorf("page %d is of type %#x", n, kind)
	}
	if 2*cells > len(pointers) {
		return true, fmt.Errorf("page %d has %d cells", n, cells)
	}
	var first error
	for i := range cells {
		more, err := db.cell(page, int(binary.BigEndian.Uint16(pointers[2*i:])), kind, depth, row)
		if first == nil {
			first = err
		}
		if !more {
			return false, first
		}
	}
	if kind == pageInterior {
		more, err := db.walk(binary.BigEndian.Uint32(head[8:]), depth+1, row)
		if first == nil {
			first = err
		}
		return more, first
	}
	return true, first
}

// cell hands a row on, or descends.
func (db *sqlite) cell(page []byte, at int, kind byte, depth int, row func([]byte, error) bool) (bool, error) {
	if at+4 > len(page) {
		return row(nil, errors.New("a cell lies outside its page")), nil
	}
	if kind == pageInterior {
		return db.walk(binary.BigEndian.Uint32(page[at:]), depth+1, row)
	}
	payload, err := db.payload(page[min(at, db.usable):db.usable])
	if db.left -= len(payload); db.left < 0 {
		return false, errors.New("rows share their bytes")
	}
	return row(payload, err), nil
}

// payload is the content of a leaf's cell, put together from its overflow
// pages where it has any.
func (db *sqlite) payload(cell []byte) ([]byte, error) {
	size, n := varint(cell)
	_, m := varint(cell[n:]) // the row's number
	if n == 0 || m == 0 || size > uint64(len(db.data)) {
		return nil, errors.New("its row is broken")
	}
	cell = cell[n+m:]
	local := db.local(int(size))
	if local > len(cell) {
		return nil, errors.New("its row is broken")
	}
	if local == int(size) {
		return cell[:local], nil
	}
	if local+4 > len(cell) {
		return nil, errors.New("its row is broken")
	}
	db.buf = append(db.buf[:0], cell[:local]...)
	next := binary.BigEndian.Uint32(cell[local:])
	for len(db.buf) < int(size) {
		page, err := db.page(next)
		if err != nil {
			return nil, fmt.Errorf("its row is broken: %w", err)
		}
		next = binary.BigEndian.Uint32(page)
		part := page[4:db.usable]
		db.buf = append(db.buf, part[:min(len(part), int(size)-len(db.buf))]...)
	}
	return db.buf, nil
}

// local is how much of a payload of size bytes stands in the cell (section
// 1.6, "cell payload overflow pages").
func (db *sqlite) local(size int) int {
	largest := db.usable - 35
	if size <= largest {
		return size
	}
	smallest := (db.usable-12)*32/255 - 23
	k := smallest + (size-smallest)%(db.usable-4)
	if k <= largest {
		return k
	}
	return smallest
}

// column is the bytes of one column of a row (section 2.1, "record format").
func column(row []byte, want int) ([]byte, error) {
	size, n := varint(row)
	if n == 0 || size < uint64(n) || size > uint64(len(row)) {
		return nil, errors.New("its row is broken")
	}
	types, body := row[n:size], row[size:]
	for i := 0; ; i++ {
		kind, n := varint(types)
		if n == 0 {
			return nil, errors.New("its row is broken")
		}
		types = types[n:]
		width := columnWidth(kind)
		if width > uint64(len(body)) {
			return nil, errors.New("its row is broken")
		}
		if i == want {
			return body[:width], nil
		}
		body = body[width:]
	}
}

// columnWidth is the size of a value of a serial type. 8 and 9 are the
// numbers 0 and 1 without a byte, 10 and 11 are in no file.
func columnWidth(kind uint64) uint64 {
	switch {
	case kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind <= 7:
		return 8
	case kind <= 11:
		return 0
	}
	return (kind - 12) / 2
}

// varint reads SQLite's number: big end first, seven bits a byte, and all
// eight of a ninth. The count of bytes is 0 when it is cut.
func varint(b []byte) (v uint64, n int) {
	for n < len(b) {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | uint64(c), n
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}
