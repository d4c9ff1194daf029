package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
)

// TestOwnTree scans the sources of esclusa, as the README's first command does
// where the clone lies: rules and tests are put together so that nobody, we
// included, takes them for leaks or attacks.
func TestOwnTree(t *testing.T) {
	var out, talk bytes.Buffer
	a := app{stdin: strings.NewReader(""), stdout: &out, stderr: &talk, getenv: func(string) string { return "" }}
	if code := run(t.Context(), []string{"scan", "../..", "--offline", "--no-cache", "-q", "-o", "json"}, a); code != 0 {
		t.Fatalf("exit code %d: %s", code, &talk)
	}
	r, err := report.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
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
