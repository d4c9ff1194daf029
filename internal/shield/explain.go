package shield

import (
	"slices"
	"strings"

	"github.com/esclusa/esclusa/internal/shield/guards"
)

// Weighed is one way to be safe from a bug, against what was seen here.
type Weighed struct {
	Option
	// Broken are the lawful uses of those seen that it would have refused, and
	// Of how many uses there were at the patch's guards.
	Broken []guards.Use `json:"broken,omitempty"`
	Of     uint64       `json:"of"`
	// Counted says that the option says which uses it refuses.
	Counted bool `json:"counted"`
}

// Sum is how many uses it would have refused.
func (w *Weighed) Sum() (n uint64) {
	for _, u := range w.Broken {
		n += u.Count
	}
	return n
}

// Weigh sets the options of a patch against the lawful uses that were seen.
// The patch's own guard is none of them: what it refuses is no lawful use in
// its eyes, and is told as a hit.
func (p *Patch) Weigh(uses []guards.Use) []Weighed {
	var of uint64
	for _, u := range uses {
		if slices.ContainsFunc(p.Guards, func(g *guardRules) bool { return g.guard.Name == u.Guard }) {
			of += u.Count
		}
	}
	out := make([]Weighed, len(p.Options))
	for i, o := range p.Options {
		out[i] = Weighed{Option: o, Of: of, Counted: len(o.Counts) > 0}
		for _, u := range uses {
			if slices.ContainsFunc(o.Counts, func(c Counts) bool { return c.match(u) }) {
				out[i].Broken = append(out[i].Broken, u)
			}
		}
		slices.SortFunc(out[i].Broken, func(a, b guards.Use) int {
			if a.Count != b.Count {
				return int(min(b.Count, 1<<30)) - int(min(a.Count, 1<<30))
			}
			return strings.Compare(a.Key+a.By, b.Key+b.By)
		})
	}
	return out
}

func (c *Counts) match(u guards.Use) bool {
	if c.Guard != u.Guard {
		return false
	}
	if len(c.By) > 0 && !slices.ContainsFunc(strings.Split(u.By, "+"), func(w string) bool {
		return slices.ContainsFunc(c.By, func(by guards.Writer) bool { return by.String() == w })
	}) {
		return false
	}
	return len(c.Keys) == 0 || slices.ContainsFunc(c.Keys, func(k string) bool {
		prefix, open := strings.CutSuffix(k, "*")
		return u.Key == k || open && strings.HasPrefix(u.Key, prefix)
	})
}
