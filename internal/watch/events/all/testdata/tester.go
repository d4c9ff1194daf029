// Tester does one thing that a sensor has an event for, and nothing else.
package main

import (
	"fmt"
	"os"

	"github.com/esclusa/esclusa/internal/watch/prove"
)

func main() {
	if os.Args[1] == "nothing" {
		return
	}
	if err := prove.Do(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
