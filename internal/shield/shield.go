// Package shield puts virtual patches in force: narrow guards on the kernel
// interfaces that an unpatched bug needs. A patch (content/patches) says what
// is refused and, with the same weight, what is still allowed; both are tried
// on the kernel by the proof (shield/prove).
//
// It never weakens what was asked: a guard that cannot be loaded is an error.
// It does not act on what it sees; a hit becomes an event and a detection.
//
// Start with New.
package shield

import (
	"fmt"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// Shield is patches in force. The caller loads its Objects, and hands the
// records of kind kernel.Guard to Decode.
type Shield struct {
	patches map[string]*Patch
	guards  map[guards.Number]*instance
}

// instance is a guard and whose its rules are.
type instance struct {
	*guards.Instance
	owners []*Patch
}

// New puts the rules of patches together, each in its mode. One that is off
// refuses and tells nothing until SetMode.
func New(patches []*Patch, mode func(*Patch) guards.Mode) (*Shield, error) {
	s := &Shield{patches: map[string]*Patch{}, guards: map[guards.Number]*instance{}}
	rules := map[guards.Number][]guards.Rule{}
	modes := map[guards.Number][]guards.Mode{}
	owners := map[guards.Number][]*Patch{}
	kinds := map[guards.Number]guards.Guard{}
	for _, p := range patches {
		m := mode(p)
		s.patches[p.ID] = p
		for _, g := range p.Guards {
			n := g.guard.Number
			kinds[n] = g.guard
			for _, r := range g.rules {
				rules[n], modes[n], owners[n] = append(rules[n], r), append(modes[n], m), append(owners[n], p)
			}
		}
	}
	for n, g := range kinds {
		i, err := guards.NewInstance(g, rules[n], modes[n])
		if err != nil {
			return nil, err
		}
		s.guards[n] = &instance{i, owners[n]}
	}
	return s, nil
}

// Objects are the programs to load; when they are, the patches are in force.
func (s *Shield) Objects() []kernel.Object {
	var out []kernel.Object
	for _, i := range s.all() {
		out = append(out, i.Object())
	}
	return out
}

func (s *Shield) all() []*instance {
	var out []*instance
	for _, i := range s.guards {
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b *instance) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// SetMode changes a loaded patch's mode, at once.
func (s *Shield) SetMode(id string, m guards.Mode) error {
	if s.patches[id] == nil {
		return fmt.Errorf("patch %s is not loaded", id)
	}
	for _, i := range s.guards {
		for n, p := range i.owners {
			if p.ID != id {
				continue
			}
			if err := i.SetMode(n, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// Uses are the lawful uses that were counted since the guards were loaded.
func (s *Shield) Uses() ([]guards.Use, []esclusa.Gap, error) {
	var (
		uses []guards.Use
		gaps []esclusa.Gap
	)
	for _, i := range s.all() {
		u, g, err := i.Seen()
		if err != nil {
			return nil, nil, err
		}
		uses, gaps = append(uses, u...), append(gaps, g...)
	}
	return uses, gaps, nil
}

// Decode makes the event of a guard's record: guard, patch, mode, by and
// refused, then the guard's own fields.
func (s *Shield) Decode(rec []byte, e *esclusa.Event) error {
	h, err := guards.ReadHit(rec)
	if err != nil {
		return err
	}
	i := s.guards[h.Guard]
	if i == nil || h.Rule >= len(i.owners) {
		return fmt.Errorf("record of guard %d, rule %d: not loaded", h.Guard, h.Rule)
	}
	e.Kind = esclusa.EventGuard
	e.Fields = append(e.Fields,
		esclusa.Text("guard", i.Name), esclusa.Text("patch", i.owners[h.Rule].ID), esclusa.Text("mode", h.Mode.String()),
		esclusa.Text("by", h.By.String()), esclusa.Bool("refused", h.Mode == guards.Enforce))
	return i.Instance.Decode(rec, e)
}

// Judge makes the detection of a guard's event.
func (s *Shield) Judge(e *esclusa.Event, found func(esclusa.Detection)) {
	if e.Kind != esclusa.EventGuard {
		return
	}
	id, _ := e.Fields.Get("patch")
	if id == nil || s.patches[id.Text] == nil {
		return
	}
	p := s.patches[id.Text]
	refused, _ := e.Fields.Get("refused")
	was := "would have been refused"
	if refused.Number != 0 {
		was = "was refused"
	}
	var what []string
	for _, f := range e.Fields[5:] {
		what = append(what, fmt.Sprintf("%s %v", f.Name, f.Value()))
	}
	found(esclusa.Detection{
		ID: fmt.Sprintf("%d-%s", e.Seq, p.ID), Rule: "shield/" + p.ID, Severity: p.Severity.Severity, Technique: p.Technique, At: e.At,
		Message: fmt.Sprintf("what %s needs %s: %s", p.title(), was, strings.Join(what, ", ")),
		Why:     p.What, References: p.References, Events: []esclusa.Event{*e}, Refused: refused.Number != 0,
	})
}

func (p *Patch) title() string {
	if p.Name == "" {
		return p.ID
	}
	return p.ID + " (" + p.Name + ")"
}
