package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// writeMirror writes one ecosystem in the layout of the official bucket.
func writeMirror(dir, ecosystem string, fill func(add func(name string, data []byte))) error {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var first error
	fill(func(name string, data []byte) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil && first == nil {
			first = err
		}
	})
	if err := z.Close(); err != nil {
		return err
	}
	if first != nil {
		return first
	}
	folder := filepath.Join(dir, "osv", ecosystem)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "all.zip"), b.Bytes(), 0o644)
}

// tb is a script's place for the builders that want a testing.TB.
type tb struct {
	testing.TB
	ts *testscript.TestScript
}

func (t *tb) Helper()                   {}
func (t *tb) Cleanup(f func())          { t.ts.Defer(f) }
func (t *tb) Fatal(args ...any)         { t.ts.Fatalf("%v", args) }
func (t *tb) Fatalf(f string, a ...any) { t.ts.Fatalf(f, a...) }
func (t *tb) TempDir() string {
	dir, err := os.MkdirTemp(t.ts.Getenv("WORK"), "image")
	t.ts.Check(err)
	return dir
}
