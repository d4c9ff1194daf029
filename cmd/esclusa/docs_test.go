package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/google/go-cmp/cmp"
)

// TestDocs runs the worked examples of the pages: a console block behind the
// comment <!-- run -->. Each line behind "$ " is run in a folder with two
// images, app (left-pad 1.0.0, vulnerable) and fixed (1.1.0); what the page
// shows must be how the output begins. Digests, days, times and dates differ
// from day to day and are not compared.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	for _, page := range append(pages, "../../README.md") {
		if texts[page], err = os.ReadFile(page); err != nil {
			t.Fatal(err)
		}
	}
	a := examples(t)
	for _, page := range slices.Sorted(maps.Keys(texts)) {
		text := texts[page]
		for _, m := range blocks.FindAllStringSubmatch(string(text), -1) {
			for _, step := range strings.Split("\n"+m[1], "\n$ ")[1:] {
				command, want, _ := strings.Cut(step, "\n")
				t.Run(filepath.Base(page)+"/"+command, func(t *testing.T) { a.compare(t, command, want) })
			}
		}
	}
}

var blocks = regexp.MustCompile("(?s)<!-- run -->\n```console\n(.*?)```")

type example struct{ cache string }

func examples(t *testing.T) example {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	record := `{"id": "GHSA-test-left-0001", "modified": "2026-11-01T00:00:00Z", "published": "2026-10-01T00:00:00Z",
		"aliases": ["CVE-2099-0001"], "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
		"affected": [{"package": {"ecosystem": "npm", "name": "left-pad"}, "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.1.0"}]}]}]}`
	if err := writeMirror("mirror", "npm", func(add func(string, []byte)) { add("GHSA-test-left-0001.json", []byte(record)) }); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{"app": "1.0.0", "fixed": "1.1.0"} {
		layout := registrytest.Image(t,
			registrytest.Files(registrytest.File{Path: "etc/os-release", Content: "ID=scratchy\n"}),
			registrytest.Files(registrytest.File{Path: "app/node_modules/left-pad/package.json", Content: `{"name": "left-pad", "version": "` + v + `"}`},
				registrytest.File{Path: "app/node_modules/right-pad/package.json", Content: `{"name": "right-pad", "version": "1.0.0"}`}),
		).Layout(t, "latest")
		if err := os.Rename(layout, name); err != nil {
			t.Fatal(err)
		}
	}
	return example{filepath.Join(dir, "cache")}
}

func (e example) compare(t *testing.T, command, want string) {
	env := map[string]string{"XDG_CACHE_HOME": e.cache, "ESCLUSA_MIRROR": "mirror"}
	a := app{stdin: strings.NewReader(""), getenv: func(k string) string { return env[k] }}
	var out bytes.Buffer
	a.stdout, a.stderr = &out, &bytes.Buffer{}
	if !strings.HasPrefix(command, "esclusa ") {
		t.Fatalf("%q is no command of ours", command)
	}
	// The database is there before the first example, as it is on the second
	// day of any user.
	if code := run(t.Context(), []string{"advisories", "update", "-q"}, app{stdin: a.stdin, stdout: &bytes.Buffer{}, stderr: a.stderr, getenv: a.getenv}); code != 0 {
		t.Fatalf("advisories update: exit code %d: %s", code, a.stderr)
	}
	run(t.Context(), strings.Fields(command)[1:], a)
	got, wanted := settle(out.String()), settle(want)
	got = got[:min(len(got), len(wanted))]
	if d := cmp.Diff(wanted, got); d != "" {
		t.Errorf("the page shows something else (-page +program):\n%s\nwhole output:\n%s%s", d, out.String(), a.stderr)
	}
}

var unsettled = []*regexp.Regexp{
	regexp.MustCompile(`\d{4}-\d\d-\d\d( \d\d:\d\d)?`),
	regexp.MustCompile(`\d+ days?`),
	regexp.MustCompile(`[0-9a-f]{12}`),
	regexp.MustCompile(`(took|in) [0-9.]+(ms|s|µs)`),
	regexp.MustCompile(`\d of \d layers`), // an example before this one may have read them
}

// settle is the words without those that differ from day to day; a longer
// number may break a line in another place.
func settle(s string) []string {
	s = strings.Join(strings.Fields(s), " ")
	for _, re := range unsettled {
		s = re.ReplaceAllString(s, "~")
	}
	return strings.Fields(s)
}
