package spool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sampleEvents are records of 373 bytes, as alike and as different as events of
// a busy node are.
func sampleEvents(n int) [][]byte {
	random := rand.New(rand.NewPCG(7, 7))
	exes := []string{"/usr/bin/bash", "/usr/bin/curl", "/usr/local/bin/node", "/usr/sbin/nginx", "/usr/lib/postgresql/15/bin/postgres"}
	out := make([][]byte, n)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range out {
		at = at.Add(time.Duration(random.IntN(100000)))
		exe := exes[random.IntN(len(exes))]
		b := fmt.Appendf(nil, `{"kind":"exec","at":%q,"process":{"pid":%d,"start":%d,"name":"worker","exe":%q,"uid":%d},"ancestors":[{"pid":%d,"start":%d,"name":"sh"},{"pid":1,"name":"init"}],"container":"%016x","image":"sha256:%032x","fields":{"path":"/var/lib/data/`,
			at.Format(time.RFC3339Nano), random.IntN(1<<22), random.Uint64N(1<<40), exe, random.IntN(3)*1000, random.IntN(1<<22), random.Uint64N(1<<40),
			uint64(random.IntN(50))*0x9e3779b97f4a7c15, random.IntN(20)*982451653)
		for len(b) < 370 {
			b = append(b, "abcdefghijklmnopqrstuvwxyz012345"[random.IntN(32)])
		}
		out[i] = append(b[:370], `"}}`...)
	}
	return out
}

func cpu() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend: the unit is 100,000 events of 373 bytes, appended and synced;
// cpu-ms is the whole process's time for them, in the kernel too.
func BenchmarkAppend(b *testing.B) {
	const n = 100_000
	events := sampleEvents(n)
	s, err := Open(b.TempDir(), Options{Boot: bootA})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	before, runs := cpu(), 0
	for b.Loop() {
		var seq uint64
		for i, e := range events {
			if seq, err = s.Append(Event, e); err != nil {
				b.Fatal(err)
			}
			if i%5000 == 4999 {
				if err := s.Sync(context.Background(), Event, seq); err != nil {
					b.Fatal(err)
				}
			}
		}
		runs++
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(runs), "cpu-ms/op")
	b.ReportMetric(n*float64(runs)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(s.Stats().Bytes)/float64(min(n*runs, int(s.Stats().Issued))), "disk-B/event")
}

// BenchmarkRead: the unit is 100,000 events read back.
func BenchmarkRead(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	s, err := Open(dir, Options{Boot: bootA, MaxPending: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range sampleEvents(n) {
		if _, err := s.Append(Event, e); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	before, runs := cpu(), 0
	for b.Loop() {
		r, err := OpenReader(dir, Position{})
		if err != nil {
			b.Fatal(err)
		}
		for range n {
			if e, err := r.Next(context.Background()); err != nil || e.Loss != nil {
				b.Fatal(e.Loss, err)
			}
		}
		r.Close()
		runs++
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(runs), "cpu-ms/op")
}

// BenchmarkCommit: the unit is one audit record that is durable, as before each
// response.
func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Boot: bootA, KeepEvents: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	data := make([]byte, 500)
	for b.Loop() {
		seq, err := s.Append(Audit, data)
		if err == nil {
			err = s.Sync(context.Background(), Audit, seq)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
