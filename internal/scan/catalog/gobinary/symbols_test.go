package gobinary

import (
	"bytes"
	"debug/gosym"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSymbolForms(t *testing.T) {
	for in, want := range map[string][]string{
		"main.main":                                 {"main.main"},
		"net/http.(*Server).Serve":                  {"net/http.Server.Serve"},
		"net/http.(*Server).Serve.func1":            {"net/http.Server.Serve"},
		"net/http.(*Server).Serve-fm":               {"net/http.Server.Serve"},
		"net/http.HandlerFunc.ServeHTTP":            {"net/http.HandlerFunc.ServeHTTP"},
		"gopkg.in/yaml%2ev3.Unmarshal":              {"gopkg.in/yaml.v3.Unmarshal"},
		"gopkg.in/yaml%2ev3.(*parser).parse":        {"gopkg.in/yaml.v3.parser.parse"},
		"slices.SortFunc[...]":                      {"slices.SortFunc"},
		"a.com/b.(*Cache[...]).Get":                 {"a.com/b.Cache.Get"},
		"a.com/b.Map[go.shape.int,a.com/b/c.T].Get": {"a.com/b.Map.Get"},
		"main.run.gowrap1":                          {"main.run"},
		"main.run.deferwrap2":                       {"main.run"},
		"main.run.func1.2":                          {"main.run"},
		"main.run.Inner.func1":                      {"main.run.Inner", "main.run"},
		"main.run.(*T).Do.func1":                    {"main.run"},
		"main.All-range1":                           {"main.All"},
		"main.init.0":                               {"main.init"},
		"main.glob..func1":                          {"main.glob"},
		"type:.eq.main.T":                           nil,
		"type..eq.main.T":                           nil,
		"go:buildid":                                nil,
		"memcpy":                                    nil,
		"main.":                                     nil,
		".main":                                     nil,
		"a%2":                                       nil,
		"a%zz.F":                                    {"a%zz.F"},
	} {
		s := newSymbols(1 << 10)
		s.add([]byte(in))
		var got []string
		start, text := 0, s.text.String()
		for _, end := range s.ends {
			got = append(got, text[start:end])
			start = end
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", in, diff)
		}
	}
}

// TestOldTables reads tables in the formats of releases that cannot be built
// with any more. The standard library's own reader must find the functions in
// the same bytes: it says that the tables are built right.
func TestOldTables(t *testing.T) {
	names := []string{"main.main", "fmt.Println", "net/http.(*Server).Serve"}
	forms := []string{"main.main", "fmt.Println", "net/http.Server.Serve"}
	for format, build := range map[string]func(int, binary.ByteOrder, ...string) []byte{
		"1.2": table12, "1.16": table116, "1.18": table118, "1.20": table120,
	} {
		for _, ptr := range []int{4, 8} {
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				t.Run(fmt.Sprint(format, order, ptr), func(t *testing.T) {
					data := build(ptr, order, names...)
					oracle, err := gosym.NewTable(nil, gosym.NewLineTable(data, 0x1000))
					if err != nil {
						t.Fatal(err)
					}
					for _, n := range names {
						if oracle.LookupFunc(n) == nil {
							t.Fatalf("the table is not built right: no %s", n)
						}
					}
					tab := parseTable(data, order)
					if tab == nil {
						t.Fatal("table refused")
					}
					got := readTable(tab).hashes
					for _, n := range forms {
						if !has(got, n) {
							t.Errorf("%s not found", n)
						}
					}
					if has(got, "fmt.Printf") {
						t.Error("fmt.Printf found")
					}
				})
			}
		}
	}
}

// TestInlined12: up to Go 1.15 the name of a function that is inlined
// everywhere stands in the table without an entry of its own.
func TestInlined12(t *testing.T) {
	data := append(table12(8, binary.LittleEndian, "main.main"), "\x00a.com/b.Inlined\x00"...)
	if got := readTable(parseTable(data, binary.LittleEndian)).hashes; !has(got, "a.com/b.Inlined") {
		t.Error("inlined function not found")
	}
}

func TestForgedTable(t *testing.T) {
	order := binary.LittleEndian
	long := append(bytes.Repeat([]byte("a"), 900), ".F"...)
	data := table12(8, order, string(long))
	n := 1 << 16
	order.PutUint64(data[8:], uint64(n))
	entry := bytes.Clone(data[16:32])
	body := bytes.Clone(data[16:])
	// The function stays where the entries will end.
	order.PutUint64(entry[8:], uint64(16+16*n)+order.Uint64(entry[8:])-16)
	forged := append(bytes.Clone(data[:16]), bytes.Repeat(entry, n)...)
	forged = append(forged, body...)
	if tab := parseTable(forged, order); tab != nil {
		if got := readTable(tab); len(got.hashes) > n {
			t.Errorf("%d symbols", len(got.hashes))
		}
	}
}

// tableBuilder lays out one function after the other, as the linkers did.
type tableBuilder struct {
	order binary.ByteOrder
	ptr   int
	out   []byte
}

func newTable(magic uint32, ptr int, order binary.ByteOrder) *tableBuilder {
	b := &tableBuilder{order: order, ptr: ptr}
	b.u32(magic)
	b.out = append(b.out, 0, 0, 1, byte(ptr))
	return b
}

func (b *tableBuilder) u32(v uint32) { b.out = b.order.(binary.AppendByteOrder).AppendUint32(b.out, v) }

func (b *tableBuilder) word(v int) {
	if b.ptr == 8 {
		b.out = b.order.(binary.AppendByteOrder).AppendUint64(b.out, uint64(v))
		return
	}
	b.u32(uint32(v))
}

func (b *tableBuilder) setWord(i, v int) {
	at := 8 + i*b.ptr
	if b.ptr == 8 {
		b.order.PutUint64(b.out[at:], uint64(v))
		return
	}
	b.order.PutUint32(b.out[at:], uint32(v))
}

func (b *tableBuilder) align() {
	for len(b.out)%8 != 0 {
		b.out = append(b.out, 0)
	}
}

// function adds the record of a function; its name's offset is filled later.
func (b *tableBuilder) function(entry, nameOff int, relative bool) {
	if relative {
		b.u32(uint32(entry))
	} else {
		b.word(0x1000 + entry)
	}
	b.u32(uint32(nameOff))
	for range 8 {
		b.u32(0)
	}
}

func table12(ptr int, order binary.ByteOrder, names ...string) []byte {
	b := newTable(magic12, ptr, order)
	b.word(len(names))
	functab := len(b.out)
	b.out = append(b.out, make([]byte, (2*len(names)+1)*ptr+4)...)
	b.align()
	for i, n := range names {
		b.setWord(1+2*i, 0x1000+16*i)
		b.setWord(2+2*i, len(b.out))
		at := len(b.out) + ptr
		b.function(16*i, 0, false)
		order.PutUint32(b.out[at:], uint32(len(b.out)))
		b.out = append(append(b.out, n...), 0)
		b.align()
	}
	b.setWord(1+2*len(names), 0x1000+16*len(names))
	files := len(b.out)
	order.PutUint32(b.out[functab+(2*len(names)+1)*ptr:], uint32(files))
	b.u32(1)
	return b.out
}

func table116(ptr int, order binary.ByteOrder, names ...string) []byte {
	return tableNew(magic116, ptr, order, names)
}

func table118(ptr int, order binary.ByteOrder, names ...string) []byte {
	return tableNew(magic118, ptr, order, names)
}

func table120(ptr int, order binary.ByteOrder, names ...string) []byte {
	return tableNew(magic120, ptr, order, names)
}

func tableNew(magic uint32, ptr int, order binary.ByteOrder, names []string) []byte {
	b := newTable(magic, ptr, order)
	words := 7
	relative := magic != magic116
	if relative {
		words = 8
	}
	b.out = append(b.out, make([]byte, words*ptr)...)
	b.setWord(0, len(names))
	next := 2
	if relative {
		b.setWord(2, 0x1000)
		next = 3
	}
	var offs []int
	b.setWord(next, len(b.out))
	start := len(b.out)
	for _, n := range names {
		offs = append(offs, len(b.out)-start)
		b.out = append(append(b.out, n...), 0)
	}
	for i := 1; i < 5; i++ { // cutab, filetab, pctab are empty; functab
		b.align()
		b.setWord(next+i, len(b.out))
		if i < 4 {
			b.out = append(b.out, make([]byte, 8)...)
		}
	}
	functab := len(b.out)
	field := ptr
	if relative {
		field = 4
	}
	b.out = append(b.out, make([]byte, (2*len(names)+1)*field)...)
	put := func(i, v int) {
		at := functab + i*field
		if field == 8 {
			order.PutUint64(b.out[at:], uint64(v))
			return
		}
		order.PutUint32(b.out[at:], uint32(v))
	}
	base := 0x1000
	if relative {
		base = 0
	}
	for i := range names {
		put(2*i, base+16*i)
		put(2*i+1, len(b.out)-functab)
		b.function(16*i, offs[i], relative)
	}
	put(2*len(names), base+16*len(names))
	return b.out
}

func FuzzTable(f *testing.F) {
	for _, ptr := range []int{4, 8} {
		f.Add(table12(ptr, binary.LittleEndian, "main.main", "a.(*T).F.func1"))
		f.Add(table116(ptr, binary.BigEndian, "main.main", "a%2eb.F[...]"))
		f.Add(table120(ptr, binary.LittleEndian, "main.main", "a-fm"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if tab := parseTable(data, order); tab != nil {
				if got := readTable(tab); len(got.hashes) > 2*len(data) {
					t.Errorf("%d symbols in %d bytes", len(got.hashes), len(data))
				}
			}
		}
	})
}
