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
	"time"

	"github.com/esclusa/esclusa/internal/registrytest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestDocs runs the worked examples of the pages: a console block behind the
// comment <!-- run -->. Each line behind "$ " is run in a folder with three
// images, app (left-pad 1.0.0, vulnerable), next (app, and more packages) and
// fixed (left-pad 1.1.0), and with the page's files: blocks behind <!-- file
// NAME -->. What the page shows must be how the output begins; a line … stands
// for any lines. Digests, days, times and dates differ from day to day and are
// not compared; dates of exceptions are today's.
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
		for _, m := range files.FindAllStringSubmatch(string(text), -1) {
			if err := os.WriteFile(m[1], []byte(today(m[2])), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range blocks.FindAllStringSubmatch(string(text), -1) {
			for _, step := range strings.Split("\n"+m[1], "\n$ ")[1:] {
				command, want, _ := strings.Cut(step, "\n")
				t.Run(filepath.Base(page)+"/"+command, func(t *testing.T) { a.compare(t, command, want) })
			}
		}
	}
}

var (
	blocks = regexp.MustCompile("(?s)<!-- run -->\n```console\n(.*?)```")
	files  = regexp.MustCompile("(?s)<!-- file ([\\w.]+) -->\n```yaml\n(.*?)```")
	grants = regexp.MustCompile(`(created|expires): \d{4}-\d\d-\d\d`)
)

// today makes exceptions that are granted today and end in a month.
func today(text string) string {
	return grants.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, "created") {
			return "created: " + time.Now().UTC().Format(time.DateOnly)
		}
		return "expires: " + time.Now().UTC().AddDate(0, 1, 0).Format(time.DateOnly)
	})
}

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
	module := func(name, version string) registrytest.File {
		return registrytest.File{Path: "app/node_modules/" + name + "/package.json", Content: `{"name": "` + name + `", "version": "` + version + `"}`}
	}
	for name, modules := range map[string][]registrytest.File{
		"app":   {module("left-pad", "1.0.0"), module("right-pad", "1.0.0")},
		"next":  {module("left-pad", "1.0.0"), module("right-pad", "1.0.0"), module("top-pad", "1.0.0")},
		"fixed": {module("left-pad", "1.1.0"), module("right-pad", "1.0.0")},
	} {
		layout := registrytest.Image(t,
			registrytest.Files(registrytest.File{Path: "etc/os-release", Content: "ID=scratchy\n"}),
			registrytest.Files(modules...),
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
	got := settle(out.String())
	for i, part := range strings.Split("\n"+want, "\n…\n") {
		wanted := settle(part)
		if i > 0 {
			got = got[from(got, wanted):]
		}
		shown := got[:min(len(got), len(wanted))]
		if d := cmp.Diff(wanted, shown, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("the page shows something else (-page +program):\n%s\nwhole output:\n%s%s", d, out.String(), a.stderr)
			return
		}
		got = got[len(wanted):]
	}
}

// from is where the first few words stand, or 0.
func from(words, first []string) int {
	first = first[:min(len(first), 4)]
	for i := range words {
		if i+len(first) <= len(words) && slices.Equal(words[i:i+len(first)], first) {
			return i
		}
	}
	return 0
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
