// Package epss reads the Exploit Prediction Scoring System of FIRST: for
// every CVE the probability that it is exploited in the next thirty days.
//
// Start with Parse.
package epss

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/esclusa/esclusa/internal/scan/feeds"
)

// Limits: the scores of 2026 are 340,000 lines, 2 MB packed, 9 MB unpacked.
const (
	maxSize  = 64 << 20
	maxText  = 512 << 20
	maxLines = 5_000_000
)

// New is the feed.
func New() feeds.Feed { return feed{} }

type feed struct{}

func (feed) Spec() feeds.Spec {
	return feeds.Spec{
		Name:    "epss",
		URL:     "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
		Path:    "epss/epss_scores-current.csv.gz",
		MaxSize: maxSize,
	}
}

// Parse reads "#model_version:…,score_date:…", the heading "cve,epss,…" and
// the scores.
func (feed) Parse(ctx context.Context, in feeds.File, sink feeds.Sink) error {
	if in.Size > maxSize {
		return fmt.Errorf("scores of %d bytes: %w", in.Size, feeds.ErrTooBig)
	}
	z, err := gzip.NewReader(io.NewSectionReader(in, 0, in.Size))
	if err != nil {
		return fmt.Errorf("open scores: %w", err)
	}
	text := &io.LimitedReader{R: z, N: maxText}
	lines := bufio.NewScanner(text)
	headed := false
	for n := 1; lines.Scan(); n++ {
		if n > maxLines {
			return fmt.Errorf("lines: %w", feeds.ErrTooBig)
		}
		if n%1024 == 1 && ctx.Err() != nil {
			return ctx.Err()
		}
		line := strings.TrimSuffix(lines.Text(), "\r")
		switch {
		case strings.HasPrefix(line, "#"):
			date(line, sink)
		case strings.HasPrefix(line, "cve,epss"):
			headed = true
		case !headed:
			return errors.New("not scores: no heading cve,epss")
		case line != "":
			if err := hand(line, sink); err != nil {
				sink.Skip(fmt.Sprintf("line %d", n), err)
			}
		}
	}
	// A truncated or damaged stream ends here: gzip has a checksum.
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read scores: %w", err)
	}
	if text.N <= 0 {
		return fmt.Errorf("text: %w", feeds.ErrTooBig)
	}
	if !headed {
		return errors.New("not scores: empty")
	}
	return nil
}

func date(line string, sink feeds.Sink) {
	_, rest, ok := strings.Cut(line, "score_date:")
	if !ok {
		return
	}
	rest, _, _ = strings.Cut(rest, ",")
	// The zone was written +0000 until 2025 and Z since.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", time.DateOnly} {
		if t, err := time.Parse(layout, rest); err == nil {
			sink.Date(t.UTC())
			return
		}
	}
}

func hand(line string, sink feeds.Sink) error {
	cve, rest, ok := strings.Cut(line, ",")
	if !ok {
		return fmt.Errorf("no score in %q", line)
	}
	score, _, _ := strings.Cut(rest, ",")
	p, err := strconv.ParseFloat(score, 64)
	if err != nil {
		return fmt.Errorf("score of %s: %w", cve, err)
	}
	return sink.EPSS(cve, p)
}
