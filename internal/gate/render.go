package gate

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
)

// Render prints a verdict for the person whose build just stopped: first the
// decision, then what to do, most urgent first, and last what was let pass
// and what nobody saw. The width is of the terminal; below 40 it is 40.
func Render(w io.Writer, v *esclusa.Verdict, color bool, width int) error {
	p := &printer{width: max(width, 40), color: color}
	p.head(v)
	warnings := 0
	for i := range v.Reasons {
		r := &v.Reasons[i]
		if r.Decision == esclusa.Warn {
			if warnings++; warnings > fewWarnings {
				continue // what stops the build must not scroll away
			}
		}
		p.reason(r)
	}
	if warnings > fewWarnings {
		p.line("")
		p.line("and " + plural(warnings-fewWarnings, "more warning") + "; the JSON verdict lists them")
	}
	p.exempted(v.Exempted)
	p.section("Expired exceptions, which count no more", v.Expired)
	p.section("Not examined", gapLines(v))
	if strings.Count(p.b.String(), "\n") > screen {
		p.line("")
		p.head(v)
	}
	return p.flush(w)
}

// screen is how many lines are still seen with the decision above them; a
// longer verdict says it again below.
const screen = 40

// gapLines are the gaps that no reason above tells of.
func gapLines(v *esclusa.Verdict) []string {
	type seen struct{ path, err string }
	told := map[seen]bool{}
	for i := range v.Reasons {
		if r := &v.Reasons[i]; r.Finding == "" && r.Evidence != "" {
			told[seen{r.Place.Path, r.Evidence}] = true
		}
	}
	var lines []string
	more := 0
	for i := range v.Gaps {
		g := v.Gaps[i]
		switch {
		case told[seen{place(g.Place).Path, clean(g.Err, maxGapErr)}]:
		case len(lines) == fewGaps:
			more++
		default:
			lines = append(lines, g.String()+prefixed(" → ", g.Hint))
		}
	}
	if more > 0 {
		lines = append(lines, plural(more, "more gap")+"; the JSON verdict lists them")
	}
	return lines
}

const (
	fewGaps     = 10
	fewWarnings = 8
)

var colors = map[esclusa.Decision]string{
	esclusa.Deny: "\x1b[1;31m", esclusa.Warn: "\x1b[33m", esclusa.Allow: "\x1b[1;32m", esclusa.Undecided: "\x1b[1;35m",
}

// printer gathers wrapped lines, so that one write reaches the terminal.
type printer struct {
	b     strings.Builder
	width int
	color bool
}

func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *printer) line(s string) { p.b.WriteString(s + "\n") }

func (p *printer) paint(d esclusa.Decision, s string) string {
	if !p.color {
		return s
	}
	return colors[d] + s + "\x1b[0m"
}

func (p *printer) bold(s string) string {
	if !p.color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

func (p *printer) head(v *esclusa.Verdict) {
	count := map[esclusa.Decision]int{}
	for i := range v.Reasons {
		count[v.Reasons[i].Decision]++
	}
	var parts []string
	if n := count[esclusa.Deny]; n > 0 {
		parts = append(parts, plural(n, "reason")+" to deny")
	}
	if n := count[esclusa.Undecided]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d undecided", n))
	}
	if n := count[esclusa.Warn]; n > 0 {
		parts = append(parts, plural(n, "warning"))
	}
	if parts == nil {
		parts = append(parts, "nothing to refuse")
	}
	if n := len(v.Gaps); n > 0 {
		parts = append(parts, plural(n, "gap"))
	}
	word := strings.ToUpper(v.Decision.String())
	p.line(p.paint(v.Decision, word) + "  " + strings.Join(parts, ", "))
	s := "policy " + or(clean(v.Policy, 64), "none")
	if v.Image != "" {
		s = "image " + clean(v.Image.Short(), 12) + ", " + s
	}
	if v.Took > 0 {
		s += ", in " + v.Took.Round(time.Millisecond).String()
	}
	p.para("", s)
}

func (p *printer) reason(r *esclusa.Reason) {
	p.line("")
	name := clean(r.Rule, 64)
	if r.Count > 1 {
		name += fmt.Sprintf("  (%d)", r.Count)
	}
	p.line(p.paint(r.Decision, fmt.Sprintf("%-5s", r.Decision)) + " " + p.bold(name))
	const in = "      "
	message, do := r.Message, ""
	if i := strings.LastIndex(message, doMark); i >= 0 {
		message, do = message[:i], upperFirst(message[i+len(doMark):])
	}
	p.para(in, message)
	if where := whereOf(r); where != "" {
		p.para(in+"where   ", where)
	}
	if r.Evidence != "" {
		p.para(in+"seen    ", r.Evidence)
	}
	if r.Fix != nil && r.Fix.Version != "" {
		from := r.Package
		if from != "" {
			from += " → "
		}
		p.para(in+"fix     ", from+r.Fix.Version)
	}
	if r.Fix != nil && r.Fix.Command != "" {
		p.raw(in+"run     ", r.Fix.Command)
	}
	if do != "" {
		p.para(in+"do      ", do)
	}
	if r.Exception != "" {
		// A flow mapping may be broken at any space and is still the same.
		p.para(in+"except  ", r.Exception)
	}
}

func whereOf(r *esclusa.Reason) string {
	var parts []string
	if r.Place.Path != "" {
		path := r.Place.Path
		if r.Place.Line > 0 {
			path += fmt.Sprintf(":%d", r.Place.Line)
		}
		parts = append(parts, path)
	}
	if r.Place.Layer != "" {
		parts = append(parts, "layer "+r.Place.Layer.Short())
	}
	switch r.Origin {
	case esclusa.OriginBase:
		parts = append(parts, "from the base image")
	case esclusa.OriginOwn:
		parts = append(parts, "from your own layers")
	}
	return strings.Join(parts, ", ")
}

func (p *printer) exempted(list []esclusa.Exempted) {
	var lines []string
	for i := range list {
		e := &list[i]
		what := strings.Join(strings.Fields(e.Finding+" "+e.Package+" "+e.Place.Path), " ")
		lines = append(lines, fmt.Sprintf("%s: %s until %s, by %s: %s", e.Rule, or(what, "the image"),
			date(e.Until.Add(-time.Second)), e.Owner, e.Because))
	}
	p.section("Let pass by an exception", lines)
}

func (p *printer) section(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("")
	p.line(p.bold(title))
	for _, l := range lines {
		p.para("  - ", l)
	}
}

// para wraps a text at words; lines after the first are indented below it.
func (p *printer) para(lead, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(lead))
	room := max(20, p.width-len(indent))
	line, n := lead, 0
	for _, word := range strings.Fields(clean(text, 4096)) {
		for {
			size := utf8.RuneCountInString(word)
			if n > 0 && n+1+size > room {
				p.line(line)
				line, n = indent, 0
			}
			if size <= room {
				break
			}
			cut := runes(word, room)
			if slash := strings.LastIndexByte(word[:cut], '/') + 1; slash > cut/2 {
				cut = slash // a path is read, and copied, by its names
			}
			p.line(line + word[:cut])
			line, word = indent, word[cut:]
		}
		if n > 0 {
			line, n = line+" ", n+1
		}
		line, n = line+word, n+utf8.RuneCountInString(word)
	}
	p.line(line)
}

// raw prints a text that people copy: it is never wrapped, because a line
// break inside a command is another command.
func (p *printer) raw(lead, text string) { p.line(lead + clean(text, 4096)) }

// runes is the length in bytes of the first n characters.
func runes(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
