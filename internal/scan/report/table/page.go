package table

import (
	"bufio"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/report"
	"golang.org/x/text/width"
)

// page is the sheet that is written on.
type page struct {
	out   *bufio.Writer
	width int
	color bool
	all   bool
}

// paint is an ANSI colour.
type paint string

const (
	red    paint = "31"
	yellow paint = "33"
	bold   paint = "1"
	faint  paint = "2"
)

func (p *page) in(c paint, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// indent is where the text of a row begins, behind its severity.
const indent = "           "

// severity is eight columns wide.
func (p *page) severity(s esclusa.Severity) string {
	w := fmt.Sprintf("%-8s", s)
	switch {
	case s >= esclusa.SeverityHigh:
		return p.in(red, w)
	case s == esclusa.SeverityMedium:
		return p.in(yellow, w)
	}
	return w
}

// section writes a title and its rows; what is more than most is a count.
func (p *page) section(title string, n int, remark string, most int, row func(i int)) {
	if n == 0 {
		return
	}
	title = fmt.Sprintf("%s (%s)", title, thousands(n))
	fmt.Fprintln(p.out)
	p.wrap("", "  ", p.in(bold, title)+": "+remark)
	for i := range n {
		if i == most && n > most+1 && !p.all {
			p.wrap("  ", "    ", fmt.Sprintf("and %s more (--all lists them)", thousands(n-i)))
			return
		}
		row(i)
	}
}

// row writes a severity, a text and a right-hand remark; the remark goes on a
// line of its own where both do not fit.
func (p *page) row(s esclusa.Severity, left, right string) {
	room := p.width - len(indent)
	if columns(left)+2+columns(right) <= room {
		gap := strings.Repeat(" ", room-columns(left)-columns(right))
		if right == "" {
			gap = ""
		}
		fmt.Fprintf(p.out, "  %s %s%s%s\n", p.severity(s), left, gap, right)
		return
	}
	p.wrap("  "+p.severity(s)+" ", indent, left)
	if n := p.width - columns(right); right != "" && n > len(indent) {
		fmt.Fprintf(p.out, "%s%s\n", strings.Repeat(" ", n), right)
	} else if right != "" {
		p.wrap(indent, indent, right)
	}
}

// wrap writes words with a first and a further indent. A word that is wider
// than the page is broken, and begins where the line has room for some of it;
// an address is not: it would be dead.
func (p *page) wrap(first, further, text string) {
	const some = 20
	line, used, empty := first, columns(first), true
	flush := func() {
		fmt.Fprintln(p.out, strings.TrimRight(line, " "))
		line, used, empty = further, columns(further), true
	}
	for w := range strings.FieldsSeq(text) {
		n := columns(w)
		breakable := !strings.Contains(w, "\x1b") && !strings.Contains(w, "://")
		never := columns(further)+n > p.width // on no line
		if !empty && used+1+n > p.width && !(never && breakable && used+some < p.width) {
			flush()
		}
		if !empty {
			line += " "
			used++
		}
		for used+n > p.width && breakable {
			head, tail := split(w, p.width-used)
			line += head
			flush()
			w, n = tail, columns(tail)
		}
		line += w
		used += n
		empty = false
	}
	flush()
}

// maxCommand is the longest text that is a command, in bytes.
const maxCommand = 4000

// command writes what a shell takes, whole: a line that goes on ends in a
// backslash, at a space where a shell may break it. In quotes it may not: a
// backslash would be part of the text.
func (p *page) command(s string) {
	if s = report.Text(s, -1); s == "" || len(s) > maxCommand {
		return
	}
	const first, further = indent + "$ ", indent + "    "
	line, used, quotes := first, len(first), 0
	words := strings.Split(s, " ")
	for i, w := range words {
		n := columns(w)
		room := p.width - 2 // for the backslash
		if i == len(words)-1 {
			room = p.width
		}
		switch {
		case i == 0:
		case used+1+n > room && quotes%2 == 0:
			fmt.Fprintln(p.out, line+" \\")
			line, used = further, len(further)
		default:
			line += " "
			used++
		}
		line += w
		used += n
		quotes += strings.Count(w, `"`) + strings.Count(w, "'")
	}
	fmt.Fprintln(p.out, line)
}

// split cuts a word at a number of columns, and takes one character at least.
// A path is cut behind a slash where that costs less than half of the line.
func split(w string, room int) (head, tail string) {
	n, slash := 0, 0
	for i, r := range w {
		c := cell(r)
		if n+c > room && i > 0 {
			if slash > 0 {
				i = slash
			}
			return w[:i], w[i:]
		}
		n += c
		if r == '/' && n > room/2 {
			slash = i + 1
		}
	}
	return w, ""
}

// columns is how wide a text is on a terminal, without its colours.
func columns(s string) int {
	n, esc := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			esc = true
		case esc:
			esc = r != 'm'
		default:
			n += cell(r)
		}
	}
	return n
}

// cell is how many columns a character takes.
func cell(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// maxText is how much of an outside text is shown: a few lines.
const maxText = 600

// clean takes what a terminal would obey out of outside text.
func clean(s string) string { return report.Text(s, maxText) }
