package spool

import (
	"fmt"

	"github.com/esclusa/esclusa"
)

// Reason says why records are missing.
type Reason uint8

// The reasons.
const (
	_         Reason = iota
	Refused          // by Append: memory or the bound was full
	Dropped          // the oldest events, for room within the bound
	Unwritten        // the disk was full or failed
	Crashed          // in memory when the process or the machine ended
	Damaged          // in no file, or in a part that cannot be read
	Released         // acknowledged before, and removed: no loss
	reasons
)

// String says it in a sentence's half.
func (r Reason) String() string {
	switch r {
	case Refused:
		return "refused, the spool was full"
	case Dropped:
		return "dropped for room, oldest first"
	case Unwritten:
		return "the disk was full or failed"
	case Crashed:
		return "in memory when the process or the machine ended"
	case Damaged:
		return "not to be read in the files of the spool"
	case Released:
		return "acknowledged and removed"
	}
	return "not known"
}

// Loss stands for records that are missing: all numbers from From to To.
type Loss struct {
	From, To uint64
	Class    Class // Unclassed when it is not known
	Reason   Reason
	// Inexact says that more may be lost than the numbers tell: the machine
	// ended and what it had counted is gone. To may then be From-1.
	Inexact bool
}

// Records is how many are missing.
func (l Loss) Records() uint64 { return l.To + 1 - l.From }

// Gap is the loss as verdicts, incidents and pages carry it.
func (l Loss) Gap() esclusa.Gap {
	what := fmt.Sprintf("%d records", l.Records())
	if l.Class != Unclassed {
		what = fmt.Sprintf("%d %s records", l.Records(), l.Class)
	}
	if l.Inexact {
		what = "at least " + what
	}
	return esclusa.Gap{Scope: esclusa.GapItem, What: what, Err: l.Reason.String()}
}
