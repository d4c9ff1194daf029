package tarwalk

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/base64"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/esclusa/esclusa/internal/truth"
)

var layers = flag.String("layers", "", "folder of layers, *.tar and *.tar.gz, to hold against archive/tar as well")

// TestLayers walks real layers: the Go installation as tar packs it, and,
// where a folder of layers is named, those.
func TestLayers(t *testing.T) {
	t.Run("go", func(t *testing.T) {
		pack := func() io.Reader { return packed(t, truth.GoRoot(t)) }
		if c := agree(t, Chunks(pack()), pack()); c.entries < 10_000 {
			t.Errorf("%+v: hardly a Go installation", c)
		}
	})
	if *layers == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(*layers, "*.tar*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no layers in %s: %v", *layers, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c := agree(t, Chunks(unpacked(t, name)), unpacked(t, name))
			if t.Logf("%+v", c); c.entries == 0 {
				t.Error("nothing in it")
			}
		})
	}
}

// packed is a tar of a folder, on its way.
func packed(t *testing.T, dir string) io.Reader {
	t.Helper()
	c := exec.CommandContext(t.Context(), "tar", "-c", ".")
	c.Dir = dir
	r, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Wait() }) // killed, where the end is not read
	return r
}

func unpacked(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if !strings.HasSuffix(name, ".gz") {
		return struct{ io.Reader }{f} // no Seek
	}
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// goTars are the tars that archive/tar itself is tested with: odd, broken and
// hostile ones.
func goTars(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(truth.GoRoot(t), "src/archive/tar/testdata/*.tar*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = f
		switch filepath.Ext(name) {
		case ".bz2":
			r = bzip2.NewReader(f)
		case ".base64":
			r = base64.NewDecoder(base64.StdEncoding, f)
		}
		data, err := io.ReadAll(r)
		if f.Close(); err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = data
	}
	return all
}

func TestGoTars(t *testing.T) {
	var all census
	for name, data := range goTars(t) {
		t.Run(name, func(t *testing.T) { all.add(agreeAll(t, data)) })
	}
	if all.entries < 60 || all.sparse < 8 || all.refused < 5 {
		t.Errorf("%+v: the tars are not those that we know", all)
	}
}

// tree is a folder with a file of each kind that a program can pack.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, size int, mode os.FileMode) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(at(name)), 0o755))
		must(os.WriteFile(at(name), bytes.Repeat([]byte("content "), size/8+1)[:size], mode))
		must(os.Chmod(at(name), mode))
	}
	long := strings.Repeat("folder/", 40)
	for name, size := range map[string]int{
		"a/empty": 0, "a/one": 1, "a/block": 512, "a/large": 100_000, "größe/日本": 10, "not\xffutf8": 10, long + "file": 20,
		long + strings.Repeat("n", 200): 600,
	} {
		write(name, size, 0o644)
	}
	write("a/setuid", 5, 0o755|os.ModeSetuid)
	write("a/sticky", 5, 0o700|os.ModeSticky|os.ModeSetgid)
	must(os.Symlink("one", at("a/link")))
	must(os.Symlink(long, at("a/far")))
	must(os.Link(at(long+"file"), at("a/hard")))
	must(syscall.Mkfifo(at("a/fifo"), 0o600))
	for name, parts := range map[string][]int64{
		"holes/none": {}, "holes/front": {1 << 20}, "holes/many": {0, 1 << 16, 3 << 16, 5 << 16, 9 << 16, 12 << 16, 20 << 16},
	} {
		write(name, 0, 0o644)
		f, err := os.OpenFile(at(name), os.O_WRONLY, 0)
		must(err)
		for _, p := range parts {
			_, err = f.WriteAt(bytes.Repeat([]byte("data"), 1024), p)
			must(err)
		}
		must(f.Truncate(2 << 20))
		must(f.Close())
	}
	return dir
}

// TestTools walks what the tar programs at hand write.
func TestTools(t *testing.T) {
	dir := tree(t)
	out := filepath.Join(t.TempDir(), "out.tar")
	py := func(format string) []string {
		return []string{"python3", "-c", "import sys,tarfile; tarfile.open(sys.argv[1],'w',format=tarfile." + format + ").add('.')", out}
	}
	gnu := func(args ...string) []string { return append(append([]string{"tar", "-cf", out}, args...), ".") }
	bsd := func(format string) []string { return []string{"bsdtar", "--format=" + format, "-cf", out, "."} }
	for name, tt := range map[string]struct {
		command []string
		entries int // at least: old formats leave out what they have no room for
		sparse  bool
	}{
		"gnu":         {gnu("--format=gnu"), 60, false},
		"oldgnu":      {gnu("--format=oldgnu"), 60, false},
		"pax":         {gnu("--format=pax"), 60, false},
		"ustar":       {gnu("--format=ustar"), 50, false},
		"v7":          {gnu("--format=v7"), 20, false},
		"gnu -S":      {gnu("--format=gnu", "-S"), 60, true},
		"pax -S 0.0":  {gnu("--format=pax", "-S", "--sparse-version=0.0"), 60, true},
		"pax -S 0.1":  {gnu("--format=pax", "-S", "--sparse-version=0.1"), 60, true},
		"pax -S 1.0":  {gnu("--format=pax", "-S", "--sparse-version=1.0"), 60, true},
		"pax xattrs":  {gnu("--format=pax", "--xattrs", "--numeric-owner", "--owner=3000000"), 60, false},
		"global":      {gnu("--format=pax", "--pax-option=globexthdr.name=etc/passwd,comment=all"), 61, false},
		"label":       {gnu("--format=gnu", "-V", "volume"), 61, false},
		"incremental": {gnu("--format=gnu", "-g", "/dev/null"), 60, false},
		"bsd pax":     {bsd("pax"), 60, true},
		"bsd gnutar":  {bsd("gnutar"), 60, false},
		"bsd ustar":   {bsd("ustar"), 50, false},
		"bsd v7":      {bsd("v7tar"), 20, false},
		"python pax":  {py("PAX_FORMAT"), 60, false},
		"python gnu":  {py("GNU_FORMAT"), 60, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(tt.command[0]); err != nil {
				t.Skipf("not installed: %s", tt.command[0])
			}
			c := exec.Command(tt.command[0], tt.command[1:]...)
			c.Dir = dir
			text, runErr := c.CombinedOutput()
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatalf("%v: %s", runErr, text)
			}
			got := agreeAll(t, data)
			if got.entries < tt.entries || got.refused != 0 || (got.sparse == 3) != tt.sparse {
				t.Errorf("%+v; %v: %s", got, runErr, text)
			}
		})
	}
}

// TestDeb walks the tar inside a Debian package.
func TestDeb(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("not installed: dpkg-deb")
	}
	dir := tree(t)
	if err := os.Mkdir(filepath.Join(dir, "DEBIAN"), 0o755); err != nil {
		t.Fatal(err)
	}
	control := "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: x\n"
	if err := os.WriteFile(filepath.Join(dir, "DEBIAN/control"), []byte(control), 0o644); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(t.TempDir(), "x.deb")
	if out, err := exec.Command("dpkg-deb", "--build", "--root-owner-group", dir, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := exec.Command("dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	if c := agreeAll(t, data); c.entries < 60 || c.refused != 0 {
		t.Errorf("%+v", c)
	}
}
