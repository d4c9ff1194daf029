package esclusa

import "time"

// ActionName names an action: the folder that implements it.
type ActionName string

// The actions. Freeze is the first strong one: it is undone in a moment and
// keeps memory.
const (
	ActionEvidence        ActionName = "evidence" // collect process tree, files, sockets, maps, hashes
	ActionDenyStart       ActionName = "deny-start"
	ActionTighten         ActionName = "tighten"
	ActionIsolate         ActionName = "isolate" // from the network
	ActionFreeze          ActionName = "freeze"
	ActionKill            ActionName = "kill" // one process
	ActionKillTree        ActionName = "kill-tree"
	ActionStop            ActionName = "stop" // the container
	ActionQuarantineFile  ActionName = "quarantine-file"
	ActionQuarantineImage ActionName = "quarantine-image"
	ActionNotify          ActionName = "notify"
)

// Stage is how far an action goes. A response begins with the mildest.
type Stage int8

// The stages, in rising order.
const (
	StageNone    Stage = iota
	StageObserve       // changes nothing
	StageContain       // is undone without loss
	StageKill          // cannot be undone
)

func (s Stage) String() string {
	return [...]string{"none", "observe", "contain", "kill"}[min(max(s, StageNone), StageKill)]
}

// Target is what an action is done to. Which fields are set depends on the
// action.
type Target struct {
	Process   ProcessKey `json:"process,omitzero"`
	Container string     `json:"container,omitempty"`
	Image     Digest     `json:"image,omitempty"`
	Path      string     `json:"path,omitempty"`
}

// Action is one step of a plan.
type Action struct {
	ID     string     `json:"id"`
	Name   ActionName `json:"name"`
	Target Target     `json:"target"`
	// Incident and Reason say what for.
	Incident string `json:"incident"`
	Reason   string `json:"reason"`
	// Reversible says that it has an inverse; Until is when the inverse is done
	// by itself, zero for never.
	Reversible bool      `json:"reversible"`
	Until      time.Time `json:"until,omitzero"`
	DryRun     bool      `json:"dryRun,omitempty"`
}

// OutcomeState says what became of an action.
type OutcomeState string

// The states.
const (
	OutcomePlanned  OutcomeState = "planned" // journalled, not yet done
	OutcomeWaiting  OutcomeState = "waiting" // for a person's approval
	OutcomeRefused  OutcomeState = "refused" // by a rail
	OutcomeDone     OutcomeState = "done"    // done and verified
	OutcomeDryRun   OutcomeState = "dry-run" // would have been done
	OutcomeFailed   OutcomeState = "failed"
	OutcomeUndone   OutcomeState = "undone"
	OutcomeReverted OutcomeState = "reverted" // found half done after a restart, and taken back
)

// Outcome is what became of an action, and how it is undone.
type Outcome struct {
	Action Action       `json:"action"`
	State  OutcomeState `json:"state"`
	At     time.Time    `json:"at"`
	// Why is the rail's or the error's sentence.
	Why string `json:"why,omitempty"`
	// By is the person who approved or undid it; empty where nobody was asked.
	By string `json:"by,omitempty"`
	// Undo is the command that takes it back; empty where nothing can.
	Undo string `json:"undo,omitempty"`
	// Took is from the detection to the verified act, in nanoseconds.
	Took time.Duration `json:"took,omitempty"`
}
