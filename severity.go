package esclusa

import (
	"fmt"
	"strings"
)

// Severity orders how bad a finding is. The zero value says that nobody
// rated it, which is not the same as harmless.
type Severity int8

// The severities, in rising order. The four rated words are those of the CVSS
// v3.1 and v4.0 qualitative scales.
const (
	SeverityUnknown Severity = iota
	SeverityNone
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"unknown", "none", "low", "medium", "high", "critical"}

func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return severityNames[0]
	}
	return severityNames[s]
}

// ParseSeverity reads a severity word in any case. "moderate" (GHSA),
// "important" (Red Hat) and "negligible" (Debian, Ubuntu) are understood.
func ParseSeverity(s string) (Severity, error) {
	switch w := strings.ToLower(strings.TrimSpace(s)); w {
	case "", "unknown", "unassigned", "undefined", "untriaged":
		return SeverityUnknown, nil
	case "moderate":
		return SeverityMedium, nil
	case "important":
		return SeverityHigh, nil
	case "negligible", "unimportant", "info", "informational":
		return SeverityNone, nil
	default:
		for i, n := range severityNames {
			if n == w {
				return Severity(i), nil
			}
		}
	}
	return SeverityUnknown, fmt.Errorf("unknown severity %q", s)
}

// SeverityOf maps a CVSS score (0.0 to 10.0) to the qualitative scale of
// CVSS v3.1 section 5 and v4.0 section 6.
func SeverityOf(score float64) Severity {
	switch {
	case score >= 9:
		return SeverityCritical
	case score >= 7:
		return SeverityHigh
	case score >= 4:
		return SeverityMedium
	case score > 0:
		return SeverityLow
	}
	return SeverityNone
}

// MarshalText writes the lower-case word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseSeverity reads.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	*s = v
	return err
}
