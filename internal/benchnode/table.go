package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What stands around the table on the page.
const (
	begin = "<!-- make bench-node: begin -->\n"
	end   = "<!-- make bench-node: end -->\n"
)

// ratio compares medians, and says how far the rounds' own ratios lie apart:
// half of what is between their quartiles.
func (k *kase) ratio() (ratio, spread float64) {
	each := make([]float64, len(k.with))
	for i := range each {
		each[i] = k.with[i] / k.without[i]
	}
	slices.Sort(each)
	q := len(each) / 4
	return median(k.with) / median(k.without), (each[len(each)-1-q] - each[q]) / 2
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

func (b *bench) table(all []*kase, idle float64, peak int64) string {
	var t strings.Builder
	var u unix.Utsname
	_ = unix.Uname(&u) // never fails for memory that is there
	fmt.Fprintf(&t, "Measured on %s with Linux %s, %d cores, %d rounds of each in turn.\n\n",
		time.Now().UTC().Format(time.DateOnly), unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), b.rounds)
	t.WriteString("| act | µs without | µs with | ratio | aim | sensor's own µs |\n|---|--:|--:|--:|--:|--:|\n")
	for _, k := range all {
		ratio, spread := k.ratio()
		us := func(v []float64) float64 { return median(v) / float64(k.n) * 1e6 }
		fmt.Fprintf(&t, "| %s | %.4g | %.4g | %.3f ± %.3f | %.2f | %.3g |\n", k.name, us(k.without), us(k.with), ratio, spread, k.aim, us(k.sensor))
	}
	if b.idle > 0 {
		fmt.Fprintf(&t, "\nAn idle sensor took %.2f %% of one core in %s, and %d MB of memory at its peak.\n", idle*100, b.idle, peak>>20)
	}
	return t.String()
}

// replace puts a table into the page.
func replace(page, table string) error {
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	from, to := bytes.Index(data, []byte(begin)), bytes.Index(data, []byte(end))
	if from < 0 || to < from {
		return fmt.Errorf("%s has no place for the table", page)
	}
	out := slices.Concat(data[:from+len(begin)], []byte(table), data[to:])
	return os.WriteFile(page, out, 0o644)
}
