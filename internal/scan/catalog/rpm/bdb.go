package rpm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Berkeley DB's hash (dbinc/db_page.h): the magic of its first page, the size
// of the header of a page, types of pages and of items.
const (
	bdbHashMagic  = 0x061561
	bdbHeadSize   = 26
	bdbHashOld    = 2 // unsorted: before Berkeley DB 4.6
	bdbOverflow   = 7
	bdbHashMeta   = 8
	bdbHash       = 13
	bdbItemInline = 1
	bdbItemOff    = 3
)

// bdbOrder is the byte order of a hash database, which is that of the machine
// that wrote it; nil when the data is none.
func bdbOrder(data []byte) binary.ByteOrder {
	if len(data) < 512 || data[25] != bdbHashMeta {
		return nil
	}
	for _, o := range [...]binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if o.Uint32(data[12:]) == bdbHashMagic {
			return o
		}
	}
	return nil
}

// bdb is a hash database whose pages can be read.
type bdb struct {
	data     []byte
	order    binary.ByteOrder
	pageSize int
	seen     []bool // overflow pages that belong to an item: ends every cycle
	buf      []byte
}

// readBDB calls entry for the data of each item. All hash pages of the file
// are read in their order: which bucket a page is of matters to a look-up
// only.
func readBDB(data []byte, entry entryFunc) error {
	db := &bdb{data: data, order: bdbOrder(data)}
	db.pageSize = int(db.order.Uint32(data[20:]))
	if db.pageSize < 512 || db.pageSize > 65536 || db.pageSize&(db.pageSize-1) != 0 {
		return fmt.Errorf("page size %d", db.pageSize)
	}
	if data[24] != 0 || data[26] != 0 {
		return errors.New("the database is encrypted, or its pages have sums")
	}
	pages := len(data) / db.pageSize
	db.seen = make([]bool, pages)
	var first error
	for n := 1; n < pages; n++ {
		page := db.page(n)
		if kind := page[25]; kind != bdbHash && kind != bdbHashOld {
			continue
		}
		more, err := db.items(page, entry)
		if err != nil && first == nil {
			first = fmt.Errorf("page %d: %w", n, err)
		}
		if !more {
			return first
		}
	}
	if last := db.order.Uint32(data[32:]); first == nil && uint64(last) >= uint64(pages) {
		first = errors.New("the database is cut")
	}
	return first
}

func (db *bdb) page(n int) []byte { return db.data[n*db.pageSize : (n+1)*db.pageSize] }

// items reads one page: keys and data in turn, the last item first in the
// page. The key 0 holds the next free key and no package.
func (db *bdb) items(page []byte, entry entryFunc) (bool, error) {
	count := int(db.order.Uint16(page[20:]))
	if count%2 != 0 || bdbHeadSize+2*count > len(page) {
		return true, fmt.Errorf("%d items", count)
	}
	end := len(page)
	for i := 0; i < count; i += 2 {
		key, err := db.item(page, i, end)
		if err != nil {
			return true, err
		}
		end = db.offset(page, i)
		value, err := db.item(page, i+1, end)
		if err != nil {
			return true, err
		}
		end = db.offset(page, i+1)
		if string(key) == "\x01\x00\x00\x00\x00" {
			continue
		}
		if !entry(db.value(value)) {
			return false, nil
		}
	}
	return true, nil
}

func (db *bdb) offset(page []byte, i int) int { return int(db.order.Uint16(page[bdbHeadSize+2*i:])) }

// item is item i, which ends where the one before it begins.
func (db *bdb) item(page []byte, i, end int) ([]byte, error) {
	start := db.offset(page, i)
	if start < bdbHeadSize || start >= end {
		return nil, errors.New("an item lies outside its page")
	}
	return page[start:end], nil
}

// value is the content of an item, put together from overflow pages where it
// is too large for a page.
func (db *bdb) value(item []byte) ([]byte, error) {
	switch item[0] {
	case bdbItemInline:
		return item[1:], nil
	case bdbItemOff:
	default:
		return nil, fmt.Errorf("its item is of type %d", item[0])
	}
	if len(item) < 12 {
		return nil, errors.New("its item is cut")
	}
	next, size := db.order.Uint32(item[4:]), uint64(db.order.Uint32(item[8:]))
	if size > uint64(len(db.data)) {
		return nil, errors.New("its item is larger than the file")
	}
	db.buf = db.buf[:0]
	for uint64(len(db.buf)) < size {
		if next == 0 || uint64(next) >= uint64(len(db.seen)) || db.seen[next] {
			return nil, errors.New("its overflow pages are broken")
		}
		db.seen[next] = true
		page := db.page(int(next))
		used := int(db.order.Uint16(page[22:])) // of an overflow page
		if page[25] != bdbOverflow || used == 0 || bdbHeadSize+used > len(page) {
			return nil, errors.New("its overflow pages are broken")
		}
		db.buf = append(db.buf, page[bdbHeadSize:bdbHeadSize+used]...)
		next = db.order.Uint32(page[16:])
	}
	return db.buf[:size], nil
}
