// Package layertest runs a reader over single files the way the pipeline
// does, without layers, for the tests of readers.
package layertest

import (
	"bytes"
	"io/fs"
	"reflect"
	"slices"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// Read hands one file to the reader. It fails the test when no claim of the
// reader matches, or when a claim has side conditions that the file misses.
func Read(t testing.TB, r layer.Reader, path string, mode fs.FileMode, data []byte) (layer.Result, error) {
	t.Helper()
	if !Claimed(r, path, mode, data) {
		t.Fatalf("%s does not claim %s", r.Spec().Name, path)
	}
	f := layer.File{Path: path, Mode: mode, Data: data}
	if s, ok := r.(layer.Searcher); ok {
		f.Hits = Hits(s.Literals(), data)
	}
	res, err := r.Read(&f)
	if c, ok := r.(layer.Chooser); ok {
		f.Hits = chosen(c, &f)
		var few layer.Result
		if len(f.Hits) > 0 || always(c, &f) {
			few, _ = c.Read(&f)
		}
		if !reflect.DeepEqual(res, few) {
			t.Errorf("%s says of %s %+v, and with the literals that it chose %+v", r.Spec().Name, path, res, few)
		}
	}
	return res, err
}

// chosen are the hits that the reader asks for.
func chosen(r layer.Chooser, f *layer.File) []layer.Hit {
	lits, choice := r.Literals(), r.Choose(f.Path, len(f.Data))
	return slices.DeleteFunc(slices.Clone(f.Hits), func(h layer.Hit) bool {
		return choice == layer.None || choice == layer.WideOnly && !lits[h.Literal].Wide
	})
}

func always(r layer.Reader, f *layer.File) bool {
	return slices.ContainsFunc(r.Spec().Claims, func(c layer.Claim) bool {
		return c.Always && c.MatchPath(f.Path, f.Mode) && c.MatchHead(f.Data)
	})
}

// Claimed says whether the reader would be called for the file.
func Claimed(r layer.Reader, path string, mode fs.FileMode, data []byte) bool {
	spec := r.Spec()
	if int64(len(data)) > spec.Limit() {
		return false
	}
	always := true
	if s, ok := r.(layer.Searcher); ok {
		always = len(Hits(s.Literals(), data)) > 0
	}
	return slices.ContainsFunc(spec.Claims, func(c layer.Claim) bool {
		return c.MatchPath(path, mode) && c.MatchHead(data) && (always || c.Always)
	})
}

// Hits is the plain, slow search that the shared matcher must agree with.
func Hits(lits []layer.Literal, data []byte) []layer.Hit {
	var hits []layer.Hit
	lower := lowerASCII(data)
	for i, l := range lits {
		hay, needle := data, []byte(l.Bytes)
		if l.Fold {
			hay, needle = lower, lowerASCII(needle)
		}
		for at := 0; ; {
			j := bytes.Index(hay[at:], needle)
			if j < 0 {
				break
			}
			hits = append(hits, layer.Hit{Literal: i, End: at + j + len(needle)})
			at += j + 1
		}
	}
	slices.SortStableFunc(hits, func(a, b layer.Hit) int { return a.End - b.End })
	return hits
}

// lowerASCII keeps the length, which bytes.ToLower does not.
func lowerASCII(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// Names is the sorted list "name version" of packages.
func Names(pkgs []esclusa.Package) []string {
	var l []string
	for _, p := range pkgs {
		l = append(l, p.Name+" "+p.Version)
	}
	slices.Sort(l)
	return l
}
