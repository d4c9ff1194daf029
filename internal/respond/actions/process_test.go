package actions

import (
	"os"
	"strings"
	"testing"
)

// TestStatOfAnyName: a process names itself, and cannot pass for another by it.
func TestStatOfAnyName(t *testing.T) {
	const rest = " S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 900 4096 1"
	for _, name := range []string{"sh", "a) R 1 (b", "", "((", "x\ny", ") Z 2 2 2 2 2 2"} {
		s, err := parseStat(7, []byte("7 ("+name+")"+rest))
		if err != nil || s.Name != name || s.State != 'S' || s.Parent != 1 || s.Key.Start != 900*10_000_000 || s.Flags != 4194304 {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	self, err := ReadStat(int32(os.Getpid()))
	if err != nil || self.Parent != int32(os.Getppid()) || !Runs(self.Key) || !strings.HasPrefix(self.Name, "actions") {
		t.Errorf("%+v, %v", self, err)
	}
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 900 4096 1"))
	f.Add([]byte(") ("))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseStat(7, data); err == nil && s.Key.PID != 7 {
			t.Error("another pid")
		}
	})
}
