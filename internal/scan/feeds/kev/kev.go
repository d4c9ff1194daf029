// Package kev reads CISA's catalogue of Known Exploited Vulnerabilities: the
// CVEs that are known to be used in attacks, and by when to mend them.
//
// Start with Parse.
package kev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/esclusa/esclusa"
	"github.com/esclusa/esclusa/internal/scan/feeds"
)

// maxSize is forty times the catalogue of 2026.
const maxSize = 64 << 20

// New is the feed.
func New() feeds.Feed { return feed{} }

type feed struct{}

func (feed) Spec() feeds.Spec {
	return feeds.Spec{
		Name:    "kev",
		URL:     "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
		Path:    "kev/known_exploited_vulnerabilities.json",
		MaxSize: maxSize,
	}
}

type entry struct {
	CVE        string `json:"cveID"`
	Added      string `json:"dateAdded"`
	Due        string `json:"dueDate"`
	Ransomware string `json:"knownRansomwareCampaignUse"`
}

// Parse reads the catalogue entry by entry, so that one bad entry does not
// take the others with it.
func (feed) Parse(ctx context.Context, in feeds.File, sink feeds.Sink) error {
	if in.Size > maxSize {
		return fmt.Errorf("catalogue of %d bytes: %w", in.Size, feeds.ErrTooBig)
	}
	text, err := io.ReadAll(io.NewSectionReader(in, 0, in.Size))
	if err != nil {
		return err
	}
	var catalogue struct {
		Released        string             `json:"dateReleased"`
		Count           int                `json:"count"`
		Vulnerabilities *[]json.RawMessage `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(text, &catalogue); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	if catalogue.Vulnerabilities == nil {
		return errors.New("not a catalogue: no vulnerabilities")
	}
	list := *catalogue.Vulnerabilities
	if catalogue.Count > len(list) {
		return fmt.Errorf("catalogue has %d entries and says %d", len(list), catalogue.Count)
	}
	if t, err := time.Parse(time.RFC3339, catalogue.Released); err == nil {
		sink.Date(t.UTC())
	}
	for i, raw := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := hand(raw, sink); err != nil {
			sink.Skip(fmt.Sprintf("entry %d", i), err)
		}
	}
	return nil
}

func hand(raw json.RawMessage, sink feeds.Sink) error {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return err
	}
	added, err := time.Parse(time.DateOnly, e.Added)
	if err != nil {
		return fmt.Errorf("%s: date added: %w", e.CVE, err)
	}
	k := esclusa.KEV{Added: added, Ransomware: e.Ransomware == "Known"}
	if due, err := time.Parse(time.DateOnly, e.Due); err == nil {
		k.Due = due // optional: an entry without is exploited all the same
	}
	return sink.KEV(e.CVE, k)
}
