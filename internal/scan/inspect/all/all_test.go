package all_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/inspect/all"
	"github.com/esclusa/esclusa/internal/scan/layer"
)

// TestEveryFolderIsListed compares the list with the folders beside it: a
// reader's name begins with its folder's.
func TestEveryFolderIsListed(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "all" {
			want = append(want, e.Name())
		}
	}
	var got []string
	for _, r := range all.Readers() {
		got = append(got, r.Spec().Name)
	}
	slices.Sort(got)
	if d := cmp.Diff(want, slices.Compact(got)); d != "" {
		t.Errorf("folders and list differ (-folder +listed):\n%s", d)
	}
}

func TestSpecs(t *testing.T) {
	for _, r := range all.Readers() {
		spec := r.Spec()
		if spec.Version == 0 || len(spec.Claims) == 0 {
			t.Errorf("%s: no version or no claims", spec.Name)
		}
		if s, ok := r.(layer.Searcher); ok && len(s.Literals()) == 0 {
			t.Errorf("%s is a Searcher without literals", spec.Name)
		}
	}
}
