package dpkg

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

func deb(name, version, arch string, source ...string) esclusa.Package {
	p := esclusa.Package{Type: "deb", Name: name, Version: version, Arch: arch, Reader: "dpkg"}
	if len(source) > 0 {
		p.Source.Name = source[0]
	}
	if len(source) > 1 {
		p.Source.Version = source[1]
	}
	return p
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name, path, data string
		want             []esclusa.Package
		gaps             []string
		err              string
	}{
		{
			name: "source with and without a version",
			data: "Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\nArchitecture: amd64\nDescription: x\n Package: evil\n .\n\n" +
				"Package: libssl3\nStatus: hold ok installed\nSource: openssl\nVersion: 3.0.11-1\nArchitecture: amd64\n\n" +
				"Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nArchitecture: amd64\n",
			want: []esclusa.Package{
				deb("libc6", "2.36-9+b1", "amd64", "glibc", "2.36-9"),
				deb("libssl3", "3.0.11-1", "amd64", "openssl"),
				deb("bash", "5.2-1", "amd64"),
			},
		},
		{
			name: "states without and with files",
			data: "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n\n" +
				"Package: b\nStatus: purge ok not-installed\n\n" +
				"Package: c\nStatus: install ok unpacked\nVersion: 1\n\n" +
				"Package: d\nStatus: install reinstreq half-installed\nVersion: 1\n\n" +
				"Package: e\nStatus: install ok triggers-pending\nVersion: 1\n\n" +
				"Package: f\nStatus: install ok state-of-the-future\nVersion: 1\n",
			want: []esclusa.Package{deb("c", "1", ""), deb("d", "1", ""), deb("e", "1", ""), deb("f", "1", "")},
		},
		{
			name: "distroless has no status",
			path: "var/lib/dpkg/status.d/base",
			data: "Package: base-files\nVersion: 12.4\nArchitecture: amd64",
			want: []esclusa.Package{deb("base-files", "12.4", "amd64")},
		},
		{
			name: "any case, carriage returns, many blank lines",
			data: "\n\nPACKAGE: a\r\nversion:1\r\n\r\n\r\n\n  \nPackage: b\r\nVersion: 2\r\n",
			want: []esclusa.Package{deb("a", "1", ""), deb("b", "2", "")},
		},
		{
			name: "broken stanzas leave the others",
			data: "Package: a\nStatus: install ok installed\n\n" +
				"Version: 1\n\n" +
				"Package: b c\nVersion: 1\n\n" +
				"Package: d\nVersion: 1 2\n\n" +
				"Package: e\nnonsense\nVersion: 1\n\n" +
				"Package: f\nSource: g (1\nVersion: 1\n\n" +
				" continues nothing\nPackage: h\nVersion: 1\n\n" +
				"Package: z\nVersion: 1\n",
			want: []esclusa.Package{deb("e", "1", ""), deb("f", "1", ""), deb("h", "1", ""), deb("z", "1", "")},
			gaps: []string{
				"version of a:1", "dpkg package:4", "dpkg package:6", "version of d:9",
				"dpkg package e:13", "source of f:16", "dpkg package h:20",
			},
		},
		{
			name: "opkg", path: opkgStatus,
			data: "Package: libc\nVersion: 1.2.4-4\nDepends: libgcc1\nStatus: install user installed\nArchitecture: x86_64\n",
			want: []esclusa.Package{{Type: "opkg", Name: "libc", Version: "1.2.4-4", Arch: "x86_64", Reader: "dpkg"}},
		},
		{name: "empty", data: "\n"},
		{name: "no status file at all", data: "\x00\x01\x02", gaps: []string{"dpkg package:1"}, err: "no package stanza in the file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.path
			if path == "" {
				path = statusFile
			}
			res, err := layertest.Read(t, Reader{}, path, 0o644, []byte(tt.data))
			if msg := fmt.Sprint(err); err != nil && msg != tt.err || err == nil && tt.err != "" {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			for i := range tt.want {
				tt.want[i].Path = path
			}
			if diff := cmp.Diff(tt.want, res.Packages, cmpopts.EquateEmpty()); diff != "" {
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

func TestOwned(t *testing.T) {
	tests := []struct {
		name, path, data string
		want             []string
	}{
		{
			name: "folders are left out, merged folders named twice", path: "var/lib/dpkg/info/dash.list",
			data: "/.\n/bin\n/bin/dash\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc-base\n/usr/share/doc-base/x y\n/bin/sh\n",
			want: []string{"bin/dash", "usr/bin/dash", "usr/share/doc", "usr/share/doc-base/x y", "bin/sh", "usr/bin/sh"},
		},
		{
			name: "no last newline", path: "var/lib/dpkg/info/libc6:amd64.list",
			data: "/.\n/usr\n/usr/a", want: []string{"usr/a"},
		},
		{
			name: "distroless", path: "var/lib/dpkg/status.d/base.md5sums",
			data: strings.Repeat("0", 32) + "  usr/lib/os-release\n", want: []string{"usr/lib/os-release"},
		},
		{
			name: "opkg", path: "usr/lib/opkg/info/libc.list",
			data: "/lib/libc.so\t0120777\tld.so\n", want: []string{"lib/libc.so", "usr/lib/libc.so"},
		},
		{
			name: "diversions", path: diversions,
			data: "/usr/share/man/sh.1.gz\n/usr/share/man/sh.distrib.1.gz\ndash\n/bin/x\n/bin/x.orig\n:\n",
			want: []string{"usr/share/man/sh.distrib.1.gz", "bin/x.orig", "usr/bin/x.orig"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := layertest.Read(t, Reader{}, tt.path, 0o644, []byte(tt.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, res.Owned); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// host is a file of this machine's own dpkg database.
func host(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("/var/lib/dpkg/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("not a Debian machine: no /var/lib/dpkg/" + name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func query(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("not installed: dpkg")
	}
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

// TestHostPackages asks dpkg itself what is installed here.
func TestHostPackages(t *testing.T) {
	data := host(t, "status")
	out := query(t, "dpkg-query", "-W", "-f",
		"${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n")
	var want []string
	for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
		state, rest, _ := strings.Cut(s.Text(), " ")
		if state != "config-files" && state != "not-installed" {
			want = append(want, rest)
		}
	}
	res, err := layertest.Read(t, Reader{}, statusFile, 0o644, data)
	if err != nil || len(res.Gaps) > 0 {
		t.Fatalf("error %v, gaps %v", err, res.Gaps)
	}
	var got []string
	for i := range res.Packages {
		p := &res.Packages[i]
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, p.SourceName(), p.SourceVersion()}, " "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dpkg-query (-) and the reader (+):\n%s", diff)
	}
	t.Logf("%d packages", len(got))
}

// TestHostOwned asks dpkg for the files of every tenth package here.
func TestHostOwned(t *testing.T) {
	data := host(t, "status")
	res, err := layertest.Read(t, Reader{}, statusFile, 0o644, data)
	if err != nil {
		t.Fatal(err)
	}
	paths := 0
	for i := 0; i < len(res.Packages); i += 10 {
		p := res.Packages[i]
		list, err := os.ReadFile("/var/lib/dpkg/info/" + p.Name + ".list")
		if errors.Is(err, fs.ErrNotExist) {
			list = host(t, "info/"+p.Name+":"+p.Arch+".list")
		}
		got := listed(list)
		paths += len(got)
		for line := range strings.Lines(query(t, "dpkg", "-L", p.Name+":"+p.Arch)) {
			path := strings.TrimSuffix(line, "\n")
			info, err := os.Stat(path)
			if err != nil || info.IsDir() || !strings.HasPrefix(path, "/") {
				continue // a folder, or dpkg's word on a diversion
			}
			if !slices.Contains(got, path[1:]) {
				t.Errorf("%s: dpkg lists %s, the reader does not", p.Name, path)
			}
		}
	}
	t.Logf("%d paths", paths)
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\nArchitecture: amd64\n\nPackage: x\n"))
	f.Add([]byte("Package: a\nnonsense\n:\n x\nVersion: 1\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		res, err := layertest.Read(t, Reader{}, statusFile, 0o644, data)
		for _, p := range res.Packages {
			if p.Name == "" || p.Version == "" {
				t.Fatalf("package %+v", p)
			}
		}
		if len(bytes.TrimSpace(data)) > 0 && err == nil && len(res.Packages)+len(res.Gaps) == 0 &&
			!bytes.Contains(data, []byte("installed")) && !bytes.Contains(data, []byte("config-files")) {
			t.Fatal("a file with content left neither a package, nor a gap, nor an error")
		}
	})
}

func FuzzOwned(f *testing.F) {
	f.Add([]byte("/.\n/bin\n/bin/sh\n/usr/x\t0755\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{infoDir + "a.list", diversions, statusDir + "a.md5sums"} {
			res, err := layertest.Read(t, Reader{}, path, 0o644, data)
			if err != nil || slices.Contains(res.Owned, "") {
				t.Fatalf("error %v, owned %q", err, res.Owned)
			}
		}
	})
}

func BenchmarkStatus(b *testing.B) {
	data := host(b, "status")
	f := &layer.File{Path: statusFile, Data: data}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() { // the status file of this machine: some 760 packages
		if _, err := (Reader{}).Read(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLists(b *testing.B) {
	host(b, "status")
	names, err := filepath.Glob("/var/lib/dpkg/info/*.list")
	if err != nil {
		b.Fatal(err)
	}
	var files []*layer.File
	size := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		size += len(data)
		files = append(files, &layer.File{Path: strings.TrimPrefix(name, "/"), Data: data})
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() { // every list of this machine: some 120,000 lines
		for _, f := range files {
			if _, err := (Reader{}).Read(f); err != nil {
				b.Fatal(err)
			}
		}
	}
}
