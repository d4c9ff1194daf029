package kerneltest

import (
	"fmt"
	"os"
	"testing"
)

// Skip skips a test whose kernel interface is not to be had here. With
// ESCLUSA_KERNEL=required, as in the guest, that is a failure: there it is to
// be had.
func Skip(t testing.TB, why ...any) {
	t.Helper()
	if os.Getenv("ESCLUSA_KERNEL") == "required" {
		t.Fatal("may not be skipped here: ", fmt.Sprint(why...))
	}
	t.Skip(why...)
}
