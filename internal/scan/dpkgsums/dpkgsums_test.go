package dpkgsums

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sum = "d41d8cd98f00b204e9800998ecf8427e"

func collect(data string) [][2]string {
	var got [][2]string
	for path, hex := range Parse([]byte(data)) {
		got = append(got, [2]string{path, hex})
	}
	return got
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, data string
		want       [][2]string
	}{
		{"text and binary mode", sum + "  usr/bin/a\n" + sum + " *usr/bin/b\n", [][2]string{{"usr/bin/a", sum}, {"usr/bin/b", sum}}},
		{"distroless has a leading dot", sum + "  ./usr/bin/a\n", [][2]string{{"usr/bin/a", sum}}},
		{"escaped", `\` + sum + `  lib/a\\x2db.slice` + "\n", [][2]string{{`lib/a\x2db.slice`, sum}}},
		{"a backslash that dpkg did not escape", sum + `  lib/a\x2db.slice` + "\n", [][2]string{{`lib/a\x2db.slice`, sum}}},
		{"spaces in the path, no last newline", sum + "  a b", [][2]string{{"a b", sum}}},
		{"not sums", "\nhello\n" + sum + "\n" + sum + "  \n" + strings.ToUpper(sum) + "  a\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, collect(tt.data)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMD5Sum writes a list with md5sum itself, names that need escapes
// included, and reads it back.
func TestMD5Sum(t *testing.T) {
	if _, err := exec.LookPath("md5sum"); err != nil {
		t.Skip("not installed: coreutils")
	}
	dir := t.TempDir()
	names := []string{"plain", `back\slash`, "new\nline", "two  spaces"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "md5sum", append([]string{"--"}, names...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for path := range Parse(out) {
		got = append(got, path)
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sum + "  usr/bin/a\n\\" + sum + "  b\\\\c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for path, hex := range Parse(data) {
			if path == "" || len(hex) != hexSize {
				t.Fatalf("path %q, hex %q", path, hex)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := bytes.Repeat([]byte(sum+"  usr/share/doc/somewhere/a/file\n"), 10_000)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() { // one list of 10,000 files
		for range Parse(data) {
		}
	}
}
