// Package truth finds the independent data that tests are held to: version
// orderings, labelled scan results, real advisory feeds. The data is not in
// the repository (licences, size); a test that needs it skips with one listed
// reason where it is absent, and fails instead when ESCLUSA_TRUTH=required.
//
// It is imported by tests only.
package truth

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Vectors is the path of a file or folder of the test vectors; the folder is
// $ESCLUSA_VECTORS, else shared/data/vectors beside the checkout.
func Vectors(t testing.TB, elem ...string) string {
	t.Helper()
	return find(t, "ESCLUSA_VECTORS", "vectors", elem)
}

// Mirror is the path of a file or folder of the advisory mirror; the folder
// is $ESCLUSA_MIRROR, else shared/data/mirror beside the checkout.
func Mirror(t testing.TB, elem ...string) string {
	t.Helper()
	return find(t, "ESCLUSA_MIRROR", "mirror", elem)
}

// Advisories is the path of a file or folder of advisories in their original
// formats; the folder is $ESCLUSA_ADVISORIES, else shared/data/advisories
// beside the checkout.
func Advisories(t testing.TB, elem ...string) string {
	t.Helper()
	return find(t, "ESCLUSA_ADVISORIES", "advisories", elem)
}

func find(t testing.TB, env, folder string, elem []string) string {
	t.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "data", folder)
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("ESCLUSA_TRUTH") == "required" {
			t.Fatalf("truth data absent: %v (hint: set %s)", err, env)
		}
		t.Skipf("truth data absent: %s/%s (set %s)", folder, filepath.Join(elem...), env)
	}
	return path
}

// root is the checkout: the folder two above this file.
func root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no caller information")
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
