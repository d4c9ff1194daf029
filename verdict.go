package esclusa

import (
	"fmt"
	"time"
)

// Decision is the answer of a gate.
type Decision int8

// The decisions, in rising strictness. Undecided is the zero value: a verdict
// that nobody filled in lets nothing pass.
const (
	Undecided Decision = iota
	Allow
	Warn
	Deny
)

var decisionNames = [...]string{"undecided", "allow", "warn", "deny"}

func (d Decision) String() string {
	if d < 0 || int(d) >= len(decisionNames) {
		return decisionNames[0]
	}
	return decisionNames[d]
}

// MarshalText writes the lower-case word.
func (d Decision) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the lower-case word.
func (d *Decision) UnmarshalText(b []byte) error {
	for i, n := range decisionNames {
		if n == string(b) {
			*d = Decision(i)
			return nil
		}
	}
	return fmt.Errorf("unknown decision %q", b)
}

// Reason is one rule's word on one matter.
type Reason struct {
	Rule     string   `json:"rule"`
	Decision Decision `json:"decision"`
	// Message is one or two sentences for the person whose build stops here.
	Message string `json:"message"`
	// Finding, Package, Place: the evidence.
	Finding  string `json:"finding,omitempty"` // its ID
	Package  string `json:"package,omitempty"` // "openssl 3.0.11-1"
	Place    Place  `json:"place,omitzero"`
	Origin   Origin `json:"origin,omitempty"`
	Fix      *Fix   `json:"fix,omitempty"`
	Evidence string `json:"evidence,omitempty"`
	// Exception says how to ask for one.
	Exception string `json:"exception,omitempty"`
	// Count is how many findings this reason stands for (≥ 1).
	Count int `json:"count,omitempty"`
}

// Exempted is a reason that an exception took away.
type Exempted struct {
	Reason
	Owner   string    `json:"owner"`
	Because string    `json:"because"`
	Until   time.Time `json:"until"`
}

// Verdict is what a gate says about an image, the same in CI, in the registry
// and in admission.
type Verdict struct {
	Decision Decision   `json:"decision"`
	Reasons  []Reason   `json:"reasons,omitempty"`
	Exempted []Exempted `json:"exempted,omitempty"`
	// Expired names the exceptions that stopped counting.
	Expired []string `json:"expired,omitempty"`
	// Gaps are those that the decision had to live with.
	Gaps []Gap `json:"gaps,omitempty"`
	// Image and Policy name what was judged by what.
	Image  Digest `json:"image,omitempty"`
	Policy string `json:"policy"` // name
	// PolicyDigest is of the policy's bytes: the same digest is the same rule.
	PolicyDigest Digest    `json:"policyDigest"`
	At           time.Time `json:"at"`
	// Took is from start to answer: the delay added to a release, in
	// nanoseconds in JSON.
	Took time.Duration `json:"took"`
}
