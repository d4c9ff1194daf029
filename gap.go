package esclusa

import "strings"

// GapScope says how much a gap hides. A policy may let a file pass unread; it
// should not let a whole package system pass.
type GapScope string

// The scopes, from narrow to wide.
const (
	GapItem   GapScope = "item"   // one package, advisory record or value
	GapFile   GapScope = "file"   // one file
	GapFeed   GapScope = "feed"   // an advisory source: absent, too old or partly bad
	GapSystem GapScope = "system" // a whole package system: no rpm of this image could be read
	GapLayer  GapScope = "layer"  // all or the rest of a layer
)

// Gap is something that could not be examined. Unknown is never "clean": gaps
// travel with the findings into every verdict, incident and page.
type Gap struct {
	Scope GapScope `json:"scope"`
	Place
	// What names the thing not examined, in a few words: "npm lock file",
	// "version of left-pad", "feed osv/npm".
	What string `json:"what"`
	// Err says why.
	Err string `json:"err"`
	// Hint says what the reader can do about it; may be empty.
	Hint string `json:"hint,omitempty"`
}

// String is one line for people.
func (g Gap) String() string {
	var b strings.Builder
	b.WriteString(g.What)
	if g.Path != "" {
		b.WriteString(" at " + g.Path)
	}
	if g.Layer != "" {
		b.WriteString(" in layer " + g.Layer.Short())
	}
	b.WriteString(": " + g.Err)
	return b.String()
}

// Short is the first twelve hex digits, for people.
func (d Digest) Short() string {
	_, hex, ok := strings.Cut(string(d), ":")
	if !ok {
		hex = string(d)
	}
	return hex[:min(12, len(hex))]
}
