package terminal_test

import (
	"testing"

	"github.com/esclusa/esclusa/internal/terminal"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain café 漢字":                 "plain café 漢字",
		"a\nb\tc":                       "a b c",
		"\x1b[2Jx\x00\x7f\u009b":        "?[2Jx???",
		"\u202eexe.txt\u200b\u2028\xff": "?exe.txt???",
	} {
		if got := terminal.Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"漢字漢字", 2, "漢…"}, {"abcd", 0, "abcd"}, {"abcd", 1, "…"}, {"", 1, ""}} {
		if got := terminal.Cut(tt.in, tt.width); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}
