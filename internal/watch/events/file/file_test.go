package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/watch/events"
)

// container is the root of a container: an overlay, and how its files are
// named by who is on the host.
func container(t *testing.T, lower map[string]string) string {
	t.Helper()
	kerneltest.Needs(t)
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range lower {
		write(t, filepath.Join(dir, "lower", name), text)
	}
	root := filepath.Join(dir, "root")
	if err := unix.Mount("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	return root
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// posts keeps what a source tells.
type posts [][]byte

func (p *posts) Add(_ kernel.Kind, pid int32, body []byte) {
	if pid == int32(os.Getpid()) { // other tests have containers, too
		*p = append(*p, body)
	}
}

func (p *posts) Lose(k kernel.Kind) { *p = append(*p, []byte(k.String())) } // cannot be decoded

// watch is what a source tells while do runs, as "path op old mode".
func watch(t *testing.T, files events.Files, do func()) (story []string) {
	t.Helper()
	s, err := newSource(events.Scope{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		do()
		time.Sleep(10 * time.Millisecond)
	}()
	var to posts
	if err := s.Run(ctx, &to); err != nil {
		t.Fatal(err)
	}
	for _, body := range to {
		var e esclusa.Event
		if err := decode(append(make([]byte, kernel.HeadSize), body...), &e); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, f := range e.Fields {
			line += fmt.Sprint(f.Value(), " ")
		}
		story = append(story, line)
	}
	return story
}

// TestOverlay does to files of a container what can be done to them.
func TestOverlay(t *testing.T) {
	root := container(t, map[string]string{"etc/passwd": "x", "etc/shadow": "y", "bin/tool": "z", "etc/plain": "p"})
	at := func(p string) string { return filepath.Join(root, p) }
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	files := events.Files{
		{Match: events.Whole, Text: "/etc/passwd", Ops: []string{"write", "create", "rename"}},
		{Match: events.Suffix, Text: "/etc/shadow", Ops: []string{"read"}},
		{Match: events.Prefix, Text: "/etc/cron.d/"},
		{Match: events.Prefix, Text: "/bin/"},
	}
	got := watch(t, files, func() {
		write(t, at("etc/plain"), "nobody asks for it")
		write(t, at("etc/cron.d/new"), "a folder and a file, at once")
		must(os.Chmod(at("bin/tool"), 0o755))
		write(t, at("etc/passwd"), "of a lower layer")
		must(os.WriteFile(at("etc/x"), nil, 0o644))
		must(os.Rename(at("etc/x"), at("etc/passwd")))
		must(os.Symlink("tool", at("bin/link")))
		must(os.Link(at("etc/plain"), at("bin/hard")))
		_, err := os.ReadFile(at("etc/shadow"))
		must(err)
		time.Sleep(100 * time.Millisecond) // by now the new file is marked
		write(t, at("etc/cron.d/new"), "in place")
		must(os.Remove(at("bin/tool")))
	})
	// What happens within a moment may be told in another order, and reading is
	// told by the path on the host, where this test is.
	want := []string{
		"/etc/cron.d/new create  420 ", "/bin/tool chmod  493 ", "/etc/passwd write  420 ", "/etc/passwd rename /etc/x 420 ",
		"/bin/link link tool 0 ", "/bin/hard link  420 ", at("etc/shadow") + " read  420 ",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

func FuzzMessage(f *testing.F) {
	info := append(make([]byte, fsidSize), 8, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 'x', 0)
	m := make([]byte, metadataSize)
	m[4], m[6] = unix.FANOTIFY_METADATA_VERSION, metadataSize
	head := []byte{unix.FAN_EVENT_INFO_TYPE_DFID_NAME, 0, byte(headerSize + len(info)), 0}
	m = append(append(m, head...), info...)
	binary.LittleEndian.PutUint32(m, uint32(len(m)))
	f.Add(m)
	f.Add(append(slices.Clone(m), m...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := next(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			if m.at.folder != "" {
				h := handle(m.at.folder)
				_ = h.Bytes()
			}
			b = rest
		}
	})
}

func FuzzOverlays(f *testing.F) {
	f.Add([]byte(`36 35 98:0 / /run/c\040d/rootfs rw - overlay overlay rw,lowerdir=/l/1:/l/2,upperdir=/u,workdir=/w` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := overlays(bytes.NewReader(b))
		if err != nil {
			return
		}
		for upper, o := range found {
			if upper != o.upper || !filepath.IsAbs(upper) {
				t.Errorf("%q: %+v", upper, o)
			}
		}
	})
}
