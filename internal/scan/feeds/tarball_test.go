package feeds

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/scan/advisory"
)

func tarOf(t testing.TB, format tar.Format, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		h := tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Format: format}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTarballHoles: a file of zeros is itself where tar stores it whole, and
// an error that says what to do where tar leaves its zeros out.
func TestTarballHoles(t *testing.T) {
	dir := t.TempDir()
	const size = 1 << 20
	if err := os.Truncate(write(t, dir, "kev.json", nil), size); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"whole": nil, "gnu": {"-S", "--format=gnu"}, "pax": {"-S", "--format=pax"}} {
		file := filepath.Join(t.TempDir(), "mirror.tar")
		c := exec.Command("tar", append(flags, "-cf", file, "kev.json")...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got, err := openTarball(file)
		if name == "whole" {
			if err != nil || len(got.files) != 1 || got.files[0].size != size {
				t.Errorf("whole: %+v, %v", got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// FuzzTarball: what is fetched from a tar is what archive/tar reads in it.
func FuzzTarball(f *testing.F) {
	files := map[string]string{"m/kev.json": "{}", "m/osv/Go/all.zip": "PK", strings.Repeat("long/", 60) + "epss.csv.gz": "x"}
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		f.Add(tarOf(f, format, files))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		name := write(t, dir, "mirror.tar", data)
		got, err := openTarball(name)
		if err != nil {
			return
		}
		first := map[string]bool{}
		for r := tar.NewReader(bytes.NewReader(data)); ; {
			h, err := r.Next()
			if err != nil {
				if err != io.EOF {
					t.Errorf("opened, and then: %v", err)
				}
				return
			}
			at := path.Clean("/" + h.Name)
			if h.Typeflag != tar.TypeReg || first[at] || at == "/" {
				continue
			}
			first[at] = true
			want, err := io.ReadAll(r)
			if err != nil {
				t.Errorf("%q: opened, and then: %v", at, err)
			}
			checkFetch(t, got, at[1:], want)
		}
	})
}

func checkFetch(t *testing.T, from *tarball, at string, want []byte) {
	t.Helper()
	// The end of the path is enough, so that another may come before.
	only := &tarball{path: from.path}
	for _, m := range from.files {
		if m.name == "/"+at {
			only.files = append(only.files, m)
		}
	}
	c, err := only.fetch(t.Context(), Spec{Path: at, MaxSize: 1 << 30}, advisory.Source{}, func(int64, int64) {})
	if err != nil {
		t.Fatalf("%q: %v", at, err)
	}
	defer c.close()
	data, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
	if err != nil || !bytes.Equal(data, want) {
		t.Errorf("%q: %d bytes of %d, %v", at, len(data), len(want), err)
	}
}
