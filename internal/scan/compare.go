package scan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/esclusa/esclusa"
)

// Difference is what a new build brought in and got rid of.
type Difference struct {
	From    string            `json:"from"`
	To      string            `json:"to"`
	Added   []Change          `json:"added,omitempty"`
	Removed []Change          `json:"removed,omitempty"`
	Changed []Change          `json:"changed,omitempty"`
	New     []esclusa.Finding `json:"new,omitempty"`
	Ended   []esclusa.Finding `json:"ended,omitempty"`
	// Gaps are those of the second target: what is not known there is
	// neither new nor ended.
	Gaps []esclusa.Gap `json:"gaps,omitempty"`
}

// Change is one package that came, went or got another version.
type Change struct {
	Type string `json:"type"`
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Compare says what changed from a to b. A package or finding that only moved
// to another path or layer did not change.
func Compare(a, b *esclusa.Report) *Difference {
	d := &Difference{From: a.Image.Ref, To: b.Image.Ref, Gaps: b.Gaps}
	old, now := versions(a), versions(b)
	for k, vs := range now {
		gone := minus(old[k], vs)
		for i, v := range minus(vs, old[k]) {
			c := Change{Type: k[0], Name: k[1], To: v}
			if i < len(gone) {
				c.From = gone[i]
				d.Changed = append(d.Changed, c)
			} else {
				d.Added = append(d.Added, c)
			}
		}
	}
	for k, vs := range old {
		came := len(minus(now[k], vs))
		for i, v := range minus(vs, now[k]) {
			if i >= came {
				d.Removed = append(d.Removed, Change{Type: k[0], Name: k[1], From: v})
			}
		}
	}
	for _, list := range [][]Change{d.Added, d.Removed, d.Changed} {
		slices.SortFunc(list, func(x, y Change) int {
			return cmp.Or(strings.Compare(x.Type, y.Type), strings.Compare(x.Name, y.Name), strings.Compare(x.From+x.To, y.From+y.To))
		})
	}
	d.New, d.Ended = newFindings(a, b), newFindings(b, a)
	return d
}

func versions(r *esclusa.Report) map[[2]string][]string {
	m := map[[2]string][]string{}
	for _, p := range r.Packages {
		k := [2]string{p.Type, p.Name}
		if !slices.Contains(m[k], p.Version) {
			m[k] = append(m[k], p.Version)
		}
	}
	return m
}

// minus keeps the order of a.
func minus(a, b []string) []string {
	var out []string
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

// newFindings are those of b that a does not have.
func newFindings(a, b *esclusa.Report) []esclusa.Finding {
	key := func(f *esclusa.Finding) string {
		if f.Package != nil {
			return strings.Join([]string{string(f.Kind), f.ID, f.Package.Type, f.Package.Name}, "\x00")
		}
		return strings.Join([]string{string(f.Kind), f.ID, f.Path, f.Evidence}, "\x00")
	}
	known := map[string]bool{}
	for i := range a.Findings {
		if !a.Findings[i].Suppressed() {
			known[key(&a.Findings[i])] = true
		}
	}
	var out []esclusa.Finding
	for i := range b.Findings {
		f := &b.Findings[i]
		if k := key(f); !f.Suppressed() && !known[k] {
			known[k] = true
			out = append(out, *f)
		}
	}
	return out
}

// WriteJSON writes one document.
func (d *Difference) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

// WriteText writes the difference for a terminal of some columns.
func (d *Difference) WriteText(w io.Writer, width int) error {
	t := &text{w: w, width: width}
	t.line("%s → %s", d.From, d.To)
	t.changes("Added", "+", d.Added)
	t.changes("Removed", "-", d.Removed)
	t.changes("Changed", "~", d.Changed)
	t.findings("New findings", "+", d.New)
	t.findings("Ended findings", "-", d.Ended)
	if len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.New)+len(d.Ended) == 0 {
		t.line("no difference in packages or findings")
	}
	for _, g := range d.Gaps {
		t.line("not examined: %s", g)
	}
	return t.err
}

type text struct {
	w     io.Writer
	width int
	err   error
}

// line writes one line, cut to the width; what a terminal would obey is taken
// out.
func (t *text) line(format string, args ...any) {
	r := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...)))
	if t.width > 0 && len(r) > t.width {
		r = append(r[:t.width-1], '…')
	}
	if _, err := fmt.Fprintln(t.w, string(r)); t.err == nil {
		t.err = err
	}
}

func (t *text) title(s string, n int) {
	if _, err := fmt.Fprintf(t.w, "\n%s (%d)\n", s, n); t.err == nil {
		t.err = err
	}
}

func (t *text) changes(title, mark string, cs []Change) {
	if len(cs) == 0 {
		return
	}
	t.title(title, len(cs))
	for _, c := range cs {
		v := c.To
		switch {
		case c.From != "" && c.To != "":
			v = c.From + " → " + c.To
		case c.From != "":
			v = c.From
		}
		t.line("  %s %-8s %s %s", mark, c.Type, c.Name, v)
	}
}

func (t *text) findings(title, mark string, fs []esclusa.Finding) {
	if len(fs) == 0 {
		return
	}
	t.title(title, len(fs))
	for i := range fs {
		f := &fs[i]
		where := f.Path
		if f.Package != nil {
			where = f.Package.Name + " " + f.Package.Version
		}
		t.line("  %s %-8s %s %s", mark, f.Severity, f.ID, where)
	}
}
