package all_test

import (
	"os"
	"slices"
	"strings"
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
		folder, _, _ := strings.Cut(r.Spec().Name, "-")
		got = append(got, folder)
	}
	slices.Sort(got)
	if d := cmp.Diff(want, slices.Compact(got)); d != "" {
		t.Errorf("folders and list differ (-folder +listed):\n%s", d)
	}
}

func TestSpecs(t *testing.T) {
	names := map[string]bool{}
	for _, r := range all.Readers() {
		spec := r.Spec()
		_, judge := r.(layer.Judge)
		if spec.Version == 0 || len(spec.Claims) == 0 && !judge {
			t.Errorf("%s: no version, or neither claims nor a Judge", spec.Name)
		}
		if names[spec.Name] {
			t.Errorf("%s twice", spec.Name)
		}
		names[spec.Name] = true
		if s, ok := r.(layer.Searcher); ok && len(s.Literals()) == 0 {
			t.Errorf("%s is a Searcher without literals", spec.Name)
		}
	}
}
