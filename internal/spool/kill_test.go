package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childVar makes the test binary a writer that is to be killed.
const childVar = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVar); spec != "" {
		if err := child(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Fields of the page on which a child keeps its own account: what it began to
// append, and up to where Sync answered, by lane.
const (
	tallyBegun  = 0
	tallySynced = 8 // and 16
	tallyAcked  = 24
	tallyReady  = 32
	tallyFull   = 4096 // a bit a number that Append refused
	tallySize   = 1 << 17
)

type tally []byte

func openTally(name string) (tally, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(tallySize); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, tallySize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func (t tally) get(at int) uint64 { return binary.LittleEndian.Uint64(t[at:]) }
func (t tally) refused(seq uint64) bool {
	return t[tallyFull+seq/8%(tallySize-tallyFull)]&(1<<(seq%8)) != 0
}

func (t tally) refuse(seq uint64)    { t[tallyFull+seq/8%(tallySize-tallyFull)] |= 1 << (seq % 8) }
func (t tally) set(at int, v uint64) { binary.LittleEndian.PutUint64(t[at:], v) }

// child is a process of its own: "spool DIR TALLY BOOT MAXBYTES" or "journal DIR LOG".
func child(spec string) error {
	args := strings.Fields(spec)
	if args[0] == "journal" {
		return childJournal(args[1], args[2])
	}
	boot, _ := strconv.Atoi(args[3])
	bound, _ := strconv.ParseInt(args[4], 10, 64)
	t, err := openTally(args[2])
	if err != nil {
		return err
	}
	s, err := Open(args[1], Options{Boot: Boot{byte(boot)}, MaxBytes: bound, Interval: 3 * time.Millisecond, BatchBytes: 16 << 10})
	if err != nil {
		return err
	}
	t.set(tallyReady, 1)
	failed := make(chan error)
	go func() { failed <- childSync(s, t) }()
	random := rand.New(rand.NewPCG(rand.Uint64(), 1))
	for i := int(s.Stats().Issued); ; i++ {
		t.set(tallyBegun, uint64(i+1))
		t.refuse(uint64(i + 1)) // until Append takes it
		seq, err := s.Append(class(i), []byte(text(i)))
		if err != nil && !errors.Is(err, ErrFull) || seq != uint64(i+1) {
			return fmt.Errorf("append %d: number %d, %v", i+1, seq, err)
		}
		if err == nil {
			t[tallyFull+seq/8%(tallySize-tallyFull)] &^= 1 << (seq % 8)
		}
		if random.IntN(64) == 0 {
			time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
		}
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

func childSync(s *Spool, t tally) error {
	for n := 0; ; n++ {
		time.Sleep(time.Millisecond)
		seq := s.Stats().Issued
		for l, c := range []Class{Audit, Event} {
			if err := s.Sync(context.Background(), c, seq); err != nil && !errors.Is(err, ErrLost) {
				return err
			}
			t.set(tallySynced+8*l, seq)
		}
		if acked := seq / 2; n%20 == 19 && acked > 0 {
			t.set(tallyAcked, acked)
			if err := s.Acknowledge(Position{s.Boot(), acked}); err != nil {
				return err
			}
		}
	}
}

// kill starts the child, lets it run for a random time and kills it.
func kill(t *testing.T, spec string, ready func() bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+spec)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !ready() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	_ = cmd.Wait()
	if !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("ended by itself: %s", said.String())
	}
}

// TestKill kills a writer at random points, over several boots. What Sync said
// is durable is there once, and records and losses together are what was
// appended, to the last number.
func TestKill(t *testing.T) {
	for name, bound := range map[string]int64{"roomy": 1 << 30, "tight": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "spool")
			stored, lost := 0, map[Reason]uint64{}
			const boots, kills = 3, 10
			for boot := 1; boot <= boots; boot++ {
				name := filepath.Join(t.TempDir(), "tally"+strconv.Itoa(boot))
				tally, err := openTally(name)
				if err != nil {
					t.Fatal(err)
				}
				crashed := map[uint64]bool{}
				for range kills {
					tally.set(tallyReady, 0)
					kill(t, fmt.Sprintf("spool %s %s %d %d", dir, name, boot, bound), func() bool { return tally.get(tallyReady) == 1 })
					// Read twice: as it lies there, and as the next process will find it.
					a := checkKilled(t, readFolder(t, dir, Position{Boot{byte(boot)}, 1})[Boot{byte(boot)}], tally, bound > 1<<20, crashed)
					stored, lost = len(a.records), a.lost
				}
			}
			t.Logf("last boot: %d records stored, lost %v", stored, lost)
			all := readFolder(t, dir, Position{})
			if a := all[Boot{boots - 1}]; a != nil && a.losses != nil && !a.losses[len(a.losses)-1].Inexact {
				t.Errorf("a machine that crashed lost exactly %+v", a.losses)
			}
		})
	}
}

func checkKilled(t *testing.T, a *account, tally tally, roomy bool, crashed map[uint64]bool) *account {
	t.Helper()
	if a == nil {
		t.Fatal("nothing of the boot is left")
	}
	for seq, r := range a.records {
		if i := int(seq - 1); r != class(i).String()+" "+text(i) {
			t.Fatalf("number %d holds %q", seq, r)
		}
	}
	// The kill fell before the last number was given, or after.
	if told, begun := a.next-1, tally.get(tallyBegun); told != begun && told+1 != begun {
		t.Fatalf("records and losses are %d, appended were %d", told, begun)
	}
	for _, l := range a.losses {
		for seq := l.From; seq <= l.To; seq++ {
			i := int(seq - 1)
			kept := class(i) != Event
			synced := tally.get(tallySynced)
			if !kept {
				synced = tally.get(tallySynced + 8)
			}
			// Lost in a kill before this one, it stays lost.
			crashed[seq] = crashed[seq] || l.Reason == Crashed && (seq > synced || tally.refused(seq))
			lawful := l.Reason == Crashed && crashed[seq] || l.Reason == Released && seq <= tally.get(tallyAcked)
			if !roomy { // kept records may fill the bound, and no event is safe from them
				lawful = lawful || l.Reason == Refused || !kept && l.Reason != Damaged && l.Reason != Released
			}
			if !lawful {
				t.Fatalf("%s %d lost, %+v; synced %d", class(i), seq, l, synced)
			}
		}
	}
	return a
}

// childJournal acts as respond does: a file is the act, its removal the inverse.
func childJournal(dir, acts string) error {
	j, losses, err := OpenJournal(dir)
	if err != nil || len(losses) > 0 {
		return fmt.Errorf("%v, %w", losses, err)
	}
	for key := range j.Open() { // the reconciler reverts
		if err := os.Remove(filepath.Join(acts, key)); err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := j.Delete(key); err != nil {
			return err
		}
	}
	left, err := os.ReadDir(acts)
	if err != nil {
		return err
	}
	for _, f := range left {
		if f.Name() != "ready" {
			return fmt.Errorf("act %s is in no journal", f.Name())
		}
	}
	if err := os.WriteFile(filepath.Join(acts, "ready"), nil, 0o600); err != nil {
		return err
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("act-%d-%d", os.Getpid(), i)
		if err := j.Put(key, []byte("remove "+key)); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(acts, key), nil, 0o600); err != nil {
			return err
		}
		if i%3 == 0 { // undone in time; the others stay open
			if err := os.Remove(filepath.Join(acts, key)); err != nil {
				return err
			}
			if err := j.Delete(key); err != nil {
				return err
			}
		}
	}
}

// TestKillJournal: no act is ever done that the journal does not know after a
// kill, and none is reverted twice with an error.
func TestKillJournal(t *testing.T) {
	t.Parallel()
	dir, acts := t.TempDir(), t.TempDir()
	for range 50 {
		kill(t, "journal "+dir+" "+acts, func() bool { _, err := os.Stat(filepath.Join(acts, "ready")); return err == nil })
		if err := os.Remove(filepath.Join(acts, "ready")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j, losses, err := OpenJournal(dir)
	if err != nil || losses != nil {
		t.Fatal(losses, err)
	}
	if err := j.Put("held", []byte("the inverse")); err != nil {
		t.Fatal(err)
	}
	for i := range compactAfter * 6 / 10 {
		key := strconv.Itoa(i)
		if err := j.Put(key, nil); err != nil {
			t.Fatal(err)
		}
		if err := j.Delete(key); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Put("held", []byte("another inverse")); err != nil {
		t.Fatal(err)
	}
	if n := j.s.Stats().Bytes; n > 1<<20 {
		t.Errorf("%d bytes for one open action", n)
	}
	closeSpool(t, j)
	j, losses, err = OpenJournal(dir)
	if err != nil || losses != nil {
		t.Fatal(losses, err)
	}
	defer j.Close()
	if open := j.Open(); len(open) != 1 || string(open["held"]) != "another inverse" {
		t.Errorf("open: %q", open)
	}
	if _, _, _, ok := parseChange([]byte{'P', 200}); ok {
		t.Error("a cut record is a change")
	}
}
