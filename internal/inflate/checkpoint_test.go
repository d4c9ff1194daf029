package inflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math/rand/v2"
	"testing"
)

// resumed begins again at each checkpoint, and wants the rest of want.
func resumed(t *testing.T, data []byte, f Format, want []byte, every int64) int {
	t.Helper()
	var marks []Checkpoint
	r := NewReader(bytes.NewReader(data), f)
	r.Checkpoints(every, func(c Checkpoint) {
		c.Window = bytes.Clone(c.Window)
		marks = append(marks, c)
	})
	if got, err := drain(r, 1<<40); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("with checkpoints: %d bytes, want %d, %v", len(got), len(want), err)
	}
	if in, out := r.Offsets(); in > int64(len(data)) || out != int64(len(want)) {
		t.Errorf("offsets %d, %d at the end of %d, %d", in, out, len(data), len(want))
	}
	r.Close()
	for _, c := range marks {
		r := Resume(bytes.NewReader(data[c.In:]), f, c)
		got, err := drain(r, 1<<40)
		if err != nil || !bytes.Equal(got, want[c.Out:]) {
			t.Fatalf("from %d (bit %d, %d of window, out %d): %d bytes, want %d, %v", c.In, c.Skip, len(c.Window), c.Out, len(got), len(want)-int(c.Out), err)
		}
		if _, out := r.Offsets(); out != int64(len(want)) {
			t.Errorf("offset %d at the end of %d", out, len(want))
		}
		r.Close()
	}
	return len(marks)
}

func TestResume(t *testing.T) {
	rnd := rand.New(rand.NewPCG(19, 20))
	size := int64(3_000_000 / brief(4))
	data := content(rnd, int(size))
	var parts [][]byte
	for at := 0; at < len(data); {
		n := min(1+rnd.IntN(40_000), len(data)-at)
		parts = append(parts, data[at:at+n])
		at += n
	}
	for _, level := range []int{0, 1, 6, 9, gzip.HuffmanOnly} {
		z := compress(t, level, parts...)
		if n := resumed(t, z, Gzip, data, size/15); n < 10 || n > 15 {
			t.Errorf("level %d: %d checkpoints", level, n)
		}
		resumed(t, z[10:len(z)-8], Raw, data, size/6)
	}
	two := append(compress(t, 6, parts[:20]...), compress(t, 6, parts[20:]...)...)
	if n := resumed(t, two, Gzip, data, size/30); n < 20 {
		t.Errorf("two members: %d checkpoints", n)
	}
	// The member that follows is checked in full.
	two[len(two)-6] ^= 1
	var last Checkpoint
	r := NewReader(bytes.NewReader(two), Gzip)
	r.Checkpoints(1, func(c Checkpoint) {
		if last.In == 0 {
			last, last.Window = c, bytes.Clone(c.Window)
		}
	})
	_, _ = drain(r, 1<<40)
	r.Close()
	r = Resume(bytes.NewReader(two[last.In:]), Gzip, last)
	defer r.Close()
	if _, err := drain(r, 1<<40); !errors.Is(err, ErrChecksum) {
		t.Errorf("a wrong checksum behind a checkpoint: %v", err)
	}
}

// TestResumeHostile: a checkpoint from a damaged cache is an error, or other
// bytes; never more.
func TestResumeHostile(t *testing.T) {
	z := compress(t, 6, content(rand.New(rand.NewPCG(21, 22)), 100_000))
	for _, c := range []Checkpoint{{In: 5, Skip: 255}, {In: 40, Skip: 3}, {In: 1 << 60}, {Window: make([]byte, 1<<20)}} {
		r := Resume(bytes.NewReader(z[min(c.In, int64(len(z))):]), Gzip, c)
		_, _ = drain(r, 1<<20)
		r.Close()
	}
}
