package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	bootA = Boot{1}
	bootB = Boot{2}
)

func open(t *testing.T, dir string, o Options) *Spool {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // of a test that failed
	return s
}

func closeSpool(t *testing.T, s io.Closer) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// account is what a reader told of one boot.
type account struct {
	records map[uint64]string // number → "class data"
	lost    map[Reason]uint64
	losses  []Loss
	next    uint64
}

// readAll reads to the end and holds the reader's law: in order, each once,
// every number accounted for.
func readAll(t *testing.T, r *Reader, err error) map[Boot]*account {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	boots := map[Boot]*account{}
	for {
		e, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return boots
		}
		if err != nil {
			t.Fatal(err)
		}
		a := boots[e.Boot]
		if a == nil {
			a = &account{records: map[uint64]string{}, lost: map[Reason]uint64{}, next: e.Seq}
			boots[e.Boot] = a
		}
		if e.Seq != a.next {
			t.Fatalf("entry %s where %d was next", e.Position, a.next)
		}
		if e.Loss == nil {
			a.records[e.Seq] = e.Class.String() + " " + string(e.Data)
			a.next++
			continue
		}
		if e.Loss.From != e.Seq || e.Loss.Records() == 0 && !e.Loss.Inexact {
			t.Fatalf("loss %+v at %s", *e.Loss, e.Position)
		}
		a.losses = append(a.losses, *e.Loss)
		a.lost[e.Loss.Reason] += e.Loss.Records()
		a.next = e.Loss.To + 1
	}
}

func readFolder(t *testing.T, dir string, from Position) map[Boot]*account {
	t.Helper()
	r, err := OpenReader(dir, from)
	return readAll(t, r, err)
}

// class is the class of record i in tests: three events, then something kept.
func class(i int) Class {
	if i%4 != 3 {
		return Event
	}
	return Detection + Class(i/4%3)
}

func text(i int) string {
	noise := uint64(i+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("record %d of %s, some text that shrinks, and some that does not: %016x%016x", i, class(i), noise, noise*noise)
}

func appendRange(t *testing.T, s *Spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := s.Append(class(i), []byte(text(i))); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRecords(t *testing.T, a *account, first uint64, from, to int) {
	t.Helper()
	if a == nil {
		t.Fatal("nothing was read")
	}
	for i := from; i < to; i++ {
		want := class(i).String() + " " + text(i)
		if got := a.records[first+uint64(i-from)]; got != want {
			t.Fatalf("number %d: %q, want %q", first+uint64(i-from), got, want)
		}
	}
	if len(a.records) != to-from {
		t.Fatalf("%d records, want %d; losses %+v", len(a.records), to-from, a.losses)
	}
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Boot: bootA, SegmentBytes: 8 << 10, BatchBytes: 2 << 10})
	appendRange(t, s, 0, 3000)
	if err := s.Sync(t.Context(), Event, 2999); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context(), Audit, 3000); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, readFolder(t, dir, Position{})[bootA], 1, 0, 3000) // beside the writer
	appendRange(t, s, 3000, 3100)
	closeSpool(t, s)
	s = open(t, dir, Options{Boot: bootA}) // the same boot goes on
	appendRange(t, s, 3100, 3200)
	closeSpool(t, s)
	s = open(t, dir, Options{Boot: bootB})
	appendRange(t, s, 0, 10)
	closeSpool(t, s)

	all := readFolder(t, dir, Position{})
	wantRecords(t, all[bootA], 1, 0, 3200)
	wantRecords(t, all[bootB], 1, 0, 10)
	if n := len(all[bootA].losses) + len(all[bootB].losses); n != 0 {
		t.Errorf("losses after clean ends: %+v %+v", all[bootA].losses, all[bootB].losses)
	}
	part := readFolder(t, dir, Position{bootA, 3101})
	wantRecords(t, part[bootA], 3101, 3100, 3200)
	wantRecords(t, part[bootB], 1, 0, 10)
	if part := readFolder(t, dir, Position{bootB, 11}); len(part) != 0 {
		t.Errorf("behind the end: %+v", part)
	}
}

// TestFollow reads while others write, across files, and ends at Close.
func TestFollow(t *testing.T) {
	s := open(t, t.TempDir(), Options{Boot: bootA, SegmentBytes: 8 << 10, BatchBytes: 1 << 10, Interval: time.Millisecond})
	r, err := s.Reader(Position{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan map[Boot]*account)
	go func() { got <- readAll(t, r, nil) }()
	for i := 0; i < 5000; i += 100 {
		appendRange(t, s, i, i+100)
		time.Sleep(time.Millisecond)
	}
	closeSpool(t, s)
	wantRecords(t, (<-got)[bootA], 1, 0, 5000)
}

func TestNextWaits(t *testing.T) {
	s := open(t, t.TempDir(), Options{Boot: bootA})
	defer s.Close()
	r, err := s.Reader(Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if e, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%+v, %v", e, err)
	}
}

// TestDurableInTime holds the promise of the interval.
func TestDurableInTime(t *testing.T) {
	s := open(t, t.TempDir(), Options{Boot: bootA})
	defer s.Close()
	r, err := s.Reader(Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for i := range 5 { // nobody calls Sync
		appendRange(t, s, i, i+1)
		if _, err := r.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropOldest: within the bound, events go oldest first, nothing else does,
// and all is counted.
func TestDropOldest(t *testing.T) {
	dir := t.TempDir()
	o := Options{Boot: bootA, MaxBytes: 256 << 10, BatchBytes: 4 << 10}
	s := open(t, dir, o)
	const n = 20000
	kept := 0
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		c, data := Event, make([]byte, 100)
		if i%200 == 0 {
			c = Audit
			kept++
		}
		for k := range data {
			data[k] = byte(random.Uint32())
		}
		seq, err := s.Append(c, data)
		if err != nil {
			t.Fatal(err)
		}
		if i%500 == 499 {
			if err := s.Sync(t.Context(), Audit, seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeSpool(t, s)
	st := s.Stats()
	if st.Bytes > o.MaxBytes {
		t.Errorf("%d bytes, the bound is %d", st.Bytes, o.MaxBytes)
	}
	if used := folderBytes(t, dir); used != st.Bytes {
		t.Errorf("%d bytes in the folder, %d counted", used, st.Bytes)
	}
	a := readFolder(t, dir, Position{})[bootA]
	audits := 0
	for _, r := range a.records {
		if strings.HasPrefix(r, "audit") {
			audits++
		}
	}
	if audits != kept {
		t.Errorf("%d of %d audit records", audits, kept)
	}
	if got := uint64(len(a.records)) + a.lost[Dropped]; got != n || len(a.lost) != 1 {
		t.Errorf("%d stored, lost %v: not %d", len(a.records), a.lost, n)
	}
	if want := []Count{{Event, Dropped, a.lost[Dropped]}}; !slices.Equal(st.Lost, want) {
		t.Errorf("counted %v, want %v", st.Lost, want)
	}
	if a.records[n] == "" || a.records[n-1] == "" {
		t.Error("the newest events are missing")
	}
}

func folderBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := parseSegment(f.Name()); ok {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
	}
	return n
}

// fill appends records that do not shrink until one is refused, and returns how
// many were taken.
func fill(t *testing.T, s *Spool, c Class, size int) (taken int) {
	t.Helper()
	random := rand.New(rand.NewPCG(3, uint64(c)))
	data := make([]byte, size)
	for range 1 << 20 {
		for k := 0; k+8 <= len(data); k += 8 {
			binary.LittleEndian.PutUint64(data[k:], random.Uint64())
		}
		seq, err := s.Append(c, data)
		if errors.Is(err, ErrFull) {
			return taken
		}
		if err != nil {
			t.Fatal(err)
		}
		taken++
		if taken%16 == 0 {
			if err := s.Sync(t.Context(), c, seq); err != nil && !errors.Is(err, ErrLost) {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("never full")
	return 0
}

// TestFullOfKept: what may not be dropped is refused aloud when it fills the
// bound, all that was taken stays, and an acknowledgement makes room.
func TestFullOfKept(t *testing.T) {
	dir := t.TempDir()
	o := Options{Boot: bootA, MaxBytes: 128 << 10, BatchBytes: 4 << 10}
	s := open(t, dir, o)
	for i := range 3 { // events, which have to go
		if _, err := s.Append(Event, noise(i, 8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	taken := fill(t, s, Audit, 1000)
	if taken < 100 || taken > 131 {
		t.Errorf("%d audit records of 1000 bytes in 128 KiB", taken)
	}
	seq, _ := s.Append(Event, []byte("too late"))
	err := s.Sync(t.Context(), Event, seq)
	closeSpool(t, s) // what was refused is said in a file at the latest now
	st := s.Stats()
	a := readFolder(t, dir, Position{})[bootA]
	if len(a.records)+sum(a.lost) != int(st.Settled) || st.Settled != st.Issued {
		t.Errorf("%d stored, lost %v, settled %d of %d", len(a.records), a.lost, st.Settled, st.Issued)
	}
	if l := a.losses[0]; l.From != 1 || l.To != 3 || l.Reason != Dropped || l.Class != Event {
		t.Errorf("the first events: %+v", l)
	}
	if stored := a.records[seq] != ""; stored != (err == nil) {
		t.Errorf("stored %v, but Sync says %v", stored, err)
	}
	s = open(t, dir, o)
	if err := s.Acknowledge(Position{bootA, st.Issued}); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Append(Audit, []byte("fits")); err != nil {
		t.Errorf("after the acknowledgement: %v", err)
	} else if err := s.Sync(t.Context(), Audit, again); err != nil {
		t.Error(err)
	}
	closeSpool(t, s)
}

func sum(m map[Reason]uint64) (n int) {
	for _, v := range m {
		n += int(v)
	}
	return n
}

// TestAcknowledge: what the receiver has is let go, is no loss, and is
// remembered over restarts and boots.
func TestAcknowledge(t *testing.T) {
	dir := t.TempDir()
	o := Options{Boot: bootA, SegmentBytes: 1 << 10, BatchBytes: 1 << 10}
	s := open(t, dir, o)
	appendRange(t, s, 0, 2000)
	closeSpool(t, s)
	s = open(t, dir, o)
	before := s.Stats().Bytes
	if err := s.Acknowledge(Position{bootA, 1000}); err != nil {
		t.Fatal(err)
	}
	if after := s.Stats().Bytes; after > before*6/10 || after < before*4/10 {
		t.Errorf("%d bytes of %d after half was acknowledged", after, before)
	}
	if err := s.Acknowledge(Position{bootA, 5000}); err == nil {
		t.Error("what was not written can be acknowledged")
	}
	closeSpool(t, s)
	wantRecords(t, readFolder(t, dir, Position{})[bootA], 1001, 1000, 2000)
	whole := readFolder(t, dir, Position{bootA, 1})[bootA]
	if n := whole.lost[Released]; n < 800 || n > 1000 || len(whole.lost) != 1 || int(n)+len(whole.records) != 2000 {
		t.Errorf("from 1: %d records, lost %v", len(whole.records), whole.lost)
	}

	s = open(t, dir, Options{Boot: bootB})
	appendRange(t, s, 0, 5)
	if err := s.Sync(t.Context(), Audit, 4); err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(Position{bootB, 2}); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	all := readFolder(t, dir, Position{})
	if all[bootA] != nil || len(all[bootB].records) != 3 {
		t.Errorf("%+v", all)
	}
	all = readFolder(t, dir, Position{bootA, 1500})
	if l := all[bootA].losses; len(l) != 1 || l[0].Reason != Released || !l[0].Inexact {
		t.Errorf("a boot that is gone: %+v", l)
	}
}

func TestSecondWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Boot: bootA})
	defer s.Close()
	if _, err := Open(dir, Options{Boot: bootA}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "hint:") {
		t.Fatalf("%v", err)
	}
}

func TestMisuse(t *testing.T) {
	s := open(t, t.TempDir(), Options{Boot: bootA})
	if _, err := s.Append(Unclassed, nil); err == nil {
		t.Error("a record without a class")
	}
	if _, err := s.Append(Event, make([]byte, MaxRecord+1)); err == nil {
		t.Error("a record above the limit")
	}
	if err := s.Sync(t.Context(), Event, 7); err == nil {
		t.Error("sync of what was never appended")
	}
	big := make([]byte, MaxRecord)
	seq, err := s.Append(Incident, big)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context(), Incident, seq); err != nil {
		t.Errorf("the largest record: %v", err)
	}
	closeSpool(t, s)
	if _, err := s.Append(Event, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	a := readFolder(t, s.store.dir, Position{})[bootA]
	if len(a.records[1]) != len("incident ")+MaxRecord {
		t.Errorf("the largest record came back with %d bytes", len(a.records[1]))
	}
}

// TestMappingFaults: the state's file is cut short under the writer. The store
// to the mapping would end the process.
func TestMappingFaults(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Boot: bootA})
	appendRange(t, s, 0, 8)
	if err := os.Truncate(filepath.Join(dir, pageName), 0); err != nil {
		t.Fatal(err)
	}
	appendRange(t, s, 8, 16)
	if err := s.Sync(t.Context(), Audit, 16); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	s = open(t, dir, Options{Boot: bootA}) // the numbers are not known: none is given twice
	seq, err := s.Append(Audit, []byte("later"))
	if err != nil || seq <= 16+skipped/2 {
		t.Fatalf("number %d, %v", seq, err)
	}
	closeSpool(t, s)
	a := readFolder(t, dir, Position{})[bootA]
	if len(a.records) != 17 || len(a.losses) != 1 || !a.losses[0].Inexact || a.losses[0].Reason != Crashed {
		t.Errorf("%d records, %+v", len(a.records), a.losses)
	}
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Boot: bootA, MaxBytes: 128 << 10, BatchBytes: 4 << 10})
	fill := rand.New(rand.NewPCG(9, 9))
	for i := range 3000 {
		b := make([]byte, 100)
		for k := range b {
			b[k] = byte(fill.Uint32())
		}
		if seq, err := s.Append(Event, b); err != nil {
			t.Fatal(err)
		} else if i%100 == 0 {
			_ = s.Sync(t.Context(), Event, seq)
		}
	}
	closeSpool(t, s)
	s = open(t, dir, Options{Boot: bootB})
	appendRange(t, s, 0, 100)
	closeSpool(t, s)

	name := filepath.Join(t.TempDir(), "export")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(dir, Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		e, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	back, err := ReadFile(f)
	got, want := readAll(t, back, err), readFolder(t, dir, Position{})
	if len(want) != 2 || want[bootA].lost[Dropped] == 0 {
		t.Fatalf("the case is none: %v", want[bootA].lost)
	}
	for b := range want {
		if fmt.Sprint(got[b]) != fmt.Sprint(want[b]) {
			t.Errorf("boot %s: %d records and %v, want %d and %v", b, len(got[b].records), got[b].losses, len(want[b].records), want[b].losses)
		}
	}
}
