package all_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/catalog/all"
	"github.com/esclusa/esclusa/internal/scan/layer"
	"github.com/esclusa/esclusa/internal/scan/layer/layertest"
)

// sample is a good file.
type sample struct {
	path string
	data []byte
}

// samples are the files of testdata, and those that are no text.
func samples(t *testing.T) []sample {
	t.Helper()
	ar, err := txtar.ParseFile("testdata/samples.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for _, f := range ar.Files {
		all = append(all, sample{f.Name, f.Data})
	}
	return append(all, sample{"app/lib/log4j-core-2.14.1.jar", jar(t)}, sample{"app/main", program(t)})
}

// jar is a Java archive.
func jar(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range map[string]string{
		"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\nImplementation-Title: Apache Log4j Core\r\nImplementation-Version: 2.14.1\r\n",
		"META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "version=2.14.1\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\n",
	} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// program is a Go program: this test.
func program(t *testing.T) []byte {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unsampled are readers without a good file here, and why.
var unsampled = map[string]string{
	"rust": "takes a program that cargo-auditable built",
}

// TestReadersHoldTheLaw gives every reader good files, files of others under
// its own names, and broken ones.
func TestReadersHoldTheLaw(t *testing.T) {
	good := samples(t)
	for _, r := range all.Readers() {
		t.Run(r.Spec().Name, func(t *testing.T) {
			read := 0
			for _, s := range good {
				if !layertest.Claimed(r, s.path, 0o755, s.data) {
					continue
				}
				res, err := try(t, r, s.path, s.data)
				if err != nil {
					t.Errorf("%s: %v", s.path, err)
				}
				if len(res.Packages)+len(res.Owned) > 0 || res.Distro != nil {
					read++
				}
			}
			if reason, ok := unsampled[r.Spec().Name]; (read == 0) != ok {
				t.Errorf("%d files gave something; add one to testdata/samples.txtar (unsampled: %q)", read, reason)
			}
			for _, c := range r.Spec().Claims {
				path := claimed(c)
				for data := range broken(c, good) {
					if layertest.Claimed(r, path, 0o755|c.Mode, data) {
						_, _ = try(t, r, path, data)
					}
				}
			}
		})
	}
}

// claimed is a path that satisfies the claim.
func claimed(c layer.Claim) string {
	if c.Path != "" {
		return c.Path
	}
	path := c.Under
	if c.Dir != "" {
		path += c.Dir + "/x/"
	}
	if c.Base != "" {
		return path + c.Base
	}
	return path + c.Prefix + "x" + c.Suffix
}

// broken yields what a file may hold that is none: nothing, one byte, noise,
// and good files of all readers, whole, cut and with changed bytes.
func broken(c layer.Claim, good []sample) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		rnd := rand.New(rand.NewPCG(1, 2))
		noise := []byte(c.Magic)
		for range 4096 {
			noise = append(noise, byte(rnd.Uint32()))
		}
		for _, data := range [][]byte{nil, {0}, {'{'}, {'<'}, {0xff}, noise, []byte(c.Magic)} {
			if !yield(data) {
				return
			}
		}
		for _, s := range good {
			cuts := 32
			if len(s.data) > 1<<20 {
				cuts = 4 // a program: each read takes long
			}
			for i := range cuts {
				at := len(s.data) * i / cuts
				changed := bytes.Clone(s.data)
				for range 1 + i%8 {
					changed[rnd.IntN(len(changed))] = byte(rnd.Uint32())
				}
				if !yield(s.data[:at]) || !yield(s.data[at:]) || !yield(changed) {
					return
				}
			}
		}
	}
}

// try reads one file and holds the result to what every reader owes.
func try(t *testing.T, r layer.Reader, path string, data []byte) (layer.Result, error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("%s: %q: panic: %v\n%s", path, head(data), p, debug.Stack())
		}
	}()
	res, err := layertest.Read(t, r, path, 0o755, data)
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		t.Errorf("%s: %q: an error without a text", path, head(data))
	}
	for i := range res.Packages {
		if why := lacks(&res.Packages[i]); why != "" {
			t.Fatalf("%s: %q: %s: %+v", path, head(data), why, res.Packages[i])
		}
	}
	for _, g := range res.Gaps {
		if g.Scope == "" || g.What == "" || g.Err == "" {
			t.Fatalf("%s: %q: gap %+v", path, head(data), g)
		}
	}
	for _, o := range res.Owned {
		if o == "" || o[0] == '/' {
			t.Fatalf("%s: %q: owned path %q", path, head(data), o)
		}
	}
	return res, err
}

// lacks says what is wrong with a package; empty when nothing is.
func lacks(p *esclusa.Package) string {
	switch {
	case p.Name == "" || p.Version == "" || p.Type == "":
		return "a package lacks its name, version or type"
	case p.PURL != "" && !strings.HasPrefix(p.PURL, "pkg:"):
		return "a package URL that is none"
	case strings.ContainsFunc(p.Name+p.Version, unicode.IsControl):
		return "control characters would reach terminals"
	}
	return ""
}

func head(data []byte) string { return fmt.Sprintf("%.200s", data) }
