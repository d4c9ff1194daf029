package shield

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/kernel"
	"github.com/esclusa/esclusa/internal/shield/guards"
)

// Row is what is to say of a patch on this host.
type Row struct {
	ID     string   `json:"id"`
	Name   string   `json:"name,omitempty"`
	State  State    `json:"state"`
	Why    string   `json:"why"`
	Guards []string `json:"guards"`
	// Possible says that its guards can be put in force here; else Lack is why not.
	Possible bool   `json:"possible"`
	Lack     string `json:"lack,omitempty"`
	// Now is the mode that a running sensor has it in, and NowWhy the reason;
	// Hits are what it would have refused while it looked on.
	Now    string `json:"now,omitempty"`
	NowWhy string `json:"nowWhy,omitempty"`
	Hits   uint64 `json:"hits,omitempty"`
}

// Describe says what is known of a patch here; it tries its guards on the
// kernel for a moment, with nothing to refuse.
func (p *Patch) Describe(f Facts) Row {
	r := Row{ID: p.ID, Name: p.Name}
	r.State, r.Why = p.Judge(f)
	for _, g := range p.Guards {
		r.Guards = append(r.Guards, fmt.Sprintf("%s (tier %s)", g.guard.Name, g.guard.Tier))
	}
	if err := p.try(); err != nil {
		r.Lack = lack(p.Tier(), err)
		return r
	}
	r.Possible = true
	return r
}

func (p *Patch) try() error {
	s, err := New([]*Patch{p}, func(*Patch) guards.Mode { return guards.Observe })
	if err != nil {
		return err
	}
	set, err := kernel.Load(Alone(), s.Objects()...)
	if err != nil {
		return err
	}
	return set.Close()
}

// Alone are the options of guards that are loaded without a sensor: hits are
// few, and rings small.
func Alone() kernel.Options {
	const small = 64 << 10
	return kernel.Options{ProcessRing: small, ActivityRing: small, DetectionRing: small}
}

// WriteRows writes the table of patches.
func WriteRows(w io.Writer, rows []Row, width int) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PATCH\tNAME\tTHIS HOST\tGUARD\tNOW")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.ID, dash(r.Name), r.State, strings.Join(r.Guards, ", "), dash(r.Now))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// The reasons stand below each row: beside it they would not fit.
	var b strings.Builder
	line := 0
	for text := range strings.Lines(table.String()) {
		b.WriteString(text)
		if line++; line == 1 {
			continue
		}
		r := &rows[line-2]
		why := string(r.State) + ": " + r.Why
		if r.Now != "" { // its reason says the state's as well
			why = r.Now + ": " + r.NowWhy
		}
		b.WriteString(fill(why, "  ", width))
		if !r.Possible {
			b.WriteString(fill("cannot be in force here: "+r.Lack, "  ", width))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Seen is what was observed at a patch's guards.
type Seen struct {
	For  time.Duration `json:"for"`
	Uses []guards.Use  `json:"uses"`
	Hits []string      `json:"hits,omitempty"` // sentences about what would have been refused
	Gaps []esclusa.Gap `json:"gaps,omitempty"`
}

// Explanation is all that `shield explain` says.
type Explanation struct {
	Patch   *Patch
	Row     Row
	Options []Weighed
	Seen    *Seen // nil when nobody looked
}

// Write writes it for people.
func (x *Explanation) Write(w io.Writer, width int) error {
	var b strings.Builder
	p := x.Patch
	fmt.Fprintf(&b, "%s, %s\n\n%s\n", p.title(), p.Severity, fill(p.What, "  ", width))
	labelled(&b, "  this host    ", fmt.Sprintf("%s (%s)", x.Row.State, x.Row.Why), width)
	can := "can be enforced here"
	if !x.Row.Possible {
		can = "cannot be in force here: " + x.Row.Lack
	}
	labelled(&b, "  guard        ", strings.Join(x.Row.Guards, ", ")+": "+can, width)
	labelled(&b, "  retires when ", p.Retires, width)
	b.WriteString("\nWhat can be done, and what it costs\n")
	fmt.Fprintf(&b, "\n  1  this patch\n")
	field(&b, "stops", names(p.Blocks), width)
	field(&b, "allows", names(p.Allows), width)
	field(&b, "limits", p.Limits, width)
	if x.Seen != nil {
		field(&b, "here", x.hits(), width)
	}
	for i := range x.Options {
		o := &x.Options[i]
		b.WriteString("\n")
		labelled(&b, fmt.Sprintf("  %d  ", i+2), o.Name, width)
		field(&b, "stops", o.Blocks, width)
		field(&b, "breaks", o.Breaks, width)
		if x.Seen != nil && o.Counted {
			field(&b, "here", o.here(), width)
		}
		if o.Apply != "" {
			field(&b, "apply", fmt.Sprintf("esclusa shield explain %s --apply %d", p.ID, i+2), width)
		}
	}
	if x.Seen == nil {
		fmt.Fprintf(&b, "\nWhat would have been broken here was not counted.\nhint: esclusa shield explain %s --observe 60s\n", p.ID)
	} else {
		for _, g := range x.Seen.Gaps {
			fmt.Fprintf(&b, "not counted: %s\n", g)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (x *Explanation) hits() string {
	var of uint64
	for _, u := range x.Seen.Uses {
		of += u.Count
	}
	s := fmt.Sprintf("would have refused %d uses in %s, and let %d pass", len(x.Seen.Hits), x.Seen.For, of)
	if len(x.Seen.Hits) > 0 {
		s += "; the first: " + x.Seen.Hits[0]
	}
	return s
}

func (w *Weighed) here() string {
	s := fmt.Sprintf("would have broken %d of the %d lawful uses seen", w.Sum(), w.Of)
	for i, u := range w.Broken {
		if i == 3 {
			return s + fmt.Sprintf(", and %d kinds more", len(w.Broken)-i)
		}
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		s += fmt.Sprintf("%s%s by %s (%d)", sep, u.Key, u.By, u.Count)
	}
	return s
}

func names(cases []Case) string {
	var out []string
	for _, c := range cases {
		out = append(out, c.Name)
	}
	return strings.Join(out, "; ")
}

// labelled writes a label, and text beside and below that.
func labelled(b *strings.Builder, label, text string, width int) {
	blank := strings.Repeat(" ", len(label))
	b.WriteString(label + strings.TrimPrefix(fill(text, blank, width), blank))
}

func field(b *strings.Builder, name, text string, width int) {
	labelled(b, fmt.Sprintf("     %-8s", name), text, width)
}

// fill breaks a text at words.
func fill(text, indent string, width int) string {
	var b strings.Builder
	at := 0
	for word := range strings.FieldsSeq(text) {
		if at > 0 && at+1+len(word) > width {
			b.WriteByte('\n')
			at = 0
		}
		if at == 0 {
			b.WriteString(indent)
			at = len(indent)
		} else {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}
