package esclusa_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/esclusa/esclusa"

// verbs are the packages of floor 2, below internal.
var verbs = []string{"scan", "gate", "shield", "watch", "respond", "hunt"}

// groups are folders of plug-ins: a member may import the group's parent and
// never another member; only "all" imports them.
var groups = []string{
	"internal/scan/catalog", "internal/scan/inspect", "internal/scan/report", "internal/scan/feeds",
	"internal/watch/events", "internal/shield/guards", "internal/respond/actions",
}

// only names modules that belong in one place.
var only = map[string][]string{
	"oras.land/":               {"internal/oci", "internal/registrytest"},
	"cel.dev/":                 {"internal/expr"},
	"github.com/spf13/cobra":   {"cmd/"},
	"github.com/containerd/":   {"internal/oci"},
	"google.golang.org/grpc":   {"internal/oci"},
	"github.com/klauspost/":    {"internal/oci", "internal/scan/catalog/java", "internal/registrytest", "internal/spool", "internal/benchscan"},
	"github.com/schollz/":      {"cmd/"},
	"github.com/cilium/ebpf":   {"internal/kernel", "internal/watch/events", "internal/shield/guards"},
	"k8s.io/":                  {"internal/kube"},
	"github.com/sigstore/":     {"internal/signing"},
	"os/exec":                  {"cmd/", "internal/oci", "internal/benchscan", "internal/truth", "internal/kerneltest", "internal/benchnode", "internal/shield/prove"},
	module + "/internal/truth": {}, // tests only
}

type pkg struct {
	ImportPath  string
	Imports     []string
	TestImports []string
	GoFiles     []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,GoFiles", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// rel is the path below the module; outside says that it is none of ours.
func rel(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := rel(p.ImportPath)
		for _, imp := range p.Imports {
			if why := forbidden(from, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
	}
}

// forbidden says why the import breaks the house, or nothing.
func forbidden(from, imp string) string {
	for prefix, places := range only {
		if strings.HasPrefix(imp, prefix) && !slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(from+"/", p) }) {
			return "it belongs in " + strings.Join(append(places, "tests"), ", ")
		}
	}
	to, ours := rel(imp)
	if from == "" && (ours || strings.Contains(imp, ".")) {
		return "words import the standard library only"
	}
	if !ours {
		return ""
	}
	a, b := floor(from), floor(to)
	switch {
	case b > a:
		return "imports go down"
	case a == 2 && b == 2 && verb(from) != verb(to):
		return "a verb never imports another"
	}
	for _, g := range groups {
		if g == parentOf(to) && !strings.HasSuffix(from, "/all") && floor(from) < 3 && to != g+"/all" {
			if parentOf(from) == g {
				return "an implementation never imports its sibling"
			}
		}
	}
	return ""
}

func floor(p string) int {
	switch {
	case p == "":
		return 0
	case strings.HasPrefix(p, "cmd/"):
		return 3
	case verb(p) != "":
		return 2
	}
	return 1
}

func verb(p string) string {
	rest, ok := strings.CutPrefix(p, "internal/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	if slices.Contains(verbs, first) {
		return first
	}
	return ""
}

func parentOf(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}

// TestFloorsCatch proves that the rules can fail.
func TestFloorsCatch(t *testing.T) {
	bad := [][2]string{
		{"", "github.com/spf13/cobra"},
		{"", module + "/internal/oci"},
		{"internal/oci", module + "/internal/scan"},
		{"internal/scan/match", module + "/internal/gate"},
		{"internal/scan/catalog/npm", module + "/internal/scan/catalog/java"},
		{"internal/scan/match", module + "/cmd/esclusa"},
		{"internal/scan/match", "cel.dev/cel-go/cel"},
		{"internal/scan", module + "/internal/truth"},
	}
	for _, b := range bad {
		if forbidden(b[0], b[1]) == "" {
			t.Errorf("%q may import %q", b[0], b[1])
		}
	}
	good := [][2]string{
		{"cmd/esclusa", module + "/internal/scan"},
		{"internal/scan", module + "/internal/oci"},
		{"internal/scan/catalog/npm", module + "/internal/scan/layer"},
		{"internal/scan/catalog/all", module + "/internal/scan/catalog/npm"},
		{"internal/gate", module},
	}
	for _, g := range good {
		if why := forbidden(g[0], g[1]); why != "" {
			t.Errorf("%q may not import %q: %s", g[0], g[1], why)
		}
	}
}
