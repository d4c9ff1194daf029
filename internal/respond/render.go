package respond

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/terminal"
)

// WriteList writes a table of incidents, the newest last, each with what holds
// or waits. all writes those that are over, too.
func WriteList(w io.Writer, st *State, all bool, width int, now time.Time) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "INCIDENT\tSEVERITY\tSTATE\tSINCE\tWHERE\tDONE")
	n := 0
	for i := range st.Incidents {
		in := &st.Incidents[i]
		if holding(in) == 0 && in.State == esclusa.IncidentClosed && !all {
			continue
		}
		n++
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", in.ID, in.Severity, in.State, when(in.Opened, now), terminal.Clean(terminal.Cut(where(in), 24)), sums(in))
	}
	if n == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		if _, err := fmt.Fprintln(w, terminal.Cut(strings.TrimRight(line, " \n"), width)); err != nil {
			return err
		}
	}
	return writeHolding(w, st, width, now)
}

// writeHolding writes what is in force, or waits, and how it is ended.
func writeHolding(w io.Writer, st *State, width int, now time.Time) error {
	n := 0
	for i := range st.Incidents {
		for k := range st.Incidents[i].Outcomes {
			o := &st.Incidents[i].Outcomes[k]
			if !open(o) {
				continue
			}
			n++
			if err := WriteOutcome(w, o, width, now); err != nil {
				return err
			}
		}
	}
	if n > 0 && !st.Running {
		_, err := fmt.Fprint(w, "\nno sensor responds from this folder: time undoes nothing until one does; you do,\nwith esclusa respond undo ID\n")
		return err
	}
	return nil
}

// open says that an action is in force, or waits for a person.
func open(o *esclusa.Outcome) bool {
	return o.State == esclusa.OutcomeWaiting || o.State == esclusa.OutcomeDone && o.Action.Reversible
}

func holding(in *esclusa.Incident) (n int) {
	for i := range in.Outcomes {
		if open(&in.Outcomes[i]) {
			n++
		}
	}
	return n
}

// sums says in a few words what was done.
func sums(in *esclusa.Incident) string {
	var words []string
	for i := range in.Outcomes {
		o := &in.Outcomes[i]
		words = append(words, fmt.Sprintf("%s %s", o.Action.Name, o.State))
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}

func where(in *esclusa.Incident) string {
	switch c := in.Container; {
	case c == nil:
		return fmt.Sprintf("host: %s (%d)", in.Root.Name, in.Root.PID)
	case c.Pod.Name != "":
		return c.Pod.Namespace + "/" + c.Pod.Name
	case c.Name != "":
		return c.Name
	default:
		return short(c.ID)
	}
}

// WriteOutcome writes one action and what became of it, wrapped.
func WriteOutcome(w io.Writer, o *esclusa.Outcome, width int, now time.Time) error {
	a := &o.Action
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", a.ID, a.Name)
	if t := targetWords(&a.Target); t != "" {
		b.WriteString(" " + t)
	}
	b.WriteString(": " + stateWords(o, now))
	if o.Why != "" {
		b.WriteString("; " + o.Why)
	}
	if o.By != "" {
		b.WriteString("; by " + o.By)
	}
	if o.State == esclusa.OutcomeWaiting {
		b.WriteString("; esclusa respond approve " + a.ID)
	}
	if o.Undo != "" && o.State == esclusa.OutcomeDone {
		b.WriteString("; to undo: " + o.Undo)
	}
	return wrap(w, terminal.Clean(b.String()), width)
}

func stateWords(o *esclusa.Outcome, now time.Time) string {
	switch o.State {
	case esclusa.OutcomeDryRun:
		return "would be done (dry run)"
	case esclusa.OutcomeWaiting:
		return "waits for a person"
	case esclusa.OutcomeDone:
		s := "done"
		if o.Took > 0 {
			s += " in " + o.Took.Round(10*time.Microsecond).String()
		}
		if u := o.Action.Until; !u.IsZero() {
			s += ", until " + when(u, now)
			if u.Before(now) {
				s += " (overdue)"
			}
		}
		return s
	}
	return string(o.State)
}

func targetWords(t *esclusa.Target) string {
	var out []string
	if t.Path != "" {
		out = append(out, t.Path)
	}
	if t.Image != "" {
		out = append(out, "image "+t.Image.Short())
	}
	if t.Container != "" {
		out = append(out, "container "+short(t.Container))
	}
	if t.Process.PID != 0 {
		out = append(out, fmt.Sprintf("process %d", t.Process.PID))
	}
	return strings.Join(out, " of ")
}

// WriteIncident writes all that is known of one incident.
func WriteIncident(w io.Writer, in *esclusa.Incident, width int, now time.Time) error {
	head := fmt.Sprintf("%s  %s  %s  since %s", in.ID, strings.ToUpper(in.Severity.String()), in.State, when(in.Opened, now))
	if _, err := fmt.Fprintln(w, terminal.Cut(head, width)); err != nil {
		return err
	}
	lines := []string{"where: " + where(in)}
	if c := in.Container; c != nil && c.ImageRef != "" {
		lines = append(lines, "image: "+c.ImageRef+" "+string(c.Image))
	}
	if in.Root.PID != 0 {
		lines = append(lines, fmt.Sprintf("root: %s (%d)", in.Root.Name, in.Root.PID))
	}
	for i := range in.Detections {
		lines = append(lines, detectionWords(&in.Detections[i], now))
	}
	for _, g := range in.Gaps {
		lines = append(lines, "unknown: "+g.String())
	}
	for _, l := range lines {
		if err := wrap(w, terminal.Clean(l), width); err != nil {
			return err
		}
	}
	for i := range in.Outcomes {
		if err := WriteOutcome(w, &in.Outcomes[i], width, now); err != nil {
			return err
		}
		if r := in.Outcomes[i].Action.Reason; r != "" {
			if err := wrap(w, terminal.Clean("  because "+r), width); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteDetection writes one detection and the incident that it is put into.
func WriteDetection(w io.Writer, in *esclusa.Incident, d *esclusa.Detection, width int, now time.Time) error {
	if _, err := fmt.Fprintln(w, terminal.Cut(terminal.Clean(in.ID+"  "+where(in)), width)); err != nil {
		return err
	}
	return wrap(w, terminal.Clean(detectionWords(d, now)), width)
}

func detectionWords(d *esclusa.Detection, now time.Time) string {
	return fmt.Sprintf("%s %s %s: %s", when(d.At, now), strings.ToUpper(d.Severity.String()), d.Rule, d.Message)
}

// when is a time of today, or a day.
func when(t, now time.Time) string {
	if d := now.Sub(t); d > 20*time.Hour || d < -20*time.Hour {
		return t.Local().Format("2006-01-02 15:04")
	}
	return t.Local().Format(time.TimeOnly)
}

// wrap writes words on lines no wider than the page, those after the first
// indented.
func wrap(w io.Writer, words string, width int) error {
	width = max(width, 40)
	for indent := "  "; words != ""; indent = "      " {
		line := indent + strings.TrimLeft(words, " ")
		words = ""
		if r := []rune(line); len(r) > width {
			at := width
			for i := width; i > width/2; i-- {
				if r[i] == ' ' {
					at = i
					break
				}
			}
			line, words = string(r[:at]), string(r[at:])
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// short keeps an id of hex digits to twelve, and a name as it is.
func short(id string) string {
	if len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}
