package all_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/scan/catalog/all"
)

func TestEveryFolderIsListed(t *testing.T) {
	var listed []string
	for _, r := range all.Readers() {
		// A folder with several readers names them folder/what.
		folder, _, _ := strings.Cut(r.Spec().Name, "/")
		listed = append(listed, folder)
	}
	slices.Sort(listed)
	listed = slices.Compact(listed)
	if diff := cmp.Diff(readerFolders(t), listed); diff != "" {
		t.Errorf("folders of catalog (-) and readers of all (+) differ; add the missing line to all.go:\n%s", diff)
	}
}

// readerFolders are the folders beside this one that hold Go code.
func readerFolders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "all" {
			continue
		}
		code, err := filepath.Glob(filepath.Join("..", e.Name(), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(code) > 0 {
			folders = append(folders, e.Name())
		}
	}
	return folders
}

func TestSpecs(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range all.Readers() {
		spec := r.Spec()
		if seen[spec.Name] {
			t.Errorf("%s: listed twice", spec.Name)
		}
		seen[spec.Name] = true
		if spec.Version < 1 {
			t.Errorf("%s: version %d", spec.Name, spec.Version)
		}
		if len(spec.Claims) == 0 {
			t.Errorf("%s: claims no file", spec.Name)
		}
		if diff := cmp.Diff(spec, r.Spec()); diff != "" {
			t.Errorf("%s: spec is not constant:\n%s", spec.Name, diff)
		}
	}
}
