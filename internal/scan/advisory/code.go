package advisory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
)

// ErrDamaged is inside every error about a database that does not hold
// together. A new one cures it.
var ErrDamaged = errors.New("damaged database")

const day = 24 * 60 * 60

// dayOf codes a date as days since 1970 plus one. 0 is "not known", which is
// also what dates before 1970 become: Go's database writes the year 1 where
// it has none.
func dayOf(t time.Time) uint64 {
	if s := t.Unix(); s >= 0 {
		return uint64(s/day) + 1
	}
	return 0
}

func timeOf(d uint64) time.Time {
	if d == 0 || d > 1<<24 {
		return time.Time{}
	}
	return time.Unix(int64(d-1)*day, 0).UTC()
}

func putString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = putString(b, s)
	}
	return b
}

// The kinds of a range event. Most ranges begin at "0": one byte says it.
const (
	eventZero = iota
	eventIntroduced
	eventFixed
	eventLastAffected
	eventLimit
)

const (
	rangeSemver = iota
	rangeEcosystem
)

func putRanges(b []byte, ranges []esclusa.Range) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(ranges)))
	for _, r := range ranges {
		switch r.Type {
		case "SEMVER":
			b = append(b, rangeSemver)
		case "ECOSYSTEM":
			b = append(b, rangeEcosystem)
		default:
			return nil, fmt.Errorf("range of type %q", r.Type)
		}
		b = binary.AppendUvarint(b, uint64(len(r.Events)))
		for _, e := range r.Events {
			var err error
			if b, err = putEvent(b, e); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func putEvent(b []byte, e esclusa.RangeEvent) ([]byte, error) {
	switch e {
	case esclusa.RangeEvent{Introduced: "0"}:
		return append(b, eventZero), nil
	case esclusa.RangeEvent{Introduced: e.Introduced}:
		return putString(append(b, eventIntroduced), e.Introduced), nil
	case esclusa.RangeEvent{Fixed: e.Fixed}:
		return putString(append(b, eventFixed), e.Fixed), nil
	case esclusa.RangeEvent{LastAffected: e.LastAffected}:
		return putString(append(b, eventLastAffected), e.LastAffected), nil
	case esclusa.RangeEvent{Limit: e.Limit}:
		return putString(append(b, eventLimit), e.Limit), nil
	}
	return nil, errors.New("range event with more than one field")
}

// reader decodes one record. All strings that it returns are parts of one
// copy, so a record costs one allocation for its text and none of it points
// into the mapped file. The first error sticks, as in bufio.Scanner; counts
// are held to the bytes that are left, so a lying count allocates little.
type reader struct {
	s   string
	bad bool
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.s) && i < binary.MaxVarintLen64; i++ {
		c := r.s[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return v
		}
	}
	r.fail()
	return 0
}

func (r *reader) fail() { r.s, r.bad = "", true }

func (r *reader) byte() byte {
	if len(r.s) == 0 {
		r.fail()
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.fail()
		return ""
	}
	v := r.s[:n]
	r.s = r.s[n:]
	return v
}

// count reads the length of a list whose members take at least one byte each.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

func (r *reader) ranges() []esclusa.Range {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]esclusa.Range, n)
	for i := range list {
		switch r.byte() {
		case rangeSemver:
			list[i].Type = "SEMVER"
		case rangeEcosystem:
			list[i].Type = "ECOSYSTEM"
		default:
			r.fail()
		}
		list[i].Events = r.events()
	}
	return list
}

func (r *reader) events() []esclusa.RangeEvent {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]esclusa.RangeEvent, n)
	for i := range list {
		e := &list[i]
		switch r.byte() {
		case eventZero:
			e.Introduced = "0"
		case eventIntroduced:
			e.Introduced = r.string()
		case eventFixed:
			e.Fixed = r.string()
		case eventLastAffected:
			e.LastAffected = r.string()
		case eventLimit:
			e.Limit = r.string()
		default:
			r.fail()
		}
	}
	return list
}
