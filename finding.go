package esclusa

import "time"

// FindingKind says what sort of trouble a finding is.
type FindingKind string

// The kinds.
const (
	KindVulnerability    FindingKind = "vulnerability"
	KindMaliciousPackage FindingKind = "malicious-package"
	KindMalware          FindingKind = "malware"
	KindSecret           FindingKind = "secret"
	KindMisconfiguration FindingKind = "misconfiguration"
	// KindNotice is worth knowing and no flaw: an unmaintained package.
	KindNotice FindingKind = "notice"
)

// Reachability says whether the vulnerable code is linked into what runs.
type Reachability string

// The answers. Unknown is the zero value: nothing was proved.
const (
	ReachUnknown Reachability = ""
	ReachLinked  Reachability = "linked"     // a vulnerable symbol is in the binary
	ReachAbsent  Reachability = "not-linked" // none of the advisory's symbols is
)

// Finding is one thing that is wrong with an image, and what ends it.
type Finding struct {
	Kind FindingKind `json:"kind"`
	// ID is the name that people use: the CVE where there is one, else the
	// advisory's id, else the rule's ("secret/aws-access-key").
	ID string `json:"id"`
	// Aliases are the other names of the same flaw; one row, many names.
	Aliases []string `json:"aliases,omitempty"`
	// Advisory is the id of the record that matched.
	Advisory string   `json:"advisory,omitempty"`
	Severity Severity `json:"severity"`
	// Score and Vector are the CVSS base score that the severity stands on.
	Score  float64 `json:"score,omitempty"`
	Vector string  `json:"vector,omitempty"`
	Title  string  `json:"title,omitempty"`
	URL    string  `json:"url,omitempty"`
	// Package is set for the kinds that are about one.
	Package *Package `json:"package,omitempty"`
	Place
	Origin Origin `json:"origin,omitempty"`
	// Deleted says that a higher layer removed or replaced it: it does not
	// run, and whoever can pull the image can still read it.
	Deleted bool `json:"deleted,omitempty"`
	// Fix is what ends the finding; nil when nothing does yet.
	Fix *Fix `json:"fix,omitempty"`
	// KEV is set when CISA's catalogue lists it as exploited.
	KEV *KEV `json:"kev,omitempty"`
	// EPSS is the probability of exploitation in the next 30 days, 0 to 1;
	// negative when not scored.
	EPSS      float64      `json:"epss"`
	Reach     Reachability `json:"reach,omitempty"`
	Published time.Time    `json:"published,omitzero"`
	// Evidence is what was seen, shortened and with secrets masked.
	Evidence string `json:"evidence,omitempty"`
	// Advice says what to do where no version does: how to rotate the key,
	// which line of the Dockerfile to change.
	Advice string `json:"advice,omitempty"`
	// VEX is the statement that applies; Suppressed findings do not count in
	// a verdict and stay visible.
	VEX *VEXStatement `json:"vex,omitempty"`
}

// Suppressed says whether a VEX statement ends the finding.
func (f *Finding) Suppressed() bool {
	return f.VEX != nil && (f.VEX.Status == VEXNotAffected || f.VEX.Status == VEXFixed)
}

// Fix is a version without the flaw and how to get it.
type Fix struct {
	Version string `json:"version,omitempty"`
	// Since is when the fix was announced: a grace period counts from here,
	// never from the flaw's publication. Zero when the source does not say.
	Since time.Time `json:"since,omitzero"`
	// Command installs it; empty where no single command does.
	Command string `json:"command,omitempty"`
}

// KEV is an entry of CISA's Known Exploited Vulnerabilities catalogue.
type KEV struct {
	Added      time.Time `json:"added"`
	Due        time.Time `json:"due,omitzero"`
	Ransomware bool      `json:"ransomware,omitempty"`
}

// VEXStatus is a status of the VEX minimum requirements (CISA, 2023).
type VEXStatus string

// The statuses.
const (
	VEXNotAffected   VEXStatus = "not_affected"
	VEXAffected      VEXStatus = "affected"
	VEXFixed         VEXStatus = "fixed"
	VEXInvestigating VEXStatus = "under_investigation"
)

// VEXStatement is what a supplier says about one flaw in one product.
type VEXStatement struct {
	Status        VEXStatus `json:"status"`
	Justification string    `json:"justification,omitempty"`
	Statement     string    `json:"statement,omitempty"`
	Author        string    `json:"author,omitempty"`
	At            time.Time `json:"at,omitzero"`
	Document      string    `json:"document,omitempty"` // where it was read
}
