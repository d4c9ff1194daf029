package shield_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/kerneltest"
	"github.com/esclusa/esclusa/internal/shield"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// patch is a small one that watches a key of no consequence, written by the
// test itself.
const patch = `id: CVE-2099-0001
what: A test.
severity: high
affects:
  kernel: [{from: "5.1", before: 5.4.10}, {from: "5.5", before: 5.10.2}]
  packages: [{names: [lock], ranges: [{from: "1.0", before: 1.2.3}]}]
guards:
  - sysctl:
      - {by: [host], keys: ["kernel.msg*"], except: [kernel.msgmnb], begins: "+="}
limits: none
retires: never
options: [{name: nothing, blocks: nothing, breaks: nothing}]
blocks: [{name: a, as: host, do: sysctl.write, with: {key: kernel.msgmax, value: +1}}]
allows: [{name: b, as: host, do: sysctl.write, with: {key: kernel.msgmax, value: SAME}}]
`

func parse(t *testing.T) *shield.Patch {
	t.Helper()
	p, err := shield.Parse("CVE-2099-0001.yaml", []byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"severity: high", "severity: hihg", "CVE-2099-0001.yaml:3:11: severity"},
		{"- sysctl:", "- sysctrl:", "8:5: unknown guard \"sysctrl\"\nhint: did you mean sysctl?"},
		{"by: [host]", "by: [hots]", "9:15: by: unknown writer \"hots\"\nhint: did you mean host?"},
		{"by: [host]", "by: [runtime]", "9:9: by: runtime and runtimes belong together"},
		{"begins: \"+=\"", "begins: \"é\"", "begins: only ASCII"},
		{"begins: \"+=\"", "begnis: x", "unknown key \"begnis\" in rule of guard sysctl\nhint: did you mean begins?"},
		{`["kernel.msg*"]`, `["ker*el"]`, `key "ker*el"`},
		{"do: sysctl.write", "do: sysctl.wirte", "13:10: unknown act \"sysctl.wirte\""},
		{"as: host", "as: hosts", "as: unknown word \"hosts\""},
		{"before: 5.4.10", "before: 5.x", `"5.x" is no version`},
		{"id: CVE-2099-0001", "id: CVE-2099-0002", "1:1: patch CVE-2099-0002 stands in CVE-2099-0001.yaml"},
		{"retires: never\n", "", "the file has no retires"},
	} {
		_, err := shield.Parse("CVE-2099-0001.yaml", []byte(strings.Replace(patch, tt.old, tt.new, 1)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.new, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(patch))
	list, err := fs.Glob(content.Patches, "patches/*.yaml")
	if err != nil || len(list) == 0 {
		f.Fatal(err)
	}
	for _, name := range list {
		data, err := fs.ReadFile(content.Patches, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := shield.Parse("CVE-2099-0001.yaml", data)
		if err != nil {
			var at *yamlread.Error
			if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		if len(p.Guards) == 0 || len(p.Blocks) == 0 || len(p.Allows) == 0 {
			t.Fatal("a patch without a guard, or without proof")
		}
		p.Judge(shield.Facts{Kernel: "5.10.0"})
	})
}

func TestJudge(t *testing.T) {
	p := parse(t)
	lock := func(v string) []esclusa.Package { return []esclusa.Package{{Name: "lock", Version: v}} }
	none := func(string) (string, bool) { return "", false }
	byHand := func(name string) (string, bool) { return "/usr/local/bin/" + name, name == "lock" }
	for _, tt := range []struct {
		facts shield.Facts
		want  shield.State
	}{
		{shield.Facts{Kernel: "5.4.9-amd64"}, shield.Affected},
		{shield.Facts{Kernel: "5.4.10", Program: none}, shield.NotAffected},
		{shield.Facts{Kernel: "5.4.10", Program: byHand}, shield.Unknown},
		{shield.Facts{Kernel: "5.4.10"}, shield.Unknown}, // nobody looked
		{shield.Facts{Kernel: "5.10.1"}, shield.Affected},
		{shield.Facts{Kernel: "5.0", Program: none}, shield.NotAffected},
		{shield.Facts{Kernel: "unreal"}, shield.Unknown},
		{shield.Facts{Kernel: "6.1", Packages: lock("2:1.2.2-1+deb12u1")}, shield.Affected},
		{shield.Facts{Kernel: "6.1", Packages: lock("1.2.3~0")}, shield.NotAffected},
		{shield.Facts{Kernel: "6.1", Packages: lock("git-1")}, shield.Unknown},
		{shield.Facts{Kernel: "6.1", Unread: errors.New("no rights")}, shield.Unknown},
	} {
		if got, why := p.Judge(tt.facts); got != tt.want {
			t.Errorf("%+v: %s (%s), want %s", tt.facts, got, why, tt.want)
		}
	}
}

// FuzzDecode: whatever a record of a guard is, it is an event or an error.
func FuzzDecode(f *testing.F) {
	dir, err := fs.Sub(content.Patches, "patches")
	if err != nil {
		f.Fatal(err)
	}
	list, err := shield.ReadAll(dir)
	if err != nil {
		f.Fatal(err)
	}
	s, err := shield.New(list, func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		f.Fatal(err)
	}
	whole := 0
	for n := guards.Sysctl; n <= guards.IOUring; n++ {
		rec := make([]byte, 1024)
		rec[6] = byte(n)                   // the guard
		rec[kernel.HeadSize+4] = 2         // enforce
		rec[kernel.HeadSize+8] = 4         // a container
		copy(rec[guards.HitSize:], "aa/b") // whatever it means there
		var e esclusa.Event
		if s.Decode(rec, &e) == nil {
			whole++
		}
		f.Add(rec)
		f.Add(rec[:guards.HitSize])
	}
	if whole != int(guards.IOUring) {
		f.Fatalf("%d of %d guards know their own records", whole, guards.IOUring)
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		e := esclusa.Event{}
		if s.Decode(rec, &e) != nil {
			return
		}
		if e.Kind != esclusa.EventGuard || len(e.Fields) < 6 {
			t.Fatalf("an event without what it is about: %+v", e)
		}
		told := 0
		s.Judge(&e, func(d esclusa.Detection) {
			if told++; d.Rule == "" || d.Message == "" {
				t.Fatalf("%+v", d)
			}
		})
		if told != 1 {
			t.Fatalf("%d detections of one record", told)
		}
	})
}

// TestRules: what is wrong in a rule is told where it stands.
func TestRules(t *testing.T) {
	const sysctl = "  - sysctl:\n      - {by: [host], keys: [\"kernel.msg*\"], except: [kernel.msgmnb], begins: \"+=\"}\n"
	for _, tt := range []struct{ rule, want string }{
		{"open: [{by: [container], names: [a/b]}]", `file "a/b"`},
		{"open: [{by: [container], names: []}]", "names is empty"},
		{"open: [{by: [container], names: [a], on: ext9}]", `unknown file system "ext9"`},
		{"open: [{by: [runtime], names: [a]}]", "by: runtime and runtimes belong together"},
		{"open: [{by: [container], names: [0123456789012345678901234567890123456789]}]", "at most 31 bytes"},
		{"exec: [{by: [container]}]", "the rule would refuse every program"},
		{"exec: [{by: [container], workdir: inside}]", `unknown word "inside"`},
		{"mount: [{by: [container], types: [a-type-that-is-too-long]}]", "at most 15 bytes"},
		{"mount: [{by: [container], types: []}]", "types is empty"},
		{"setxattr: [{by: [userns], attributes: []}]", "attributes is empty"},
		{"io_uring: [{by: [userns], uses: [rings]}]", `unknown word "rings"`},
		{"io_uring: [{by: [userns], uses: []}]", "uses is empty"},
		{"io_uring: [{by: [userns], uses: [ring, polling]}]", ""},
		{"exec: [{by: [container], programs: [nsenter]}]", ""},
		{"open: [{by: [container, userns], names: [runc], outside: true, on: overlay}]", ""},
	} {
		text := strings.Replace(patch, sysctl, "  - "+tt.rule+"\n", 1)
		_, err := shield.Parse("CVE-2099-0001.yaml", []byte(text))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.rule, err, tt.want)
		}
	}
}

// TestDistributions: what a distribution mended itself is not taken for
// upstream's version of that number. The fixed versions are those of the
// distributions' advisories, the patches the real ones.
func TestDistributions(t *testing.T) {
	list, err := fs.Sub(content.Patches, "patches")
	if err != nil {
		t.Fatal(err)
	}
	all, err := shield.ReadAll(list)
	if err != nil {
		t.Fatal(err)
	}
	patch := map[string]*shield.Patch{}
	for _, p := range all {
		patch[p.ID] = p
	}
	distro := func(id, version string) esclusa.Distro { return esclusa.Distro{ID: id, Version: version} }
	build := func(v string) string { return "#1 SMP PREEMPT_DYNAMIC Debian " + v + " (2026-05-15)" }
	runc := func(d esclusa.Distro, v string) shield.Facts {
		return shield.Facts{Kernel: "6.1.0", Distro: d, Packages: []esclusa.Package{{Name: "runc", Version: v}}}
	}
	for _, tt := range []struct {
		id    string
		facts shield.Facts
		want  shield.State
	}{
		{"CVE-2024-1086", shield.Facts{Kernel: "6.1.0-48-amd64", Build: build("6.1.172-1"), Distro: distro("debian", "12")}, shield.NotAffected},
		{"CVE-2024-1086", shield.Facts{Kernel: "6.1.0-17-amd64", Build: build("6.1.69-1"), Distro: distro("debian", "12")}, shield.Affected},
		{"CVE-2024-1086", shield.Facts{Kernel: "5.10.0-27-amd64", Build: build("5.10.209-2~deb10u1"), Distro: distro("debian", "10")}, shield.NotAffected},
		{"CVE-2024-1086", shield.Facts{Kernel: "5.10.0-26-amd64", Build: build("5.10.197-1~deb10u1"), Distro: distro("debian", "10")}, shield.Affected},
		{"CVE-2024-1086", shield.Facts{Kernel: "5.14.0-427.13.1.el9_4.x86_64", Distro: distro("almalinux", "9.4")}, shield.NotAffected},
		{"CVE-2024-1086", shield.Facts{Kernel: "5.14.0-362.8.1.el9_3.x86_64", Distro: distro("rocky", "9.3")}, shield.Affected},
		{"CVE-2023-32233", shield.Facts{Kernel: "5.10.0-23-amd64", Build: build("5.10.179-1"), Distro: distro("debian", "11")}, shield.NotAffected},
		// A kernel of another line than the list's is upstream's to judge.
		{"CVE-2023-32233", shield.Facts{Kernel: "6.1.0-0.deb11.5-amd64", Build: build("6.1.12-1~bpo11+1"), Distro: distro("debian", "11")}, shield.Affected},
		{"CVE-2023-2640", shield.Facts{Kernel: "6.2.0-25-generic", Distro: distro("ubuntu", "23.04")}, shield.Affected},
		{"CVE-2023-2640", shield.Facts{Kernel: "6.2.0-26-generic", Distro: distro("ubuntu", "23.04")}, shield.NotAffected},
		{"CVE-2023-2640", shield.Facts{Kernel: "5.15.0-91-generic", Distro: distro("ubuntu", "22.04")}, shield.NotAffected},
		{"CVE-2023-2640", shield.Facts{Kernel: "6.2.0", Distro: distro("debian", "12")}, shield.NotAffected},
		{"CVE-2024-21626", runc(distro("debian", "12"), "1.1.5+ds1-1+deb12u1"), shield.NotAffected},
		{"CVE-2024-21626", runc(distro("debian", "12"), "1.1.5+ds1-1+b1"), shield.Affected},
		{"CVE-2024-21626", runc(distro("debian", "11"), "1.0.0~rc93+ds1-5+deb11u2"), shield.Affected},
		{"CVE-2024-21626", runc(distro("fedora", "39"), "2:1.1.12-1.fc39"), shield.NotAffected},
		{"CVE-2019-5736", runc(distro("debian", "10"), "1.0.0~rc6+dfsg1-1"), shield.Affected},
		{"CVE-2019-5736", runc(distro("debian", "11"), "1.0.0~rc93+ds1-5"), shield.NotAffected},
		{"CVE-2025-52881", runc(distro("almalinux", "9.6"), "4:1.2.5-3.el9_6"), shield.NotAffected},
		{"CVE-2025-52881", runc(distro("almalinux", "9.6"), "4:1.2.5-2.el9_6"), shield.Affected},
		{"CVE-2025-52881", runc(distro("arch", ""), "1.4.0-rc.2"), shield.Affected},
		{"CVE-2025-52881", runc(distro("arch", ""), "1.4.0-rc.3"), shield.NotAffected},
	} {
		if got, why := patch[tt.id].Judge(tt.facts); got != tt.want {
			t.Errorf("%s, %+v: %s (%s), want %s", tt.id, tt.facts, got, why, tt.want)
		}
	}
}

// TestModes: one abuse and one lawful use in each mode, on this kernel. Only
// enforce refuses; observe tells; both count what is lawful.
func TestModes(t *testing.T) {
	kerneltest.Alone(t)
	p := parse(t)
	s, err := shield.New([]*shield.Patch{p}, func(*shield.Patch) guards.Mode { return guards.Enforce })
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernel.Load(kernel.Options{}, s.Objects()...)
	if errors.Is(err, os.ErrPermission) && os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	write := func(key, value string) bool {
		return errors.Is(os.WriteFile("/proc/sys/kernel/"+key, []byte(value), 0), os.ErrPermission)
	}
	old, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var refused []bool
	go func() {
		defer cancel()
		// What the kernel itself makes of +1 is its own affair: EINVAL.
		refused = append(refused, write("msgmax", "+1"), write("msgmnb", "+1"), write("msgmax", string(old)))
		for _, m := range []guards.Mode{guards.Observe, guards.Off} {
			if err := s.SetMode(p.ID, m); err != nil {
				t.Error(err)
			}
			refused = append(refused, write("msgmax", "+1"))
		}
		time.Sleep(20 * time.Millisecond)
	}()
	var modes []string
	err = set.Run(ctx, func(h kernel.Head, rec []byte) {
		var e esclusa.Event
		if err := s.Decode(rec, &e); err != nil || e.Kind != esclusa.EventGuard {
			t.Errorf("%v: %v", e, err)
		}
		s.Judge(&e, func(d esclusa.Detection) {
			mode, _ := e.Fields.Get("mode")
			modes = append(modes, mode.Text)
			if d.Refused != (mode.Text == "enforce") || d.Rule != "shield/CVE-2099-0001" || d.Severity != esclusa.SeverityHigh ||
				!strings.Contains(d.Message, "name kernel.msgmax, value +1") {
				t.Errorf("%+v", d)
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]bool{true, false, false, false, false}, refused); d != "" {
		t.Error("refused (-want +got):", d)
	}
	if d := cmp.Diff([]string{"enforce", "observe"}, modes); d != "" {
		t.Error("told (-want +got):", d)
	}
	uses, gaps, err := s.Uses()
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	counts := map[string]uint64{}
	for _, u := range uses {
		if strings.HasPrefix(u.Key, "kernel.msg") {
			counts[u.Key+" "+u.By] += u.Count
		}
	}
	if d := cmp.Diff(map[string]uint64{"kernel.msgmax host": 2, "kernel.msgmnb host": 1}, counts); d != "" {
		t.Error("counted (-want +got):", d)
	}
	if err := s.SetMode("CVE-2099-0002", guards.Observe); err == nil {
		t.Error("the mode of a patch that is not loaded was changed")
	}
}
