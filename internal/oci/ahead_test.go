package oci

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestAhead(t *testing.T) {
	data := bytes.Repeat([]byte("ahead of its reader. "), 200_000)
	open := func(r io.Reader) Stream {
		s, err := Decompress(r, "")
		if err != nil {
			t.Fatal(err)
		}
		return Ahead(s)
	}
	s := open(bytes.NewReader(data))
	if err := iotest.TestReader(s, data); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Next(); !errors.Is(err, errClosed) {
		t.Errorf("Next after Close: %v", err)
	}

	// Closed at each stage, the goroutine ends (Close waits for it).
	for n := range 6 {
		s := open(bytes.NewReader(data))
		for range n {
			if c, err := s.Next(); err != nil || len(c) == 0 {
				t.Fatalf("chunk %d: %d bytes, %v", n, len(c), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}

	broken := errors.New("the cable")
	s = open(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)))
	defer s.Close()
	if _, err := io.ReadAll(s); !errors.Is(err, broken) {
		t.Errorf("error of the source: %v", err)
	}
}
