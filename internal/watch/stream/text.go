package stream

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/terminal"
)

// Text writes for a person: a line an event, a paragraph a detection. Words of
// a process are an attacker's: control characters are shown, never sent.
type Text struct {
	Events bool
	Width  int // columns; 80 unless set
	Color  bool

	mu  sync.Mutex
	out io.Writer
	err error
}

// NewText writes to w.
func NewText(w io.Writer) *Text { return &Text{out: w, Width: 80} }

// Event implements watch.Sink.
func (t *Text) Event(e *esclusa.Event) {
	if !t.Events {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-10s %s", e.At.Local().Format("15:04:05.000"), e.Kind, terminal.Clean(who(&e.Process)))
	for i := range e.Fields {
		f := &e.Fields[i]
		if s := terminal.Clean(fmt.Sprint(f.Value())); s != "" && s != "false" && s != "[]" {
			fmt.Fprintf(&b, " %s=%s", f.Name, s)
		}
	}
	if e.Container != nil {
		fmt.Fprintf(&b, " in %s", terminal.Clean(short(e.Container.ID)))
	}
	t.print(terminal.Cut(b.String(), t.Width) + "\n")
}

// Detection implements watch.Sink.
func (t *Text) Detection(d *esclusa.Detection) {
	e := d.Last()
	var b strings.Builder
	b.WriteString("\n")
	head := fmt.Sprintf("%s %s %s", e.At.Local().Format("15:04:05"), strings.ToUpper(d.Severity.String()), terminal.Clean(d.Rule))
	if d.Technique != "" {
		head += " (ATT&CK " + d.Technique + ")"
	}
	if t.Color {
		head = "\x1b[1;" + map[bool]string{true: "31", false: "33"}[d.Severity >= esclusa.SeverityHigh] + "m" + head + "\x1b[0m"
	}
	b.WriteString(head + "\n")
	t.wrap(&b, "", terminal.Clean(d.Message))
	t.wrap(&b, "who", terminal.Clean(who(&e.Process)))
	for i := range min(len(e.Ancestors), 6) {
		a := &e.Ancestors[i]
		label := ""
		if i == 0 {
			label = "from"
		}
		where := ""
		if a.Container == "" && e.Container != nil {
			where = " on the host"
		}
		t.wrap(&b, label, fmt.Sprintf("%s (%d)%s", terminal.Clean(name(a.Name, a.Exe)), a.PID, where))
		if where != "" {
			break
		}
	}
	t.container(&b, e.Container)
	if d.Refused {
		t.wrap(&b, "done", "refused by the kernel")
	}
	if d.Killed {
		t.wrap(&b, "done", "killed in the kernel")
	}
	t.wrap(&b, "why", terminal.Clean(d.Why))
	for _, g := range append(d.Gaps, e.Gaps...) {
		t.wrap(&b, "unknown", terminal.Clean(g.String()))
	}
	t.print(b.String())
}

// container tells where it happened and what is known of the image.
func (t *Text) container(b *strings.Builder, c *esclusa.Container) {
	if c == nil {
		t.wrap(b, "where", "the host")
		return
	}
	where := short(c.ID) + " (" + string(c.Runtime) + ")"
	if c.Pod.Name != "" {
		where = "pod " + c.Pod.Namespace + "/" + c.Pod.Name + ", container " + where
	}
	if c.Privileged {
		where += ", privileged"
	}
	t.wrap(b, "where", terminal.Clean(where))
	image := c.ImageRef
	if c.Image != "" {
		image += " " + string(c.Image[:min(len(c.Image), 19)])
	}
	if c.Verdict != esclusa.Undecided {
		image += ", verdict " + c.Verdict.String()
	}
	if c.Exploited > 0 {
		image += ", " + strconv.Itoa(c.Exploited) + " exploited findings"
	} else if c.Worst > esclusa.SeverityNone {
		image += ", worst finding " + c.Worst.String()
	}
	t.wrap(b, "image", terminal.Clean(strings.TrimSpace(image)))
}

// Close tells the first error of writing.
func (t *Text) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *Text) print(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := io.WriteString(t.out, s); err != nil && t.err == nil {
		t.err = err
	}
}

// label is how wide the names of a detection's lines are.
const label = 10

// wrap writes words below a label, no line wider than the page.
func (t *Text) wrap(b *strings.Builder, name, words string) {
	if words == "" {
		return
	}
	width := max(t.Width-label, 20)
	for first := true; words != ""; first = false {
		line := words
		if len([]rune(line)) > width {
			line = string([]rune(line)[:width])
			if i := strings.LastIndexByte(line, ' '); i > width/2 {
				line = line[:i]
			}
		}
		words = strings.TrimLeft(words[len(line):], " ")
		if !first {
			name = ""
		}
		fmt.Fprintf(b, "  %-*s%s\n", label-2, name, strings.TrimRight(line, " "))
	}
}

func who(p *esclusa.Process) string {
	s := name(p.Name, p.Exe)
	if len(p.Args) > 1 {
		s += " " + strings.Join(p.Args[1:], " ")
	}
	return terminal.Cut(s, 400) + " (" + strconv.Itoa(int(p.PID)) + ")"
}

func name(comm, exe string) string {
	if exe != "" {
		return exe
	}
	return comm
}

// short keeps an id of hex digits to twelve, and a name as it is.
func short(id string) string {
	for _, c := range id {
		if !strings.ContainsRune("0123456789abcdef", c) {
			return id
		}
	}
	return id[:min(len(id), 12)]
}
