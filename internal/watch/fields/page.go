package fields

import (
	"fmt"
	"strings"

	"github.com/esclusa/esclusa"
)

// Page is docs/reference/events.md: the table for people.
func Page() string {
	var b strings.Builder
	b.WriteString(`# Events and their fields

What conditions of rules, sequences and exceptions may name, and messages show in braces. Made from the table in
` + "`internal/watch/fields`" + `: a test compares. Every field has a value: of what is not known or not there, the empty text, 0,
false or the empty list. So conditions need no ` + "`has()`" + `.

Severities are ordered words without quotes: ` + "`container.worst >= high`" + `. Lengths of time are written ` + "`duration(\"60s\")`" + `.

## Of every event

| field | type | meaning |
|---|---|---|
`)
	for _, group := range [][]*Field{eventFields(), processFields(), containerFields()} {
		for _, f := range group {
			row(&b, f)
		}
	}
	for _, kind := range Kinds() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", kind, about(kind))
		own := Of(kind)
		if len(own) == 0 {
			continue
		}
		b.WriteString("\n| field | type | meaning |\n|---|---|---|\n")
		for _, f := range own {
			row(&b, f)
		}
	}
	return b.String()
}

func row(b *strings.Builder, f *Field) {
	doc := f.Doc
	if f.Values != nil {
		var words []string
		for _, v := range f.Values {
			if v != "" {
				words = append(words, v)
			}
		}
		doc += " One of: " + strings.Join(words, ", ") + "."
	}
	fmt.Fprintf(b, "| `%s` | %s | %s |\n", f.Path, f.Type, strings.ReplaceAll(doc, "|", `\|`))
}

func about(kind esclusa.EventKind) string {
	switch kind {
	case esclusa.EventExec:
		return "A program was executed: process is what it is now."
	case esclusa.EventFork:
		return "A process was made: process is the child."
	case esclusa.EventExit:
		return "A process ended."
	case esclusa.EventNamespace:
		return "A process came into other namespaces. The variable is `namespaces`: CEL keeps the shorter word for itself."
	case esclusa.EventCredential:
		return "User ids or capabilities changed without an exec: process has the new ones."
	case esclusa.EventCapability:
		return "A capability was asked for that ordinary services do not use."
	case esclusa.EventConnect:
		return "A connection was tried, or a datagram addressed."
	case esclusa.EventAccept:
		return "A connection was accepted."
	case esclusa.EventBind:
		return "A socket was bound to an address."
	case esclusa.EventDNS:
		return "A name was asked for, by UDP."
	case esclusa.EventFile:
		return "Something was done to a file that a rule names. Rules name files by their path: nothing else is watched."
	case esclusa.EventMount:
		return "File systems were mounted or taken away, or it was tried by who may."
	}
	return aboutInterface(kind)
}

func aboutInterface(kind esclusa.EventKind) string {
	switch kind {
	case esclusa.EventPtrace:
		return "A process took hold of another, or of its memory."
	case esclusa.EventBPF:
		return "bpf(2) was called by who may."
	case esclusa.EventIOUring:
		return "io_uring was used."
	case esclusa.EventModule:
		return "A kernel module was loaded or unloaded."
	case esclusa.EventKeyctl:
		return "The kernel's keyrings were used."
	case esclusa.EventUserfault:
		return "userfaultfd(2) was called for faults inside the kernel."
	case esclusa.EventSysctl:
		return "A setting of the kernel was written."
	case esclusa.EventSignal:
		return "A signal was sent across containers, or to the sensor."
	case esclusa.EventGuard:
		return "A guard refused something, or would have."
	}
	return "Events were not delivered. Each loss is a gap of what was looked at in that time."
}
