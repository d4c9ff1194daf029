package rpm

import "encoding/binary"

// The databases that unit tests and fuzzing start from, made by hand; those
// of oracle_test.go are made by rpm and Berkeley DB themselves.

// field is one tag of a header that is to be made.
type field struct {
	tag, kind uint32
	count     uint32
	data      string
}

func text(tag uint32, s string) field { return field{tag, typeString, 1, s + "\x00"} }

func list(tag uint32, all ...string) field {
	f := field{tag: tag, kind: typeStrings, count: uint32(len(all))}
	for _, s := range all {
		f.data += s + "\x00"
	}
	return f
}

func numbers(tag uint32, all ...uint32) field {
	f := field{tag: tag, kind: typeInt32, count: uint32(len(all))}
	for _, n := range all {
		f.data += string(binary.BigEndian.AppendUint32(nil, n))
	}
	return f
}

func makeHeader(fields ...field) []byte {
	be := binary.BigEndian
	var index, data []byte
	for _, f := range fields {
		index = be.AppendUint32(index, f.tag)
		index = be.AppendUint32(index, f.kind)
		index = be.AppendUint32(index, uint32(len(data)))
		index = be.AppendUint32(index, f.count)
		data = append(data, f.data...)
	}
	out := be.AppendUint32(nil, uint32(len(fields)))
	out = be.AppendUint32(out, uint32(len(data)))
	return append(append(out, index...), data...)
}

// samples are two packages, the second with files.
func samples() [][]byte {
	return [][]byte{
		makeHeader(text(tagName, "bash"), text(tagVersion, "5.1.8"), text(tagRelease, "6.el9"), text(tagArch, "x86_64"),
			text(tagSourceRPM, "bash-5.1.8-6.el9.src.rpm"), text(tagLicense, "GPLv3+")),
		makeHeader(text(tagName, "node"), text(tagVersion, "18"), text(tagRelease, "1"), numbers(tagEpoch, 1),
			text(tagModularity, "nodejs:18:1:2"), list(tagBasenames, "node", "README"), list(tagDirnames, "/usr/bin/", "/usr/share/"),
			numbers(tagDirIndexes, 0, 1)),
	}
}

// makeNDB writes rpm's own format.
func makeNDB(blobs [][]byte) []byte {
	le := binary.LittleEndian
	out := make([]byte, 4096)
	copy(out, ndbMagic)
	le.PutUint32(out[12:], 1) // pages of slots
	le.PutUint32(out[16:], uint32(len(blobs)+1))
	for at := 32; at < len(out); at += 16 {
		copy(out[at:], "Slot")
	}
	for i, b := range blobs {
		index := uint32(i + 1)
		slot := out[32+32*i:] // every other slot stays free
		room := (16 + len(b) + 12 + 15) / 16
		le.PutUint32(slot[4:], index)
		le.PutUint32(slot[8:], uint32(len(out)/16))
		le.PutUint32(slot[12:], uint32(room))
		place := make([]byte, 16*room)
		copy(place, "BlbS")
		le.PutUint32(place[4:], index)
		le.PutUint32(place[12:], uint32(len(b)))
		copy(place[16:], b)
		le.PutUint32(place[len(place)-8:], uint32(len(b)))
		copy(place[len(place)-4:], "BlbE")
		out = append(out, place...)
	}
	return out
}

// makeBDB writes a hash with one bucket page, and overflow pages for all
// blobs after the first.
func makeBDB(order binary.ByteOrder, blobs [][]byte) []byte {
	const pageSize = 1024
	meta, bucket := make([]byte, pageSize), make([]byte, pageSize)
	order.PutUint32(meta[12:], bdbHashMagic)
	order.PutUint32(meta[20:], pageSize)
	meta[25], bucket[25] = bdbHashMeta, bdbHash
	end, items := pageSize, 0
	put := func(item ...byte) {
		end -= len(item)
		copy(bucket[end:], item)
		order.PutUint16(bucket[bdbHeadSize+2*items:], uint16(end))
		items++
	}
	put(bdbItemInline, 0, 0, 0, 0)
	put(bdbItemInline, byte(len(blobs)), 0, 0, 0)
	var overflow []byte
	for i, b := range blobs {
		put(bdbItemInline, byte(i+1), 0, 0, 0)
		if i == 0 {
			put(append([]byte{bdbItemInline}, b...)...)
			continue
		}
		next := func() uint32 { return uint32(2 + len(overflow)/pageSize) }
		item := make([]byte, 12)
		item[0] = bdbItemOff
		order.PutUint32(item[4:], next())
		order.PutUint32(item[8:], uint32(len(b)))
		put(item...)
		for len(b) > 0 {
			page := make([]byte, pageSize)
			n := copy(page[bdbHeadSize:], b)
			b = b[n:]
			order.PutUint16(page[22:], uint16(n))
			page[25] = bdbOverflow
			if len(b) > 0 {
				order.PutUint32(page[16:], next()+1)
			}
			overflow = append(overflow, page...)
		}
	}
	order.PutUint16(bucket[20:], uint16(items))
	order.PutUint32(meta[32:], uint32(1+len(overflow)/pageSize))
	return append(append(meta, bucket...), overflow...)
}

// makeSQLite writes the schema, an interior page and a leaf for each blob,
// whose rows lie on overflow pages as far as they must.
func makeSQLite(blobs [][]byte) []byte {
	const pageSize = 512
	be := binary.BigEndian
	db := sqlite{usable: pageSize}
	var extra []byte // pages after the third
	next := func() uint32 { return uint32(3 + len(extra)/pageSize) }

	schema, root := make([]byte, pageSize), make([]byte, pageSize)
	copy(schema, sqliteMagic)
	be.PutUint16(schema[16:], pageSize)
	row := append([]byte{6, 12 + 1 + 2*5, 12 + 1 + 2*8, 12 + 1 + 2*8, 1, 12 + 1}, "tablePackagesPackages\x02"...)
	cell := append([]byte{byte(len(row)), 1}, row...)
	schema[100] = pageLeaf
	be.PutUint16(schema[103:], 1)
	be.PutUint16(schema[108:], uint16(pageSize-len(cell)))
	copy(schema[pageSize-len(cell):], cell)

	root[0] = pageInterior
	at := pageSize
	for i, b := range blobs {
		leaf := next()
		if i == len(blobs)-1 {
			be.PutUint32(root[8:], leaf)
		} else {
			at -= 5
			be.PutUint32(root[at:], leaf)
			root[at+4] = byte(i + 1)
			be.PutUint16(root[12+2*i:], uint16(at))
			be.PutUint16(root[3:], uint16(i+1))
		}
		kind := uint64(12 + 2*len(b))
		row := append([]byte{4, 0, byte(kind>>7) | 0x80, byte(kind & 0x7f)}, b...)
		local := db.local(len(row))
		cell := append([]byte{byte(len(row)>>7) | 0x80, byte(len(row) & 0x7f), byte(i + 1)}, row[:local]...)
		rest := row[local:]
		if len(rest) > 0 {
			cell = be.AppendUint32(cell, leaf+1)
		}
		page := make([]byte, pageSize)
		page[0] = pageLeaf
		be.PutUint16(page[3:], 1)
		be.PutUint16(page[8:], uint16(pageSize-len(cell)))
		copy(page[pageSize-len(cell):], cell)
		extra = append(extra, page...)
		for len(rest) > 0 {
			page := make([]byte, pageSize)
			rest = rest[copy(page[4:], rest):]
			if len(rest) > 0 {
				be.PutUint32(page, next()+1)
			}
			extra = append(extra, page...)
		}
	}
	return append(append(schema, root...), extra...)
}
