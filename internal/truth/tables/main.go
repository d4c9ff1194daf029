// Command tables prints, from the JSON lines of a test run, what a green
// result alone does not say: the tables of recall and precision ("vectors:"
// lines), and every test that was skipped with its reason.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: tables FILE (of go test -json)")
		os.Exit(3)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
	defer f.Close()
	var tables, skips []string
	last := map[string]string{} // test → its last line, the reason of a skip
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		key := e.Package + "." + e.Test
		switch out := strings.TrimSpace(e.Output); {
		case e.Action == "output" && strings.Contains(out, "vectors:"):
			_, row, _ := strings.Cut(out, "vectors:")
			tables = append(tables, strings.TrimRight(row, " "))
		case e.Action == "output" && out != "" && !strings.HasPrefix(out, "---") && !strings.HasPrefix(out, "==="):
			last[key] = out
		case e.Action == "skip" && e.Test != "":
			skips = append(skips, fmt.Sprintf("%s %s: %s", strings.TrimPrefix(e.Package, "github.com/esclusa/esclusa/"), e.Test, last[key]))
		}
	}
	if len(tables) > 0 {
		fmt.Println("\nAgainst independent truth:")
		for _, r := range tables {
			fmt.Println(" " + r)
		}
	}
	fmt.Printf("\n%d tests skipped\n", len(skips))
	for _, s := range skips {
		fmt.Println("  " + s)
	}
}
