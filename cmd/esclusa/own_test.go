package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// TestOwnProgram scans this very program, which holds the rules of all verbs: a
// host on which esclusa is installed is not an attacked one. (A rule writes a
// word that gives an attack away with one letter as an escape: "\\x74".)
func TestOwnProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, content := range map[string][]byte{"usr/bin/esclusa": data, "etc/os-release": []byte("ID=debian\nVERSION_ID=12\n")} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := scanOwn(t, root)
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Kind == esclusa.KindSecret || f.Kind == esclusa.KindMalware {
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Evidence)
		}
	}
}

// TestOwnTree scans the sources of esclusa, as the README's first command does
// where the clone lies: rules and tests are put together so that nobody, we
// included, takes them for leaks or attacks.
func TestOwnTree(t *testing.T) {
	r := scanOwn(t, "../..")
	if len(r.Packages) == 0 {
		t.Error("go.mod was not read")
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		top, _, below := strings.Cut(f.Path, "/")
		if !below || strings.HasPrefix(top, ".") { // what a build or a test left behind
			continue
		}
		if f.Kind == esclusa.KindSecret || f.Kind == esclusa.KindMalware {
			t.Errorf("%s %s at %s:%d: %s", f.Severity, f.ID, f.Path, f.Line, f.Evidence)
		}
	}
}

func scanOwn(t *testing.T, target string) *esclusa.Report {
	t.Helper()
	var out, talk bytes.Buffer
	a := app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, getenv: func(string) string { return "" }}
	if code := run(t.Context(), []string{"scan", target, "--offline", "--no-cache", "-q", "-o", "json"}, a); code != 0 {
		t.Fatalf("exit code %d: %s", code, &talk)
	}
	r, err := report.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
