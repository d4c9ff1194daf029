package advisory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/esclusa/esclusa"
)

// Limits on what one record may hold. They are far above anything published
// and keep one hostile record from filling the database.
const (
	maxID       = 128
	maxName     = 1 << 10
	maxVersion  = 1 << 10
	maxText     = 4 << 10
	maxAffected = 200_000
	maxList     = 200_000
)

// Batch holds the records of one source in coded form until Build. Its
// methods may be called from several goroutines; the order of the calls does
// not show in the database. The zero value is empty.
type Batch struct {
	mu      sync.Mutex
	records []staged
	kev     map[uint64]esclusa.KEV
	epss    []score
	// carried says that the records come from an older database: a fresh
	// record of the same id and day wins.
	carried bool
}

// staged is one advisory: its header coded, its packages still apart because
// Build files them by name.
type staged struct {
	id       string
	modified uint64
	head     []byte
	affected []stagedAffected
}

type stagedAffected struct {
	ecosystem string // whole: "Debian:12"
	name      string // as written
	versions  string // each followed by a newline
	body      []byte // ranges, symbols, imports, severity
}

type score struct {
	cve   uint64
	score uint32 // in billionths
}

// Add codes an advisory. An error says that the record cannot be kept; the
// batch is as it was before.
func (b *Batch) Add(a *esclusa.Advisory) error {
	if err := checkText("id", a.ID, maxID); err != nil {
		return err
	}
	if a.ID == "" || strings.ContainsAny(a.ID, " /") {
		return fmt.Errorf("id %q", a.ID)
	}
	if len(a.Affected) > maxAffected {
		return fmt.Errorf("%d affected packages", len(a.Affected))
	}
	head, err := putHead(a)
	if err != nil {
		return err
	}
	r := staged{id: a.ID, modified: dayOf(a.Modified), head: head}
	if len(a.Affected) > 0 {
		r.affected = make([]stagedAffected, 0, len(a.Affected))
	}
	for i := range a.Affected {
		s, err := stage(&a.Affected[i])
		if err != nil {
			return fmt.Errorf("affected package %d: %w", i, err)
		}
		r.affected = append(r.affected, s)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	return nil
}

// Len is the number of records: advisories, catalogue entries and scores.
func (b *Batch) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records) + len(b.kev) + len(b.epss)
}

// AddKEV keeps an entry of the catalogue of exploited vulnerabilities.
func (b *Batch) AddKEV(cve string, k esclusa.KEV) error {
	key, ok := cveKey(cve)
	if !ok {
		return fmt.Errorf("not a CVE id: %q", cve)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kev == nil {
		b.kev = make(map[uint64]esclusa.KEV)
	}
	b.kev[key] = k
	return nil
}

// AddEPSS keeps a probability of exploitation, 0 to 1.
func (b *Batch) AddEPSS(cve string, p float64) error {
	key, ok := cveKey(cve)
	if !ok {
		return fmt.Errorf("not a CVE id: %q", cve)
	}
	if !(p >= 0 && p <= 1) { // also refuses NaN
		return fmt.Errorf("score of %s is %v", cve, p)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epss = append(b.epss, score{key, uint32(p*1e9 + 0.5)})
	return nil
}

// cveKey packs year and number of a CVE id, in the order of the years.
func cveKey(id string) (uint64, bool) {
	rest, ok := strings.CutPrefix(id, "CVE-")
	if !ok || len(rest) < 9 || rest[4] != '-' || len(rest) > 14 {
		return 0, false
	}
	number := rest[5:]
	if len(number) > 4 && number[0] == '0' { // one spelling a number
		return 0, false
	}
	y, err := strconv.ParseUint(rest[:4], 10, 16)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, false
	}
	return y<<32 | n, true
}

func putHead(a *esclusa.Advisory) ([]byte, error) {
	for _, t := range []struct {
		what, text string
		limit      int
	}{
		{"summary", a.Summary, maxText},
		{"url", a.URL, maxText},
		{"informational", a.Informational, maxID},
	} {
		if err := checkText(t.what, t.text, t.limit); err != nil {
			return nil, err
		}
	}
	for _, list := range [][]string{a.Aliases, a.Upstream, a.CVSS} {
		if err := checkList("ids or vectors", list, maxName); err != nil {
			return nil, err
		}
	}
	var flags byte
	if a.Malicious {
		flags |= flagMalicious
	}
	b := make([]byte, 0, 64+len(a.ID)+len(a.Summary)+len(a.URL)+20*(len(a.Aliases)+len(a.Upstream)))
	b = append(b, flags, byte(a.Severity))
	b = putString(b, a.ID)
	b = putStrings(b, a.Aliases)
	b = putStrings(b, a.Upstream)
	b = putString(b, a.Summary)
	b = binary.AppendUvarint(b, dayOf(a.Published))
	b = binary.AppendUvarint(b, dayOf(a.Modified))
	b = binary.AppendUvarint(b, dayOf(a.Withdrawn))
	b = putStrings(b, a.CVSS)
	b = putString(b, a.Informational)
	return putString(b, a.URL), nil
}

const flagMalicious = 1

func stage(f *esclusa.Affected) (stagedAffected, error) {
	none := stagedAffected{}
	if f.Name == "" || f.Ecosystem == "" {
		return none, errors.New("no name or no ecosystem")
	}
	if err := checkText("name", f.Name, maxName); err != nil {
		return none, err
	}
	if err := checkText("ecosystem", f.Ecosystem, maxName); err != nil {
		return none, err
	}
	for _, l := range []struct {
		what string
		list []string
	}{{"version", f.Versions}, {"symbol", f.Symbols}, {"import", f.Imports}, {"vector", f.CVSS}} {
		if err := checkList(l.what, l.list, maxVersion); err != nil {
			return none, err
		}
	}
	for _, r := range f.Ranges {
		for _, e := range r.Events {
			for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
				if err := checkText("version", v, maxVersion); err != nil {
					return none, err
				}
			}
		}
	}
	body, err := putRanges(nil, f.Ranges)
	if err != nil {
		return none, err
	}
	body = putStrings(body, f.Symbols)
	body = putStrings(body, f.Imports)
	body = append(body, byte(f.Severity))
	body = putStrings(body, f.CVSS)

	var versions strings.Builder
	for _, v := range f.Versions {
		versions.WriteString(v)
		versions.WriteByte('\n')
	}
	return stagedAffected{f.Ecosystem, f.Name, versions.String(), body}, nil
}

func checkList(what string, list []string, limit int) error {
	if len(list) > maxList {
		return fmt.Errorf("%d %ss", len(list), what)
	}
	for _, s := range list {
		if err := checkText(what, s, limit); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what could break a line of a report or of this format.
func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s of %d bytes", what, len(s))
	}
	ascii := true
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return fmt.Errorf("control character in %s %q", what, s)
		}
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if !ascii && !utf8.ValidString(s) {
		return fmt.Errorf("%s is not UTF-8: %q", what, s)
	}
	return nil
}
