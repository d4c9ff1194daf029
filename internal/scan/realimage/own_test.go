package realimage

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
)

// This file is the second opinion. It imports nothing of esclusa: packages
// are those that the ecosystem's own tool lists, advisories are read from the
// zips with encoding/json, versions are compared by the ecosystem's own code.

// owned is a package as its own tool names it.
type owned struct {
	eco     string // OSV's ecosystem, with its release
	name    string // as installed
	version string // as installed
	// of what advisories speak: Debian's source package, PEP 503 names
	advName, advVersion string
}

func command(t testing.TB, dir, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v: %s", c, err, exit.Stderr)
		}
		t.Fatalf("%s: %v", c, err)
	}
	return out
}

// inventory is everything that the tools find in the root.
func inventory(t testing.TB, root string) []owned {
	t.Helper()
	all := slices.Concat(debianPackages(t, root), npmPackages(t, filepath.Join(root, "srv/app")),
		goModules(t, filepath.Join(root, "usr/local/bin/old")), pythonPackages(t, filepath.Join(root, pythonDir)))
	sort.Slice(all, func(i, j int) bool { return fmt.Sprint(all[i]) < fmt.Sprint(all[j]) })
	return slices.Compact(all)
}

func debianPackages(t testing.TB, root string) []owned {
	t.Helper()
	out := command(t, "", "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W",
		"-f", "${Package}\t${Version}\t${source:Package}\t${source:Version}\t${db:Status-Status}\n")
	var all []owned
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) == 5 && f[4] == "installed" {
			all = append(all, owned{"Debian:11", f[0], f[1], f[2], f[3]})
		}
	}
	return all
}

func npmPackages(t testing.TB, dir string) []owned {
	t.Helper()
	type node struct {
		Version      string
		Missing      bool
		Dependencies map[string]node
	}
	var top node
	if err := json.Unmarshal(command(t, dir, "npm", "ls", "--all", "--json"), &top); err != nil {
		t.Fatal(err)
	}
	var all []owned
	var walk func(n node)
	walk = func(n node) {
		for name, d := range n.Dependencies {
			if d.Version != "" && !d.Missing {
				all = append(all, owned{"npm", name, d.Version, name, d.Version})
			}
			walk(d)
		}
	}
	walk(top)
	return all
}

func goModules(t testing.TB, file string) []owned {
	t.Helper()
	var all []owned
	for line := range strings.Lines(string(command(t, "", "go", "version", "-m", file))) {
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, file+": go"):
			// "go1.26.1 X:nodwarf5" ends in experiments.
			v := strings.TrimPrefix(f[1], "go")
			all = append(all, owned{"Go", "stdlib", v, "stdlib", v})
		case len(f) >= 3 && f[0] == "dep":
			v := strings.TrimPrefix(f[2], "v")
			all = append(all, owned{"Go", f[1], v, f[1], v})
		case len(f) >= 3 && f[0] == "=>":
			t.Fatalf("a replaced module: %s", line)
		}
	}
	return all
}

var pep503 = regexp.MustCompile(`[-_.]+`)

func pythonPackages(t testing.TB, dir string) []owned {
	t.Helper()
	out := command(t, "", "python3", "-c", `
import importlib.metadata as m, sys
for d in m.distributions(path=[sys.argv[1]]): print(d.metadata["Name"] + "\t" + d.version)`, dir)
	var all []owned
	for line := range strings.Lines(string(out)) {
		name, v, _ := strings.Cut(strings.TrimSpace(line), "\t")
		n := pep503.ReplaceAllString(strings.ToLower(name), "-")
		all = append(all, owned{"PyPI", n, v, n, v})
	}
	return all
}

// record is what of an advisory decides.
type record struct {
	ID        string
	Aliases   []string
	Upstream  []string
	Withdrawn string
	Affected  []struct {
		Package struct{ Ecosystem, Name string }
		Ranges  []struct {
			Type   string
			Events []map[string]string
		}
		Versions []string
	}
}

// records are those of an ecosystem's zip that name one of the packages.
func records(t testing.TB, path string, wanted map[string]bool) []record {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var all []record
	for _, f := range z.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		var r record
		if err := json.Unmarshal(b, &r); err != nil {
			t.Logf("%s %s: %v", path, f.Name, err)
			continue
		}
		for _, a := range r.Affected {
			if wanted[advisoryName(a.Package.Ecosystem, a.Package.Name)] {
				all = append(all, r)
				break
			}
		}
	}
	return all
}

// advisoryName is comparable with owned: PyPI's names are folded.
func advisoryName(ecosystem, name string) string {
	if ecosystem == "PyPI" {
		name = pep503.ReplaceAllString(strings.ToLower(name), "-")
	}
	return ecosystem + "\t" + name
}

// order compares two versions of an ecosystem; an unreadable one is an error.
type order func(a, b string) (int, error)

// orders are the ecosystems' own code.
func orders(t testing.TB) map[string]order {
	t.Helper()
	root := strings.TrimSpace(string(command(t, "", "npm", "root", "-g")))
	return map[string]order{
		"Debian": dpkgOrder,
		"Go": func(a, b string) (int, error) {
			a, b = goVersion(a), goVersion(b)
			if !semver.IsValid(a) || !semver.IsValid(b) {
				return 0, fmt.Errorf("not a Go version: %s, %s", a, b)
			}
			return semver.Compare(a, b), nil
		},
		"npm": dialogue(t, "node", "-e", `
const semver = require(process.argv[1] + "/npm/node_modules/semver");
require("readline").createInterface({input: process.stdin}).on("line", l => {
  const [a, b] = l.split("\t");
  try { console.log(semver.compare(a, b)) } catch (e) { console.log("error " + e.message) }
})`, root),
		"PyPI": dialogue(t, "python3", "-u", "-c", `
import sys
try: from packaging.version import Version
except ImportError: from pip._vendor.packaging.version import Version
for l in sys.stdin:
    a, b = l.rstrip("\n").split("\t")
    try:
        a, b = Version(a), Version(b)
        print(0 if a == b else -1 if a < b else 1)
    except Exception as e: print("error", e)`),
	}
}

// goVersion writes "1.26" and "1.26rc1" as semantic versions.
func goVersion(v string) string {
	v = "v" + v
	if i := strings.Index(v, "rc"); i > 0 && v[i-1] != '-' {
		v = v[:i] + ".0-" + v[i:]
	}
	return v
}

func dpkgOrder(a, b string) (int, error) {
	for op, c := range map[string]int{"lt": -1, "eq": 0, "gt": 1} {
		if exec.Command("dpkg", "--compare-versions", a, op, b).Run() == nil {
			return c, nil
		}
	}
	return 0, fmt.Errorf("dpkg does not compare %q and %q", a, b)
}

// dialogue asks one process, a line a question.
func dialogue(t testing.TB, name string, args ...string) order {
	t.Helper()
	c := exec.Command(name, args...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	answers := bufio.NewScanner(out)
	return func(a, b string) (int, error) {
		if _, err := fmt.Fprintf(in, "%s\t%s\n", a, b); err != nil || !answers.Scan() {
			t.Fatalf("%s died at %q, %q: %v", name, a, b, err)
		}
		switch answers.Text() {
		case "-1":
			return -1, nil
		case "0":
			return 0, nil
		case "1":
			return 1, nil
		}
		return 0, fmt.Errorf("%s of %q and %q", answers.Text(), a, b)
	}
}

// holds is the evaluation of the OSV schema: a listed version, or a range
// whose events, sorted, leave the version vulnerable.
func holds(r *record, p *owned, compare order) (bool, error) {
	for _, a := range r.Affected {
		if advisoryName(a.Package.Ecosystem, a.Package.Name) != p.eco+"\t"+p.advName {
			continue
		}
		if slices.Contains(a.Versions, p.advVersion) {
			return true, nil
		}
		for _, rg := range a.Ranges {
			if rg.Type == "GIT" {
				continue
			}
			if in, err := within(rg.Events, p.advVersion, compare); in || err != nil {
				return in, err
			}
		}
		if len(a.Ranges) > 0 {
			continue
		}
		for _, v := range a.Versions {
			if c, err := compare(p.advVersion, v); err == nil && c == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

func within(events []map[string]string, v string, compare order) (bool, error) {
	type event struct{ kind, at string }
	var list []event
	for _, e := range events {
		for _, kind := range []string{"introduced", "fixed", "last_affected"} {
			if at, ok := e[kind]; ok {
				list = append(list, event{kind, at})
			}
		}
	}
	var failed error
	cmp := func(a, b string) int {
		switch {
		case a == "0" && b == "0":
			return 0
		case a == "0":
			return -1
		case b == "0":
			return 1
		}
		c, err := compare(a, b)
		if err != nil {
			failed = err
		}
		return c
	}
	sort.SliceStable(list, func(i, j int) bool { return cmp(list[i].at, list[j].at) < 0 })
	in := false
	for _, e := range list {
		c := cmp(v, e.at)
		switch {
		case e.kind == "introduced" && c >= 0:
			in = true
		case e.kind == "fixed" && c >= 0, e.kind == "last_affected" && c > 0:
			in = false
		}
	}
	return in, failed
}

// rows are the flaws of one package: records that share a name are one row,
// and a record that answers several flaws stands in the row of each.
func rows(found []*record) [][]string {
	group := map[string]string{} // name → representative (union-find)
	var top func(n string) string
	top = func(n string) string {
		if group[n] == n {
			return n
		}
		return top(group[n])
	}
	join := func(names []string) {
		for _, n := range names {
			if _, ok := group[n]; !ok {
				group[n] = n
			}
			group[top(n)] = top(names[0])
		}
	}
	for _, r := range found {
		switch len(r.Upstream) {
		case 0:
			join(append([]string{r.ID}, r.Aliases...))
		case 1:
			join(append([]string{r.Upstream[0]}, r.Aliases...))
		default:
			for _, u := range r.Upstream {
				join([]string{u})
			}
		}
	}
	sets := map[string][]string{}
	for n := range group {
		sets[top(n)] = append(sets[top(n)], n)
	}
	var all [][]string
	for _, names := range sets {
		slices.Sort(names)
		all = append(all, names)
	}
	return all
}
