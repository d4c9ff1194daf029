package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// table is what was measured.
type table struct {
	machine string
	tools   []tool
	lines   []line
}

type line struct {
	benchCase
	row
	ratio float64 // esclusa's processor time to this tool's
}

// add puts the rows of a case in, each with esclusa's share of it.
func (t *table) add(c benchCase, rows []row) {
	var own time.Duration
	for _, r := range rows {
		if r.tool == "esclusa" {
			own = r.cpu()
		}
	}
	for _, r := range rows {
		l := line{benchCase: c, row: r}
		if r.tool != "esclusa" {
			l.ratio = float64(own) / float64(max(1, r.cpu()))
		}
		t.lines = append(t.lines, l)
	}
}

func (t *table) markdown(rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s with %s, %d runs each in turn.\n", time.Now().UTC().Format(time.DateOnly), t.machine, rounds)
	b.WriteString("CPU is the median of user and system seconds, ± half the spread; memory is the highest peak.\n\n")
	b.WriteString("| case | tool | CPU s | peak MB | esclusa's share of the CPU | found |\n|---|---|--:|--:|--:|---|\n")
	last := ""
	for _, l := range t.lines {
		name := l.name
		if name == last {
			name = ""
		}
		last = l.name
		share := ""
		if l.ratio > 0 {
			share = fmt.Sprintf("%.2f", l.ratio)
		}
		fmt.Fprintf(&b, "| %s | %s | %.3f ± %.0f %% | %d | %s | %s |\n", name, l.tool, l.cpu().Seconds(), 100*l.spread(), l.peak()>>20, share, l.found)
	}
	return b.String()
}

const (
	tableBegin = "<!-- make bench-scan: begin -->\n"
	tableEnd   = "<!-- make bench-scan: end -->\n"
)

// replaceIn puts the table where the page has its marks.
func (t *table) replaceIn(page string, rounds int) error {
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return errors.New(page + " has no marks for the table")
	}
	return os.WriteFile(page, []byte(before+tableBegin+t.markdown(rounds)+tableEnd+after), 0o644)
}
