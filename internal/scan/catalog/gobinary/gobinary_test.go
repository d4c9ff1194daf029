package gobinary

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

func TestStdlibVersion(t *testing.T) {
	for in, want := range map[string]string{
		"go1.22.3":                 "1.22.3",
		"go1.20":                   "1.20.0",
		"go1.23rc1":                "1.23.0-rc.1",
		"go1.16beta1":              "1.16.0-beta.1",
		"go1.9.2rc2":               "1.9.2-rc.2",
		"go1.22.3 X:boringcrypto":  "1.22.3",
		"go1.20 X:boringcrypto":    "1.20.0",
		"go1.21.0-fips":            "1.21.0",
		"go1.26.1-X:nodwarf5":      "1.26.1",
		"go1.22.5 (Red Hat 1.22)":  "1.22.5",
		"go1.23rc1 X:rangefunc":    "1.23.0-rc.1",
		"go1.25-20250209-RC00":     "go1.25-20250209-RC00",
		"devel go1.24-2a4f8d1 Tue": "devel go1.24-2a4f8d1 Tue",
		"go1.23rc":                 "1.23.0-rc.",
		"go1":                      "go1",
		"gopher":                   "gopher",
		"":                         "",
	} {
		if got := stdlibVersion(in); got != want {
			t.Errorf("stdlibVersion(%q) = %q, want %q", in, got, want)
		}
	}
}

// app is a program that uses golang.org/x/mod, which the go command finds in
// the module cache of this repository, and a folder put in a module's place.
func app(t *testing.T, body string, env []string, flags ...string) []byte {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go tool absent")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/app\n\ngo 1.24\n\nrequire (\n\tgolang.org/x/mod v0.43.0\n\texample.com/local v1.2.3\n)\n\n" +
			"replace example.com/local => ./local\n",
		"main.go":        "package main\n\n" + body,
		"local/go.mod":   "module example.com/local\n\ngo 1.24\n",
		"local/local.go": localCode,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool, append([]string{"build", "-mod=mod", "-o", "app"}, flags...)...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOPROXY=off", "GOSUMDB=off", "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("module lookup disabled")) {
			t.Skip("golang.org/x/mod is not in the module cache")
		}
		t.Fatalf("go build: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const localCode = `package local

type Parser struct{ n int }

//go:noinline
func (p *Parser) Bad(s string) int { f := func() int { p.n++; return len(s) }; return f() + p.n }

//go:noinline
func (p *Parser) Good(s string) int { return len(s) }

func Inlined(n int) int { return n*3 + 1 }

//go:noinline
func Generic[T any](v []T) int { return len(v) }
`

const (
	attack = `import ("os"; "example.com/local"; "golang.org/x/mod/semver")
func main() {
	p := new(local.Parser)
	println(p.Bad(os.Args[0]), local.Inlined(len(os.Args)), local.Generic(os.Args), semver.Compare(os.Args[0], "v1"))
}`
	benign = `import ("os"; "example.com/local"; "golang.org/x/mod/semver")
func main() {
	p := new(local.Parser)
	println(p.Good(os.Args[0]), semver.IsValid(os.Args[0]))
}`
	// bare needs the runtime only: quick to build for another machine.
	bare = `import "example.com/local"
func main() { p := new(local.Parser); println(p.Bad("x"), local.Inlined(p.Good("y"))) }`
)

func TestLinked(t *testing.T) {
	bad := []string{"example.com/local.Parser.Bad", "example.com/local.Inlined"}
	more := append([]string{"example.com/local.Generic", "golang.org/x/mod/semver.Compare"}, bad...)
	good := []string{"example.com/local.Parser.Good"}
	for _, tc := range []struct {
		name            string
		body            string
		env, flags      []string
		linked, missing []string
	}{
		{"attack", attack, nil, nil, more, good},
		{"benign twin", benign, nil, nil, append(good, "golang.org/x/mod/semver.IsValid"), more},
		{"stripped", attack, nil, []string{"-ldflags=-s -w", "-trimpath"}, more, good},
		{"pie", attack, nil, []string{"-buildmode=pie"}, more, good},
		{"32 bits, big endian", bare, []string{"GOARCH=mips"}, nil, append(bad, good...), more[:2]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := app(t, tc.body, tc.env, tc.flags...)
			r, err := layertest.Read(t, Reader{}, "usr/bin/app", 0o755, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tc.linked {
				if !has(r.Symbols, s) {
					t.Errorf("%s is linked and not found", s)
				}
			}
			for _, s := range tc.missing {
				if has(r.Symbols, s) {
					t.Errorf("%s is not linked and found", s)
				}
			}
		})
	}
}

func TestPackages(t *testing.T) {
	data := app(t, attack, nil)
	r, err := layertest.Read(t, Reader{}, "usr/bin/app", 0o755, data)
	if err != nil {
		t.Fatal(err)
	}
	pkg := func(name, version string, main bool) esclusa.Package {
		return esclusa.Package{
			Type: "golang", Name: name, Version: version, Main: main,
			Reader: "gobinary", Place: esclusa.Place{Path: "usr/bin/app"},
		}
	}
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []esclusa.Package{
		pkg("example.com/app", "(devel)", true),
		pkg("stdlib", stdlibVersion(strings.TrimSpace(string(out))), false),
		pkg("example.com/local", "(devel)", false),
		pkg("golang.org/x/mod", "v0.43.0", false),
	}
	if diff := cmp.Diff(want, r.Packages); diff != "" {
		t.Error(diff)
	}
	if r.Gaps != nil {
		t.Errorf("gaps: %v", r.Gaps)
	}
}

// TestWithoutSections: sstrip and some packers remove the section table.
func TestWithoutSections(t *testing.T) {
	data := app(t, attack, nil)
	want, err := Reader{}.Read(&layer.File{Path: "app", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	bare := bytes.Clone(data)
	clear(bare[40:48]) // e_shoff
	clear(bare[60:64]) // e_shnum, e_shstrndx
	got, err := Reader{}.Read(&layer.File{Path: "app", Data: bare})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReplacedByModule(t *testing.T) {
	info := "path\texample.com/app\nmod\texample.com/app\tv1.0.0\t\n" +
		"dep\tgithub.com/a/b\tv1.1.0\t\n=>\tgithub.com/fork/b\tv1.2.0\th1:x\n"
	r, err := Reader{}.Read(&layer.File{Path: "app", Data: tinyELF("go1.22.3", info, nil)})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"example.com/app v1.0.0", "stdlib 1.22.3", "github.com/fork/b v1.2.0"}
	if diff := cmp.Diff(want, list(r.Packages)); diff != "" {
		t.Error(diff)
	}
}

func TestGaps(t *testing.T) {
	third := table118(8, binary.LittleEndian, "main.main", "github.com/a/b.F")
	std := table118(8, binary.LittleEndian, "main.main", "fmt.Println")
	wiped := tinyELF("go1.22.3", "", nil)
	copy(wiped[bytes.Index(wiped, infoMagic):], "\x00\x00\x00\x00")
	upx := slices.Concat(tinyHeader(0, 0, 0), []byte("....UPX!...."))
	for _, tc := range []struct {
		name string
		data []byte
		gaps int
		err  bool
	}{
		{"modules not recorded", tinyELF("go1.19.8", "path\tcommand-line-arguments\n", third), 1, false},
		{"standard library alone", tinyELF("go1.19.8", "path\tcommand-line-arguments\n", std), 0, false},
		{"no record at all", tinyELF("go1.19.8", "", std), 1, false},
		{"part of the Go distribution", tinyELF("go1.19.8", "path\tcmd/gofmt\n", std), 0, false},
		{"build information wiped", wiped, 0, true},
		{"packed", upx, 1, false},
	} {
		r, err := layertest.Read(t, Reader{}, "app", 0o755, tc.data)
		if len(r.Gaps) != tc.gaps || (err != nil) != tc.err {
			t.Errorf("%s: %d gaps and error %v, want %d and %t", tc.name, len(r.Gaps), err, tc.gaps, tc.err)
		}
	}
}

// TestPointers reads the record as it was up to Go 1.17, and asks the standard
// library for the same.
func TestPointers(t *testing.T) {
	mods := "path\texample.com/app\nmod\texample.com/app\tv1.0.0\t\ndep\tgithub.com/a/b\tv1.1.0\t\n"
	data := tinyELF("go1.16.5", mods, nil)
	le := binary.LittleEndian
	at := bytes.Index(data, infoMagic)
	data[at+15] = 0
	version := bytes.Index(data, []byte("go1.16.5"))
	modules := bytes.Index(data, []byte("0000000000000000path"))
	// The two string variables go behind the end of the file; the segment
	// is made to hold them.
	for i, v := range [][2]int{{version, 8}, {modules, len(mods) + 32}} {
		le.PutUint64(data[at+16+8*i:], uint64(len(data)))
		data = le.AppendUint64(le.AppendUint64(data, uint64(v[0])), uint64(v[1]))
	}
	le.PutUint64(data[64+32:], uint64(len(data)))
	le.PutUint64(data[64+40:], uint64(len(data)))
	want, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("the record is not built right: %v", err)
	}
	got, err := readInfo(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestForgedHeaders: each of 65,535 headers claims the whole file.
func TestForgedHeaders(t *testing.T) {
	le := binary.LittleEndian
	big := bytes.Repeat([]byte("a"), 8<<20)
	sections := append(tinyHeader(64, 0xffff, 0), make([]byte, 0xffff*64)...)
	for i := range 0xffff {
		e := sections[64+64*i:]
		le.PutUint64(e[24:], 64)
		le.PutUint64(e[32:], uint64(len(sections)+len(big)-64))
	}
	names := append(bytes.Clone(sections), big...)
	copy(names[len(names)-40:], ".gopclntab\x00.go.buildinfo\x00")
	segments := append(tinyHeader(0, 0, 0), make([]byte, 0xffff*56)...)
	le.PutUint64(segments[32:], 64)
	le.PutUint16(segments[56:], 0xffff)
	for i := range 0xffff {
		e := segments[64+56*i:]
		le.PutUint32(e, uint32(elf.PT_LOAD))
		le.PutUint32(e[4:], uint32(elf.PF_W))
		le.PutUint64(e[32:], uint64(len(segments)+len(big)))
	}
	for name, data := range map[string][]byte{"sections": names, "segments": append(segments, big...)} {
		r, err := layertest.Read(t, Reader{}, "app", 0o755, data)
		if (err == nil) != (name == "segments") || r.Symbols != nil {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
}

func TestRefuse(t *testing.T) {
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no C program found")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &layer.File{Path: "bin/sh", Data: data}
	if n := testing.AllocsPerRun(10, func() {
		r, err := Reader{}.Read(f)
		if err != nil || r.Packages != nil || r.Gaps != nil {
			t.Fatalf("a C program gives %v, %v", r, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations to refuse a C program", n)
	}
}

func has(hashes []uint64, name string) bool {
	_, ok := slices.BinarySearch(hashes, layer.SymbolHash(name))
	return ok
}

func list(pkgs []esclusa.Package) []string {
	var l []string
	for _, p := range pkgs {
		l = append(l, p.Name+" "+p.Version)
	}
	return l
}

// tinyHeader is the header of a little-endian 64-bit executable.
func tinyHeader(shoff, shnum, shstrndx int) []byte {
	h := make([]byte, 64)
	copy(h, elf.ELFMAG)
	h[4], h[5], h[6] = 2, 1, 1
	le := binary.LittleEndian
	le.PutUint16(h[16:], uint16(elf.ET_EXEC))
	le.PutUint16(h[18:], uint16(elf.EM_X86_64))
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[40:], uint64(shoff))
	le.PutUint16(h[52:], 64)
	le.PutUint16(h[54:], 56)
	le.PutUint16(h[58:], 64)
	le.PutUint16(h[60:], uint16(shnum))
	le.PutUint16(h[62:], uint16(shstrndx))
	return h
}

// tinyELF is an executable of three sections: what the readers look at, and
// nothing that could run.
func tinyELF(version, modules string, pclntab []byte) []byte {
	le := binary.LittleEndian
	info := append(bytes.Clone(infoMagic), 8, 2) // pointer size, strings inline
	info = append(info, make([]byte, 32-len(info))...)
	sentinel := strings.Repeat("0", 16)
	if modules != "" {
		modules = sentinel + modules + sentinel
	}
	for _, s := range []string{version, modules} {
		info = binary.AppendUvarint(info, uint64(len(s)))
		info = append(info, s...)
	}
	names := "\x00.shstrtab\x00.go.buildinfo\x00.gopclntab\x00"
	out := append(tinyHeader(0, 4, 1), make([]byte, 56)...)
	var table []byte
	section := func(name string, content []byte) {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		e := make([]byte, 64)
		le.PutUint32(e, uint32(strings.Index(names, name+"\x00")))
		le.PutUint32(e[4:], uint32(elf.SHT_PROGBITS))
		le.PutUint64(e[8:], uint64(elf.SHF_ALLOC|elf.SHF_WRITE))
		le.PutUint64(e[16:], uint64(len(out)))
		le.PutUint64(e[24:], uint64(len(out)))
		le.PutUint64(e[32:], uint64(len(content)))
		table = append(table, e...)
		out = append(out, content...)
	}
	table = append(table, make([]byte, 64)...)
	section(".shstrtab", []byte(names))
	le.PutUint32(table[64+4:], uint32(elf.SHT_STRTAB))
	section(".go.buildinfo", info)
	section(".gopclntab", pclntab)
	le.PutUint64(out[32:], 64) // one segment, loaded at its offset
	le.PutUint16(out[56:], 1)
	le.PutUint32(out[64:], uint32(elf.PT_LOAD))
	le.PutUint32(out[68:], uint32(elf.PF_R|elf.PF_W))
	le.PutUint64(out[64+32:], uint64(len(out)))
	le.PutUint64(out[64+40:], uint64(len(out)))
	le.PutUint64(out[40:], uint64(len(out)))
	return append(out, table...)
}

func FuzzRead(f *testing.F) {
	mods := "path\texample.com/app\nmod\texample.com/app\tv1.0.0\t\ndep\tgithub.com/a/b\tv1.1.0\t\n"
	f.Add(tinyELF("go1.22.3", mods, table118(8, binary.LittleEndian, "main.main", "fmt.Println")))
	f.Add(tinyELF("go1.14", "", table12(8, binary.LittleEndian, "main.main")))
	f.Add(slices.Concat(tinyHeader(0, 0, 0), []byte("UPX!")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if layertest.Claimed(Reader{}, "app", 0o755, data) {
			r, _ := Reader{}.Read(&layer.File{Path: "app", Data: data})
			for _, p := range r.Packages {
				if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Version) {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}

// BenchmarkExecutable reads one Go executable: this test.
func BenchmarkExecutable(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	f := &layer.File{Path: "app", Data: data}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (Reader{}).Read(f); err != nil || len(r.Symbols) == 0 {
			b.Fatal(len(r.Symbols), err)
		}
	}
}

// BenchmarkRefuse refuses one program that Go did not link.
func BenchmarkRefuse(b *testing.B) {
	data := tinyELF("go1.22.3", "", nil)
	names := bytes.Index(data, []byte(".go.buildinfo"))
	copy(data[names:], ".so.buildinfo\x00.sopclntab")
	f := &layer.File{Path: "app", Data: data}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (Reader{}).Read(f); err != nil || r.Packages != nil {
			b.Fatal(r, err)
		}
	}
}
