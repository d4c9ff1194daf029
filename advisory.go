package esclusa

import "time"

// Advisory is one record of an advisory source in the form of the OSV schema
// (1.7), reduced to what matching and reports use.
type Advisory struct {
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"` // the same flaw in other databases
	// Upstream are the flaws that this record (of a distribution) answers:
	// the CVEs of a DSA.
	Upstream  []string  `json:"upstream,omitempty"`
	Summary   string    `json:"summary,omitempty"`
	Published time.Time `json:"published,omitzero"`
	Modified  time.Time `json:"modified,omitzero"`
	Withdrawn time.Time `json:"withdrawn,omitzero"`
	// Severity is the word of the source where it gives one, and CVSS are its
	// vectors, newest version of the standard first.
	Severity Severity `json:"severity,omitempty"`
	CVSS     []string `json:"cvss,omitempty"`
	// Malicious says that the package itself is the attack (MAL-, LWA-).
	Malicious bool `json:"malicious,omitempty"`
	// Informational says that it is not a vulnerability: "unmaintained",
	// "unsound", "notice" (RustSec).
	Informational string     `json:"informational,omitempty"`
	Affected      []Affected `json:"affected,omitempty"`
	URL           string     `json:"url,omitempty"`
	// Feed is the source that delivered it: "osv/npm".
	Feed string `json:"feed,omitempty"`
}

// Affected is one package of an advisory.
type Affected struct {
	// Ecosystem is OSV's, with its suffix: "npm", "Debian:12".
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	// Ranges and Versions are alternatives: a version is affected when a
	// range holds it or the list names it.
	Ranges   []Range  `json:"ranges,omitempty"`
	Versions []string `json:"versions,omitempty"`
	// Symbols are the vulnerable functions where the source lists them, as
	// "import/path.Func" or "import/path.Type.Method" (Go).
	Symbols []string `json:"symbols,omitempty"`
	// Imports are the vulnerable import paths (Go); listed without symbols,
	// the whole package is vulnerable.
	Imports []string `json:"imports,omitempty"`
	// Severity and CVSS override the advisory's for this package.
	Severity Severity `json:"severity,omitempty"`
	CVSS     []string `json:"cvss,omitempty"`
}

// Range is a series of events in rising order, as OSV's.
type Range struct {
	Type   string       `json:"type"` // SEMVER or ECOSYSTEM
	Events []RangeEvent `json:"events"`
}

// RangeEvent has one field set. "0" as Introduced is before every version.
type RangeEvent struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"lastAffected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// Feed is the state of one advisory source: it is part of every report.
type Feed struct {
	Name string `json:"name"` // "osv/npm", "kev", "epss"
	// Date is when the source last said something: its newest record, or the
	// date written in it; not when we fetched it.
	Date    time.Time `json:"date,omitzero"`
	Fetched time.Time `json:"fetched,omitzero"`
	Records int       `json:"records"`
	Skipped int       `json:"skipped,omitempty"` // bad records
	From    string    `json:"from,omitempty"`    // address or folder
	Digest  Digest    `json:"digest,omitempty"`  // of what was fetched
}
