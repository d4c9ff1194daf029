package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// small makes a folder with a few frames in both lanes and returns its files.
func small(t testing.TB, dir string) [lanes][]*segment {
	s, err := Open(dir, Options{Boot: bootA, BatchBytes: 1 << 10, SegmentBytes: 2 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := s.Append(class(i), []byte(text(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	segs, err := listSegments(dir)
	if err != nil || len(segs[laneKept]) == 0 || len(segs[laneEvents]) == 0 {
		t.Fatalf("files %v, %v", segs, err)
	}
	return segs
}

// TestDamage: bytes of every file are changed in turn, and every file is cut at
// many places. No record that is given is wrong, and all numbers are told.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	check := func(what string, at int) {
		t.Helper()
		a := readFolder(t, dir, Position{})[bootA]
		if a == nil || a.next != 101 || len(a.records)+sum(a.lost) != 100 {
			t.Fatalf("%s at %d: %+v", what, at, a)
		}
		for seq, r := range a.records {
			if i := int(seq - 1); r != class(i).String()+" "+text(i) {
				t.Fatalf("%s at %d: number %d is %q", what, at, seq, r)
			}
		}
		if len(a.records) < 25 {
			t.Fatalf("%s at %d: only %d records are left", what, at, len(a.records))
		}
	}
	for _, segs := range small(t, dir) {
		for _, g := range segs {
			name := filepath.Join(dir, g.name())
			good, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := range good {
				if at > 300 && at%5 != 0 { // headers whole, the rest in steps
					continue
				}
				bad := bytes.Clone(good)
				bad[at] ^= 0x41
				write(t, name, bad)
				check("change", at)
				if at%10 == 0 {
					write(t, name, good[:at])
					check("cut", at)
				}
			}
			write(t, name, good)
		}
	}
	if a := readFolder(t, dir, Position{})[bootA]; len(a.records) != 100 {
		t.Fatalf("undamaged: %d records", len(a.records))
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail opens a folder whose newest files end anywhere and goes on: no
// number is given twice and all are told.
func TestTornTail(t *testing.T) {
	from := t.TempDir()
	segs := small(t, from)
	for cut := int64(1); cut < 400; cut += 13 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		for l := range segs {
			last := filepath.Join(dir, segs[l][len(segs[l])-1].name())
			info, err := os.Stat(last)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(last, max(0, info.Size()-cut)); err != nil {
				t.Fatal(err)
			}
		}
		state, err := os.ReadFile(filepath.Join(dir, pageName))
		if err != nil {
			t.Fatal(err)
		}
		state[pageClean] = 0
		write(t, filepath.Join(dir, pageName), state)
		s := open(t, dir, Options{Boot: bootA})
		appendRange(t, s, 100, 110)
		closeSpool(t, s)
		a := readFolder(t, dir, Position{})[bootA]
		if a.next != 111 || len(a.records)+sum(a.lost) != 110 || a.records[101] == "" || sum(a.lost) == 0 {
			t.Fatalf("cut by %d: %d records, lost %v, to %d", cut, len(a.records), a.lost, a.next)
		}
	}
}

// TestResyncFar finds the next frame behind a damage larger than one look.
func TestResyncFar(t *testing.T) {
	for _, size := range []int{1, 43, 64<<10 - 44, 64<<10 - 1, 64 << 10, 200_000} {
		junk := bytes.Repeat([]byte("ESF1"), size/4+1)[:size]
		f := frames{f: bytes.NewReader(append(append([]byte("ESF1"), junk...), appendStart(nil, bootA, 9)...))}
		h, err := f.header()
		if err != nil || h.first != 9 {
			t.Errorf("behind %d bytes: %+v, %v", size, h, err)
		}
	}
}

// exported is a small export in bytes, of two boots and with losses.
func exported(t testing.TB) []byte {
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, boot := range []Boot{bootA, bootB} {
		for i := range 60 {
			e := Entry{Position: Position{boot, uint64(10 + i)}, Class: class(i), Data: []byte(text(i))}
			if i%20 == 19 {
				e.Loss = &Loss{From: e.Seq, To: e.Seq, Reason: Dropped, Class: Event}
			}
			if err := w.Add(e); err != nil {
				t.Fatal(err)
			}
			if i%30 == 29 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWriterRefuses(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(Entry{Position: Position{bootA, 5}, Class: Event}); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]Entry{
		"the same again":     {Position: Position{bootA, 5}, Class: Event},
		"number 0":           {Position: Position{bootB, 0}, Class: Event},
		"no class":           {Position: Position{bootA, 6}},
		"loss elsewhere":     {Position: Position{bootA, 6}, Loss: &Loss{From: 7, To: 7, Reason: Dropped}},
		"loss for no reason": {Position: Position{bootA, 6}, Loss: &Loss{From: 6, To: 7}},
		"too large":          {Position: Position{bootA, 6}, Class: Event, Data: make([]byte, MaxRecord+1)},
	} {
		if err := w.Add(e); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if _, err := ReadFile(bytes.NewReader([]byte("no spool"))); !errors.Is(err, ErrNoSpool) {
		t.Errorf("any file: %v", err)
	}
}

// TestBomb: a frame that says it holds much, and a frame that does.
func TestBomb(t *testing.T) {
	z, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	payload := z.EncodeAll(make([]byte, 64<<20), nil)
	for name, raw := range map[string]uint32{"says little, holds 64 MiB": 1000, "says 16 MiB": maxFrame, "says 4 GiB": 1<<32 - 1} {
		file := appendStart(nil, bootA, 1)
		at := len(file)
		file = append(file, make([]byte, headerSize)...)
		file = append(file, payload...)
		file = seal(file, at, header{kind: frameZstd, raw: raw, count: 1, first: 1, last: 1})
		r, err := ReadFile(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if a := readAll(t, r, nil); len(a) != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// FuzzReadFile reads any file: no panic, bounded entries, numbers that only
// rise within a boot.
func FuzzReadFile(f *testing.F) {
	f.Add(exported(f))
	f.Add(appendStart(nil, bootA, 1))
	dir := f.TempDir()
	for _, segs := range small(f, dir) {
		data, err := os.ReadFile(filepath.Join(dir, segs[0].name()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// The fuzzer cannot guess checksums: they are made right.
		fix(data)
		r, err := ReadFile(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer r.Close()
		var boot Boot
		next := uint64(0)
		for {
			e, err := r.Next(context.Background())
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Boot != boot {
				boot, next = e.Boot, 0
			}
			if e.Seq < next || e.Seq == 0 || len(e.Data) > MaxRecord {
				t.Fatalf("%s after %d", e.Position, next)
			}
			if next = e.Seq + 1; e.Loss != nil {
				next = e.Loss.To + 1
			}
		}
	})
}

// FuzzFolder opens a folder of which every file may be anything: the reader's
// law holds, and the spool goes on.
func FuzzFolder(f *testing.F) {
	dir := f.TempDir()
	segs := small(f, dir)
	names := []string{segs[laneKept][0].name(), segs[laneEvents][0].name(), pageName, ackName}
	var seed [][]byte
	for _, name := range names[:3] {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		seed = append(seed, data)
	}
	f.Add(seed[0], seed[1], seed[2][:64], []byte{})
	f.Add(seed[0][:100], seed[1][:300], []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, kept, events, state, ack []byte) {
		dir := t.TempDir()
		for i, data := range [][]byte{kept, events, state, ack} {
			fix(data)
			write(t, filepath.Join(dir, names[i]), data)
		}
		readFolder(t, dir, Position{})
		s, err := Open(dir, Options{Boot: bootA})
		if err != nil {
			t.Fatal(err)
		}
		seq, err := s.Append(Audit, []byte("goes on"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if a := readFolder(t, dir, Position{})[bootA]; a == nil || a.next != seq+1 || a.records[seq] != "audit goes on" {
			t.Fatalf("number %d: %+v", seq, a)
		}
	})
}

// fix makes checksums right wherever a frame seems to be.
func fix(data []byte) {
	for at := 0; at+headerSize <= len(data); {
		i := bytes.Index(data[at:], []byte(magic))
		if i < 0 || at+i+headerSize > len(data) {
			return
		}
		at += i
		n := uint64(binary.LittleEndian.Uint32(data[at+8:]))
		if end := uint64(at+headerSize) + n; end <= uint64(len(data)) && n <= maxFrame {
			le := binary.LittleEndian
			h := header{
				kind: data[at+4], raw: le.Uint32(data[at+12:]), count: le.Uint32(data[at+16:]),
				first: le.Uint64(data[at+24:]), last: le.Uint64(data[at+32:]),
			}
			seal(data[:end], at, h)
			at = int(end)
			continue
		}
		at += len(magic)
	}
}
