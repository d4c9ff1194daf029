package gobinary

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/esclusa/esclusa/internal/scan/elffile"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// The table that the runtime prints stack traces from (.gopclntab) names every
// function of a Go program, inlined ones included, and no linker flag removes
// it. Its header begins with one of these words, in the byte order of the
// machine, then two zeros, the instruction quantum and the pointer size.
// Source: runtime/symtab.go and debug/gosym/pclntab.go of Go 1.2 to 1.26.
const (
	magic12  = 0xfffffffb
	magic116 = 0xfffffffa
	magic118 = 0xfffffff0
	magic120 = 0xfffffff1
)

// maxSymbols is far above the largest programs (some 250,000 functions). With
// more, the table is taken for a forgery and nothing is said of symbols.
const maxSymbols = 1 << 21

// table is a .gopclntab whose header made sense.
type table struct {
	data  []byte
	order binary.ByteOrder
	magic uint32
	ptr   int
}

// linked is what the function names say.
type linked struct {
	hashes []uint64 // sorted and unique, nil when not known
	// modules says that code of another module than the standard library's is
	// there: an import path whose first element has a dot.
	modules bool
}

// findTable looks for the section by name, and in programs that the system's
// linker put together (cgo, PIE) or that have no sections, for its header in
// the loaded segments.
func findTable(data []byte, goVersion string) *table {
	f, ok := elffile.Open(data)
	if !ok {
		return nil
	}
	if t := parseTable(f.Named(tableSection), f.Order); t != nil {
		return t
	}
	var found *table
	for _, magic := range magicsOf(goVersion) {
		var head [6]byte
		f.Order.PutUint32(head[:], magic)
		f.Segments(func(s *elffile.Segment) bool {
			found = searchTable(s.Data, head[:], f.Order)
			return found == nil
		})
		if found != nil {
			break
		}
	}
	return found
}

// tableSection has ".data.rel.ro" in front in position-independent programs.
var tableSection = []byte(".gopclntab")

// maxCandidates bounds the false starts of one segment: the search must stay
// linear in a file that is made of headers.
const maxCandidates = 1000

func searchTable(seg, head []byte, order binary.ByteOrder) *table {
	for range maxCandidates {
		i := bytes.Index(seg, head)
		if i < 0 {
			return nil
		}
		if t := parseTable(seg[i:], order); t != nil {
			return t
		}
		seg = seg[i+len(head):]
	}
	return nil
}

// magicsOf is the header that a release writes, all of them when the version
// does not tell.
func magicsOf(goVersion string) []uint32 {
	_, minor, _ := strings.Cut(stdlibVersion(goVersion), ".")
	minor, _, _ = strings.Cut(minor, ".")
	switch n, err := strconv.Atoi(minor); {
	case err != nil:
		return []uint32{magic120, magic118, magic116, magic12}
	case n >= 20:
		return []uint32{magic120}
	case n >= 18:
		return []uint32{magic118}
	case n >= 16:
		return []uint32{magic116}
	}
	return []uint32{magic12}
}

func parseTable(data []byte, order binary.ByteOrder) *table {
	if len(data) < 16 || data[4] != 0 || data[5] != 0 {
		return nil
	}
	t := table{data: data, order: order, magic: order.Uint32(data), ptr: int(data[7])}
	switch t.magic {
	case magic12, magic116, magic118, magic120:
	default:
		return nil
	}
	if q := data[6]; q != 1 && q != 2 && q != 4 || t.ptr != 4 && t.ptr != 8 {
		return nil
	}
	if _, ok := t.names(); !ok {
		return nil
	}
	return &t
}

// word is the i-th pointer-sized word behind the first eight bytes.
func (t *table) word(i int) (uint64, bool) {
	at := 8 + i*t.ptr
	if len(t.data) < at+t.ptr {
		return 0, false
	}
	if t.ptr == 8 {
		return t.order.Uint64(t.data[at:]), true
	}
	return uint64(t.order.Uint32(t.data[at:])), true
}

// names is the part of the table that holds the names, ended by zeros. Up to
// Go 1.15 they stand between other data, and the whole table is returned.
func (t *table) names() ([]byte, bool) {
	first := 3 // word of the offset of the names; the next one is their end
	switch t.magic {
	case magic12:
		n, ok := t.word(0)
		return t.data, ok && n > 0 && n < uint64(len(t.data))/uint64(t.ptr)
	case magic116:
		first = 2
	}
	start, _ := t.word(first)
	end, ok := t.word(first + 1)
	if !ok || start >= end || end > uint64(len(t.data)) {
		return nil, false
	}
	return t.data[start:end], true
}

// readTable hashes the name of every function in the form of the advisories.
func readTable(t *table) linked {
	names, _ := t.names()
	s := newSymbols(len(names))
	if t.magic == magic12 {
		t.eachName12(s.add)
	}
	for len(names) > 0 && !s.forged {
		end := bytes.IndexByte(names, 0)
		if end < 0 {
			break
		}
		n := names[:end]
		names = names[end+1:]
		if t.magic != magic12 || printable(n) {
			s.add(n)
		}
	}
	return s.linked()
}

// eachName12 goes over the functions of the old format: functab has pairs
// (pc, offset), at the offset stand the pc again and the name's offset. The
// names of inlined functions have no such entry; readTable finds them, and
// perhaps some text that is none, by reading the whole table as text. What is
// too much can at most keep a finding alive.
func (t *table) eachName12(add func([]byte)) {
	n, _ := t.word(0)
	size := uint64(len(t.data))
	for i := range min(n, size/uint64(2*t.ptr), maxSymbols) {
		off, ok := t.word(int(2 + 2*i))
		if !ok || off > size || size-off < uint64(t.ptr)+4 {
			continue
		}
		at := uint64(t.order.Uint32(t.data[off+uint64(t.ptr):]))
		if at >= size {
			continue
		}
		name := t.data[at:min(at+maxName12, size)]
		if end := bytes.IndexByte(name, 0); end > 0 {
			add(name[:end])
		}
	}
}

// maxName12 keeps entries that all point into one long text from costing the
// square of the table's size.
const maxName12 = 1 << 10

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// symbols gathers normalised names in one text, so that 100,000 of them cost
// a handful of allocations.
type symbols struct {
	text    strings.Builder
	ends    []int
	modules bool
	// maxText bounds the text: the entries of a forged table can all point
	// to the same long name. forged says that a bound was met.
	maxText int
	forged  bool
}

func newSymbols(size int) *symbols {
	s := &symbols{ends: make([]int, 0, size/32), maxText: 4 * size}
	s.text.Grow(size)
	return s
}

func (s *symbols) linked() linked {
	if len(s.ends) == 0 || s.forged {
		return linked{}
	}
	text := s.text.String()
	hashes := make([]uint64, 0, len(s.ends))
	start := 0
	for _, end := range s.ends {
		hashes = append(hashes, layer.SymbolHash(text[start:end]))
		start = end
	}
	slices.Sort(hashes)
	return linked{hashes: slices.Clip(slices.Compact(hashes)), modules: s.modules}
}

// add brings a linker's name into the form of the advisories and keeps it:
//
//	net/http.(*Server).Serve.func1    net/http.Server.Serve
//	gopkg.in/yaml%2ev3.Unmarshal      gopkg.in/yaml.v3.Unmarshal
//	slices.SortFunc[...]              slices.SortFunc
//	main.run.gowrap1                  main.run
//
// In a.B.C.func1, B can be a type with method C or a function that C was
// inlined into: both a.B.C and a.B are kept, since a symbol too many never
// hides a finding.
func (s *symbols) add(name []byte) {
	pkg, rest := splitPackage(name)
	if len(pkg) == 0 || len(rest) == 0 || bytes.IndexByte(pkg, ':') >= 0 || string(pkg) == "type" || string(pkg) == "go" {
		return // made by the compiler: type:.eq.T, go:struct {…}
	}
	if !s.modules {
		elem, _, _ := bytes.Cut(pkg, []byte("/"))
		s.modules = bytes.IndexByte(elem, '.') >= 0 || bytes.Contains(elem, []byte("%2e"))
	}
	if i := bytes.IndexByte(rest, '-'); i >= 0 {
		rest = rest[:i] // -fm, -range1: no Go name has a hyphen
	}
	first, rest := component(rest)
	second, rest := component(rest)
	if recv, ok := bytes.CutPrefix(first, []byte("(*")); ok {
		s.put(pkg, bytes.TrimSuffix(recv, []byte(")")), second)
		return
	}
	if len(second) == 0 || second[0] == '(' || isClosure(second) {
		s.put(pkg, first, nil)
		return
	}
	s.put(pkg, first, second)
	if len(rest) > 0 {
		s.put(pkg, first, nil)
	}
}

// splitPackage cuts at the first dot behind the last slash. The slashes of
// type arguments do not count.
func splitPackage(name []byte) (pkg, rest []byte) {
	path := name
	if i := bytes.IndexByte(path, '['); i >= 0 {
		path = path[:i]
	}
	at := bytes.LastIndexByte(path, '/') + 1
	dot := bytes.IndexByte(path[at:], '.')
	if dot < 0 {
		return nil, nil
	}
	return name[:at+dot], name[at+dot+1:]
}

// component cuts at the first dot that is not inside type arguments.
func component(b []byte) (first, rest []byte) {
	depth := 0
	for i, c := range b {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		case '.':
			if depth <= 0 {
				return b[:i], b[i+1:]
			}
		}
	}
	return b, nil
}

// isClosure tells the names that the compiler makes up.
func isClosure(b []byte) bool {
	for _, prefix := range [...]string{"func", "gowrap", "deferwrap", ""} {
		if n := len(prefix); len(b) > n && string(b[:n]) == prefix && '0' <= b[n] && b[n] <= '9' {
			return true
		}
	}
	return false
}

// put writes pkg.first.second without type arguments.
func (s *symbols) put(pkg, first, second []byte) {
	first, second = untyped(first), untyped(second)
	if len(s.ends) == maxSymbols || s.text.Len() > s.maxText {
		s.forged = true
	}
	if len(first) == 0 || s.forged {
		return
	}
	s.putUnescaped(pkg)
	s.text.WriteByte('.')
	s.text.Write(first)
	if len(second) > 0 {
		s.text.WriteByte('.')
		s.text.Write(second)
	}
	s.ends = append(s.ends, s.text.Len())
}

func untyped(b []byte) []byte {
	if i := bytes.IndexByte(b, '['); i >= 0 {
		return b[:i]
	}
	return b
}

// putUnescaped undoes the linker's %xx, which it writes for a dot in the last
// element of an import path.
func (s *symbols) putUnescaped(pkg []byte) {
	for {
		i := bytes.IndexByte(pkg, '%')
		if i < 0 || len(pkg) < i+3 {
			break
		}
		s.text.Write(pkg[:i])
		hi, lo := unhex(pkg[i+1]), unhex(pkg[i+2])
		if hi < 0 || lo < 0 {
			s.text.WriteByte('%')
			pkg = pkg[i+1:]
			continue
		}
		s.text.WriteByte(byte(hi<<4 | lo))
		pkg = pkg[i+3:]
	}
	s.text.Write(pkg)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
