package shield

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/shield/guards/all"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Patch is one file of content/patches: what a bug needs from the kernel, and
// how exactly that is withheld.
type Patch struct {
	yamlread.Pos
	ID         string        `yaml:"id,required" doc:"The CVE."`
	Name       string        `yaml:"name" doc:"What people call it."`
	What       string        `yaml:"what,required" doc:"The bug, in a few sentences."`
	Severity   severity      `yaml:"severity,required" doc:"Of a hit."`
	Technique  string        `yaml:"technique" doc:"Of MITRE ATT&CK."`
	Exploited  bool          `yaml:"exploited" doc:"Known to be exploited: enforced at once where the host is affected."`
	References []string      `yaml:"references" doc:"Where to read on."`
	Affects    Affects       `yaml:"affects,required" doc:"Who has the bug."`
	Guards     []*guardRules `yaml:"guards,required" doc:"Which guards refuse what."`
	Limits     string        `yaml:"limits,required" doc:"What it does not stop, and which lawful use it does."`
	Retires    string        `yaml:"retires,required" doc:"When it is no longer needed."`
	Options    []Option      `yaml:"options,required" doc:"What else could be done, and what that breaks."`
	Blocks     []Case        `yaml:"blocks,required" doc:"Uses that are refused."`
	Allows     []Case        `yaml:"allows,required" doc:"Uses that go on."`
	Text       []byte        // the file
}

// Affects says who has the bug. A host is affected when one of its versions is
// in a range of the list; which list, decides what is asked.
type Affects struct {
	Kernel        []Range           `yaml:"kernel" doc:"Ranges of upstream kernel versions."`
	Distributions []Distribution    `yaml:"distributions" doc:"Kernels that a distribution mended itself; they are asked first."`
	Packages      []AffectedPackage `yaml:"packages" doc:"Packages of the host."`
}

// AffectedPackage is a package under the names that distributions give it.
type AffectedPackage struct {
	Names         []string       `yaml:"names,required" doc:"Names in distributions."`
	Ranges        []Range        `yaml:"ranges,required" doc:"Upstream versions."`
	Distributions []Distribution `yaml:"distributions" doc:"What a distribution mended itself; it is asked first."`
}

// Range is from a version, to before another: the first that has the fix.
type Range struct {
	From   version `yaml:"from,required" doc:"First affected."`
	Before version `yaml:"before,required" doc:"First fixed."`
}

// Option is another way to be safe from the bug.
type Option struct {
	Name   string   `yaml:"name,required" doc:"In a few words."`
	Blocks string   `yaml:"blocks,required" doc:"What of the attack it stops."`
	Breaks string   `yaml:"breaks,required" doc:"What of lawful use it stops."`
	Counts []Counts `yaml:"counts" doc:"Which observed uses those are."`
	Apply  string   `yaml:"apply" doc:"Ready to apply."`
}

// Counts selects observed uses.
type Counts struct {
	Guard string          `yaml:"guard,required" doc:"The guard that counts them."`
	By    []guards.Writer `yaml:"by" doc:"By whom; anybody if empty."`
	Keys  []string        `yaml:"keys" doc:"Keys; * at the end stands for any rest. All if empty."`
}

// Case is one use of an interface that the proof tries.
type Case struct {
	yamlread.Pos
	Name  string            `yaml:"name,required" doc:"In a few words."`
	As    Place             `yaml:"as,required" doc:"Where: host, helper, container or rootless."`
	Exe   string            `yaml:"exe" doc:"The file name of the executable that does it."`
	Do    string            `yaml:"do,required" doc:"The act: guard.act."`
	With  map[string]string `yaml:"with" doc:"Its arguments."`
	Fails string            `yaml:"fails" doc:"The errno; EPERM for what is blocked, none for what is allowed."`
}

// Place is where the process of a case runs.
type Place string

// The places.
const (
	PlaceHost      Place = "host"
	PlaceHelper    Place = "helper"    // on the host, with ipc, net and uts namespaces of a pod
	PlaceContainer Place = "container" // with mount and pid namespaces too
	PlaceRootless  Place = "rootless"  // and a user namespace
)

// DecodeText implements yamlread.Scalar.
func (p *Place) DecodeText(s string) error {
	return yamlread.Word(p, s, []Place{PlaceHost, PlaceHelper, PlaceContainer, PlaceRootless})
}

type severity struct{ esclusa.Severity }

// DecodeText implements yamlread.Scalar.
func (s *severity) DecodeText(t string) (err error) { return s.UnmarshalText([]byte(t)) }

// guardRules are the rules for one guard: "sysctl: [rule, …]".
type guardRules struct {
	guard guards.Guard
	rules []guards.Rule
}

// DecodeNode implements yamlread.Node.
func (g *guardRules) DecodeNode(r *yamlread.Reader, n ast.Node, what string) {
	entries, ok := r.Entries(n, what)
	if !ok {
		return
	}
	if len(entries) != 1 {
		r.Fail(yamlread.PosOf(n), "each entry of guards is one guard with its rules", "guards: [{sysctl: [{by: …}]}]")
		return
	}
	name := yamlread.Key(entries[0])
	g.guard, ok = guardOf(name)
	if !ok {
		r.Fail(yamlread.PosOf(n), fmt.Sprintf("unknown guard %q", yamlread.Clip(name, 40)), yamlread.DidYouMean(name, guardNames()))
		return
	}
	list, ok := entries[0].Value.(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 || len(list.Values) > maxRules {
		r.Fail(yamlread.PosOf(n), fmt.Sprintf("guard %s needs a list of 1 to %d rules", name, maxRules), "")
		return
	}
	for _, v := range list.Values {
		rule := g.guard.NewRule()
		r.Into(v, rule, "rule of guard "+name)
		if r.OK() {
			rule.Check(r)
		}
		g.rules = append(g.rules, rule)
	}
}

// maxRules of one guard in one patch; all patches together have 32.
const maxRules = 8

// Tier is the highest that one of its guards needs.
func (p *Patch) Tier() guards.Tier {
	t := guards.TierA
	for _, g := range p.Guards {
		t = max(t, g.guard.Tier)
	}
	return t
}

func guardOf(name string) (guards.Guard, bool) {
	list := all.Guards()
	i := slices.IndexFunc(list, func(g guards.Guard) bool { return g.Name == name })
	if i < 0 {
		return guards.Guard{}, false
	}
	return list[i], true
}

func guardNames() (names []string) {
	for _, g := range all.Guards() {
		names = append(names, g.Name)
	}
	return names
}

// Parse reads one patch. What is wrong in it is told with file, line and
// column.
func Parse(file string, data []byte) (*Patch, error) {
	r := yamlread.New(file)
	p := &Patch{Text: data}
	r.Read(data, p)
	if r.OK() {
		p.check(r, file)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Patch) check(r *yamlread.Reader, file string) {
	r.Name(p.Pos, "a patch", p.ID)
	if p.ID+".yaml" != path.Base(file) {
		r.Fail(p.Pos, fmt.Sprintf("patch %s stands in %s", yamlread.Clip(p.ID, 40), path.Base(file)), "the file is named as the patch: "+yamlread.Clip(p.ID, 40)+".yaml")
	}
	if len(p.Affects.Kernel)+len(p.Affects.Distributions)+len(p.Affects.Packages) == 0 {
		r.Fail(p.Pos, "affects names nobody", "affects: {kernel: [{from: …, before: …}]}")
	}
	if len(p.Guards) == 0 || len(p.Blocks) == 0 || len(p.Allows) == 0 {
		r.Fail(p.Pos, "a patch has guards, what they block and what they still allow", "")
	}
	for i := range p.Blocks {
		c := &p.Blocks[i]
		if c.check(r); c.Fails == "" {
			c.Fails = "EPERM"
		}
	}
	for i := range p.Allows {
		p.Allows[i].check(r)
	}
	for _, o := range p.Options {
		for _, c := range o.Counts {
			if _, ok := guardOf(c.Guard); !ok {
				r.Fail(p.Pos, fmt.Sprintf("option %q counts at an unknown guard", yamlread.Clip(o.Name, 40)), yamlread.DidYouMean(c.Guard, guardNames()))
			}
		}
	}
}

func (c *Case) check(r *yamlread.Reader) {
	if _, err := act(c.Do); err != nil {
		r.FailErr(c.Pos, err)
	}
	if strings.Contains(c.Exe, "/") {
		r.Fail(c.Pos, "exe is a file name, not a path", "")
	}
}

// act finds "guard.act".
func act(do string) (func(map[string]string) error, error) {
	name, a, _ := strings.Cut(do, ".")
	if g, ok := guardOf(name); ok {
		if f := g.Acts[a]; f != nil {
			return f, nil
		}
	}
	return nil, yamlread.Hinted{Msg: fmt.Sprintf("unknown act %q", yamlread.Clip(do, 40)), Hint: "acts are guard.act, as sysctl.write"}
}

// Act does what a case of a proof does; the process is its own.
func Act(do string, with map[string]string) error {
	f, err := act(do)
	if err != nil {
		return err
	}
	return f(with)
}

// ReadAll reads the patches of a folder, by id.
func ReadAll(dir fs.FS) ([]*Patch, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []*Patch
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		p, err := Parse(name, data)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// Keep notes what an act may change on this host; restore puts it back.
func Keep(do string, with map[string]string) (restore func() error, err error) {
	name, _, _ := strings.Cut(do, ".")
	if g, ok := guardOf(name); ok && g.Keep != nil {
		return g.Keep(with)
	}
	return func() error { return nil }, nil
}
