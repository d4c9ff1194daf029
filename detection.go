package esclusa

import "time"

// Detection is behaviour that a rule, a sequence, the drift check or a guard
// recognised.
type Detection struct {
	// ID is unique on the node: "<boot>-<seq of the last event>-<rule>".
	ID       string   `json:"id"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Technique is of MITRE ATT&CK: "T1611".
	Technique string    `json:"technique,omitempty"`
	At        time.Time `json:"at"`
	// Message is the rule's sentence about this very case.
	Message string `json:"message"`
	// Why says to a person what is bad about it, and what lawful use looks alike.
	Why        string   `json:"why,omitempty"`
	References []string `json:"references,omitempty"`
	// Events are the evidence, oldest first: one for a rule, one a step for a
	// sequence.
	Events []Event `json:"events"`
	// Refused says that the kernel refused the act, Killed that it ended the
	// process before the act returned.
	Refused bool `json:"refused,omitempty"`
	Killed  bool `json:"killed,omitempty"`
	// Respond is the response that the rule asks for: names of actions.
	Respond []string `json:"respond,omitempty"`
	// Incident is the one it was put into, where respond did.
	Incident string `json:"incident,omitempty"`
	// Gaps are what was lost or unknown while it was looked at.
	Gaps []Gap `json:"gaps,omitempty"`
}

// Last is the newest event of the evidence.
func (d *Detection) Last() *Event { return &d.Events[len(d.Events)-1] }
