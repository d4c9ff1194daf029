package realimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/klauspost/compress/zstd"
)

// image is the built image: its layers, and the root as the last step left it.
type image struct {
	root   string
	layers []registrytest.Layer // of blobs
}

// spec is the image with some layers changed.
func (im *image) spec(change func(layers []registrytest.Layer) []registrytest.Layer) registrytest.Spec {
	layers := slices.Clone(im.layers)
	if change != nil {
		layers = change(layers)
	}
	return registrytest.Spec{Layers: layers}
}

// layerOf is the index of a step.
func layerOf(t testing.TB, name string) int {
	t.Helper()
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no step %q", name)
	}
	return i
}

//go:embed steps_test.go
var recipe []byte

var made struct {
	sync.Mutex
	image *image
}

// realImage is the image, built once per machine and recipe: the key of the
// cache is steps_test.go. It skips where it
// cannot be built, and fails there when ESCLUSA_TRUTH=required.
func realImage(t testing.TB) *image {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if made.image != nil {
		return made.image
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		absent(t, err.Error())
	}
	sum := sha256.Sum256(recipe)
	dir := filepath.Join(cache, "esclusa-test", "realimage-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(dir); err != nil {
		if why := cannotBuild(); why != "" {
			absent(t, why)
		}
		if err := buildOnce(dir); err != nil {
			t.Fatalf("build the image: %v", err)
		}
	}
	im := &image{root: filepath.Join(dir, "root")}
	for _, s := range steps {
		blob, err := os.ReadFile(filepath.Join(dir, s.name+".blob"))
		if err != nil {
			t.Fatal(err)
		}
		diffID, err := os.ReadFile(filepath.Join(dir, s.name+".diffid"))
		if err != nil {
			t.Fatal(err)
		}
		im.layers = append(im.layers, registrytest.Layer{
			// Tar must not be nil; the diff-ID is known already.
			Tar: []byte{}, Blob: blob, DiffID: string(diffID), Compression: s.compression, CreatedBy: s.createdBy,
		})
	}
	made.image = im
	return im
}

func absent(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("ESCLUSA_TRUTH") == "required" {
		t.Fatalf("real image absent: %s", why)
	}
	t.Skipf("real image absent: %s", why)
}

// aptMirrors are the addresses that apt uses on this machine.
var aptMirrors = sync.OnceValue(func() []string {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	more, _ := filepath.Glob("/etc/apt/sources.list.d/*.list")
	var out []string
	for _, f := range append(append(files, more...), "/etc/apt/sources.list") {
		text, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(text)) {
			if strings.HasPrefix(w, "http://") || strings.HasPrefix(w, "https://") {
				out = append(out, strings.TrimSuffix(w, "/"))
			}
		}
	}
	return out
})

func aptMirror(suffix string) string {
	for _, m := range aptMirrors() {
		if strings.HasSuffix(m, suffix) {
			return m
		}
	}
	return ""
}

func debianMirror() string   { return aptMirror("/debian") }
func debianSecurity() string { return aptMirror("/debian-security") }

// cannotBuild says what is missing. A build that fails for any other reason
// is a failure.
func cannotBuild() string {
	if os.Geteuid() != 0 {
		return "only root can make a root file system with its owners"
	}
	for _, tool := range []string{"mmdebstrap", "npm", "node", "go", "dpkg-query", "python3", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	client := &http.Client{Timeout: 20 * time.Second}
	if debianMirror() == "" || debianSecurity() == "" {
		return "apt names no mirror of Debian and of its security updates"
	}
	resp, err := client.Head(debianMirror() + "/dists/bullseye/Release")
	if err != nil {
		return "no network: " + err.Error()
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "Debian's mirror answers " + resp.Status
	}
	if out, err := exec.Command("npm", "view", "lodash@4.17.15", "version").CombinedOutput(); err != nil {
		return fmt.Sprintf("no npm registry: %v: %s", err, lastLine(out))
	}
	if out, err := exec.Command("go", "mod", "download", "gopkg.in/yaml.v2@v2.2.2").CombinedOutput(); err != nil {
		return fmt.Sprintf("no Go modules: %v: %s", err, lastLine(out))
	}
	return ""
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// builder changes a root, step by step.
type builder struct {
	root string
	work string // is not part of the image
}

func (b *builder) run(dir, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", c, err, out[max(0, len(out)-2000):])
	}
	return nil
}

func (b *builder) write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// buildOnce waits for other processes that build, and sweeps what killed ones
// left behind.
func buildOnce(dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(parent, ".lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	left, err := filepath.Glob(filepath.Join(parent, ".building-*"))
	if err != nil {
		return err
	}
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			return err
		}
	}
	return build(dir)
}

// build makes the folder, or leaves nothing.
func build(dir string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".building-")
	if err != nil {
		return err
	}
	defer func() { err = joinRemove(err, tmp) }()
	if err := os.Chmod(tmp, 0o755); err != nil { // apt has a user of its own
		return err
	}
	b := &builder{root: filepath.Join(tmp, "root"), work: filepath.Join(tmp, "work")}
	var before snapshot
	for _, s := range steps {
		if err := s.do(b); err != nil {
			return fmt.Errorf("step %s: %w", s.name, err)
		}
		after, err := snap(b.root)
		if err != nil {
			return err
		}
		if err := pack(filepath.Join(tmp, s.name), b.root, s.compression, before, after); err != nil {
			return fmt.Errorf("pack %s: %w", s.name, err)
		}
		before = after
	}
	return os.Rename(tmp, dir)
}

func joinRemove(err error, dir string) error {
	if rerr := os.RemoveAll(dir); err == nil {
		return rerr
	}
	return err
}

// snapshot is what a change to a file changes, by path.
type snapshot map[string]entry

type entry struct {
	mode     fs.FileMode
	size     int64
	ino      uint64
	changed  syscall.Timespec // ctime: no program can set it back
	uid, gid uint32
	links    uint64
}

func snap(root string) (snapshot, error) {
	s := snapshot{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		e := entry{info.Mode(), info.Size(), st.Ino, st.Ctim, st.Uid, st.Gid, uint64(st.Nlink)}
		if d.IsDir() { // what happens inside of it stands for itself
			e.size, e.changed, e.links = 0, syscall.Timespec{}, 0
		}
		s[name[len(root)+1:]] = e
		return nil
	})
	return s, err
}

// pack writes the difference as a layer: NAME.blob and NAME.diffid.
func pack(name, root string, c registrytest.Compression, before, after snapshot) error {
	f, err := os.Create(name + ".blob")
	if err != nil {
		return err
	}
	defer f.Close()
	var z io.WriteCloser = gzip.NewWriter(f)
	if c == registrytest.Zstd {
		if z, err = zstd.NewWriter(f); err != nil {
			return err
		}
	}
	sum := sha256.New()
	w := tar.NewWriter(io.MultiWriter(z, sum))
	if err := writeDiff(w, root, before, after); err != nil {
		return err
	}
	for _, c := range []io.Closer{w, z, f} {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return os.WriteFile(name+".diffid", []byte("sha256:"+hex.EncodeToString(sum.Sum(nil))), 0o644)
}

func writeDiff(w *tar.Writer, root string, before, after snapshot) error {
	var names []string
	for name, e := range after {
		if before[name] != e {
			names = append(names, name)
		}
	}
	for name := range before {
		_, there := after[name]
		_, parent := after[filepath.Dir(name)]
		if !there && (parent || !strings.Contains(name, "/")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	first := map[uint64]string{} // by inode, for hard links
	for _, name := range names {
		e, there := after[name]
		if !there {
			h := &tar.Header{Name: filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name)), Typeflag: tar.TypeReg, Mode: 0o644, ModTime: registrytest.Epoch}
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			continue
		}
		if err := writeEntry(w, root, name, e, first); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func writeEntry(w *tar.Writer, root, name string, e entry, first map[uint64]string) error {
	path := filepath.Join(root, name)
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target := ""
	if e.mode&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	if e.mode&fs.ModeSocket != 0 {
		return nil
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname, h.AccessTime, h.ChangeTime = name, "", "", time.Time{}, time.Time{}
	if e.mode.IsDir() {
		h.Name += "/"
	}
	if e.mode.IsRegular() && e.links > 1 {
		if at, ok := first[e.ino]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, at, 0
			return w.WriteHeader(h)
		}
		first[e.ino] = name
	}
	if err := w.WriteHeader(h); err != nil || !e.mode.IsRegular() {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(content))
	return err
}
