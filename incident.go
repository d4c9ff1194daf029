package esclusa

import "time"

// IncidentState says how far an incident is.
type IncidentState string

// The states.
const (
	IncidentOpen      IncidentState = "open"
	IncidentContained IncidentState = "contained" // an action holds it
	IncidentClosed    IncidentState = "closed"    // quiet for the window, or a person said so
)

// Incident is the story of detections that belong together: the same root
// process or the same container, within a window.
type Incident struct {
	ID    string        `json:"id"`
	State IncidentState `json:"state"`
	// Root is the topmost process that the detections share.
	Root       Process     `json:"root"`
	Container  *Container  `json:"container,omitempty"`
	Severity   Severity    `json:"severity"` // the worst of its detections
	Opened     time.Time   `json:"opened"`
	Updated    time.Time   `json:"updated"`
	Detections []Detection `json:"detections"`
	// Outcomes are what was done about it, refused actions included.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	Gaps     []Gap     `json:"gaps,omitempty"`
}
