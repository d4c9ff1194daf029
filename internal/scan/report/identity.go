package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/esclusa/esclusa"
)

// Fingerprints names each finding by what it is and where, so that the next
// scan of the next build gives the same trouble the same name. Versions,
// lines, layers, scores and texts change from build to build and are left
// out. Those that are equal in all the rest are numbered: no two names are
// equal. They are 64 hex digits.
func Fingerprints(fs []esclusa.Finding) []string {
	out := make([]string, len(fs))
	seen := make(map[string]int, len(fs))
	h := sha256.New()
	for i := range fs {
		f := &fs[i]
		parts := []string{string(f.Kind), f.ID, f.Path, "", "", ""}
		if p := f.Package; p != nil {
			parts[3], parts[4] = p.Type, p.Name
		} else {
			parts[5] = f.Evidence // two keys in one file
		}
		key := sum(h, parts...)
		n := seen[key]
		seen[key]++
		if n > 0 {
			key = sum(h, key, fmt.Sprint(n))
		}
		out[i] = key
	}
	return out
}

// sum hashes the parts with their lengths.
func sum(h hash.Hash, parts ...string) string {
	h.Reset()
	for _, p := range parts {
		p = valid(p)
		fmt.Fprintf(h, "%d:", len(p))
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// valid is what remains of a text in a saved stream.
func valid(s string) string {
	if clean(s) {
		return s
	}
	return strings.Map(func(r rune) rune { return r }, s)
}

// UUID makes a version 8 UUID (RFC 9562) of a fingerprint or of Identity.
func UUID(of string) string {
	b := sha256.Sum256([]byte(of))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Identity is the digest of all that a report says, its time included: two
// scans are two documents, one saved stream is one. It is 64 hex digits.
func Identity(r *esclusa.Report) string {
	h := sha256.New()
	enc := NewEncoder(h)
	for m := range Messages(r) {
		if enc.Encode(m) != nil {
			io.WriteString(h, "?") // a number that JSON has not: still the same each time
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// UTC is the time for a format that has four digits for the year.
func UTC(t time.Time) time.Time {
	switch t = t.UTC(); {
	case t.Year() > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	case t.Year() < 1:
		return time.Time{}
	}
	return t
}

// Finished is when the scan ended.
func Finished(r *esclusa.Report) time.Time {
	return UTC(r.Start.At.Add(min(max(0, r.End.Took), 24*time.Hour)))
}

// HasEPSS says that the finding's EPSS is a probability.
func HasEPSS(f *esclusa.Finding) bool {
	return f.Kind == esclusa.KindVulnerability && f.EPSS >= 0 && f.EPSS <= 1
}

// ToolName and its version, from "esclusa 1.2.3".
func ToolName(r *esclusa.Report) (name, version string) {
	name, version, _ = strings.Cut(Text(r.Start.Tool, 100), " ")
	if name == "" {
		name = "esclusa"
	}
	if version == "" {
		version = "0"
	}
	return name, version
}
