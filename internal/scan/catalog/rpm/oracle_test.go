package rpm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

// tools skips the test where one of rpm's (or Berkeley DB's) tools is absent.
// The Debian packages are rpm, db5.3-util and sqlite3.
func tools(t testing.TB, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			t.Skipf("not installed: %s", n)
		}
	}
}

func run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		if exit != nil {
			t.Fatalf("%v: %v: %s", args, err, exit.Stderr)
		}
		t.Fatalf("%v: %v", args, err)
	}
	return string(out)
}

// spec has what databases differ by: an epoch, a module, files in merged
// folders, a package without files, a key that is no package, and a text that
// needs several pages.
const spec = `Name: alpha
Version: 1.2
Release: 3.el9
Epoch: 2
Summary: first
License: MIT and (GPL-2.0-or-later OR BSD)
ModularityLabel: nodejs:18:8030020200514082133:9edba152
BuildArch: noarch
%description
x
%package libs
Summary: no files
%description libs
%TEXT%
%package -n gpg-pubkey
Summary: a key
%description -n gpg-pubkey
x
%package -n beta
Epoch: 0
Version: 10~rc1
Summary: other version
%description -n beta
x
%files
/bin/alpha
%dir /etc/alpha
/etc/alpha/conf
%files libs
%files -n gpg-pubkey
%files -n beta
/usr/share/beta
%install
mkdir -p %{buildroot}/bin %{buildroot}/etc/alpha %{buildroot}/usr/share/beta/deep
echo 1 > %{buildroot}/bin/alpha; echo 2 > %{buildroot}/etc/alpha/conf
echo 3 > %{buildroot}/usr/share/beta/deep/file; ln -s file %{buildroot}/usr/share/beta/deep/link
`

// built makes packages and installs them into an SQLite database; it returns
// the folder of the database.
func built(t testing.TB) string {
	t.Helper()
	tools(t, "rpm", "rpmbuild")
	dir := t.TempDir()
	text := strings.ReplaceAll(spec, "%TEXT%", strings.Repeat("A line of a long description, again.\n", 2000))
	if err := os.WriteFile(dir+"/alpha.spec", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "debug_package %{nil}", dir+"/alpha.spec")
	packages, err := filepath.Glob(dir + "/RPMS/noarch/*.rpm")
	if err != nil || len(packages) != 4 {
		t.Fatalf("packages %v, error %v", packages, err)
	}
	db := dir + "/db"
	run(t, "", append([]string{"rpm", "--dbpath", db, "--justdb", "--nodeps", "-i"}, packages...)...)
	return db
}

// TestBuilt reads the same packages from databases of all three forms.
func TestBuilt(t *testing.T) {
	sqliteDir := built(t)
	data, err := os.ReadFile(sqliteDir + "/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("sqlite", func(t *testing.T) { agrees(t, "sqlite", sqliteDir, "rpmdb.sqlite") })

	var blobs [][]byte
	if err := readSQLite(data, func(blob []byte, err error) bool {
		if err != nil {
			t.Error(err)
		}
		blobs = append(blobs, slices.Clone(blob))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for _, pageSize := range []int{512, 4096, 65536} {
		t.Run(fmt.Sprintf("bdb with pages of %d", pageSize), func(t *testing.T) {
			agrees(t, "bdb_ro", loadBDB(t, blobs, pageSize), "Packages")
		})
	}
	t.Run("ndb", func(t *testing.T) {
		want, err := layertest.Read(t, Reader{}, "var/lib/rpm/rpmdb.sqlite", 0o644, data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := layertest.Read(t, Reader{}, "var/lib/rpm/rpmdb.sqlite", 0o644, makeNDB(blobs))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// loadBDB has Berkeley DB's own tool write the database.
func loadBDB(t testing.TB, blobs [][]byte, pageSize int) string {
	t.Helper()
	tools(t, "db5.3_load")
	dir := t.TempDir()
	var dump strings.Builder
	fmt.Fprintf(&dump, "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=%d\nHEADER=END\n", pageSize)
	fmt.Fprintf(&dump, " 00000000\n %02x000000\n", len(blobs))
	for i, b := range blobs {
		fmt.Fprintf(&dump, " %02x000000\n %x\n", i+1, b)
	}
	dump.WriteString("DATA=END\n")
	run(t, dump.String(), "db5.3_load", dir+"/Packages")
	return dir
}

// real are the databases of images that another reader of rpm databases is
// tested with; they are not in this repository (size, licences).
const real = "github.com/knqyf263/go-rpmdb@v0.1.1"

// TestReal reads databases of real images, CentOS 5 to SLE 15.
func TestReal(t *testing.T) {
	tools(t, "rpm", "go")
	cache := strings.TrimSpace(run(t, "", "go", "env", "GOMODCACHE"))
	var dirs []string
	for _, name := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
		found, err := filepath.Glob(filepath.Join(cache, real, "pkg/testdata/*/", name))
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, found...)
	}
	if len(dirs) == 0 {
		t.Skipf("not downloaded: go mod download %s", real)
	}
	for _, file := range dirs {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir() // rpm takes locks in it
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o600); err != nil {
				t.Fatal(err)
			}
			switch filepath.Base(file) {
			case "Packages":
				agrees(t, "bdb_ro", dir, "Packages")
			case "rpmdb.sqlite":
				agrees(t, "sqlite", dir, "rpmdb.sqlite")
			default:
				// Debian's rpm reads no ndb: it is given the headers that the
				// reader found, and says what is in them.
				agrees(t, "sqlite", dir, imported(t, dir, data))
			}
		})
	}
}

// imported makes an SQLite database of the headers of an ndb.
func imported(t testing.TB, dir string, data []byte) string {
	t.Helper()
	var list strings.Builder
	if err := readNDB(data, func(blob []byte, err error) bool {
		if err != nil {
			t.Error(err)
		}
		list.WriteString("\x8e\xad\xe8\x01\x00\x00\x00\x00") // magic of a header in a file
		list.Write(blob)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	run(t, list.String(), "rpmdb", "--importdb", "--dbpath", dir)
	return "Packages.db"
}

// agrees compares packages and files with what rpm says of the same database.
func agrees(t *testing.T, backend, dir, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	f := &layer.File{Path: "var/lib/rpm/" + name, Data: data}
	res, err := Reader{}.Read(f)
	if err != nil || len(res.Gaps) > 0 {
		t.Fatalf("error %v, gaps %v", err, res.Gaps)
	}
	query := func(format string) []string {
		out := run(t, "", "rpm", "--dbpath", dir, "--define", "_db_backend "+backend, "--nosignature", "--nodigest", "-qa", "--qf", format)
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	var want []string
	for _, line := range query(`%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{MODULARITYLABEL}\t%{LICENSE}\n`) {
		if !strings.HasPrefix(line, "gpg-pubkey\t") {
			want = append(want, strings.ReplaceAll(line, "\t0:", "\t"))
		}
	}
	var got []string
	for i := range res.Packages {
		got = append(got, asRPM(&res.Packages[i], want))
	}
	same(t, "packages", want, got)

	var paths []string
	for _, line := range query(`[%{FILEMODES:octal} %{FILENAMES}\n]`) {
		mode, path, ok := strings.Cut(line, " ")
		if !ok || strings.HasPrefix(mode, "04") && len(mode) == 6 || strings.HasPrefix(mode, "4") && len(mode) == 5 {
			continue // no file, or a folder
		}
		paths = catalog.AppendOwned(paths, path)
	}
	same(t, "paths", paths, res.Owned)

	var wantSums, sums []string
	for _, line := range query(`[%{FILEDIGESTS}|%{FILEFLAGS}|%{FILEVERIFYFLAGS}|%{=NAME}|%{FILENAMES}\n]`) {
		v := strings.SplitN(line, "|", 5)
		if len(v) < 5 || v[0] == "" || v[0] == "(none)" {
			continue
		}
		flags, err1 := strconv.ParseUint(v[1], 10, 32)
		verify, err2 := strconv.ParseUint(v[2], 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if flags&(flagConfig|flagGhost) == 0 && verify&verifyDigest != 0 {
			wantSums = append(wantSums, v[3]+" "+v[0]+" "+strings.TrimPrefix(v[4], "/"))
		}
	}
	Reader{}.Sums(f, func(path, sum, pkg string) { sums = append(sums, pkg+" "+sum+" "+path) })
	same(t, "sums", wantSums, sums)
	t.Logf("%d packages, %d paths, %d sums", len(got), len(paths), len(sums))
}

// asRPM writes a package as the query does. Of a module only name and stream
// are kept: the rest is taken from the line of the same package.
func asRPM(p *esclusa.Package, lines []string) string {
	source := "(none)"
	if p.Source.Name != "" {
		source = p.Source.Name + "-" + p.Source.Version + ".src.rpm"
	}
	head := p.Name + "\t" + p.Version + "\t" + orNone(p.Arch) + "\t" + source + "\t"
	module := orNone(p.Modular)
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, head); ok {
			label, _, _ := strings.Cut(rest, "\t")
			if p.Modular != "" && strings.HasPrefix(label, p.Modular+":") {
				module = label
			}
		}
	}
	license := ""
	if len(p.Licenses) > 0 {
		license = p.Licenses[0]
	}
	return head + module + "\t" + license
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: rpm (-) and the reader (+):\n%.4000s", what, diff)
	}
}
