package main

import (
	"strings"
	"testing"
)

// TestResults: only a machine in which everything passed is a success.
func TestResults(t *testing.T) {
	code := func(n int) *int { return &n }
	pass := []string{"=== RUN   TestA", "--- PASS: TestA (0.10s)", "PASS"}
	skip := []string{"=== RUN   TestA", "    a_test.go:7: needs root", "--- SKIP: TestA (0.00s)", "PASS"}
	fail := []string{"=== RUN   TestA", "=== RUN   TestA/b", "    a_test.go:9: wrong", "    --- FAIL: TestA/b (0.00s)", "--- FAIL: TestA (0.00s)", "FAIL"}
	for _, tt := range []struct {
		name  string
		tests bool
		lines []string
		exit  int
		ok    bool
		why   string // of a row that is no pass
	}{
		{"pass", true, pass, 0, true, ""},
		{"skip", true, skip, 0, false, "needs root"},
		{"fail", true, fail, 1, false, "wrong"},
		{"crash", true, []string{"=== RUN   TestA", "panic: no"}, 2, false, "panic: no"},
		{"no test", true, nil, 1, false, "exit code 1"},
		{"command", false, []string{"allows ok"}, 0, true, ""},
		{"command leaves something out", false, []string{"not tried: CVE-2099-0001: no rights"}, 0, false, "no rights"},
	} {
		r := newResults([]job{{Name: "x", Tests: tt.tests}}, false)
		for _, line := range tt.lines {
			r.take(message{Line: line})
		}
		r.take(message{Exit: code(tt.exit)})
		if r.done {
			t.Errorf("%s: done before it was said", tt.name)
		}
		r.take(message{Done: true})
		ok, err := r.table()
		if err != nil || ok != tt.ok || !r.done {
			t.Errorf("%s: %t, %v", tt.name, ok, err)
		}
		why := ""
		for _, x := range r.rows {
			if x.result != "pass" {
				why += strings.Join(x.why, "\n")
			}
		}
		if !strings.Contains(why, tt.why) || (why != "") != (tt.why != "") {
			t.Errorf("%s: told %q, want %q", tt.name, why, tt.why)
		}
	}
}
