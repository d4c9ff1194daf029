package rust

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
	"github.com/esclusa/esclusa/internal/truth"
)

const audit = `{"packages":[
	{"name":"app","version":"0.1.0","source":"local","dependencies":[1,2],"root":true},
	{"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},
	{"name":"libc","version":"0.2.171","source":"crates.io"},
	{"name":"forked","version":"2.0.0","source":"git"}]}`

func deflated(text string) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

// program is an ELF file of two sections, the names and one more.
func program(order binary.AppendByteOrder, wide bool, section string, content []byte) []byte {
	names := "\x00.shstrtab\x00" + section + "\x00"
	header, entry, rest := 64, 64, 24 // rest: the fields behind sh_size
	if !wide {
		header, entry, rest = 52, 40, 16
	}
	body := append([]byte(names), content...)
	for len(body)%8 != 0 {
		body = append(body, 0)
	}
	word := func(b []byte, v int) []byte {
		if wide {
			return order.AppendUint64(b, uint64(v))
		}
		return order.AppendUint32(b, uint32(v))
	}
	half := func(b []byte, list ...int) []byte {
		for _, v := range list {
			b = order.AppendUint16(b, uint16(v))
		}
		return b
	}
	class, data := elf.ELFCLASS32, elf.ELFDATA2MSB
	if wide {
		class = elf.ELFCLASS64
	}
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		data = elf.ELFDATA2LSB
	}
	out := append([]byte(elf.ELFMAG), byte(class), byte(data), 1)
	out = append(out, make([]byte, 9)...)
	out = half(out, int(elf.ET_DYN), int(elf.EM_AARCH64))
	out = order.AppendUint32(out, 1)
	out = word(word(word(out, 0), 0), header+len(body)) // entry, segments, sections
	out = order.AppendUint32(out, 0)
	out = half(out, header, 0, 0, entry, 3, 1)
	out = append(out, body...)
	add := func(name int, kind elf.SectionType, off, size int) {
		out = order.AppendUint32(out, uint32(name))
		out = order.AppendUint32(out, uint32(kind))
		out = word(word(word(word(out, 0), 0), off), size)
		out = append(out, make([]byte, rest)...)
	}
	add(0, elf.SHT_NULL, 0, 0)
	add(1, elf.SHT_STRTAB, header, len(names))
	add(11, elf.SHT_PROGBITS, header+len(names), len(content))
	return out
}

func TestAuditable(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, wide := range []bool{true, false} {
			r, err := layertest.Read(t, installed{}, "usr/bin/app", 0o755, program(order, wide, ".dep-v0", deflated(audit)))
			if err != nil {
				t.Fatalf("%v, 64 bits %t: %v", order, wide, err)
			}
			at := esclusa.Place{Path: "usr/bin/app"}
			want := layer.Result{
				Packages: []esclusa.Package{
					{Type: "cargo", Name: "app", Version: "0.1.0", Main: true, Reader: "rust", Place: at},
					{Type: "cargo", Name: "libc", Version: "0.2.171", Reader: "rust", Place: at},
				},
				Gaps: []esclusa.Gap{{
					Scope: esclusa.GapItem, Place: at, What: "1 crates from git",
					Err: "advisories name versions of crates.io only",
				}},
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("%v, 64 bits %t:\n%s", order, wide, diff)
			}
		}
	}
}

// TestRealProgram reads a program that a compiler and a linker made, with the
// section that cargo-auditable adds. (cargo itself is on no bare machine.)
func TestRealProgram(t *testing.T) {
	for _, tool := range []string{"gcc", "objcopy"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian package gcc)", tool)
		}
	}
	dir := t.TempDir()
	source, section, app := filepath.Join(dir, "a.c"), filepath.Join(dir, "section"), filepath.Join(dir, "app")
	err := errors.Join(os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o600), os.WriteFile(section, deflated(audit), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gcc", "-o", app, source}, {"objcopy", "--add-section", ".dep-v0=" + section, app}, {app}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	data, err := os.ReadFile(app)
	if err != nil {
		t.Fatal(err)
	}
	r, err := layertest.Read(t, installed{}, "usr/bin/app", 0o755, data)
	if err != nil || len(r.Packages) != 2 {
		t.Errorf("%v, packages %v", err, r.Packages)
	}
}

// TestProgram holds the test's own ELF files to the standard library.
func TestProgram(t *testing.T) {
	for _, wide := range []bool{true, false} {
		file, err := elf.NewFile(bytes.NewReader(program(binary.BigEndian, wide, ".dep-v0", []byte("text"))))
		if err != nil {
			t.Fatal(err)
		}
		s := file.Section(".dep-v0")
		if s == nil {
			t.Fatal("no section")
		}
		if text, err := s.Data(); err != nil || string(text) != "text" {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestBrokenAudit(t *testing.T) {
	whole := program(binary.LittleEndian, true, ".dep-v0", deflated(audit))
	moved := bytes.Clone(whole)
	binary.LittleEndian.PutUint64(moved[len(moved)-64+24:], 1<<40)
	for name, data := range map[string][]byte{
		"no zlib": program(binary.LittleEndian, true, ".dep-v0", []byte("text")),
		"no JSON": program(binary.LittleEndian, true, ".dep-v0", deflated("text")),
		"bomb":    program(binary.LittleEndian, true, ".dep-v0", deflated(strings.Repeat(" ", maxAudit+1))),
		"outside": moved,
		"cut":     program(binary.LittleEndian, true, ".dep-v0", deflated(audit)[:40]),
	} {
		if r, err := layertest.Read(t, installed{}, "app", 0o755, data); err == nil {
			t.Errorf("%s: no error, %v", name, r)
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
	for _, data := range [][]byte{data, program(binary.BigEndian, false, ".dep-v1", deflated(audit)), []byte(elf.ELFMAG)} {
		f := &layer.File{Path: "bin/sh", Data: data}
		if n := testing.AllocsPerRun(10, func() {
			if r, err := (installed{}).Read(f); err != nil || r.Packages != nil || r.Gaps != nil {
				t.Fatalf("a program without the section gives %v, %v", r, err)
			}
		}); n != 0 {
			t.Errorf("%v allocations to refuse a program", n)
		}
	}
}

func TestCargoLock(t *testing.T) {
	const v3 = `version = 3
[[package]]
name = "app"
version = "0.1.0"
[[package]]
name = "libc"
version = "0.2.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "00"
[[package]]
name = "sparse"
version = "1.0.0"
source = "sparse+https://index.example.com/"
[[package]]
name = "forked"
version = "2.0.0"
source = "git+https://example.com/forked#00"
`
	const v1 = `[root]
name = "old"
version = "0.0.1"
dependencies = ["libc 0.2.1 (registry+https://github.com/rust-lang/crates.io-index)"]
[[package]]
name = "libc"
version = "0.2.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
[metadata]
"checksum libc 0.2.1 (registry+https://github.com/rust-lang/crates.io-index)" = "00"
`
	for _, tc := range []struct {
		name, text string
		want, main []string
		gaps       int
		err        bool
	}{
		{"v3", v3, []string{"app 0.1.0", "libc 0.2.1", "sparse 1.0.0"}, []string{"app 0.1.0"}, 1, false},
		{"v1", v1, []string{"libc 0.2.1", "old 0.0.1"}, []string{"old 0.0.1"}, 0, false},
		{"newer", "version = 5\n[[package]]\nname='a'\nversion='1'\n", []string{"a 1"}, []string{"a 1"}, 0, true},
		{"no version", "[[package]]\nname='a'\n", nil, nil, 1, false},
		{"broken", "[[package", nil, nil, 0, true},
	} {
		r, err := layertest.Read(t, declared{}, "Cargo.lock", 0o644, []byte(tc.text))
		if (err != nil) != tc.err {
			t.Errorf("%s: error %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, list(r.Packages)); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
		main := slices.DeleteFunc(slices.Clone(r.Packages), func(p esclusa.Package) bool { return !p.Main })
		if diff := cmp.Diff(tc.main, list(main)); diff != "" {
			t.Errorf("%s, main:\n%s", tc.name, diff)
		}
		if len(r.Gaps) != tc.gaps {
			t.Errorf("%s: gaps %v", tc.name, r.Gaps)
		}
	}
}

func TestCargoLockVectors(t *testing.T) {
	r, err := layertest.Read(t, declared{}, "Cargo.lock", 0o644, truth.Fixture(t, "cargo", "Cargo.lock"))
	if err != nil {
		t.Fatal(err)
	}
	want := truth.Golden(t, "cargo.lock.json.golden")
	// The peer drops what only other platforms and tests need, by Cargo.toml.
	// A lock file alone does not tell, and all of it may be built.
	extra := slices.DeleteFunc(list(r.Packages), func(p string) bool { return slices.Contains(want, p) })
	for _, p := range extra {
		if !strings.HasPrefix(p, "winapi") {
			t.Errorf("not in the golden: %s", p)
		}
	}
	for _, p := range want {
		if !slices.Contains(list(r.Packages), p) {
			t.Errorf("only in the golden: %s", p)
		}
	}
}

func FuzzAuditable(f *testing.F) {
	f.Add(program(binary.LittleEndian, true, ".dep-v0", deflated(audit)))
	f.Add(program(binary.BigEndian, false, ".dep-v0", deflated(audit)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if layertest.Claimed(installed{}, "app", 0o755, data) {
			_, _ = installed{}.Read(&layer.File{Path: "app", Data: data})
		}
	})
}

func FuzzCargoLock(f *testing.F) {
	f.Add([]byte("version = 4\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = \"git+x\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _ := declared{}.Read(&layer.File{Path: "Cargo.lock", Data: data})
		for _, p := range r.Packages {
			if p.Name == "" || p.Version == "" {
				t.Errorf("%q gives %v", data, p)
			}
		}
	})
}

// BenchmarkAuditable reads one executable of 200 crates.
func BenchmarkAuditable(b *testing.B) {
	one := `{"name":"crate-name","version":"1.2.3","source":"crates.io","dependencies":[1,2,3]},`
	text := `{"packages":[` + strings.TrimSuffix(strings.Repeat(one, 200), ",") + `]}`
	f := &layer.File{Path: "app", Data: program(binary.LittleEndian, true, ".dep-v0", deflated(text))}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || len(r.Packages) != 200 {
			b.Fatal(len(r.Packages), err)
		}
	}
}

// BenchmarkRefuse refuses one program without the section.
func BenchmarkRefuse(b *testing.B) {
	f := &layer.File{Path: "app", Data: program(binary.LittleEndian, true, ".comment", nil)}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (installed{}).Read(f); err != nil || r.Packages != nil {
			b.Fatal(r, err)
		}
	}
}

// BenchmarkCargoLock reads one Cargo.lock of 200 crates.
func BenchmarkCargoLock(b *testing.B) {
	text := "version = 4\n" + strings.Repeat("[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\n"+
		"source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"0123456789abcdef\"\ndependencies = [\n \"memchr 2.7.4\",\n]\n\n", 200)
	f := &layer.File{Path: "Cargo.lock", Data: []byte(text)}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, err := (declared{}).Read(f); err != nil || len(r.Packages) != 200 {
			b.Fatal(len(r.Packages), err)
		}
	}
}

func list(pkgs []esclusa.Package) []string {
	var l []string
	for _, p := range pkgs {
		l = append(l, p.Name+" "+p.Version)
	}
	slices.Sort(l)
	return l
}
