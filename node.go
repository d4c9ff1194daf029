package esclusa

import "time"

// NodeVersion is the version of a node's stream. Fields may be added within a
// version; a reader ignores those it does not know.
const NodeVersion = 1

// NodeMessage is one line of a node's stream: what `esclusa watch --output
// json` prints, a recording holds and a server takes in. Exactly one field is
// set. A stream begins with Start.
type NodeMessage struct {
	Start     *NodeStart `json:"start,omitempty"`
	Event     *Event     `json:"event,omitempty"`
	Detection *Detection `json:"detection,omitempty"`
	Incident  *Incident  `json:"incident,omitempty"`
	Outcome   *Outcome   `json:"outcome,omitempty"`
	Gap       *Gap       `json:"gap,omitempty"`
}

// NodeStart opens a node's stream.
type NodeStart struct {
	Stream int       `json:"stream"` // NodeVersion
	Tool   string    `json:"tool"`
	At     time.Time `json:"at"`
	Host   string    `json:"host"`
	Boot   string    `json:"boot"`   // /proc/sys/kernel/random/boot_id
	Kernel string    `json:"kernel"` // release, as uname(2) gives it
}
