package shield

import (
	"fmt"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/shield/guards"
	"github.com/esclusa/esclusa/internal/yamlread"
)

// Wish is what a person wants of a patch.
type Wish string

// The wishes. Auto is that of a patch of which nobody said anything.
const (
	WishAuto    Wish = "auto"
	WishObserve Wish = "observe"
	WishEnforce Wish = "enforce"
	WishOff     Wish = "off"
)

// ParseWish reads a wish.
func ParseWish(s string) (w Wish, err error) {
	return w, yamlread.Word(&w, s, []Wish{WishAuto, WishObserve, WishEnforce, WishOff})
}

// Standing is a patch on this host: what was wished, what is known and what
// was seen. Its zero value is that of a patch nobody has looked at.
type Standing struct {
	Wish  Wish   `json:"wish,omitempty"`
	State State  `json:"state"`
	Known string `json:"known"` // by what the state is known
	// Watched is for how long its guards have looked on in observe mode, and
	// Hits how many uses they would have refused in that time.
	Watched time.Duration `json:"watched"`
	Hits    uint64        `json:"hits"`
	// Earned says that it came into force by itself: a later hit does not end
	// that, or one attack would open the door for the next, nor does a version
	// that is no longer known.
	Earned bool `json:"earned,omitempty"`
	// Mode is what it is in, since when and why.
	Mode  guards.Mode `json:"mode"`
	Since time.Time   `json:"since,omitzero"`
	Why   string      `json:"why"`
	Lack  string      `json:"lack,omitempty"` // why it cannot be in force on this kernel
}

// Quiet is for how long a patch has to look on without a hit before it comes
// into force by itself.
const Quiet = 24 * time.Hour

// Decide says in which mode a patch has to be, and why. It is pure. A patch
// without a wish comes into force by itself where this host has the bug: at
// once if the bug is exploited, else after Quiet without a lawful use that it
// would have refused; and it retires where the host does not have the bug.
func (p *Patch) Decide(s *Standing, quiet time.Duration) (guards.Mode, string) {
	switch s.Wish {
	case WishOff:
		return guards.Off, "retired by a person"
	case WishObserve:
		return guards.Observe, "a person wants it to look on"
	case WishEnforce:
		return guards.Enforce, "a person wants it in force"
	}
	switch {
	case s.State == NotAffected:
		return guards.Off, "this host does not have the bug: " + s.Known
	case s.Earned && s.State != Affected: // a list that cannot be read weakens nothing
		return guards.Enforce, "it came into force by itself, and nothing says that this host was mended: " + s.Known
	case s.State != Affected:
		return guards.Observe, "whether this host has the bug is not known: " + s.Known
	case p.Exploited:
		return guards.Enforce, "the bug is exploited, and this host has it: " + s.Known
	case s.Earned:
		return guards.Enforce, fmt.Sprintf("this host has the bug, and nothing lawful would have been refused in %s", quiet)
	case s.Hits > 0:
		return guards.Observe, fmt.Sprintf("it would have refused %d %s: a person has to say whether that is lawful", s.Hits, plural(s.Hits, "use", "uses"))
	case s.Watched >= quiet:
		return guards.Enforce, fmt.Sprintf("this host has the bug, and nothing would have been refused in %s", s.Watched.Round(time.Minute))
	}
	return guards.Observe, fmt.Sprintf("this host has the bug; it looks on for %s first, %s so far", quiet, s.Watched.Truncate(time.Minute))
}

// settle applies the decision to a standing, and says whether the mode changed.
func (s *Standing) settle(p *Patch, quiet time.Duration, now time.Time) bool {
	mode, why := p.Decide(s, quiet)
	auto := s.Wish == WishAuto || s.Wish == ""
	// What retires begins anew when the bug comes back.
	switch {
	case auto && mode == guards.Off:
		s.Earned, s.Watched, s.Hits = false, 0, 0
	case auto && mode == guards.Enforce:
		s.Earned = true
	}
	changed := mode != s.Mode || s.Since.IsZero()
	if changed {
		s.Since = now
	}
	s.Mode, s.Why = mode, why
	return changed
}

// gap is what is not guarded although it should be looked at.
func (s *Standing) gap(id string) esclusa.Gap {
	return esclusa.Gap{
		Scope: esclusa.GapSystem, What: "virtual patch " + id, Err: "not in force on this kernel: " + s.Lack,
		Hint: "esclusa shield explain " + id + " names other ways",
	}
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
