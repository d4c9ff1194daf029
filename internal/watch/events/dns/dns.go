// Package dns sees names being asked for.
package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// New is the family.
func New() events.Family {
	return events.Family{
		Kind: esclusa.EventDNS, Record: kernel.DNS,
		Object: kernel.Object{Name: "dns", Spec: loadDns, Optional: true},
		Decode: decode,
		Lost:   "which names are looked up",
	}
}

// decode tells the question. What a container sends to port 53 may be
// anything: what is no question is an event without a name, and a gap.
func decode(b []byte, e *esclusa.Event) error {
	var r dnsDnsRecord
	if len(b) < int(unsafe.Sizeof(r)) {
		return events.ErrShort
	}
	n := binary.LittleEndian.Uint32(b[unsafe.Offsetof(r.Len):])
	if int64(n) > int64(len(r.Data)) {
		return events.ErrShort
	}
	name, typ, err := question(b[unsafe.Offsetof(r.Data):][:n])
	if err != nil {
		e.Gaps = append(e.Gaps, esclusa.Gap{Scope: esclusa.GapItem, What: "name that was asked for", Err: err.Error()})
		return nil
	}
	e.Fields = append(e.Fields, esclusa.Text("name", name), esclusa.Text("type", typ))
	return nil
}

var errQuestion = errors.New("what was sent to port 53 is no question")

// question reads a message's first question (RFC 1035, 4.1). A name in it is
// not compressed: there is nothing before it to point to.
func question(b []byte) (name, typ string, err error) {
	const head = 12
	if len(b) < head || b[2]&0x80 != 0 || binary.BigEndian.Uint16(b[4:]) == 0 {
		return "", "", errQuestion
	}
	var s strings.Builder
	for b = b[head:]; len(b) > 0 && b[0] != 0; {
		n := int(b[0])
		if n > 63 || n+1 > len(b) || s.Len() > 1024 {
			return "", "", errQuestion
		}
		if s.Len() > 0 {
			s.WriteByte('.')
		}
		for _, c := range b[1 : n+1] {
			label(&s, c)
		}
		b = b[n+1:]
	}
	if len(b) < 3 {
		return "", "", errQuestion
	}
	return s.String(), recordType(binary.BigEndian.Uint16(b[1:])), nil
}

// label writes one byte of a label in lower case, and what would be read
// otherwise by its number (RFC 4343).
func label(s *strings.Builder, c byte) {
	switch {
	case c >= 'A' && c <= 'Z':
		s.WriteByte(c - 'A' + 'a')
	case c > ' ' && c < 0x7f && c != '.' && c != '\\':
		s.WriteByte(c)
	default:
		fmt.Fprintf(s, `\%03d`, c)
	}
}

// recordType is the word for a type of record, for those that occur.
func recordType(n uint16) string {
	switch n {
	case 1:
		return "A"
	case 2:
		return "NS"
	case 5:
		return "CNAME"
	case 6:
		return "SOA"
	case 10:
		return "NULL"
	case 12:
		return "PTR"
	case 15:
		return "MX"
	case 16:
		return "TXT"
	case 28:
		return "AAAA"
	case 33:
		return "SRV"
	case 64:
		return "SVCB"
	case 65:
		return "HTTPS"
	case 255:
		return "ANY"
	}
	return fmt.Sprintf("TYPE%d", n)
}
