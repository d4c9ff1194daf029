package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mount mounts for the time of the test. A real disk that fails needs root.
func mount(t *testing.T, source, typ, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	run(t, "mount", "-t", typ, "-o", options, source, dir)
	t.Cleanup(func() { run(t, "umount", dir) })
	return dir
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// noise is a record that does not shrink, and says which one it is.
func noise(i, size int) []byte {
	b := fmt.Appendf(nil, "%8d ", i)
	random := rand.New(rand.NewPCG(5, uint64(i)))
	for len(b) < size {
		b = append(b, byte(random.Uint32()))
	}
	return b
}

// pour appends up to n records of 1 KiB, every tenth an audit record which is
// synced, until three of those failed. It returns how many audit records were
// taken, the numbers that were said to be durable, and the first failure.
func pour(t *testing.T, s *Spool, n int) (audits int, durable []uint64, failed error) {
	t.Helper()
	failures := 0
	for i := 0; i < n && failures < 3; i++ {
		if i%10 != 0 {
			if _, err := s.Append(Event, noise(i, 1<<10)); err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			continue
		}
		seq, err := s.Append(Audit, noise(i, 1<<10))
		if err != nil {
			t.Fatal(err)
		}
		audits++
		if err = s.Sync(t.Context(), Audit, seq); err == nil {
			durable = append(durable, seq)
			continue
		}
		failures++
		if failed == nil {
			failed = err
		}
	}
	return audits, durable, failed
}

// wantAll: what was durable is there, and all numbers are accounted for.
func wantAll(t *testing.T, a *account, durable []uint64, issued uint64) {
	t.Helper()
	for _, seq := range durable {
		if !strings.HasPrefix(a.records[seq], "audit") {
			t.Fatalf("%d was durable and is not there", seq)
		}
	}
	if a.next-1 != issued || len(a.records)+sum(a.lost) != int(issued) {
		t.Fatalf("%d stored and %v lost up to %d of %d", len(a.records), a.lost, a.next-1, issued)
	}
}

// TestNoSpace fills a real file system: events make room for audit records,
// audit records that do not fit are told and not lost, and when there is space
// again everything goes on.
func TestNoSpace(t *testing.T) {
	disk := mount(t, "tmpfs", "tmpfs", "size=3m")
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "spool")
	s := open(t, dir, Options{Boot: bootA, SegmentBytes: 64 << 10, BatchBytes: 8 << 10})
	first, durable, err := pour(t, s, 8000) // 800 KiB of audit records, 7 MiB of events
	if err != nil || first != 800 {
		t.Fatalf("audit records fit, but %v after %d", err, first)
	}
	if st := s.Stats(); len(st.Lost) == 0 || st.Lost[0].Class != Event {
		t.Fatalf("lost %v", st.Lost)
	}
	second, more, err := pour(t, s, 20000)
	if !errors.Is(err, unix.ENOSPC) || len(more) < 100 {
		t.Fatalf("a full disk is told as %v after %d more", err, len(more))
	}
	if st := s.Stats(); !errors.Is(st.Err, unix.ENOSPC) || st.Settled == st.Issued || st.Pending == 0 {
		t.Errorf("a full disk: %+v", st)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	last := wellAgain(t, s)
	issued := s.Stats().Issued
	closeSpool(t, s)
	a := readFolder(t, dir, Position{})[bootA]
	wantAll(t, a, slices.Concat(durable, more, last), issued)
	audits := 0
	for _, r := range a.records {
		if strings.HasPrefix(r, "audit") {
			audits++
		}
	}
	if audits != first+second+1 { // also those that Sync could not promise
		t.Errorf("%d audit records of %d", audits, first+second+1)
	}
	if slices.ContainsFunc(s.Stats().Lost, func(c Count) bool { return c.Class != Event }) {
		t.Errorf("counted %v", s.Stats().Lost)
	}
}

func wellAgain(t *testing.T, s *Spool) []uint64 {
	t.Helper()
	last, err := s.Append(Audit, []byte("well again"))
	if err == nil {
		err = s.Sync(t.Context(), Audit, last)
	}
	if err != nil {
		t.Fatalf("well again: %v", err)
	}
	return []uint64{last}
}

// TestFailingDisk writes to a block device of 32 MiB of which the last 24 fail,
// with an I/O error or by having no space when the kernel writes back, that is
// at fsync. What was durable stays readable, and when the disk is well again,
// what waited is written.
func TestFailingDisk(t *testing.T) {
	for name, c := range map[string]struct {
		want        error
		image       func() string
		fail, mends func(image string)
	}{
		"device ends": {
			want:  unix.EIO,
			image: func() string { return filepath.Join(t.TempDir(), "disk") },
			fail:  func(image string) { resize(t, image, 8<<20) },
			mends: func(image string) { resize(t, image, 32<<20) },
		},
		"device is thin": {
			want:  unix.ENOSPC,
			image: func() string { return filepath.Join(mount(t, "tmpfs", "tmpfs", "size=8m"), "disk") },
			fail:  func(string) {},
			mends: func(image string) { run(t, "mount", "-o", "remount,size=40m", filepath.Dir(image)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := c.image()
			if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
				t.Fatal(err)
			}
			run(t, "mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", image)
			dir := filepath.Join(mount(t, image, "ext4", "loop,errors=continue"), "spool")
			c.fail(image)
			s := open(t, dir, Options{Boot: bootA, SegmentBytes: 256 << 10, BatchBytes: 8 << 10, MaxPending: 9 << 20})
			_, durable, err := pour(t, s, 20000)
			if !errors.Is(err, c.want) || len(durable) < 100 {
				t.Fatalf("%v after %d durable records, want %v", err, len(durable), c.want)
			}
			t.Logf("%d audit records durable; lost %v; %v", len(durable), s.Stats().Lost, err)
			c.mends(image)
			last := wellAgain(t, s)
			issued := s.Stats().Issued
			closeSpool(t, s)
			run(t, "umount", filepath.Dir(dir)) // what is read is what is on the disk
			run(t, "mount", "-o", "loop", image, filepath.Dir(dir))
			wantAll(t, readFolder(t, dir, Position{})[bootA], append(durable, last...), issued)
		})
	}
}

// resize changes the size of the block device that is made of the image.
func resize(t *testing.T, image string, size int64) {
	t.Helper()
	out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", image).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("no device of %s: %v", image, err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "-c", strings.TrimSpace(string(out)))
}
