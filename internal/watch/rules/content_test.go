package rules

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/content"
)

// builtin are the rules of the house.
func builtin(t testing.TB) []File {
	t.Helper()
	sub, err := fs.Sub(content.Rules, "rules")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Files(sub)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func builtinSet(t testing.TB) *Set {
	t.Helper()
	s, err := Load(NewLanguage(), builtin(t), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rare are kinds of events that are few: a rule may look at all of them.
func rare() []Kind {
	return []Kind{
		Kind(esclusa.EventNamespace), Kind(esclusa.EventPtrace), Kind(esclusa.EventBPF), Kind(esclusa.EventIOUring), Kind(esclusa.EventModule),
		Kind(esclusa.EventKeyctl), Kind(esclusa.EventUserfault), Kind(esclusa.EventSignal), Kind(esclusa.EventGuard), Kind(esclusa.EventMount),
		Kind(esclusa.EventCredential),
	}
}

// Each rule fires on its attacks, and all are silent on every benign twin.
func TestContent(t *testing.T) {
	s := builtinSet(t)
	for _, err := range s.Try() {
		t.Error(err)
	}
	for _, g := range s.TakeGaps() {
		t.Errorf("%s", g)
	}
	for _, r := range s.Rules() {
		if len(r.Attacks) == 0 || len(r.Benign) == 0 {
			t.Errorf("%s: a rule needs an attack and a benign twin", r.File)
		}
		for _, x := range append(append([]Example{}, r.Attacks...), r.Benign...) {
			if strings.TrimSpace(x.Run) == "" {
				t.Errorf("%s: %q has no commands to run", r.File, x.Name)
			}
		}
		if !slices.ContainsFunc(r.When.clauses, func(c clause) bool { return c.worth() > 1 }) && !slices.Contains(rare(), r.Kinds[0]) {
			t.Errorf("%s: the condition names no good literal, so it is evaluated for many events", r.File)
		}
	}
	if n := len(s.Rules()); n < 40 {
		t.Errorf("%d rules", n)
	}
}

// What started the runtime excuses nothing: an attack in a container is seen
// as well where a package manager or a build tool is among the ancestors on
// the host.
func TestAncestorsOfTheHostExcuseNothing(t *testing.T) {
	s := builtinSet(t)
	var above []esclusa.Ancestor
	for _, name := range []string{"go", "make", "npm", "pip3", "dpkg", "apt-get", "rpm", "ansible-playbook", "puppet", "sshd", "podman"} {
		above = append(above, esclusa.Ancestor{Name: name, Exe: "/usr/bin/" + name})
	}
	for _, r := range s.Rules() {
		for i := range r.Attacks {
			all, _, err := r.Attacks[i].All(r.kinds())
			if err != nil {
				t.Fatal(err)
			}
			seen := false
			for j := range all {
				e := &all[j]
				if e.Container != nil {
					first := esclusa.Ancestor{Name: "entry", Container: e.Container.ID}
					e.Ancestors = append(append(slices.Clip(e.Ancestors), first), above...)
				}
				s.Match(e, func(hit *Rule) { seen = seen || hit == r })
			}
			if !seen {
				t.Errorf("%s: %q is excused by a process of the host", r.File, r.Attacks[i].Name)
			}
		}
	}
}
