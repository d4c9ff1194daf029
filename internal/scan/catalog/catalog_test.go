package catalog

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
)

func TestAppendOwned(t *testing.T) {
	tests := []struct {
		path string
		want []string
	}{
		{"/usr/bin/sh", []string{"usr/bin/sh"}},
		{"/bin/sh", []string{"bin/sh", "usr/bin/sh"}},
		{"./sbin/init", []string{"sbin/init", "usr/sbin/init"}},
		{"lib64/ld.so", []string{"lib64/ld.so", "usr/lib64/ld.so"}},
		{"/lib", []string{"lib"}},
		{"/library/x", []string{"library/x"}},
		{"/.", nil},
		{"/.hidden", []string{".hidden"}},
		{"", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, AppendOwned(nil, tt.path)); diff != "" {
			t.Errorf("%q: %s", tt.path, diff)
		}
	}
}

func TestToken(t *testing.T) {
	for s, want := range map[string]bool{
		"libstdc++6": true, "1:2.3-4~rc1": true, "é": true,
		"": false, "a b": false, "a\x1b[2J": false, "a\x7f": false, "\xff": false,
		strings.Repeat("x", 256): true, strings.Repeat("x", 257): false,
	} {
		if got := Token(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestGapsAreBounded(t *testing.T) {
	var g Gaps
	if g.List() != nil {
		t.Error("gaps without any")
	}
	for i := range maxGaps + 7 {
		g.Add("db", i+1, "entry", "broken")
	}
	list := g.List()
	if len(list) != maxGaps+1 {
		t.Fatalf("%d gaps", len(list))
	}
	want := esclusa.Gap{
		Scope: esclusa.GapItem,
		Place: esclusa.Place{Path: "db"},
		What:  "7 more entries",
		Err:   "the file has too many unreadable entries to list",
	}
	if diff := cmp.Diff(want, list[maxGaps]); diff != "" {
		t.Error(diff)
	}
}

func TestOwned(t *testing.T) {
	tests := []struct {
		folder, name string
		want         []string
	}{
		{"/usr/share/", "x", []string{"usr/share/x"}},
		{"usr/share", "x", []string{"usr/share/x"}},
		{"/bin/", "sh", []string{"bin/sh", "usr/bin/sh"}},
		{"./lib", "y", []string{"lib/y", "usr/lib/y"}},
		{"", "/sbin/init", []string{"sbin/init", "usr/sbin/init"}},
		{"/", "top", []string{"top"}},
		{"", "/", nil},
		{"/usr/share/", "", nil},
	}
	for _, tt := range tests {
		o := NewOwned(0)
		o.Add([]byte(tt.folder), []byte(tt.name))
		if diff := cmp.Diff(tt.want, o.Paths); diff != "" || o.Cut {
			t.Errorf("%q %q: cut %v, %s", tt.folder, tt.name, o.Cut, diff)
		}
	}
}

// TestOwnedKeepsPaths adds more than fits into one buffer.
func TestOwnedKeepsPaths(t *testing.T) {
	o := NewOwned(1 << 20)
	var want []string
	for i := range 20_000 {
		name := strconv.Itoa(i)
		o.Add([]byte("/opt/some/folder/"), []byte(name))
		want = append(want, "opt/some/folder/"+name)
	}
	if diff := cmp.Diff(want, o.Paths); diff != "" || o.Cut {
		t.Errorf("cut %v: %.500s", o.Cut, diff)
	}
}
