package inflate

const (
	// fastMargin is what one turn of the fast loop may read: three refills.
	fastMargin = 3*7 + loadSize
	// fastInput is what must be there to enter it: the margin, the refill
	// before the loop, and one byte more, so that each call goes on.
	fastInput = fastMargin + 7 + 1
)

// fast decodes symbols until the chunk is full, the input is nearly used up,
// or the block ends. The bit buffer then holds bits that follow those that it
// counts; giveBack drops them.
//
// One turn is up to three literals, or fewer and a match. The buffer is
// filled 8 bytes at a time without a branch: of the bytes that do not fit,
// those bits that do are the same that the next load brings.
func (d *decoder) fast() (end bool, err error) {
	b, n, ip, op := d.bits, d.nbits, d.ip, d.op
	begin := d.begin
	last := d.iend - fastMargin

	b, n, ip = d.refill(b, n, ip)
	e := d.lit[b&(1<<litBits-1)]
	for {
		saved := b
		b >>= e & 63
		n -= uint(e & 63)
		if e&entryLiteral != 0 {
			d.put(op, byte(e>>16))
			op++
			e = d.lit[b&(1<<litBits-1)]
			saved = b
			b >>= e & 63
			n -= uint(e & 63)
			if e&entryLiteral != 0 {
				d.put(op, byte(e>>16))
				op++
				e = d.lit[b&(1<<litBits-1)]
				saved = b
				b >>= e & 63
				n -= uint(e & 63)
				if e&entryLiteral != 0 {
					d.put(op, byte(e>>16))
					op++
					goto next
				}
			}
		}
		if e&entryOther != 0 {
			if e&entrySecond != 0 {
				e = d.lit[uint(e>>16)+uint(b&(1<<(e>>8&31)-1))]
				saved = b
				b >>= e & 63
				n -= uint(e & 63)
				if e&entryLiteral != 0 {
					d.put(op, byte(e>>16))
					op++
					goto next
				}
			}
			if e&entryOther != 0 {
				end = e&entryEnd != 0
				if !end {
					err = ErrCorrupt
				}
				break
			}
		}
		{
			length := uint(e>>16) + uint(saved&(1<<(e&63)-1)>>(e>>8&31))
			if n < 28 {
				b, n, ip = d.refill(b, n, ip)
			}
			e = d.dis[b&(1<<disBits-1)]
			if e&entryOther != 0 {
				if e&entrySecond != 0 {
					b >>= disBits
					n -= disBits
					e = d.dis[uint(e>>16)+uint(b&(1<<(e>>8&31)-1))]
				}
				if e&entryOther != 0 {
					err = ErrCorrupt
					break
				}
			}
			distance := uint(e>>16) + uint(b&(1<<(e&63)-1)>>(e>>8&31))
			b >>= e & 63
			n -= uint(e & 63)
			if distance > op-begin {
				err = ErrCorrupt
				break
			}
			b, n, ip = d.refill(b, n, ip)
			e = d.lit[b&(1<<litBits-1)]

			if distance >= 16 && length <= 32 { // 19 of 20
				d.copy32(op, op-distance)
			} else {
				d.match(op, distance, length)
			}
			op += length
			if ip > last || op >= windowSize+chunkSize {
				break
			}
			continue
		}
	next:
		b, n, ip = d.refill(b, n, ip)
		e = d.lit[b&(1<<litBits-1)]
		if ip > last || op >= windowSize+chunkSize {
			break
		}
	}
	d.bits, d.nbits, d.ip, d.op = b, n, ip, op
	return end, err
}

// refill fills the buffer to 56 bits or more.
func (d *decoder) refill(b uint64, n, ip uint) (uint64, uint, uint) {
	return b | d.load(ip)<<(n&63), n | 56, ip + (63-n)>>3
}

// match copies what stands distance before op. It may write up to slack more.
func (d *decoder) match(op, distance, length uint) {
	from := op - distance
	stop := op + length
	switch {
	case distance >= 16:
		for ; op < stop; op += 32 {
			d.copy32(op, from)
			from += 32
		}
	case distance >= 8:
		for ; op < stop; op += 8 {
			d.copy8(op, from)
			from += 8
		}
	case distance == 1:
		v := d.out[from&outMask]
		for ; op < stop; op += 8 {
			d.set8(op, v)
		}
	default:
		for ; op < stop; op++ {
			d.put(op, d.out[from&outMask])
			from++
		}
	}
}
