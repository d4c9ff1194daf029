package inflate

import "sync"

// block reads the header of a block (RFC 1951, 3.2.3).
func (d *decoder) block() error {
	if d.final {
		d.final = false
		d.state = atTrailer
		return nil
	}
	d.checkpoint()
	if !d.need(3) {
		return d.short()
	}
	d.final = d.take(1) == 1
	switch d.take(2) {
	case 0:
		d.take(d.nbits & 7)
		d.giveBack()
		if d.fill(4); d.iend-d.ip < 4 {
			return d.short()
		}
		n := uint(d.in[d.ip]) | uint(d.in[d.ip+1])<<8
		c := uint(d.in[d.ip+2]) | uint(d.in[d.ip+3])<<8
		if n != ^c&0xffff {
			return ErrCorrupt
		}
		d.ip += 4
		d.stored, d.state = n, inStored
		return nil
	case 1:
		d.fixedTables()
		d.giveBack()
		d.state = inCodes
		return nil
	case 2:
		err := d.dynamicTables()
		d.giveBack()
		d.state = inCodes
		return err
	}
	return ErrCorrupt
}

func (d *decoder) copyStored() error {
	for d.stored > 0 {
		if d.op >= windowSize+chunkSize {
			return nil
		}
		if d.fill(1); d.ip == d.iend {
			return d.short()
		}
		n := min(d.stored, d.iend-d.ip, windowSize+chunkSize-d.op)
		copy(d.out[d.op:], d.in[d.ip:d.ip+n])
		d.op += n
		d.ip += n
		d.stored -= n
	}
	d.state = atBlock
	return nil
}

// fixedTables are those of RFC 1951, 3.2.6, made once.
var fixed = sync.OnceValue(func() *decoder {
	d := new(decoder)
	var lens [numLit]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	build(d.lit[:], lens[:], litEntries[:], litBits)
	for i := range numDis {
		lens[i] = 5
	}
	build(d.dis[:], lens[:numDis], disEntries[:], disBits)
	return d
})

func (d *decoder) fixedTables() {
	if !d.fixed {
		f := fixed()
		d.lit, d.dis, d.fixed = f.lit, f.dis, true
	}
}

// preOrder is the order of the lengths of the code of code lengths.
var preOrder = [numPre]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicTables reads the codes of a block (RFC 1951, 3.2.7).
func (d *decoder) dynamicTables() error {
	d.fixed = false
	if !d.need(14) {
		return d.short()
	}
	nlit, ndis, npre := d.take(5)+257, d.take(5)+1, d.take(4)+4
	if nlit > 286 || ndis > 30 {
		return ErrCorrupt
	}
	var lens [numLit + numDis]uint8
	for i := range npre {
		if !d.need(3) {
			return d.short()
		}
		lens[preOrder[i]] = uint8(d.take(3))
	}
	var pre [1 << preBits]uint32
	if !build(pre[:], lens[:numPre], preEntries[:], preBits) {
		return ErrCorrupt
	}
	clear(lens[:numPre])
	n := nlit + ndis
	for i := uint(0); i < n; {
		// Fewer than 14 bits may be left, and enough.
		d.need(preBits + 7)
		e := pre[d.bits&(1<<preBits-1)]
		length := uint(e & 63)
		switch {
		case length > d.nbits:
			return d.short()
		case e&entryOther != 0:
			if d.nbits == 0 {
				return d.short()
			}
			return ErrCorrupt
		}
		d.take(length)
		symbol := uint(e >> 16)
		if symbol < 16 {
			lens[i] = uint8(symbol)
			i++
			continue
		}
		extra := [...]uint{2, 3, 7}[symbol-16]
		if extra > d.nbits {
			return d.short()
		}
		times := [...]uint{3, 3, 11}[symbol-16] + d.take(extra)
		if i+times > n || symbol == 16 && i == 0 {
			return ErrCorrupt
		}
		l := uint8(0)
		if symbol == 16 {
			l = lens[i-1]
		}
		for range times {
			lens[i] = l
			i++
		}
	}
	if !build(d.lit[:], lens[:nlit], litEntries[:], litBits) ||
		!build(d.dis[:], lens[nlit:n], disEntries[:], disBits) {
		return ErrCorrupt
	}
	return nil
}

// codes decodes symbols until the chunk is full or the block ends.
func (d *decoder) codes() error {
	for d.op < windowSize+chunkSize {
		d.fill(fastInput)
		var err error
		end := false
		if d.iend-d.ip >= fastInput {
			end, err = d.fast()
		} else {
			end, err = d.slow()
		}
		d.giveBack()
		if err != nil {
			return err
		}
		if end {
			d.state = atBlock
			return nil
		}
	}
	return nil
}

// slow decodes one symbol near the end of the source.
func (d *decoder) slow() (end bool, err error) {
	e, err := d.symbol(d.lit[:], litBits)
	switch {
	case err != nil:
		return false, err
	case e&entryLiteral != 0:
		d.out[d.op] = byte(e >> 16)
		d.op++
		return false, nil
	case e&entryEnd != 0:
		return true, nil
	}
	length, ok := d.value(e)
	if !ok {
		return false, d.short()
	}
	if e, err = d.symbol(d.dis[:], disBits); err != nil {
		return false, err
	}
	distance, ok := d.value(e)
	if !ok {
		return false, d.short()
	}
	if distance > d.op-d.begin {
		return false, ErrCorrupt
	}
	for range length {
		d.out[d.op] = d.out[d.op-distance]
		d.op++
	}
	return false, nil
}

// symbol takes the code of one symbol, not its extra bits.
func (d *decoder) symbol(table []uint32, first uint) (uint32, error) {
	d.need(maxCode)
	e := table[d.bits&(1<<first-1)]
	skip := uint(0)
	if e&(entryOther|entrySecond) == entryOther|entrySecond {
		skip = first
		e = table[uint(e>>16)+uint(d.bits>>first)&(1<<(e>>8&31)-1)]
	}
	length := skip + uint(e>>8&31)
	switch {
	case e&entryLiteral == 0 && e&entryOther != 0 && e&entryEnd == 0:
		if d.nbits < maxCode && d.srcErr != nil {
			return 0, d.short()
		}
		return 0, ErrCorrupt
	case length > d.nbits:
		return 0, d.short()
	}
	d.take(length)
	return e, nil
}

// value is the length or distance of an entry whose code was taken.
func (d *decoder) value(e uint32) (uint, bool) {
	extra := uint(e&63) - uint(e>>8&31)
	if !d.need(extra) {
		return 0, false
	}
	return uint(e>>16) + d.take(extra), true
}
