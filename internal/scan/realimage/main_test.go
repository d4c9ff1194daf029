package realimage

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(measureEnv); file != "" {
		os.Exit(measured(file))
	}
	code := m.Run()
	if scratch.dir != "" {
		os.RemoveAll(scratch.dir)
	}
	os.Exit(code)
}
