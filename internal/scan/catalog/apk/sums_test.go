package apk

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/layer"
)

// The sums are those of "abc" (FIPS 180-4).
const (
	sha1abc   = "a9993e364706816aba3e25717850c26c9cd0d89d"
	sha256abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
)

func TestSums(t *testing.T) {
	const text = "P:busybox\nV:1.36\nF:bin\nR:busybox\na:0:0:755\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n" +
		"R:unsummed\nF:usr/bin\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n" + // of no file
		"R:new\r\nZ:Q2ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n" +
		"R:bad\nZ:Q1qZk=\nR:worse\nZ:qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n\n" +
		"F:bin\nR:orphan\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n" + // of no package
		"P:x\nF:\nR:init\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0="
	var got [][3]string
	Reader{}.Sums(&layer.File{Data: []byte(text)}, func(path, sum, pkg string) { got = append(got, [3]string{path, sum, pkg}) })
	want := [][3]string{{"bin/busybox", sha1abc, "busybox"}, {"usr/bin/new", sha256abc, "busybox"}, {"init", sha1abc, "x"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzSums(f *testing.F) {
	f.Add([]byte("P:a\nF:bin\nR:b\nZ:Q1qZk+NkcGgWq6PiVxeFDCbJzQ2J0=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		Reader{}.Sums(&layer.File{Data: data}, func(path, sum, pkg string) {
			if path == "" || pkg == "" || len(sum) != 40 && len(sum) != 64 {
				t.Fatalf("path %q, sum %q, package %q", path, sum, pkg)
			}
			if _, err := hex.DecodeString(sum); err != nil {
				t.Fatal(err)
			}
		})
	})
}
