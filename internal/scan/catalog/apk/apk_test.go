package apk

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

const path = "lib/apk/db/installed"

const sample = `C:Q1p78yvTLG094tHE1+dToJGbmYzQE=
P:musl
V:1.2.4_git20230717-r4
A:x86_64
S:407278
I:667648
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Somebody <somebody@example.org>
t:1700000000
c:ca7f2ab5e88794e4e654b40776f8a92256f50639
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1fmkL93eTtzYi84eh2q0NqeLAvBs=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=

P:libcrypto3
V:3.1.4-r5
A:x86_64
L:Apache-2.0
o:openssl
F:etc
F:etc/ssl
R:openssl.cnf
F:
R:top

`

func TestRead(t *testing.T) {
	pkg := func(name, version, arch, origin string, licenses ...string) esclusa.Package {
		return esclusa.Package{
			Type: "apk", Name: name, Version: version, Arch: arch, Licenses: licenses,
			Source: esclusa.SourcePackage{Name: origin}, Reader: "apk", Place: esclusa.Place{Path: path},
		}
	}
	tests := []struct {
		name, data string
		want       []esclusa.Package
		owned      []string
		gaps       []string
		err        string
	}{
		{
			name: "two packages", data: sample,
			want: []esclusa.Package{
				pkg("musl", "1.2.4_git20230717-r4", "x86_64", "musl", "MIT"),
				pkg("libcrypto3", "3.1.4-r5", "x86_64", "openssl", "Apache-2.0"),
			},
			owned: []string{
				"lib/ld-musl-x86_64.so.1", "usr/lib/ld-musl-x86_64.so.1",
				"lib/libc.musl-x86_64.so.1", "usr/lib/libc.musl-x86_64.so.1",
				"etc/ssl/openssl.cnf", "top",
			},
		},
		{
			name: "the case of a letter matters: o is the origin, O is not",
			data: "P:a\nV:1-r0\nO:other\np:provides\nv:9\n", want: []esclusa.Package{pkg("a", "1-r0", "", "")},
		},
		{
			name: "broken entries leave the others",
			data: "V:1\n\nP:b\n\nP:c\nV:1 2\n\nP:d\nnonsense\nV:1\n\nP:e\nV:1",
			want: []esclusa.Package{pkg("d", "1", "", ""), pkg("e", "1", "", "")},
			gaps: []string{"apk package:1", "version of b:3", "version of c:5", "apk package d:9"},
		},
		{name: "empty", data: ""},
		{name: "no database", data: "\x00\x01", gaps: []string{"apk package:1"}, err: "no package in the file"},
		{
			name: "a path longer than any",
			data: "P:a\nV:1\nF:" + strings.Repeat("x", 4096) + "\nR:y\nF:z\nR:z\n",
			want: []esclusa.Package{pkg("a", "1", "", "")}, owned: []string{"z/z"}, gaps: []string{"paths of apk packages:0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := layertest.Read(t, Reader{}, path, 0o644, []byte(tt.data))
			if msg := fmt.Sprint(err); err != nil && msg != tt.err || err == nil && tt.err != "" {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, res.Packages, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.owned, res.Owned); diff != "" {
				t.Error(diff)
			}
			var gaps []string
			for _, g := range res.Gaps {
				gaps = append(gaps, fmt.Sprintf("%s:%d", g.What, g.Line))
			}
			if diff := cmp.Diff(tt.gaps, gaps); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPathsAreBounded is an attack: a long folder named once, and many files
// of one byte in it.
func TestPathsAreBounded(t *testing.T) {
	data := "P:a\nV:1\nF:" + strings.Repeat("x", 4000) + "\n" + strings.Repeat("R:y\n", 100_000)
	res, err := layertest.Read(t, Reader{}, path, 0o644, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, p := range res.Owned {
		size += len(p)
	}
	if limit := 5 * len(data); size == 0 || size > limit || len(res.Gaps) != 1 {
		t.Errorf("%d bytes of paths from %d (limit %d), gaps %v", size, len(data), limit, res.Gaps)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("P:a\nnonsense\nF:\nR:\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := layertest.Read(t, Reader{}, path, 0o644, data)
		for _, p := range res.Packages {
			if p.Name == "" || p.Version == "" {
				t.Fatalf("package %+v", p)
			}
		}
		if len(bytes.TrimSpace(data)) > 0 && err == nil && len(res.Packages)+len(res.Gaps) == 0 {
			t.Fatal("a file with content left neither a package, nor a gap, nor an error")
		}
		if slices.Contains(res.Owned, "") {
			t.Fatal("an empty path is owned")
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data := bytes.Repeat([]byte(sample), 100)
	f := &layer.File{Path: path, Data: data}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() { // a database of 200 packages and 400 paths
		if _, err := (Reader{}).Read(f); err != nil {
			b.Fatal(err)
		}
	}
}
